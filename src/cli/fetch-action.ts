/**
 * `fetch`: through the peer that runs in the data folder, or else by a peer in this process that lasts as long as the
 * fetch. A signal stops the fetch and keeps the part file.
 */
import { existsSync } from "node:fs";
import { relative, sep } from "node:path";
import {
  type Connection,
  connectIfRunning,
  type FetchEvent,
  type FetchProgress,
  type FetchReceipt,
  linesOf,
  peerClient,
  type RateLimitsChange,
} from "../admin/client.ts";
import type { HostPort } from "../core/address.ts";
import { P2pfsError } from "../core/errors.ts";
import { looksLikeTicket, parseTicket } from "../core/ticket.ts";
import { type CliContext, type CommonFlags, wantsJson } from "./context.ts";
import { formatDuration, formatRate, formatSize, printable } from "./format.ts";
import { joinRequestOf } from "./join-request.ts";
import { writeJson } from "./json.ts";
import { LogOutput } from "./log-output.ts";
import { resolvePath } from "./paths.ts";
import { aboveBar, openProgressBar, type ProgressBar } from "./progress.ts";
import { dataFolderOf } from "./reach.ts";
import {
  type LimitFlags,
  type LogFlags,
  limitSettings,
  limitsOf,
  logSettings,
  parseDuration,
  parseRemote,
  parseSwitch,
  settingOf,
} from "./settings.ts";
import { type Interruption, interruptionOf, NEVER, untilInterrupted } from "./signals.ts";

export interface FetchFlags extends CommonFlags, LimitFlags, LogFlags {
  readonly tracker?: HostPort;
  readonly seedFor?: number;
  /** An invitation. */
  readonly join?: string;
  readonly insecure?: boolean;
}

/** The peer that runs the fetch. */
interface Fetcher {
  readonly connection: Connection;
  readonly isOwn: boolean;
  /** Ends the peer if it is this process's own. */
  close(): Promise<void>;
}

export type FetchArguments = [what: string, destination?: string, ip?: string, port?: number];

export async function fetchFile(this: CliContext, flags: FetchFlags, ...args: FetchArguments): Promise<void> {
  const request = requestOf(this, flags, args);
  const { session } = this;
  if (session?.background === undefined) return fetchInForeground(this, flags, request);
  const { io, openBar, inBackground } = session.background;
  const background = { ...this, io };
  const work = async () =>
    writeReceipt(background, flags, await follow(background, flags, session.connection, request, openBar()));
  inBackground(work());
}

async function fetchInForeground(context: CliContext, flags: FetchFlags, request: FetchRequest): Promise<void> {
  const seedMs = settingOf(context.io.env, "P2PFS_SEED_FOR", flags.seedFor, parseDuration) ?? 0;
  const interruption = interruptionOf(context);
  const bar = await openProgressBar(context.io.stderr, "fetch");
  let fetcher: Fetcher | undefined;
  try {
    fetcher = await openFetcher(context, flags, request.what, interruption);
    const receipt = await follow(context, flags, fetcher.connection, request, bar, interruption);
    writeReceipt(context, flags, receipt);
    if (fetcher.isOwn && seedMs > 0) await seed(context, seedMs, interruption);
  } finally {
    interruption.stopListening();
    await fetcher?.close();
  }
}

interface FetchRequest {
  readonly what: string;
  readonly destination?: string;
  readonly from?: HostPort;
  readonly tracker?: HostPort;
  readonly limits?: RateLimitsChange;
}

/** DESTINATION defaults to the current folder on the command line, and to the peer's folder for files in a shell. */
function requestOf(
  context: CliContext,
  flags: FetchFlags,
  [what, destination, ip, port]: FetchArguments,
): FetchRequest {
  if (ip !== undefined && port === undefined)
    throw new P2pfsError("usage", "PEER_PORT is missing after PEER_IP", {
      hint: "fetch FNAME [DESTINATION [PEER_IP PEER_PORT]]",
    });
  if (looksLikeTicket(what)) parseTicket(what);
  const typed = destination ?? (context.session === undefined ? "." : undefined);
  return {
    what,
    ...(typed === undefined ? {} : { destination: destinationOf(context, typed) }),
    ...(ip === undefined ? {} : { from: { host: ip, port: port! } }),
    ...(flags.tracker === undefined ? {} : { tracker: flags.tracker }),
    limits: limitsOf(flags),
  };
}

function destinationOf(context: CliContext, typed: string): string {
  const path = resolvePath(context, typed);
  if (typed.endsWith(sep) && !existsSync(path))
    throw new P2pfsError("disk", `there is no folder ${typed}`, { hint: "make it first, or leave the slash out" });
  return path;
}

