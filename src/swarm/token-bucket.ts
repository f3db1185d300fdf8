/**
 * A limit in bytes per second. What is sent goes out whole, so the bucket may go into debt: sending is allowed while
 * it is not, and the debt is paid before the next. The average never exceeds the rate by more than the burst.
 */
import { SECOND_MS } from "../core/units.ts";

export class TokenBucket {
  #bytesPerSecond: number;
  readonly #burstBytes: number;
  #levelBytes: number;
  #updatedAt: number;

  /** `bytesPerSecond` may be Infinity: no limit. Starts full. */
  constructor(bytesPerSecond: number, burstBytes: number, now: number) {
    if (!(bytesPerSecond > 0) || !(burstBytes > 0)) throw new RangeError("a rate and a burst are greater than 0");
    this.#bytesPerSecond = bytesPerSecond;
    this.#burstBytes = burstBytes;
    this.#levelBytes = burstBytes;
    this.#updatedAt = now;
  }

  get bytesPerSecond(): number {
    return this.#bytesPerSecond;
  }

  setRate(bytesPerSecond: number, now: number): void {
    if (!(bytesPerSecond > 0)) throw new RangeError("a rate is greater than 0");
    this.#refill(now);
    this.#bytesPerSecond = bytesPerSecond;
  }

  /** Takes the bytes and returns true, or leaves them and returns false while there is a debt. */
  take(bytes: number, now: number): boolean {
    if (this.#bytesPerSecond === Number.POSITIVE_INFINITY) return true;
    this.#refill(now);
    if (this.#levelBytes < 0) return false;
    this.#levelBytes -= bytes;
    return true;
  }

  /** Milliseconds until `take` succeeds. */
  waitMs(now: number): number {
    if (this.#bytesPerSecond === Number.POSITIVE_INFINITY) return 0;
    this.#refill(now);
    return this.#levelBytes >= 0 ? 0 : (-this.#levelBytes / this.#bytesPerSecond) * SECOND_MS;
  }

  #refill(now: number): void {
    const elapsedMs = Math.max(now - this.#updatedAt, 0);
    this.#updatedAt = Math.max(now, this.#updatedAt);
    if (elapsedMs === 0 || this.#bytesPerSecond === Number.POSITIVE_INFINITY) return;
    const gained = (elapsedMs * this.#bytesPerSecond) / SECOND_MS;
    this.#levelBytes = Math.min(this.#levelBytes + gained, this.#burstBytes);
  }
}
