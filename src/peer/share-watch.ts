/**
 * Looks again and again at the files that this peer offers, so that lists tell the truth although nobody asks for a
 * chunk: what changed or vanished is offered no longer, what is as it was again, say because its disk is mounted again,
 * is offered anew. Watching by the kernel's notices would miss other machines' changes on network file systems.
 */

import type { Clock, Timer } from "../core/clock.ts";
import { SECOND_MS } from "../core/units.ts";
import type { Library } from "./library.ts";
import type { Repository } from "./repository.ts";

/** Files looked at in one step, about a millisecond of work. */
const STEP_COPIES = 100;
const STEP_MS = 100;
/** A round over all files takes at least this long; with many files longer. */
const ROUND_MS_MIN = 2 * SECOND_MS;

export interface ShareWatchOptions {
  readonly clock: Clock;
  readonly repository: Repository;
  readonly library: Library;
}

export class ShareWatch {
  readonly #options: ShareWatchOptions;
  #timer: Timer | undefined;
  /** Where the round is; undefined between two rounds. */
  #place: { readonly table: "shares" | "fetched"; readonly after: string } | undefined;
  #roundStartedMs = Number.NEGATIVE_INFINITY;

  constructor(options: ShareWatchOptions) {
    this.#options = options;
  }

  open(): void {
    this.#timer = this.#options.clock.every(STEP_MS, () => this.#step());
  }

  close(): void {
    this.#timer?.cancel();
  }

  /** What is read is looked at before anything else happens, so that it cannot have been taken back meanwhile. */
  #step(): void {
    if (this.#place === undefined) {
      if (this.#options.clock.now() - this.#roundStartedMs < ROUND_MS_MIN) return;
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
