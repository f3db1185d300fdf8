/**
 * A limit in bytes per second, shared by the sending connections of a peer or by its fetches. Users of the limit take
 * turns in small portions, so that each gets a fair part at a steady rate. A late timer costs no throughput: the burst
 * makes up for the delay.
 */
import type { Clock, Timer } from "../core/clock.ts";
import type { RateLimit } from "../core/rate.ts";
import { KiB, SECOND_MS } from "../core/units.ts";
import type { Throttle } from "../net/send-queue.ts";
import { TokenBucket } from "../swarm/token-bucket.ts";

/** Burst of an idle or delayed limiter, as time at its rate. */
const BURST_MS = 100;
/** The most that one turn allows, as time at the rate, within the two bounds. */
const PORTION_MS = 20;
const PORTION_BYTES_MIN = 4 * KiB;
const PORTION_BYTES_MAX = 256 * KiB;

/** A throttle on requested bytes, not all of which arrive. */
export interface Refundable extends Throttle {
  /** Returns spent bytes that did not arrive, to be credited to later ones. */
  refund(bytes: number): void;
}

export class RateLimiter implements Refundable {
  readonly #clock: Clock;
  #limit: RateLimit = null;
  #bucket: TokenBucket | undefined;
  #portionBytes = Number.POSITIVE_INFINITY;
  /** In order of their turns; each user at most once. */
  readonly #waiting: (() => void)[] = [];
  /** The user that is being resumed may pass the waiting ones until it has spent bytes. */
  #isTurn = false;
  #timer: Timer | undefined;
  /** Refunded bytes. */
  #creditBytes = 0;

  constructor(clock: Clock, limit: RateLimit = null) {
    this.#clock = clock;
    this.setLimit(limit);
  }

  get limit(): RateLimit {
    return this.#limit;
  }

  /** Takes effect at once, for waiting users too. */
  setLimit(limit: RateLimit): void {
    this.#limit = limit;
    this.#creditBytes = 0;
    if (limit === null) {
      this.#bucket = undefined;
      this.#portionBytes = Number.POSITIVE_INFINITY;
    } else {
      const now = this.#clock.now();
      const burstBytes = (limit * BURST_MS) / SECOND_MS;
      this.#bucket = new TokenBucket(limit, burstBytes, now);
      // A new bucket is full, but a new limit must not start with a burst.
      this.#bucket.take(burstBytes, now);
      const portionBytes = Math.floor((limit * PORTION_MS) / SECOND_MS);
      this.#portionBytes = Math.min(Math.max(portionBytes, PORTION_BYTES_MIN), PORTION_BYTES_MAX);
    }
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#serve();
  }

  allow(resume: () => void): number {
    if (this.#bucket === undefined) return Number.POSITIVE_INFINITY;
    const isNext = this.#isTurn || this.#waiting.length === 0;
    if (isNext && this.#bucket.waitMs(this.#clock.now()) === 0) return this.#portionBytes;
    this.#waiting.push(resume);
    this.#schedule(this.#bucket);
    return 0;
  }

  spend(bytes: number): void {
    if (this.#bucket === undefined || bytes === 0) return;
    this.#isTurn = false;
    const credited = Math.min(this.#creditBytes, bytes);
    this.#creditBytes -= credited;
    this.#bucket.take(bytes - credited, this.#clock.now());
  }

  refund(bytes: number): void {
    if (this.#bucket !== undefined) this.#creditBytes += bytes;
  }

  #schedule(bucket: TokenBucket): void {
    this.#timer ??= this.#clock.after(Math.ceil(bucket.waitMs(this.#clock.now())), () => this.#serve());
  }

  #serve(): void {
    this.#timer = undefined;
    while (this.#waiting.length > 0) {
      if (this.#bucket !== undefined && this.#bucket.waitMs(this.#clock.now()) > 0) return this.#schedule(this.#bucket);
      const resume = this.#waiting.shift()!;
      this.#isTurn = true;
      resume();
      this.#isTurn = false;
    }
  }
}

/** A throttle that obeys all these limits. */
export function inSeries(first: RateLimiter, ...others: readonly RateLimiter[]): Refundable {
  return others.reduce<Refundable>((all, each) => new LimiterPair(all, each), first);
}

class LimiterPair implements Refundable {
  readonly #first: Refundable;
  readonly #second: RateLimiter;

  constructor(first: Refundable, second: RateLimiter) {
    this.#first = first;
    this.#second = second;
  }

  allow(resume: () => void): number {
    const bytes = this.#second.allow(resume);
    return bytes === 0 ? 0 : Math.min(bytes, this.#first.allow(resume));
  }

  spend(bytes: number): void {
    this.#first.spend(bytes);
    this.#second.spend(bytes);
  }

  refund(bytes: number): void {
    this.#first.refund(bytes);
    this.#second.refund(bytes);
  }
}
