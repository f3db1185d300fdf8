/**
 * A limit in bytes per second that many share: the connections of a peer that send, or its fetches that ask. They take
 * turns in small portions, so that each gets its part and the schedule stays smooth. A late timer loses nothing: what
 * could have moved in the meantime is made up for, within the burst.
 */
import type { Clock, Timer } from "../core/clock.ts";
import type { RateLimit } from "../core/rate.ts";
import { KiB, SECOND_MS } from "../core/units.ts";
import type { Throttle } from "../net/send-queue.ts";
import { TokenBucket } from "../swarm/token-bucket.ts";

/** What an idle or delayed limiter saves up, as time at its rate. */
const BURST_MS = 100;
/** What one turn moves at most, as time at the rate, within these limits. */
const PORTION_MS = 20;
const PORTION_BYTES_MIN = 4 * KiB;
const PORTION_BYTES_MAX = 256 * KiB;

/** A throttle on what is asked for: not all of that comes. */
export interface Refundable extends Throttle {
  /** What was spent and then did not move counts for what comes next. */
  refund(bytes: number): void;
}

export class RateLimiter implements Refundable {
  readonly #clock: Clock;
  #limit: RateLimit = null;
  #bucket: TokenBucket | undefined;
  #portionBytes = Number.POSITIVE_INFINITY;
  /** Those whose turn is yet to come; each waits at most once. */
  readonly #waiting: (() => void)[] = [];
  /** Whoever is being resumed goes before those who wait, until it has spent something. */
  #isTurn = false;
  #timer: Timer | undefined;
  /** Paid for and not moved. */
  #creditBytes = 0;

  constructor(clock: Clock, limit: RateLimit = null) {
    this.#clock = clock;
    this.setLimit(limit);
  }

  get limit(): RateLimit {
    return this.#limit;
  }

  /** Takes effect at once, for those who wait as well. */
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
      // A bucket starts full; a limit that has just been set has saved up nothing.
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

/** All of these limits at once. */
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
