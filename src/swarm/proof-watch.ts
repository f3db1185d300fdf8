/**
 * Ends a fetch in which no missing chunk was verified for too long, although every chunk seems to have a holder. Only a
 * verified chunk resets the clock: neither messages nor bytes do, or a holder that leaves, stalls, trickles or is always
 * busy could keep a fetch waiting for ever. A chunk that comes in at no less than the lowest rate that a holder may be
 * limited to is waited for, once, so that a holder that is merely slow is not given up.
 */
import { RATE_LIMIT_MIN } from "../core/rate.ts";
import { SECOND_MS } from "../core/units.ts";
import type { DownloadBounds } from "./bounds.ts";
import type { FetchView } from "./fetch-state.ts";
import type { Flow } from "./flow.ts";

/** A holder sends two chunks at a time, so one of them may come at half of the lowest limit on sending. */
const SLOWEST_BYTES_PER_SECOND = RATE_LIMIT_MIN / 2;
/** How often to check whether a chunk that is waited for still comes in. */
const LOOK_MS = SECOND_MS;

export class ProofWatch {
  readonly #state: FetchView;
  readonly #bounds: DownloadBounds;
  /** When a missing chunk was last verified, or the fetch began; later by the time for which the fetch was paused since. */
  #provenAt: number | undefined;
  #pausedAt: number | undefined;
  #lookAt = Number.NEGATIVE_INFINITY;

  constructor(state: FetchView, bounds: DownloadBounds) {
    this.#state = state;
    this.#bounds = bounds;
  }

  start(now: number): void {
    this.#provenAt ??= now;
  }

  /** A chunk that was missing is here. */
  noteProof(now: number): void {
    this.#provenAt = now;
    if (this.#pausedAt !== undefined) this.#pausedAt = now;
  }

  /** The fetch is paused, by its disk or by a limit of its own: the clock stands still. */
  pause(now: number): void {
    this.#pausedAt ??= now;
  }

  resume(now: number): void {
    if (this.#pausedAt === undefined) return;
    if (this.#provenAt !== undefined) this.#provenAt += now - this.#pausedAt;
    this.#pausedAt = undefined;
  }

  /** When to check next whether to give up. */
  deadline(): number {
    if (this.#provenAt === undefined || this.#pausedAt !== undefined) return Number.POSITIVE_INFINITY;
    return Math.max(this.#provenAt + this.#bounds.unprovenMs, this.#lookAt);
  }

  /** The chunk to name if it is time to give up. It is not while all that is left is to write or to check chunks. */
  failure(now: number): number | undefined {
    if (now < this.deadline()) return undefined;
    const failsAt = this.#provenAt! + this.#bounds.unprovenMs;
    if (now < this.#latestEnd(failsAt)) {
      this.#lookAt = now + LOOK_MS;
      return undefined;
    }
    const chunk = this.#state.lowestMissing();
    if (chunk === undefined) this.#provenAt = now;
    return chunk;
  }

  /** When the last chunk that comes in fast enough has to be here. Chunks begun after `failsAt` get no more time. */
  #latestEnd(failsAt: number): number {
    let endAt = failsAt;
    for (const { receiving } of this.#state.sources.values()) {
      const flow = receiving?.flow;
      if (flow !== undefined && isOnTime(flow))
        endAt = Math.max(endAt, Math.min(flow.since, failsAt) + slowestMs(flow));
    }
    return endAt;
  }
}

/** The longest time that this chunk may take. */
function slowestMs({ bytesTotal }: Flow): number {
  return (bytesTotal / SLOWEST_BYTES_PER_SECOND) * SECOND_MS;
}

function isOnTime({ at, bytes, since }: Flow): boolean {
  return bytes > 0 && bytes * SECOND_MS >= (at - since) * SLOWEST_BYTES_PER_SECOND;
}
