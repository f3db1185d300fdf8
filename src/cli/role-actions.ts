/**
 * Running and ending a role. A role runs until `exit`, a signal or its admin endpoint ends it; the end of standard input
 * does not. Commands are typed at the prompt of a terminal, or read from standard input line by line.
 */
import { answerOf, type Invited, peerClient, trackerClient } from "../admin/client.ts";
import type { RunningRole } from "../admin/host.ts";
import type { HostPort } from "../core/address.ts";
import { DEFAULT_TRACKER, DEFAULT_TRACKER_ADMIN } from "../core/listening.ts";
import type { Log } from "../core/log.ts";
import { type CliContext, type CommonFlags, wantsJson } from "./context.ts";
import { printable } from "./format.ts";
import { History } from "./history.ts";
import { invitationText } from "./invitation-text.ts";
import type { Io } from "./io.ts";
import { writeJson } from "./json.ts";
import { LogOutput } from "./log-output.ts";
import { resolvePath } from "./paths.ts";
import { isInForeground, waitForEnd } from "./process-table.ts";
import { dataFolderOf, reachPeer, reachTracker } from "./reach.ts";
import { writeResult } from "./render.ts";
import {
  hostAndPort,
  type LimitFlags,
  type LogFlags,
  limitSettings,
  logSettings,
  parseHostAndPort,
  parseRemote,
  parseSwitch,
  parseText,
  settingOf,
} from "./settings.ts";
import { type CommandSource, type Reach, runPipedCommands, runShell, type ShellCommands } from "./shell.ts";
import { listenForInterruption } from "./signals.ts";
import type { TrackerStartFlags } from "./tracker-actions.ts";

const ALL_INTERFACES = "0.0.0.0";
const PEER_ADMIN: HostPort = { host: "127.0.0.1", port: 0 };

export interface PeerStartFlags extends CommonFlags, LimitFlags, LogFlags {
  readonly listen?: HostPort;
  readonly advertise?: HostPort;
  readonly tracker?: HostPort;
  readonly admin?: HostPort;
  readonly files?: string;
  readonly browse?: string;
  readonly open?: boolean;
  readonly insecure?: boolean;
}

/** `shell` has the commands that the running role takes, here and in the functions below. */
export async function startTracker(
  context: CliContext,
  shell: ShellCommands,
  flags: TrackerStartFlags,
  host?: string,
  port?: number,
): Promise<void> {
  const listen =
    host === undefined
      ? {
          host: isOpen(context, flags) || isInsecure(context, flags) ? ALL_INTERFACES : DEFAULT_TRACKER.host,
          port: DEFAULT_TRACKER.port,
        }
      : hostAndPort(host, port);
  await runTracker(context, shell, flags, listen);
}

/** `p2pfs tracker`: does not listen before the command `start`. */
export async function openTrackerShell(
  context: CliContext,
  shell: ShellCommands,
  flags: TrackerStartFlags,
): Promise<void> {
  await runTracker(context, shell, flags, undefined);
}

async function runTracker(
  context: CliContext,
  shell: ShellCommands,
  flags: TrackerStartFlags,
  listen: HostPort | undefined,
): Promise<void> {
  const { openTracker } = await import("../admin/open-tracker.ts");
  const options = {
    dataFolder: dataFolderOf(context, flags),
    admin: settingOf(context.io.env, "P2PFS_ADMIN", flags.admin, parseHostAndPort) ?? DEFAULT_TRACKER_ADMIN,
    open: isOpen(context, flags),
    insecure: isInsecure(context, flags),
  };
  await runRole(
    context,
    "tracker",
    shell,
    flags,
    (log) => openTracker({ ...options, log }),
    async (role) => {
      const { api } = trackerClient(role.connection);
      const started = listen && (await answerOf(api.start.$post({ json: listen })));
      const { address, data_folder } = await answerOf(api.status.$get());
      return { address, data_folder, ...(started?.invitation && { invitation: started.invitation }) };
    },
  );
}

export async function startPeer(context: CliContext, shell: ShellCommands, flags: PeerStartFlags): Promise<void> {
  const { env } = context.io;
  const open = isOpen(context, flags);
  const { openPeer } = await import("../admin/open-peer.ts");
  const options = {
    dataFolder: dataFolderOf(context, flags),
    filesFolder: settingOf(env, "P2PFS_FILES", flags.files, parseText),
    listen:
      settingOf(env, "P2PFS_LISTEN", flags.listen, parseHostAndPort) ??
      (open ? { host: ALL_INTERFACES, port: 0 } : undefined),
    advertise: settingOf(env, "P2PFS_ADVERTISE", flags.advertise, parseHostAndPort),
    tracker: settingOf(env, "P2PFS_TRACKER", flags.tracker, parseRemote),
    admin: settingOf(env, "P2PFS_ADMIN", flags.admin, parseHostAndPort) ?? PEER_ADMIN,
    open,
    insecure: isInsecure(context, flags),
    limits: limitSettings(env, flags),
    browseFolder: browseFolderOf(context, flags),
  };
  await runRole(
    context,
    "peer",
    shell,
    flags,
    (log) => openPeer({ ...options, log }),
    async (role) => {
      const { listen, tracker, data_folder } = await answerOf(peerClient(role.connection).api.status.$get());
      return { address: listen, tracker, data_folder };
    },
  );
}

