/**
 * Requests of the other side that wait for an answer. Their number is bounded, and so is the rate of requests beyond
 * it, each of which costs a refusal.
 */
import type { Clock } from "../core/clock.ts";
import { Allowance, type Pausable } from "./allowance.ts";

/** Requests beyond this number are refused as busy. */
export const REQUESTS_SERVED_MAX = 512;
export const BUSY_REFUSALS = { perSecond: 500, burst: 100 };

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

  /** One was refused. Where that happens too often, the connection is not read for a while. */
  refusedAsBusy(connection: Pausable): void {
    this.#busyRefusals.holdBack(connection, 1);
  }

  clear(): void {
    this.#waiting.clear();
  }
}
