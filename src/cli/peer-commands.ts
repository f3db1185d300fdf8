/** Names, arguments, flags and help of the peer's commands. Their actions are loaded when they run. */
import { buildCommand, buildRouteMap, type RouteMap } from "@stricli/core";
import { commandBuilders, type Place } from "./command-builders.ts";
import type { CliContext, CommonFlags } from "./context.ts";
import type { FetchArguments, FetchFlags } from "./fetch-action.ts";
import { adminFlag, insecureFlag, limitFlags, logFlags, openFlag, trackerFlag } from "./parameters.ts";
import type { CancelFlags } from "./peer-actions.ts";
import { endedFetches, hostsOf, localPaths, ownNames, portsOf, runningFetches, sharedNames } from "./proposals.ts";
import type { PeerStartFlags } from "./role-actions.ts";
import { type LimitFlags, parseDuration, parseHostAndPort, parsePort, parseText } from "./settings.ts";

const actions = () => import("./peer-actions.ts");
const roleActions = () => import("./role-actions.ts");

/** Commands to a running peer, the same on the command line and in the shell. */
function commandsAt(place: Place) {
  const { plain, atHost, flags, explained } = commandBuilders(place, "peer");
  return {
    connect: atHost(
      "Join the tracker at HOST PORT",
      "Join the tracker at HOST PORT. Another tracker is left; what is shared is announced to the new one, and fetches go on.",
      ["connect 127.0.0.1 7700"],
      async () => (await actions()).connect,
    ),
    publish: buildCommand<CommonFlags, [lname: string, fname?: string], CliContext>({
      docs: {
        brief: "Share the local file LNAME as FNAME",
        fullDescription: explained(
          "Share the local file LNAME as FNAME, under its own name without one. Prints a ticket: one line by which " +
            "others fetch exactly these bytes.",
          ["publish report.pdf", "publish ~/films/holiday.mp4 'summer holiday.mp4'"],
        ),
      },
      parameters: {
        flags,
        positional: {
          kind: "tuple",
          parameters: [
            {
              brief: "The file, as a path from the current folder",
              placeholder: "LNAME",
              parse: parseText,
              proposeCompletions: localPaths,
            },
            // `String` lets an empty name through to the peer, which refuses it; it must not count as left out.
            { brief: "The name that others see", placeholder: "FNAME", parse: String, optional: true },
          ],
        },
      },
      loader: async () => (await actions()).publish,
    }),
    unpublish: buildCommand<CommonFlags, [fname: string], CliContext>({
      docs: {
        brief: "Share FNAME no longer",
        fullDescription: explained("Share FNAME no longer. The file itself stays where it is.", [
          "unpublish report.pdf",
        ]),
      },
      parameters: {
        flags,
        positional: {
          kind: "tuple",
          parameters: [
            {
              brief: "The name that it was published under",
              placeholder: "FNAME",
              parse: parseText,
              proposeCompletions: ownNames,
            },
          ],
        },
      },
      loader: async () => (await actions()).unpublish,
    }),
    listFiles: plain("list-files", "List every shared file", async () => (await actions()).listFiles),
    discover: atHost(
      "List the files of one peer",
      "List the files of one peer, this one included. PORT may be left out where one peer has that host.",
      ["discover 127.0.0.1 41000"],
      async () => (await actions()).discover,
    ),
    fetch: fetchAt(place),
    listFetches: plain("list-fetches", "List the fetches of the peer", async () => (await actions()).listFetches),
    cancel: buildCommand<CancelFlags, [id: string], CliContext>({
      docs: {
        brief: "End a fetch and delete what has arrived, or keep it",
        fullDescription: explained(
          "End a fetch of the peer and delete what has arrived; with --keep it stays for a later retry. list-fetches " +
            "shows the ids.",
          ["cancel 1", "cancel 1 --keep"],
        ),
      },
      parameters: {
        flags: {
          ...flags,
          keep: {
            kind: "boolean",
            brief: "Keep what has arrived, for `retry`",
            optional: true,
            withNegated: false,
          },
        },
        positional: { kind: "tuple", parameters: [fetchId(runningFetches)] },
      },
      loader: async () => (await actions()).cancel,
    }),
    retry: buildCommand<CommonFlags, [id: string], CliContext>({
      docs: {
        brief: "Go on with a fetch that has ended without its file",
        fullDescription: explained(
          "Go on with a fetch that was stopped, cancelled or failed; it runs in the peer. list-fetches shows the ids.",
          ["retry 1"],
        ),
      },
      parameters: {
        flags,
        positional: { kind: "tuple", parameters: [fetchId(endedFetches)] },
      },
      loader: async () => (await actions()).retry,
    }),
    limits: buildCommand<CommonFlags & LimitFlags, [], CliContext>({
      docs: {
        brief: "Change how fast the peer sends and receives, or show it",
        fullDescription: explained(
          "Change how fast the peer sends and receives chunks, at once and until it ends; `none` takes a limit away. " +
            "Without a flag the present limits are shown.",
          ["limits", "limits --up-limit 4MiB/s --down-limit none"],
        ),
      },
      parameters: { flags: { ...flags, ...limitFlags } },
      loader: async () => (await actions()).limits,
    }),
    dashboard: plain(
      "dashboard",
      "Open the peer's page in a browser, or print the link to it",
      async () => (await import("./dashboard-action.ts")).showPeerDashboard,
    ),
    status: plain("status", "Show how the peer is doing", async () => (await actions()).status),
    exit: plain("exit", "End the peer, and return when it has ended", async () => (await roleActions()).exitPeer),
  };
}

