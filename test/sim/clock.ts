/**
 * Virtual time: things to do, earliest first, ties in the order of planning, so that a run can be repeated. What lies
 * ahead is kept in slices of a millisecond, of which those without anything are skipped; only the slice that has come is
 * put in order, in a heap that stays small where a swarm plans a hundred thousand things at a time.
 */
import type { Timer } from "../../src/core/clock.ts";
import { Heap } from "./heap.ts";

class Planned implements Timer {
  readonly at: number;
  readonly order: number;
  /** Undefined once it is cancelled. */
  run: (() => void) | undefined;

  constructor(at: number, order: number, run: () => void) {
    this.at = at;
    this.order = order;
    this.run = run;
  }

  cancel(): void {
    this.run = undefined;
  }
}

/** What is due within one millisecond. */
interface Slice {
  readonly ms: number;
  readonly planned: Planned[];
}

export class VirtualClock {
  now = 0;
  /** Things done so far. */
  steps = 0;
  readonly #slices = new Map<number, Slice>();
  readonly #slicesAhead = new Heap<Slice>((a, b) => a.ms < b.ms);
  #slice = 0;
  /** What is due in this slice. */
  readonly #due = new Heap<Planned>((a, b) => a.at < b.at || (a.at === b.at && a.order < b.order));
  #order = 0;

  at(time: number, run: () => void): Timer {
    const planned = new Planned(Math.max(time, this.now), this.#order++, run);
    const ms = Math.floor(planned.at);
    if (ms <= this.#slice) this.#due.push(planned);
    else this.#sliceOf(ms).planned.push(planned);
    return planned;
  }

  after(ms: number, run: () => void): Timer {
    return this.at(this.now + ms, run);
  }

  /** Does the next thing; false where there is none. */
  step(): boolean {
    for (;;) {
      const next = this.#due.pop();
      if (next === undefined) {
        if (!this.#nextSlice()) return false;
      } else if (next.run !== undefined) {
        this.now = next.at;
        this.steps++;
        next.run();
        return true;
      }
    }
  }

  #sliceOf(ms: number): Slice {
    const known = this.#slices.get(ms);
    if (known !== undefined) return known;
    const slice = { ms, planned: [] };
    this.#slices.set(ms, slice);
    this.#slicesAhead.push(slice);
    return slice;
  }

  #nextSlice(): boolean {
    const slice = this.#slicesAhead.pop();
    if (slice === undefined) return false;
    this.#slice = slice.ms;
    this.#slices.delete(slice.ms);
    for (const planned of slice.planned) if (planned.run !== undefined) this.#due.push(planned);
    return true;
  }
}
