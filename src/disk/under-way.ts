/** Operations on something that must not be closed before they have ended. */
import { P2pfsError } from "../core/errors.ts";

export class UnderWay {
  readonly #what: string;
  readonly #running = new Set<Promise<unknown>>();
  #isOpen = true;

  /** @param what for the error of an operation that comes too late, as in "the fetch to PATH" */
  constructor(what: string) {
    this.#what = what;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Throws `cancelled` after `end`. */
  async run<Result>(operation: () => Promise<Result>): Promise<Result> {
    if (!this.#isOpen) throw new P2pfsError("cancelled", `${this.#what} has ended`);
    const running = operation();
    this.#running.add(running);
    try {
      return await running;
    } finally {
      this.#running.delete(running);
    }
  }

  /** Resolves when the operations that run now have ended, however they ended. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#running);
  }

  /** Lets no further operation begin, and resolves when none runs: to true for the first call only. */
  async end(): Promise<boolean> {
    if (!this.#isOpen) return false;
    this.#isOpen = false;
    await this.settled();
    return true;
  }
}
