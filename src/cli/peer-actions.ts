/** The actions of the peer's commands: each calls its route and prints the answer. `fetch` is in fetch-action.ts. */
import { basename } from "node:path";
import {
  allPagesOf,
  answerOf,
  type FetchProgress,
  linesOf,
  type Published,
  type PublishProgress,
  type RateLimits,
} from "../admin/client.ts";
import { P2pfsError } from "../core/errors.ts";
import type { CliContext, CommonFlags } from "./context.ts";
import { formatDuration, formatRate, formatSize, printable } from "./format.ts";
import { resolvePath } from "./paths.ts";
import { openProgressBar } from "./progress.ts";
import { reachPeer } from "./reach.ts";
import { fileColumns, writeList, writeResult, writeStatus } from "./render.ts";
import { hostAndMaybePort, hostAndPort, type LimitFlags, limitsOf } from "./settings.ts";
import { interruptionOf, untilInterrupted } from "./signals.ts";
import { bold, type Column } from "./table.ts";

export async function connect(this: CliContext, flags: CommonFlags, host: string, port?: number): Promise<void> {
  const json = hostAndPort(host, port);
  const connected = await answerOf(reachPeer(this, flags).api.connect.$post({ json }));
  writeResult(
    this,
    flags,
    connected,
    ({ tracker, address }) => `joined ${printable(tracker)} as ${printable(address)}`,
  );
}

export async function publish(this: CliContext, flags: CommonFlags, lname: string, fname?: string): Promise<void> {
  const { api } = reachPeer(this, flags);
  const { stdout, stderr } = this.io;
  const json = { path: resolvePath(this, lname), lname, fname: fname ?? basename(lname) };
  const interruption = interruptionOf(this);
  const bar = await openProgressBar(stderr, "publish");
  let published: Published | undefined;
  try {
    const begin = (signal: AbortSignal) => linesOf<PublishProgress | Published>(api.shares.$post({ json }), signal);
    for await (const line of untilInterrupted(begin, interruption, () => publishingStopped(lname))) {
      if ("event" in line) bar.show(line);
      else published = line;
    }
  } finally {
    bar.end();
    interruption.stopListening();
  }
  if (published === undefined) throw new P2pfsError("not_running", "the peer ended before the file was published");
  writeResult(
    this,
    flags,
    published,
    ({ fname: name, size, total_chunknum, ticket }) =>
      `published ${bold(stdout, printable(name))} (${formatSize(size)}, ${total_chunknum} ${total_chunknum === 1 ? "chunk" : "chunks"})\n${printable(ticket)}`,
  );
}

function publishingStopped(lname: string): P2pfsError {
  return new P2pfsError("cancelled", `publishing ${lname} was stopped`, {
    hint: "publish it again; unpublish it where list-files shows that it was shared already",
  });
}

export async function unpublish(this: CliContext, flags: CommonFlags, fname: string): Promise<void> {
  const { api } = reachPeer(this, flags);
  const result = await answerOf(api.shares[":fname"].$delete({ param: { fname: encodeURIComponent(fname) } }));
  writeResult(this, flags, result, ({ fname: name }) => `${printable(name)} is shared no longer`);
}

export async function listFiles(this: CliContext, flags: CommonFlags): Promise<void> {
  const { api } = reachPeer(this, flags);
  const rows = await allPagesOf((query) => api.files.$get({ query }));
  await writeList(this, flags, rows, fileColumns, "no file is shared");
}

export async function discover(this: CliContext, flags: CommonFlags, host: string, port?: number): Promise<void> {
  const { api } = reachPeer(this, flags);
  const peer = hostAndMaybePort(host, port);
  const query = peer.port === undefined ? { host: peer.host } : { host: peer.host, port: String(peer.port) };
  const rows = await allPagesOf((page) => api.discover.$get({ query: { ...query, ...page } }));
  await writeList(this, flags, rows, fileColumns, "this peer shares no file");
}

export async function listFetches(this: CliContext, flags: CommonFlags): Promise<void> {
  const { api } = reachPeer(this, flags);
  const rows = await answerOf(api.fetches.$get());
  const columns: Column<FetchProgress>[] = [
    { heading: "ID", cell: ({ id }) => id },
    { heading: "FNAME", cell: ({ fname }) => fname },
    { heading: "STATE", cell: ({ state }) => state },
    { heading: "HAS", align: "right", cell: ({ bytes }) => formatSize(bytes) },
    { heading: "OF", align: "right", cell: ({ size }) => formatSize(size) },
    { heading: "RATE", align: "right", cell: ({ bytes_per_second }) => formatRate(bytes_per_second) },
    { heading: "SOURCES", align: "right", cell: ({ sources }) => String(sources) },
    { heading: "DESTINATION", cell: ({ destination }) => destination },
  ];
  await writeList(this, flags, rows, columns, "nothing has been fetched");
}

export interface CancelFlags extends CommonFlags {
  readonly keep?: boolean;
}

export async function cancel(this: CliContext, flags: CancelFlags, id: string): Promise<void> {
  const { api } = reachPeer(this, flags);
  const query = flags.keep ? ({ keep: "true" } as const) : {};
  const cancelled = await answerOf(api.fetches[":id"].$delete({ param: { id: encodeURIComponent(id) }, query }));
  const rest = flags.keep ? "what had arrived is kept" : "what had arrived is deleted";
  writeResult(this, flags, cancelled, () => `fetch ${printable(id)} is cancelled, and ${rest}`);
}

export async function retry(this: CliContext, flags: CommonFlags, id: string): Promise<void> {
  const { api } = reachPeer(this, flags);
  const begun = await answerOf(api.fetches[":id"].retry.$post({ param: { id: encodeURIComponent(id) } }));
  writeResult(this, flags, begun, (fetch) => `fetch ${printable(fetch.id)} goes on; list-fetches shows how`);
}

export async function limits(this: CliContext, flags: CommonFlags & LimitFlags): Promise<void> {
  const { api } = reachPeer(this, flags);
  const now = await answerOf(api.limits.$put({ json: limitsOf(flags) }));
  writeResult(this, flags, now, formatLimits);
}

function formatLimits({ up_limit, down_limit }: RateLimits): string {
  const format = (limit: number | null) => (limit === null ? "as fast as it can" : `at most ${formatRate(limit)}`);
  return `sends ${format(up_limit)}, receives ${format(down_limit)}`;
}

export async function status(this: CliContext, flags: CommonFlags): Promise<void> {
  const { api } = reachPeer(this, flags);
  await writeStatus(this, flags, await answerOf(api.status.$get()), (peer) => [
    ["role", `peer ${peer.version}, process ${peer.pid}`],
    ["address", peer.address ?? `not known yet; takes peers on ${peer.listen}`],
    ["tracker", peer.connected ? peer.tracker : `${peer.tracker}, not reached; trying again`],
    ["swarm", peer.swarm ?? "none: connections are not encrypted"],
    ["up for", formatDuration(peer.uptime_ms)],
    ["shares", `${peer.shares} published, ${peer.contents} ${peer.contents === 1 ? "content" : "contents"} served`],
    ["fetches", String(peer.fetches)],
    ["moved", `${formatSize(peer.bytes_sent)} sent, ${formatSize(peer.bytes_received)} received`],
    ["limits", formatLimits(peer)],
    ["data folder", peer.data_folder],
    ["files folder", peer.files_folder],
  ]);
}
