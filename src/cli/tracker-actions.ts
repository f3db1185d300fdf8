/** The actions of the tracker's commands: each calls its route and prints the answer. */
import { allPagesOf, answerOf, type ChunkInfo, type PeerInfo } from "../admin/client.ts";
import type { HostPort } from "../core/address.ts";
import { errorTable } from "../core/errors.ts";
import type { CliContext, CommonFlags } from "./context.ts";
import { formatAgo, formatContentId, formatDuration, printable } from "./format.ts";
import { invitationText } from "./invitation-text.ts";
import { reachTracker } from "./reach.ts";
import { fileColumns, writeList, writeResult, writeStatus } from "./render.ts";
import { hostAndMaybePort, hostAndPort, type LogFlags } from "./settings.ts";
import type { Column } from "./table.ts";

export interface TrackerStartFlags extends CommonFlags, LogFlags {
  readonly admin?: HostPort;
  readonly open?: boolean;
  readonly insecure?: boolean;
}

export async function listPeers(this: CliContext, flags: CommonFlags): Promise<void> {
  const { api } = reachTracker(this, flags);
  const rows = await allPagesOf<PeerInfo>((query) => api.peers.$get({ query }));
  const now = Date.now();
  const columns: Column<PeerInfo>[] = [
    { heading: "ADDRESS", cell: ({ address }) => address },
    { heading: "HOST", cell: ({ host_name }) => host_name },
    { heading: "SINCE", cell: ({ since }) => formatAgo(since, now) },
    { heading: "LAST SEEN", cell: ({ last_seen }) => formatAgo(last_seen, now) },
    { heading: "FILES", align: "right", cell: ({ files }) => String(files) },
  ];
  await writeList(this, flags, rows, columns, "no peer has joined");
}

export async function listFiles(this: CliContext, flags: CommonFlags): Promise<void> {
  const { api } = reachTracker(this, flags);
  const rows = await allPagesOf((query) => api.files.$get({ query }));
  await writeList(this, flags, rows, fileColumns, "no file is shared");
}

export async function listChunkInfo(this: CliContext, flags: CommonFlags): Promise<void> {
  const { api } = reachTracker(this, flags);
  const rows = await allPagesOf<ChunkInfo>((query) => api.chunks.$get({ query }));
  const columns: Column<ChunkInfo>[] = [
    { heading: "KEY", cell: ({ key }) => key },
    { heading: "CONTENT", cell: ({ content_id }) => formatContentId(content_id) },
    { heading: "HOLDER", cell: ({ holder }) => holder },
    { heading: "HAS", align: "right", cell: ({ percent }) => `${Math.floor(percent)} %` },
    { heading: "OF", align: "right", cell: ({ total_chunknum }) => String(total_chunknum) },
    { heading: "CHUNKS", cell: ({ chunks }) => chunks },
  ];
  await writeList(this, flags, rows, columns, "no chunk is held by anybody");
}

export async function discover(this: CliContext, flags: CommonFlags, host: string, port?: number): Promise<void> {
  const { api } = reachTracker(this, flags);
  const peer = peerQuery(host, port);
  const rows = await allPagesOf((page) => api.discover.$get({ query: { ...peer, ...page } }));
  await writeList(this, flags, rows, fileColumns, "this peer shares no file");
}

export async function ping(this: CliContext, flags: CommonFlags, host: string, port?: number): Promise<void> {
  const { api } = reachTracker(this, flags);
  const result = await answerOf(api.ping.$get({ query: peerQuery(host, port) }));
  writeResult(this, flags, result, ({ address, alive, duration_ms }) =>
    alive ? `${printable(address)} is there: ${formatDuration(duration_ms)}` : `${printable(address)} is gone`,
  );
  if (!result.alive) this.process.exitCode = errorTable.not_found.exitCode;
}

export async function status(this: CliContext, flags: CommonFlags): Promise<void> {
  const { api } = reachTracker(this, flags);
  await writeStatus(this, flags, await answerOf(api.status.$get()), (tracker) => [
    ["role", `tracker ${tracker.version}, process ${tracker.pid}`],
    ["address", tracker.address ?? "not listening; `start` does"],
    ["up for", formatDuration(tracker.uptime_ms)],
    ["peers", String(tracker.peers)],
    ["swarm", tracker.swarm ?? "none: connections are not encrypted"],
    ["files", `${tracker.files}, of ${tracker.contents} contents`],
    ["data folder", tracker.data_folder],
  ]);
}

export async function start(this: CliContext, flags: CommonFlags, host?: string, port?: number): Promise<void> {
  const json = host === undefined ? {} : hostAndPort(host, port);
  const started = await answerOf(reachTracker(this, flags).api.start.$post({ json }));
  writeResult(this, flags, started, ({ address, invitation }) =>
    [`listening on ${printable(address)}`, ...(invitation === null ? [] : [invitationText(invitation)])].join("\n"),
  );
}

function peerQuery(host: string, port: number | undefined): { host: string; port?: string } {
  const peer = hostAndMaybePort(host, port);
  return peer.port === undefined ? { host: peer.host } : { host: peer.host, port: String(peer.port) };
}
