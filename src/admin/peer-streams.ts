/**
 * Publishing and fetching as streams of lines. A fetch lasts as long as somebody reads its lines, so that Ctrl-C in a
 * terminal ends it; one that was asked for as detached, as the page does, lasts until it is done or cancelled.
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

/** What cannot be looked at cannot be published either, which is told by the attempt. */
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
  // One reader that never leaves: what begins on the page does not end with it.
  if (request.detached) return yield job.progress();
  try {
    yield* sampledUntil<FetchProgress, FetchReceipt>(job.done, () => job.progress());
  } finally {
    watchers.leave(job);
  }
}

/** A fetch goes to the tracker that the peer is joined to; one that names another is not silently served from here. */
async function expectTracker(peer: Peer, named: HostPort | undefined, deadline: Deadline): Promise<void> {
  if (named === undefined || (await peer.isTracker(named, deadline))) return;
  throw new P2pfsError("refused", `this peer is joined to the tracker ${formatHostPort(peer.tracker)}`, {
    hint: `connect to ${formatHostPort(named)} first, or fetch by a peer of another data folder`,
  });
}

/** The same fetch asked for twice is one job; it stops when the last of those who wait for it has gone. */
export class Watchers {
  readonly #counts = new WeakMap<FetchJob, number>();

  join(job: FetchJob): void {
    this.#counts.set(job, (this.#counts.get(job) ?? 0) + 1);
  }

  /** A job that has ended takes the stop as nothing. */
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
