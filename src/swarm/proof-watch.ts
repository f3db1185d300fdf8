/**
 * Watches for a fetch that gets nowhere although somebody seems to have what it needs: nothing new was verified for too
 * long. Words are no proof, neither are bytes by themselves, or a holder that leaves, stalls, trickles or is always busy
 * would keep a fetch waiting for ever. A chunk that comes in at a rate at which the slowest holder allowed would be done
 * in time is waited for, once: so a holder that is merely slow is not given up.
 */
import { RATE_LIMIT_MIN } from "../core/rate.ts";
import { SECOND_MS } from "../core/units.ts";
import type { DownloadBounds } from "./bounds.ts";
import type { Flow } from "./flow.ts";
import type { Ledger } from "./ledger.ts";

/** A holder sends two chunks at a time, so one of them may come at half of the lowest limit on sending. */
const SLOWEST_BYTES_PER_SECOND = RATE_LIMIT_MIN / 2;
/** How often a chunk that is waited for longer is looked at. */
const LOOK_MS = SECOND_MS;

export class ProofWatch {
  readonly #ledger: Ledger;
  readonly #bounds: DownloadBounds;
  /** When something new was verified, or the fetch began; later by the time for which the fetch itself was held back. */
  #provenAt: number | undefined;
  #heldAt: number | undefined;
  #lookAt = Number.NEGATIVE_INFINITY;

  constructor(ledger: Ledger, bounds: DownloadBounds) {
    this.#ledger = ledger;
    this.#bounds = bounds;
  }

  start(now: number): void {
    this.#provenAt ??= now;
  }

  /** A chunk that was missing is here. */
  noteProof(now: number): void {
    this.#provenAt = now;
    if (this.#heldAt !== undefined) this.#heldAt = now;
  }

  /** While the fetch is held back, by its disk or by a limit of its own, its holders are not to blame. */
  hold(now: number): void {
    this.#heldAt ??= now;
  }

  goOn(now: number): void {
    if (this.#heldAt === undefined) return;
    if (this.#provenAt !== undefined) this.#provenAt += now - this.#heldAt;
    this.#heldAt = undefined;
  }

  /** When to look whether to give up. */
  deadline(): number {
    if (this.#provenAt === undefined || this.#heldAt !== undefined) return Number.POSITIVE_INFINITY;
    return Math.max(this.#provenAt + this.#bounds.unprovenMs, this.#lookAt);
  }

  /** The chunk to name where it is time to give up. While everything is here, and only to be written or checked, it is not. */
  failure(now: number): number | undefined {
    if (now < this.deadline()) return undefined;
    const failsAt = this.#provenAt! + this.#bounds.unprovenMs;
    if (now < this.#latestEnd(failsAt)) {
      this.#lookAt = now + LOOK_MS;
      return undefined;
    }
    const chunk = this.#ledger.lowestMissing();
    if (chunk === undefined) this.#provenAt = now;
    return chunk;
  }

  /** When the last of the chunks that come in as they should has to be here; what began later gains nothing. */
  #latestEnd(failsAt: number): number {
    let endAt = failsAt;
    for (const { receiving } of this.#ledger.sources.values()) {
      const flow = receiving?.flow;
      if (flow !== undefined && isOnTime(flow))
        endAt = Math.max(endAt, Math.min(flow.since, failsAt) + slowestMs(flow));
    }
    return endAt;
  }
}

/** The longest that this chunk may take. */
function slowestMs({ bytesTotal }: Flow): number {
  return (bytesTotal / SLOWEST_BYTES_PER_SECOND) * SECOND_MS;
}

function isOnTime({ at, bytes, since }: Flow): boolean {
  return bytes > 0 && bytes * SECOND_MS >= (at - since) * SLOWEST_BYTES_PER_SECOND;
}
