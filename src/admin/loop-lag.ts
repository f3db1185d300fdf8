/** Measures how late timers fire: the best single sign of whether a role answers in time. */
import { SECOND_MS } from "../core/units.ts";

const SAMPLE_MS = 250;
const WINDOW_MS = 5 * SECOND_MS;

export class LoopLag {
  readonly #timer: Timer;
  readonly #recent: number[] = [];
  #dueMs = performance.now() + SAMPLE_MS;

  constructor() {
    this.#timer = setInterval(() => this.#sample(), SAMPLE_MS);
    this.#timer.unref();
  }

  /** The longest lag within WINDOW_MS. */
  get worstMs(): number {
    return Math.max(0, ...this.#recent);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #sample(): void {
    const now = performance.now();
    this.#recent.push(Math.max(0, now - this.#dueMs));
    if (this.#recent.length > WINDOW_MS / SAMPLE_MS) this.#recent.shift();
    this.#dueMs = now + SAMPLE_MS;
  }
}
