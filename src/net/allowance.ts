/** A rate limit, such as for one kind of message of one connection: a rate per second, and a burst after a pause. */
import type { Clock } from "../core/clock.ts";
import { SECOND_MS } from "../core/units.ts";

/** A connection is never paused for longer at a time, so that its other messages are read meanwhile. */
const HOLD_BACK_MS_MAX = SECOND_MS;

/** A connection: it is not read as long as one pauser has not resumed it. */
export interface Pausable {
  pause(pauser: object): void;
  resume(pauser: object): void;
}

export interface AllowanceOptions {
  readonly perSecond: number;
  /** The most that a pause saves up. */
  readonly burst: number;
}

export class Allowance {
  readonly #clock: Clock;
  readonly #options: AllowanceOptions;
  #left: number;
  #updatedMs: number;
  /** Connections that are not read, as long as the rate has not made up for what was taken. */
  readonly #held = new Set<Pausable>();

  constructor(clock: Clock, options: AllowanceOptions) {
    this.#clock = clock;
    this.#options = options;
    this.#left = options.burst;
    this.#updatedMs = clock.now();
  }

  /** Takes `count`, or returns false and takes nothing where fewer are left. */
  take(count = 1): boolean {
    this.#refill();
    if (this.#left < count) return false;
    this.#left -= count;
    return true;
  }

  /** Takes one even where none is left; then none is until the rate has made up for it. */
  spend(): void {
    this.#refill();
    this.#left--;
  }

  /** Whether one could be taken now. */
  get isLeft(): boolean {
    this.#refill();
    return this.#left >= 1;
  }

  /** What was taken, and turned out not to count. */
  giveBack(): void {
    this.#refill();
    this.#left = Math.min(this.#options.burst, this.#left + 1);
  }

  /**
   * Takes `count` even where fewer are left; then the connection is not read until the rate has made up for them. No
   * message is lost: unread bytes wait in the kernel, which slows the sender down.
   */
  holdBack(connection: Pausable, count: number): void {
    this.#refill();
    this.#left -= count;
    if (this.#left >= 0 || this.#held.has(connection)) return;
    this.#held.add(connection);
    connection.pause(this);
    const debtMs = (-this.#left * SECOND_MS) / this.#options.perSecond;
    const resume = () => {
      this.#held.delete(connection);
      connection.resume(this);
    };
    this.#clock.after(Math.min(debtMs, HOLD_BACK_MS_MAX), resume, { isBackground: true });
  }

  #refill(): void {
    const now = this.#clock.now();
    const { perSecond, burst } = this.#options;
    this.#left = Math.min(burst, this.#left + ((now - this.#updatedMs) * perSecond) / SECOND_MS);
    this.#updatedMs = now;
  }
}
