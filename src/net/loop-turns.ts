/**
 * Turns of connections that have sent more than fits one: in each turn of the event loop one of them has its own, so
 * that however many they are, together they hold others up for no longer than one does.
 */
import type { Clock } from "../core/clock.ts";

export class LoopTurns {
  readonly #clock: Clock;
  /** The next first. Each connection waits at most once. */
  readonly #waiting: (() => void)[] = [];
  #isScheduled = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  wait(takeTurn: () => void): void {
    this.#waiting.push(takeTurn);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isScheduled || this.#waiting.length === 0) return;
    this.#isScheduled = true;
    this.#clock.nextTurn(() => {
      this.#isScheduled = false;
      const takeTurn = this.#waiting.shift();
      this.#schedule();
      takeTurn?.();
    });
  }
}
