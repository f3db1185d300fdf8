/**
 * Requests of the other side that wait for an answer. Their number is bounded, and so is the rate of requests beyond
 * it, each of which costs a refusal.
 */
import type { Clock } from "../core/clock.ts";
import { Allowance } from "./allowance.ts";

/** Requests beyond this number are refused as busy. */
export const REQUESTS_SERVED_MAX = 512;
const BUSY_REFUSALS = { perSecond: 500, burst: 5000 };

export class ServedRequests {
  readonly #waiting = new Set<number>();
  readonly #busyRefusals: Allowance;

  constructor(clock: Clock) {
    this.#busyRefusals = new Allowance(clock, BUSY_REFUSALS);
  }

  get size(): number {
    return this.#waiting.size;
  }

  /** `in_use`: a request of this id has no answer yet. `too_many`: recorded, and the caller has to refuse it. */
  begin(request: number): "begun" | "in_use" | "too_many" {
    if (this.#waiting.has(request)) return "in_use";
    this.#waiting.add(request);
    return this.#waiting.size > REQUESTS_SERVED_MAX ? "too_many" : "begun";
  }

  /** False where no request of this id waits. */
  end(request: number): boolean {
    return this.#waiting.delete(request);
  }

  /** False where the other side was refused too often, so that the connection should be closed. */
  mayRefuseAsBusy(): boolean {
    return this.#busyRefusals.take();
  }

  clear(): void {
    this.#waiting.clear();
  }
}
