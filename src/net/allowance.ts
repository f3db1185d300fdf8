/** How often something may be asked: so many times per second on average, and some at once after a pause. */

import type { Clock } from "../core/clock.ts";
import { SECOND_MS } from "../core/units.ts";
import type { Connection } from "./connection.ts";

/** A connection that is held back is heard now and then all the same. */
const HOLD_BACK_MS_MAX = SECOND_MS;

export interface AllowanceOptions {
  readonly perSecond: number;
  /** What may be saved up. */
  readonly burst: number;
}

export class Allowance {
  readonly #clock: Clock;
  readonly #options: AllowanceOptions;
  #left: number;
  #updatedMs: number;
  #isHolding = false;

  constructor(clock: Clock, options: AllowanceOptions) {
    this.#clock = clock;
    this.#options = options;
    this.#left = options.burst;
    this.#updatedMs = clock.now();
  }

  /** Takes so many, or none and returns false where there are not as many. */
  take(count = 1): boolean {
    this.#refill();
    if (this.#left < count) return false;
    this.#left -= count;
    return true;
  }

  /**
   * Takes so many in any case. Where there were not as many, nothing is read from the connection until that is made up
   * for: what was told is not lost, it waits in the kernel, and the sender feels it.
   */
  holdBack(connection: Connection, count: number): void {
    this.#refill();
    this.#left -= count;
    if (this.#left >= 0 || this.#isHolding) return;
    this.#isHolding = true;
    connection.pause(this);
    const debtMs = (-this.#left * SECOND_MS) / this.#options.perSecond;
    const goOn = () => {
      this.#isHolding = false;
      connection.resume(this);
    };
    this.#clock.after(Math.min(debtMs, HOLD_BACK_MS_MAX), goOn, { isBackground: true });
  }

  #refill(): void {
    const now = this.#clock.now();
    const { perSecond, burst } = this.#options;
    this.#left = Math.min(burst, this.#left + ((now - this.#updatedMs) * perSecond) / SECOND_MS);
    this.#updatedMs = now;
  }
}
