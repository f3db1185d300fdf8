/**
 * Requests of the other side that wait for this side's answer, each of which gets one. The number of them is bounded,
 * and so is how fast the other side may go on after it was told that there is no room.
 */
import type { Clock } from "../core/clock.ts";
import { Allowance } from "./allowance.ts";

/** More are refused as busy. */
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

  /** `in_use`: a request of this id waits already. `too_many`: it waits, and has to be refused. */
  begin(request: number): "begun" | "in_use" | "too_many" {
    if (this.#waiting.has(request)) return "in_use";
    this.#waiting.add(request);
    return this.#waiting.size > REQUESTS_SERVED_MAX ? "too_many" : "begun";
  }

  /** False where no request of this id waits for an answer. */
  end(request: number): boolean {
    return this.#waiting.delete(request);
  }

  /** Whether the other side may be refused as busy once more, instead of being given up. */
  mayRefuseAsBusy(): boolean {
    return this.#busyRefusals.take();
  }

  clear(): void {
    this.#waiting.clear();
  }
}
