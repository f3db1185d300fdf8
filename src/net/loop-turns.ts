/**
 * Queue of the connections with more received bytes than one turn handles. One of them is served in each turn of the
 * event loop, so that any number of such connections delays the others no more than a single one does.
 */
import type { Clock } from "../core/clock.ts";

export class LoopTurns {
  readonly #clock: Clock;
  /** In order of service; each connection at most once. */
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
