/**
 * Publishing and fetching as streams of lines. A fetch is stopped when its last reader goes away, so that Ctrl-C in a
 * terminal ends it; a detached one, as the page begins, runs until it is done or cancelled.
 */
import { statSync } from "node:fs";
import { formatHostPort, type HostPort } from "../core/address.ts";
import { type Deadline, noticeDeadline } from "../core/deadline.ts";
import { P2pfsError } from "../core/errors.ts";
import type { FetchJob } from "../peer/fetch-job.ts";
import type { FetchRequest } from "../peer/fetches.ts";
import type { Peer } from "../peer/peer.ts";
import type { PublishRequest } from "../peer/publisher.ts";
import type { FetchEvent, FetchProgress, FetchReceipt, Published, PublishProgress } from "../peer/types.ts";
import { sampledUntil } from "./http.ts";

export async function* publishLines(
  peer: Peer,
  request: PublishRequest,
  left: AbortController,
): AsyncGenerator<PublishProgress | Published> {
  const size = sizeOf(request.path);
  let bytes = 0;
  const onProgress = (hashed: number) => {
    bytes = hashed;
  };
  try {
    const published = peer.publish(request, { onProgress, signal: left.signal });
    yield* sampledUntil<PublishProgress, Published>(published, () => ({ event: "progress", bytes, size }));
  } finally {
    left.abort();
  }
}

/** 0 if the size cannot be read; the attempt to publish reports why. */
function sizeOf(path: string): number {
  try {
    return statSync(path).size;
  } catch {
    return 0;
  }
}

export interface FetchCommand extends FetchRequest {
  readonly tracker?: HostPort | undefined;
  readonly detached?: boolean | undefined;
}

export async function* fetchLines(peer: Peer, watchers: Watchers, request: FetchCommand): AsyncGenerator<FetchEvent> {
  const startedMs = performance.now();
  await expectTracker(peer, request.tracker, noticeDeadline(startedMs));
  const job = await peer.fetch(request, startedMs);
  watchers.join(job);
  // Never left, so that a fetch that was begun on the page outlives the page.
  if (request.detached) return yield job.progress();
  try {
    yield* sampledUntil<FetchProgress, FetchReceipt>(job.done, () => job.progress());
  } finally {
    watchers.leave(job);
  }
}

/** Throws `refused` if the request names another tracker than the one that the peer has joined. */
async function expectTracker(peer: Peer, named: HostPort | undefined, deadline: Deadline): Promise<void> {
  if (named === undefined || (await peer.isTracker(named, deadline))) return;
  throw new P2pfsError("refused", `this peer is joined to the tracker ${formatHostPort(peer.tracker)}`, {
    hint: `connect to ${formatHostPort(named)} first, or fetch by a peer of another data folder`,
  });
}

/** Counts the readers of each fetch, since the same fetch asked for twice is one job. Stops it when the last one leaves. */
export class Watchers {
  readonly #counts = new WeakMap<FetchJob, number>();

  join(job: FetchJob): void {
    this.#counts.set(job, (this.#counts.get(job) ?? 0) + 1);
  }

  /** To stop a job that has ended has no effect. */
  leave(job: FetchJob): void {
    const rest = this.#counts.get(job)! - 1;
    if (rest > 0) {
      this.#counts.set(job, rest);
      return;
    }
    this.#counts.delete(job);
    job.stop();
  }
}
