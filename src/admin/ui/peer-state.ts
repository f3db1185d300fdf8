/** What the page knows of its peer: status, rates and fetches, kept up to date by events. */
import type { FetchProgress, PeerStatus, SourceShare } from "../types.ts";
import { answerOf, peerApi } from "./api.ts";
import { addRanges, type ChunkSet, readRanges } from "./chunk-set.ts";
import { type LiveEvent, link, onEvent } from "./live.ts";
import { oneAtATime } from "./one-at-a-time.ts";
import type { RatePoint } from "./parts/chart.tsx";
import { access } from "./session.ts";
import { Store } from "./store.ts";

const STATUS_MS = 1000;
export const RATE_POINTS_MAX = 120;

/** One fetch as the page draws it. */
export interface FetchView {
  readonly progress: FetchProgress;
  readonly shares: readonly SourceShare[];
  /** 1: held, 2: has just arrived. Changed in place, together with `version`. */
  readonly chunks: ChunkSet | undefined;
  readonly version: number;
}

export const status = new Store<PeerStatus | undefined>(undefined);
export const rates = new Store<readonly RatePoint[]>([]);
export const fetches = new Store<ReadonlyMap<string, FetchView>>(new Map());
export const fetchesLoaded = new Store(false);
export const runningCount = new Store(0);

interface Counted {
  readonly atMs: number;
  readonly status: PeerStatus;
}

let lastCounted: Counted | undefined;

export function startPeerState(): void {
  onEvent(handleEvent);
  access.watch(() => access.get() === "open" && loadStatus());
  setInterval(() => {
    if (access.get() === "open" && document.visibilityState === "visible" && link.get() !== "offline") loadStatus();
  }, STATUS_MS);
}

export const loadStatus = oneAtATime(async () => {
  const now = await answerOf(peerApi.status.$get()).catch(() => undefined);
  if (now === undefined) return;
  const counted = { atMs: performance.now(), status: now };
  if (lastCounted !== undefined && lastCounted.status.pid === now.pid) {
    const seconds = (counted.atMs - lastCounted.atMs) / 1000;
    const point = {
      down: Math.max(0, now.bytes_received - lastCounted.status.bytes_received) / seconds,
      up: Math.max(0, now.bytes_sent - lastCounted.status.bytes_sent) / seconds,
    };
    rates.update((all) => [...all, point].slice(-RATE_POINTS_MAX));
  }
  lastCounted = counted;
  status.set(now);
});

/** All fetches, and of the running ones the chunks. */
const loadFetches = oneAtATime(async () => {
  const before = fetches.get();
  const all = await answerOf(peerApi.fetches.$get()).catch(() => undefined);
  if (all === undefined) return;
  // Events that came meanwhile are newer than the answer.
  const answered = new Map(
    all.map((progress) => [progress.id, { ...(before.get(progress.id) ?? noDetail), progress }]),
  );
  const newer = [...fetches.get()].filter(([id, view]) => view !== before.get(id));
  fetches.set(new Map([...answered, ...newer]));
  fetchesLoaded.set(true);
  count();
  await Promise.all(all.filter(({ state }) => state === "running").map(({ id }) => loadDetail(id)));
});

const noDetail = { shares: [], chunks: undefined, version: 0 };

/** Requests under way, each with the chunks that events brought meanwhile, which its answer may not have. */
const asking = new Set<{ readonly id: string; readonly gained: string[] }>();

export async function loadDetail(id: string): Promise<void> {
  const before = fetches.get().get(id) ?? noDetail;
  const asked = { id, gained: [] as string[] };
  asking.add(asked);
  const detail = await answerOf(peerApi.fetches[":id"].$get({ param: { id } })).catch(() => undefined);
  asking.delete(asked);
  if (detail === undefined) return;
  const { chunks_held, source_shares: shares, ...progress } = detail;
  const chunks = readRanges(progress.total_chunknum, chunks_held);
  for (const ranges of asked.gained) addRanges(chunks, ranges);
  // As in the list, events are newer than the answer.
  change(id, (now) => ({
    progress,
    ...now,
    ...(now === before && { progress, shares }),
    chunks,
    version: now.version + 1,
  }));
}

function change(id: string, how: (before: FetchView | typeof noDetail) => FetchView): void {
  fetches.update((all) => new Map(all).set(id, how(all.get(id) ?? noDetail)));
  count();
}

function count(): void {
  runningCount.set([...fetches.get().values()].filter(({ progress }) => progress.state === "running").length);
}

function handleEvent(event: LiveEvent): void {
  if (event.type === "hello") {
    loadStatus();
    loadFetches();
  } else if (event.type === "fetch_started" || event.type === "fetch_ended") {
    const progress = event.fetch as FetchProgress;
    change(progress.id, (before) => ({ ...before, progress, version: before.version + 1 }));
    loadDetail(progress.id);
    loadStatus();
  } else if (event.type === "fetch_progress") {
    handleProgress(event as unknown as ProgressEvent);
  } else if (event.type.startsWith("tracker_") || event.type.endsWith("published")) {
    loadStatus();
  }
}

interface ProgressEvent {
  readonly fetch: FetchProgress;
  readonly gained: string;
  readonly truncated: boolean;
  readonly source_shares: readonly SourceShare[];
}

function handleProgress({ fetch, gained, truncated, source_shares }: ProgressEvent): void {
  for (const asked of asking) if (asked.id === fetch.id) asked.gained.push(gained);
  if (truncated) loadDetail(fetch.id);
  change(fetch.id, (before) => {
    const { chunks } = before;
    if (chunks !== undefined) {
      for (let chunk = 0; chunk < chunks.length; chunk++) if (chunks[chunk] === 2) chunks[chunk] = 1;
      addRanges(chunks, gained, 2);
    }
    return { progress: fetch, shares: source_shares, chunks, version: before.version + 1 };
  });
}
