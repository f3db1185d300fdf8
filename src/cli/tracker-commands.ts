/** How the tracker's commands are spelled. What they do is loaded when one is called. */
import { buildCommand, buildRouteMap, type RouteMap } from "@stricli/core";
import type { CliContext, CommonFlags } from "./context.ts";
import { adminFlag, commonFlags, hostWord, openFlag, portWord, withExamples } from "./parameters.ts";
import type { TrackerStartFlags } from "./tracker-actions.ts";

const actions = () => import("./tracker-actions.ts");
const roleActions = () => import("./role-actions.ts");

type HostAndPort = [host: string, port?: number];

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

const listPeers = list(
  "List the address and host name of every joined peer",
  "p2pfs tracker list-peers",
  async () => (await actions()).listPeers,
);
const listFiles = list(
  "List every file of every peer",
  "p2pfs tracker list-files",
  async () => (await actions()).listFiles,
);
const listChunkinfo = list(
  "List which peer holds which chunks of every file",
  "p2pfs tracker list-chunkinfo",
  async () => (await actions()).listChunkInfo,
);
const status = list("Show how the tracker is doing", "p2pfs tracker status", async () => (await actions()).status);
const exit = list(
  "End the tracker, and return when it has ended",
  "p2pfs tracker exit",
  async () => (await roleActions()).exitTracker,
);

const discover = buildCommand<CommonFlags, HostAndPort, CliContext>({
  docs: {
    brief: "List the files of one peer",
    fullDescription: withExamples("List the files of one peer. PORT may be left out where one peer has that host.", [
      "p2pfs tracker discover 127.0.0.1 41000",
      "p2pfs tracker discover laptop.local",
    ]),
  },
  parameters: { flags: commonFlags, positional: { kind: "tuple", parameters: [hostWord, portWord] } },
  loader: async () => (await actions()).discover,
});

const ping = buildCommand<CommonFlags, HostAndPort, CliContext>({
  docs: {
    brief: "Ask whether a peer is still there, and time the reply",
    fullDescription: withExamples(
      "Ask whether a peer is still there, and tell the time from issuing the command to the reply. The exit code is 4 where it is gone.",
      ["p2pfs tracker ping 127.0.0.1 41000"],
    ),
  },
  parameters: { flags: commonFlags, positional: { kind: "tuple", parameters: [hostWord, portWord] } },
  loader: async () => (await actions()).ping,
});

const startParameters = {
  flags: { ...commonFlags, admin: adminFlag, open: openFlag },
  positional: {
    kind: "tuple",
    parameters: [{ ...hostWord, optional: true }, portWord],
  },
} as const;

const start = buildCommand<TrackerStartFlags, [host?: string, port?: number], CliContext>({
  docs: {
    brief: "Run a tracker that listens on HOST PORT",
    fullDescription: withExamples(
      "Run a tracker that listens on HOST PORT, 127.0.0.1 7700 without them. On a terminal a shell opens; otherwise " +
        "lines of standard input run as commands. It ends by `exit`, SIGINT or SIGTERM.",
      ["p2pfs tracker start", "p2pfs tracker start 0.0.0.0 7700 --open"],
    ),
  },
  parameters: startParameters,
  loader: async () => (await roleActions()).startTracker,
});

const shell = buildCommand<TrackerStartFlags, [], CliContext>({
  docs: { brief: "Run a tracker that does not listen yet" },
  parameters: { flags: startParameters.flags },
  loader: async () => (await roleActions()).openTrackerShell,
});

const startListening = buildCommand<CommonFlags, [host?: string, port?: number], CliContext>({
  docs: {
    brief: "Start listening on HOST PORT; another address moves there",
    fullDescription: withExamples("Start listening on HOST PORT, 127.0.0.1 7700 without them.", [
      "start",
      "start 127.0.0.1 7800",
    ]),
  },
  parameters: startParameters,
  loader: async () => (await actions()).start,
});

const commands = { listPeers, listFiles, listChunkinfo, discover, ping, status, exit };

export const trackerCommands: RouteMap<CliContext> = buildRouteMap({
  docs: {
    brief: "Run a tracker, or command the one that runs",
    fullDescription:
      "A tracker knows which peers are online and which chunks of which files each holds.\n" +
      "Without a command: opens the shell of a tracker that listens once `start` is typed.",
    hideRoute: { shell: true },
  },
  routes: { start, ...commands, shell },
});

export const trackerShellCommands: RouteMap<CliContext> = buildRouteMap({
  docs: { brief: "Commands of this tracker" },
  routes: { start: startListening, ...commands },
});
