/** Growing waits between tries, with jitter, so that a thousand peers do not reconnect at the same moment. */

import type { Random } from "../core/clock.ts";

export interface BackoffOptions {
  readonly firstMs: number;
  readonly maxMs: number;
  readonly random: Random;
}

export class Backoff {
  readonly #options: BackoffOptions;
  #nextMs: number;

  constructor(options: BackoffOptions) {
    this.#options = options;
    this.#nextMs = options.firstMs;
  }

  /** The next wait: random, from half of the current step to all of it; the step doubles up to its maximum. */
  next(): number {
    const { maxMs, random } = this.#options;
    const waitMs = this.#nextMs * (0.5 + random.number() / 2);
    this.#nextMs = Math.min(maxMs, this.#nextMs * 2);
    return waitMs;
  }

  reset(): void {
    this.#nextMs = this.#options.firstMs;
  }
}
