/**
 * Polls the stamps of all local copies, so that lists are right even while no peer requests a chunk: a file that
 * changed or vanished is withdrawn, one that is back, say because its disk is mounted again, is served again. File
 * system notifications would miss changes by other machines on network file systems.
 */

import type { Clock, Timer } from "../core/clock.ts";
import { SECOND_MS } from "../core/units.ts";
import type { Library } from "./library.ts";
import type { Repository } from "./repository.ts";

/** Files checked in one step, about a millisecond of work. */
const STEP_COPIES = 100;
const STEP_MS = 100;
/** Time between the starts of two rounds over all files; longer with many files. */
const ROUND_MS_MIN = 2 * SECOND_MS;

export interface ShareWatchOptions {
  readonly clock: Clock;
  readonly repository: Repository;
  readonly library: Library;
}

export class ShareWatch {
  readonly #options: ShareWatchOptions;
  #timer: Timer | undefined;
  #isClosed = false;
  /** Position of the current round; undefined between two rounds. */
  #place: { readonly table: "shares" | "fetched"; readonly after: string } | undefined;
  #roundStartedMs = Number.NEGATIVE_INFINITY;

  constructor(options: ShareWatchOptions) {
    this.#options = options;
  }

  open(): void {
    this.#stepAfter(STEP_MS);
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  #stepAfter(ms: number): void {
    if (this.#isClosed) return;
    const { clock } = this.#options;
    this.#timer = clock.after(ms, () => {
      try {
        this.#step();
      } finally {
        const isBetweenRounds = this.#place === undefined;
        const untilNextRoundMs = this.#roundStartedMs + ROUND_MS_MIN - clock.now();
        this.#stepAfter(isBetweenRounds ? Math.max(STEP_MS, untilNextRoundMs) : STEP_MS);
      }
    });
  }

  /** Reads and checks synchronously, so that no row is unpublished in between. */
  #step(): void {
    if (this.#place === undefined) {
      this.#roundStartedMs = this.#options.clock.now();
      this.#place = { table: "shares", after: "" };
    }
    const { table, after } = this.#place;
    const { repository } = this.#options;
    const copies =
      table === "shares" ? repository.sharesAfter(after, STEP_COPIES) : repository.fetchedAfter(after, STEP_COPIES);
    for (const copy of copies) this.#options.library.checkCopy(copy);
    if (copies.length === STEP_COPIES) this.#place = { table, after: copies.at(-1)!.path };
    else this.#place = table === "shares" ? { table: "fetched", after: "" } : undefined;
  }
}
