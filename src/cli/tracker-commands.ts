/** Names, arguments, flags and help of the tracker's commands. Their actions are loaded when they run. */
import { buildCommand, buildRouteMap, type RouteMap } from "@stricli/core";
import { commandBuilders, type Place } from "./command-builders.ts";
import type { CliContext, CommonFlags } from "./context.ts";
import { adminFlag, hostParameter, insecureFlag, logFlags, openFlag, portParameter } from "./parameters.ts";
import { swarmShellCommands } from "./swarm-commands.ts";
import type { TrackerStartFlags } from "./tracker-actions.ts";

const actions = () => import("./tracker-actions.ts");
const roleActions = () => import("./role-actions.ts");

type MaybeHostAndPort = [host?: string, port?: number];
const maybeHostAndPort = { kind: "tuple", parameters: [{ ...hostParameter, optional: true }, portParameter] } as const;

/** Commands to a running tracker, the same on the command line and in the shell. */
function commandsAt(place: Place) {
  const { plain, atHost } = commandBuilders(place, "tracker");
  return {
    listPeers: plain(
      "list-peers",
      "List the address and host name of every joined peer",
      async () => (await actions()).listPeers,
    ),
    listFiles: plain("list-files", "List every file of every peer", async () => (await actions()).listFiles),
    listChunkinfo: plain(
      "list-chunkinfo",
      "List which peer holds which chunks of every file",
      async () => (await actions()).listChunkInfo,
    ),
    discover: atHost(
      "List the files of one peer",
      "List the files of one peer. PORT may be left out where one peer has that host.",
      ["discover 127.0.0.1 41000", "discover laptop.local"],
      async () => (await actions()).discover,
    ),
    ping: atHost(
      "Ask whether a peer is still there, and time the reply",
      "Ask whether a peer is still there, and show the time from issuing the command to the reply. The exit code is 4 " +
        "where it is gone.",
      ["ping 127.0.0.1 41000"],
      async () => (await actions()).ping,
    ),
    dashboard: plain(
      "dashboard",
      "Open the tracker's page in a browser, or print the link to it",
      async () => (await import("./dashboard-action.ts")).showTrackerDashboard,
    ),
    status: plain("status", "Show how the tracker is doing", async () => (await actions()).status),
    exit: plain("exit", "End the tracker, and return when it has ended", async () => (await roleActions()).exitTracker),
  };
}

function runCommands() {
  const { flags, explained } = commandBuilders("command line", "tracker");
  const startFlags = { ...flags, admin: adminFlag, open: openFlag, insecure: insecureFlag, ...logFlags };
  return {
    start: buildCommand<TrackerStartFlags, MaybeHostAndPort, CliContext>({
      docs: {
        brief: "Run a tracker that listens on HOST PORT",
        fullDescription: explained(
          "Run a tracker that listens on HOST PORT, 127.0.0.1 7700 without them. On a terminal a shell opens; otherwise " +
            "lines of standard input run as commands. It ends by `exit`, SIGINT or SIGTERM.",
          ["start", "start --open", "start 10.0.0.1 7800"],
        ),
      },
      parameters: { flags: startFlags, positional: maybeHostAndPort },
      loader: async () => {
        const { startTracker } = await roleActions();
        return function (flags, host, port) {
          return startTracker(this, trackerShellCommands(), flags, host, port);
        };
      },
    }),
    shell: buildCommand<TrackerStartFlags, [], CliContext>({
      docs: { brief: "Run a tracker that does not listen yet" },
      parameters: { flags: startFlags },
      loader: async () => {
        const { openTrackerShell } = await roleActions();
        return function (flags) {
          return openTrackerShell(this, trackerShellCommands(), flags);
        };
      },
    }),
  };
}

function shellStart() {
  const { flags, explained } = commandBuilders("shell", "tracker");
  return buildCommand<CommonFlags, MaybeHostAndPort, CliContext>({
    docs: {
      brief: "Start listening on HOST PORT; another address moves there",
      fullDescription: explained("Start listening on HOST PORT, 127.0.0.1 7700 without them.", [
        "start",
        "start 127.0.0.1 7800",
      ]),
    },
    parameters: { flags, positional: maybeHostAndPort },
    loader: async () => (await actions()).start,
  });
}

export function trackerCommands(): RouteMap<CliContext> {
  const { start, shell } = runCommands();
  return buildRouteMap({
    docs: {
      brief: "Run a tracker, or command the one that runs",
      fullDescription:
        "A tracker knows which peers are online and which chunks of which files each holds.\n" +
        "Without a command: opens the shell of a tracker that listens once `start` is typed.",
      hideRoute: { shell: true },
    },
    routes: { start, ...commandsAt("command line"), shell },
  });
}

export function trackerShellCommands(): RouteMap<CliContext> {
  return buildRouteMap({
    docs: { brief: "Commands of this tracker" },
    routes: { start: shellStart(), ...commandsAt("shell"), swarm: swarmShellCommands() },
  });
}
