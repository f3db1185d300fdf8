/** How the peer's commands are spelled. What they do is loaded when one is called. */
import { buildCommand, buildRouteMap, type RouteMap } from "@stricli/core";
import type { CliContext, CommonFlags } from "./context.ts";
import type { FetchFlags } from "./fetch-action.ts";
import { adminFlag, commonFlags, hostWord, openFlag, portWord, trackerFlag, withExamples } from "./parameters.ts";
import type { PeerStartFlags } from "./role-actions.ts";
import { parseDuration, parseHostAndPort, parseText } from "./settings.ts";

const actions = () => import("./peer-actions.ts");
const roleActions = () => import("./role-actions.ts");

const list = (
  brief: string,
  example: string,
  load: () => Promise<(this: CliContext, flags: CommonFlags) => Promise<void>>,
) =>
  buildCommand<CommonFlags, [], CliContext>({
    docs: { brief, fullDescription: withExamples(`${brief}.`, [example, `${example} --json`]) },
    parameters: { flags: commonFlags },
    loader: load,
  });

const listFiles = list("List every shared file", "p2pfs peer list-files", async () => (await actions()).listFiles);
const listFetches = list(
  "List the fetches of the running peer",
  "p2pfs peer list-fetches",
  async () => (await actions()).listFetches,
);
const status = list("Show how the peer is doing", "p2pfs peer status", async () => (await actions()).status);
const exit = list(
  "End the peer, and return when it has ended",
  "p2pfs peer exit",
  async () => (await roleActions()).exitPeer,
);

const connect = buildCommand<CommonFlags, [host: string, port?: number], CliContext>({
  docs: {
    brief: "Join the tracker at HOST PORT",
    fullDescription: withExamples(
      "Join the tracker at HOST PORT. Another tracker is left; what is shared is announced to the new one, and fetches go on.",
      ["p2pfs peer connect 127.0.0.1 7700"],
    ),
  },
  parameters: { flags: commonFlags, positional: { kind: "tuple", parameters: [hostWord, portWord] } },
  loader: async () => (await actions()).connect,
});

const publish = buildCommand<CommonFlags, [lname: string, fname?: string], CliContext>({
  docs: {
    brief: "Share the local file LNAME as FNAME",
    fullDescription: withExamples(
      "Share the local file LNAME as FNAME, under its own name without one. Prints a ticket: one line by which others fetch exactly these bytes.",
      ["p2pfs peer publish report.pdf", "p2pfs peer publish ~/films/holiday.mp4 'summer holiday.mp4'"],
    ),
  },
  parameters: {
    flags: commonFlags,
    positional: {
      kind: "tuple",
      parameters: [
        { brief: "The file, as a path from the current folder", placeholder: "LNAME", parse: parseText },
        { brief: "The name that others see", placeholder: "FNAME", parse: parseText, optional: true },
      ],
    },
  },
  loader: async () => (await actions()).publish,
});

const unpublish = buildCommand<CommonFlags, [fname: string], CliContext>({
  docs: {
    brief: "Share FNAME no longer",
    fullDescription: withExamples("Share FNAME no longer. The file itself stays where it is.", [
      "p2pfs peer unpublish report.pdf",
    ]),
  },
  parameters: {
    flags: commonFlags,
    positional: {
      kind: "tuple",
      parameters: [{ brief: "The name that it was published under", placeholder: "FNAME", parse: parseText }],
    },
  },
  loader: async () => (await actions()).unpublish,
});

const discover = buildCommand<CommonFlags, [host: string, port?: number], CliContext>({
  docs: {
    brief: "List the files of one peer",
    fullDescription: withExamples(
      "List the files of one peer, this one included. PORT may be left out where one peer has that host.",
      ["p2pfs peer discover 127.0.0.1 41000"],
    ),
  },
  parameters: { flags: commonFlags, positional: { kind: "tuple", parameters: [hostWord, portWord] } },
  loader: async () => (await actions()).discover,
});

const fetch = buildCommand<FetchFlags, string[], CliContext>({
  docs: {
    brief: "Fetch a shared file from every peer that holds it",
    fullDescription: withExamples(
      "Fetch FNAME, or what a ticket names, into DESTINATION: ./FNAME without one, inside it where it is a folder. PEER_IP " +
        "and PEER_PORT say whose file is meant where several peers share one name. With no peer running in the data " +
        "folder this is a peer of its own, which ends with the fetch. A fetch that was stopped goes on where it was when " +
        "the same command is run again.",
      [
        "p2pfs peer fetch report.pdf",
        "p2pfs peer fetch report.pdf ~/Downloads/ 127.0.0.1 41000",
        "p2pfs peer fetch 'p2pfs://127.0.0.1:7700/report.pdf?id=…' --seed-for 10m",
      ],
    ),
    customUsage: [
      "FNAME|TICKET [DESTINATION [PEER_IP PEER_PORT]] [--tracker HOST:PORT] [--seed-for DURATION] [--json] [--data DIR]",
    ],
  },
  parameters: {
    flags: {
      ...commonFlags,
      tracker: trackerFlag,
      seedFor: {
        kind: "parsed",
        parse: parseDuration,
        brief: "A peer of its own goes on serving the file for so long: 30s, 10m, 2h (P2PFS_SEED_FOR)",
        placeholder: "DURATION",
        optional: true,
      },
    },
    positional: {
      kind: "array",
      parameter: { brief: "FNAME or ticket, DESTINATION, PEER_IP, PEER_PORT", placeholder: "word", parse: parseText },
      minimum: 1,
      maximum: 4,
    },
  },
  loader: async () => (await import("./fetch-action.ts")).fetchFile,
});

const cancel = buildCommand<CommonFlags, [id: string], CliContext>({
  docs: {
    brief: "End a fetch and delete what has arrived",
    fullDescription: withExamples(
      "End a fetch of the running peer and delete what has arrived. list-fetches shows the ids.",
      ["p2pfs peer cancel 1"],
    ),
  },
  parameters: {
    flags: commonFlags,
    positional: { kind: "tuple", parameters: [{ brief: "Id of the fetch", placeholder: "ID", parse: parseText }] },
  },
  loader: async () => (await actions()).cancel,
});

const start = buildCommand<PeerStartFlags, [], CliContext>({
  docs: {
    brief: "Run a peer",
    fullDescription: withExamples(
      "Run a peer: it joins the tracker, shares what was published, and takes commands. It stays up while the tracker " +
        "is away and joins by itself when it is back. On a terminal a shell opens; otherwise lines of standard input run " +
        "as commands. It ends by `exit`, SIGINT or SIGTERM.",
      ["p2pfs peer start", "p2pfs peer start --tracker 10.0.0.1:7700 --listen 0.0.0.0:7710 --open"],
    ),
  },
  parameters: {
    flags: {
      ...commonFlags,
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
        brief: "The address that others are told, where it is not the one that the tracker sees (P2PFS_ADVERTISE)",
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
      open: openFlag,
    },
  },
  loader: async () => (await roleActions()).startPeer,
});

const commands = { connect, publish, unpublish, listFiles, discover, fetch, listFetches, cancel, status, exit };

export const peerCommands: RouteMap<CliContext> = buildRouteMap({
  docs: {
    brief: "Run a peer, command the one that runs, or fetch a file",
    fullDescription: "A peer shares files and fetches them straight from the other peers that hold them.",
  },
  routes: { start, ...commands },
});

export const peerShellCommands: RouteMap<CliContext> = buildRouteMap({
  docs: { brief: "Commands of this peer" },
  routes: commands,
});