function isOpen({ io }: CliContext, flags: { readonly open?: boolean }): boolean {
  return settingOf(io.env, "P2PFS_OPEN", flags.open, parseSwitch) ?? false;
}

function isInsecure({ io }: CliContext, flags: { readonly insecure?: boolean }): boolean {
  return settingOf(io.env, "P2PFS_INSECURE", flags.insecure, parseSwitch) ?? false;
}

function browseFolderOf(context: CliContext, flags: PeerStartFlags): string | undefined {
  const typed = settingOf(context.io.env, "P2PFS_BROWSE", flags.browse, parseText);
  return typed === undefined ? undefined : resolvePath(context, typed);
}

/** What is printed when the role is up. */
interface StartReport {
  readonly address: string | null;
  readonly tracker?: string;
  readonly data_folder: string;
  /** Where the start made a swarm. */
  readonly invitation?: Invited;
}

/**
 * Opens the role, takes commands until it is to end, and closes it. A signal that comes while the role opens ends it as
 * cleanly as a later one. The exit code is that of the first command that failed. The log goes to standard error; once
 * there is a prompt, above it.
 */
async function runRole(
  context: CliContext,
  name: "tracker" | "peer",
  shell: ShellCommands,
  flags: CommonFlags & LogFlags,
  open: (log: Log) => Promise<RunningRole>,
  begin: (role: RunningRole) => Promise<StartReport>,
): Promise<void> {
  const output = new LogOutput(name, logSettings(context.io.env, flags), context.io.stderr);
  const interruption = listenForInterruption();
  let role: RunningRole | undefined;
  try {
    role = await open(output.log);
    const report = await begin(role);
    writeStartReport(context, flags, role, report);
    const reach = { role: role.name, connection: role.connection, shell };
    const commands = takeCommands(context.io, reach, report.data_folder);
    if (commands !== undefined) output.sink = commands.backgroundIo.stderr;
    const signal = await Promise.race([role.shutdownRequested, interruption.happened]);
    const firstFailure = commands?.stop() ?? 0;
    if (signal === undefined) context.process.exitCode = firstFailure;
  } finally {
    await role?.close();
    interruption.stopListening();
  }
}

function writeStartReport({ io }: CliContext, flags: CommonFlags, role: RunningRole, report: StartReport): void {
  if (wantsJson(io.env, flags)) {
    writeJson(io.stdout, { role: role.name, ...report, admin: role.url, pid: process.pid });
    return;
  }
  const place = report.address === null ? "is not listening yet" : `listens on ${report.address}`;
  const tracker = report.tracker === undefined ? "" : `, tracker ${report.tracker}`;
  const sentence = `${role.name} ${place}${tracker}, admin ${role.url}, data folder ${report.data_folder}`;
  io.stdout.write(`${printable(sentence)}\n`);
  if (report.invitation !== undefined) io.stdout.write(`${invitationText(report.invitation)}\n`);
}

/** A background job of a terminal takes no commands: the system would stop it when it reads from the terminal. */
function takeCommands(io: Io, reach: Reach, dataFolder: string): CommandSource | undefined {
  if (io.stdin.isTTY !== true) return runPipedCommands(io, reach);
  if (!isInForeground()) return undefined;
  return io.stdout.isTerminal ? runShell(io, reach, new History(dataFolder)) : runPipedCommands(io, reach);
}

export async function exitTracker(this: CliContext, flags: CommonFlags): Promise<void> {
  await exit(this, flags, () => answerOf(reachTracker(this, flags).api.shutdown.$post()));
}

export async function exitPeer(this: CliContext, flags: CommonFlags): Promise<void> {
  await exit(this, flags, () => answerOf(reachPeer(this, flags).api.shutdown.$post()));
}

async function exit(context: CliContext, flags: CommonFlags, shutDown: () => Promise<{ pid: number }>): Promise<void> {
  const { pid } = await shutDown();
  if (context.session !== undefined) return context.session.onExit();
  await waitForEnd(pid);
  writeResult(context, flags, { stopped: true, pid }, () => `process ${pid} has ended`);
}