function fetchId(proposeCompletions: typeof runningFetches) {
  return { brief: "Id of the fetch", placeholder: "ID", parse: parseText, proposeCompletions } as const;
}

function fetchAt(place: Place) {
  const { flags, explained } = commandBuilders(place, "peer");
  const isShell = place === "shell";
  const usage = "FNAME|TICKET [DESTINATION [PEER_IP PEER_PORT]]";
  const description =
    `Fetch FNAME, or what a ticket names, into DESTINATION: ${isShell ? "the repository folder" : "./FNAME"} without one, ` +
    "inside it where it is a folder. PEER_IP and PEER_PORT say whose file is meant where several peers share one name. ";
  const ofItsOwn =
    "With no peer running in the data folder this is a peer of its own, which ends with the fetch. A fetch that was " +
    "stopped goes on where it was when the same command is run again.";
  return buildCommand<FetchFlags, FetchArguments, CliContext>({
    docs: {
      brief: "Fetch a shared file from every peer that holds it",
      fullDescription: explained(`${description}${isShell ? "It runs in the background." : ofItsOwn}`, [
        "fetch report.pdf",
        "fetch report.pdf ~/Downloads/ 127.0.0.1 41000",
        `fetch 'p2pfs://127.0.0.1:7700/report.pdf?id=…'${isShell ? "" : " --seed-for 10m"}`,
        ...(isShell ? [] : ["fetch report.pdf --join p2pfs-join:…"]),
      ]),
      customUsage: [
        isShell
          ? usage
          : `${usage} [--tracker HOST:PORT] [--join TOKEN] [--seed-for DURATION] [--insecure] [--up-limit RATE] ` +
            "[--down-limit RATE] [--log-level LEVEL] [--log-format FORMAT] [--json] [--data DIR]",
      ],
    },
    parameters: {
      flags: {
        ...flags,
        tracker: { ...trackerFlag, hidden: isShell },
        seedFor: {
          kind: "parsed",
          parse: parseDuration,
          brief: "A peer of its own goes on serving the file for so long: 30s, 10m, 2h (P2PFS_SEED_FOR)",
          placeholder: "DURATION",
          optional: true,
          hidden: isShell,
        },
        join: {
          kind: "parsed",
          parse: parseText,
          brief: "Be a member for this fetch only, by this invitation; - reads it from standard input (P2PFS_JOIN)",
          placeholder: "TOKEN",
          optional: true,
          hidden: isShell,
        },
        insecure: { ...insecureFlag, hidden: isShell },
        ...limitFlags,
        logLevel: {
          ...logFlags.logLevel,
          brief:
            "A peer of its own logs from this level on: debug, info, warn, error (P2PFS_LOG_LEVEL), error without it",
          hidden: isShell,
        },
        logFormat: { ...logFlags.logFormat, hidden: isShell },
      },
      positional: {
        kind: "tuple",
        parameters: [
          {
            brief: "A name of list-files, or a ticket",
            placeholder: "FNAME",
            parse: parseText,
            proposeCompletions: sharedNames,
          },
          {
            brief: "File or folder to write to",
            placeholder: "DESTINATION",
            parse: parseText,
            optional: true,
            proposeCompletions: localPaths,
          },
          {
            brief: "Whose file: IP or host name",
            placeholder: "PEER_IP",
            parse: parseText,
            optional: true,
            proposeCompletions: hostsOf.peer,
          },
          {
            brief: "Whose file: port",
            placeholder: "PEER_PORT",
            parse: parsePort,
            optional: true,
            proposeCompletions: portsOf.peer,
          },
        ],
      },
    },
    loader: async () => (await import("./fetch-action.ts")).fetchFile,
  });
}