async function openFetcher(
  context: CliContext,
  flags: FetchFlags,
  what: string,
  interruption: Interruption,
): Promise<Fetcher> {
  const running = context.session?.connection ?? (await connectIfRunning("peer", dataFolderOf(context, flags)));
  if (running !== undefined) {
    if (flags.join !== undefined)
      throw new P2pfsError("refused", "a peer runs here already, so this fetch joins no swarm of its own", {
        hint: "fetch without --join, or name a data folder without a peer: --data DIR",
      });
    return { connection: running, isOwn: false, close: async () => undefined };
  }
  const { openStandalonePeer } = await import("../admin/open-peer.ts");
  const named = flags.tracker ?? (looksLikeTicket(what) ? parseTicket(what).tracker : undefined);
  const tracker = settingOf(context.io.env, "P2PFS_TRACKER", named, parseRemote);
  const limits = limitSettings(context.io.env, flags);
  const insecure = settingOf(context.io.env, "P2PFS_INSECURE", flags.insecure, parseSwitch) ?? false;
  const join = await joinRequestOf(context, flags.join, undefined, interruption);
  if (insecure && join !== undefined)
    throw new P2pfsError("usage", "--join and --insecure are opposites", {
      hint: "a swarm encrypts everything; leave --insecure out",
    });
  // What a user has to know is reported by the fetch.
  const { log } = new LogOutput("peer", logSettings(context.io.env, flags, "error"), aboveBar(context.io.stderr));
  const standalone = await openStandalonePeer({
    tracker,
    dataFolder: dataFolderOf(context, flags),
    join,
    filesFolder: context.io.cwd,
    insecure,
    limits,
    log,
  });
  return { ...standalone, isOwn: true };
}

/** Shows the progress of the fetch until the receipt comes. */
async function follow(
  context: CliContext,
  flags: FetchFlags,
  connection: Connection,
  request: FetchRequest,
  bar: ProgressBar,
  interruption: Interruption = NEVER,
): Promise<FetchReceipt> {
  const { io } = context;
  const isJson = wantsJson(io.env, flags);
  const { api } = peerClient(connection);
  const begin = (signal: AbortSignal) => linesOf<FetchEvent>(api.fetches.$post({ json: request }), signal);
  let latest: FetchProgress | undefined;
  try {
    for await (const line of untilInterrupted(begin, interruption, () => stopped(latest))) {
      if (line.event === "receipt") return line;
      latest = line;
      if (isJson) writeJson(io.stdout, latest);
      const label = `${latest.id}: ${printable(latest.fname)}`;
      bar.show({ ...latest, bytesPerSecond: latest.bytes_per_second, label });
    }
    throw new P2pfsError("not_running", "the peer ended before the fetch was done");
  } finally {
    bar.end();
  }
}

function stopped(latest: FetchProgress | undefined): P2pfsError {
  const kept = latest === undefined ? "" : `; ${formatSize(latest.bytes)} of ${formatSize(latest.size)} are kept`;
  return new P2pfsError("cancelled", `the fetch was stopped${kept}`, {
    hint: "run the same command again to go on where it stopped",
  });
}

function writeReceipt({ io }: CliContext, flags: FetchFlags, receipt: FetchReceipt): void {
  if (wantsJson(io.env, flags)) return writeJson(io.stdout, receipt);
  const lines = [
    `fetched ${printable(shortest(io.cwd, receipt.destination))}: ${formatSize(receipt.size)} in ` +
      `${formatDuration(receipt.duration_ms)}, ${formatRate(receipt.bytes_per_second)}`,
    ...receipt.sources
      .filter(({ chunks }) => chunks > 0)
      .map(
        ({ address, inbound, bytes, chunks }) =>
          `  from ${printable(address)}${inbound ? " (inbound)" : ""}: ${formatSize(bytes)}, ${chunks} ${chunks === 1 ? "chunk" : "chunks"}`,
      ),
  ];
  if (receipt.bytes_resumed > 0) lines.push(`  from an earlier session: ${formatSize(receipt.bytes_resumed)}`);
  if (receipt.bytes_copied > 0) lines.push(`  from this machine: ${formatSize(receipt.bytes_copied)}`);
  if (receipt.rejected > 0) lines.push(`  rejected as damaged, and fetched again: ${receipt.rejected} chunks`);
  io.stdout.write(`${lines.join("\n")}\n`);
}

function shortest(cwd: string, path: string): string {
  const fromHere = relative(cwd, path);
  return fromHere.length < path.length ? fromHere : path;
}

async function seed({ io }: CliContext, seedMs: number, interruption: Interruption): Promise<void> {
  io.stderr.write(`serving it for ${formatDuration(seedMs)}; Ctrl-C ends that\n`);
  await Promise.race([Bun.sleep(seedMs), interruption.happened]);
}