function start() {
  const { flags, explained } = commandBuilders("command line", "peer");
  return buildCommand<PeerStartFlags, [], CliContext>({
    docs: {
      brief: "Run a peer",
      fullDescription: explained(
        "Run a peer: it joins the tracker, shares what was published, and takes commands. It stays up while the tracker " +
          "is away and joins by itself when it is back. On a terminal a shell opens; otherwise lines of standard input run " +
          "as commands. It ends by `exit`, SIGINT or SIGTERM.",
        ["start", "start --tracker 127.0.0.1:7800"],
      ),
    },
    parameters: {
      flags: {
        ...flags,
        listen: {
          kind: "parsed",
          parse: parseHostAndPort,
          brief: "Where other peers connect; port 0 takes the port of last time, or any (P2PFS_LISTEN)",
          placeholder: "HOST:PORT",
          optional: true,
        },
        advertise: {
          kind: "parsed",
          parse: parseHostAndPort,
          brief: "The address that others use, if it is not the one that the tracker sees (P2PFS_ADVERTISE)",
          placeholder: "HOST:PORT",
          optional: true,
        },
        tracker: trackerFlag,
        admin: adminFlag,
        files: {
          kind: "parsed",
          parse: parseText,
          brief: "Folder for fetched files, DATA/files without it (P2PFS_FILES)",
          placeholder: "DIR",
          optional: true,
        },
        browse: {
          kind: "parsed",
          parse: parseText,
          brief: "The folder that the page may look into, every one without it (P2PFS_BROWSE)",
          placeholder: "DIR",
          optional: true,
        },
        open: openFlag,
        insecure: insecureFlag,
        ...limitFlags,
        ...logFlags,
      },
    },
    loader: async () => {
      const { startPeer } = await roleActions();
      return function (flags) {
        return startPeer(this, peerShellCommands(), flags);
      };
    },
  });
}

export function peerCommands(): RouteMap<CliContext> {
  return buildRouteMap({
    docs: {
      brief: "Run a peer, command the one that runs, or fetch a file",
      fullDescription: "A peer shares files and fetches them straight from the other peers that hold them.",
    },
    routes: { start: start(), ...commandsAt("command line") },
  });
}

export function peerShellCommands(): RouteMap<CliContext> {
  return buildRouteMap({ docs: { brief: "Commands of this peer" }, routes: commandsAt("shell") });
}
