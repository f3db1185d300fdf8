/**
 * Virtual time: things to do, earliest first, ties in the order of planning, so that a run can be repeated. What lies
 * ahead is kept in slices of a millisecond; only the slice that has come is put in order, in a heap that stays small
 * where a swarm plans a hundred thousand things at a time.
 */

interface Planned {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

export class VirtualClock {
  now = 0;
  /** Things done so far. */
  steps = 0;
  readonly #slices = new Map<number, Planned[]>();
  #slice = 0;
  /** What is due in this slice. */
  readonly #heap: Planned[] = [];
  #order = 0;
  #waiting = 0;

  at(time: number, run: () => void): void {
    const planned = { at: Math.max(time, this.now), order: this.#order++, run };
    const slice = Math.floor(planned.at);
    this.#waiting++;
    if (slice <= this.#slice) return this.#push(planned);
    const later = this.#slices.get(slice);
    if (later === undefined) this.#slices.set(slice, [planned]);
    else later.push(planned);
  }

  after(ms: number, run: () => void): void {
    this.at(this.now + ms, run);
  }

  /** Does the next thing; false where there is none. */
  step(): boolean {
    if (this.#waiting === 0) return false;
    while (this.#heap.length === 0) this.#nextSlice();
    const next = this.#pop();
    this.#waiting--;
    this.now = next.at;
    this.steps++;
    next.run();
    return true;
  }

  #nextSlice(): void {
    this.#slice++;
    const planned = this.#slices.get(this.#slice);
    if (planned === undefined) return;
    this.#slices.delete(this.#slice);
    for (const each of planned) this.#push(each);
  }

  #push(planned: Planned): void {
    const heap = this.#heap;
    let index = heap.length;
    heap.push(planned);
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!isBefore(planned, heap[parent]!)) break;
      heap[index] = heap[parent]!;
      index = parent;
    }
    heap[index] = planned;
  }

  #pop(): Planned {
    const heap = this.#heap;
    const first = heap[0]!;
    const last = heap.pop()!;
    if (heap.length === 0) return first;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!isBefore(heap[child]!, last)) break;
      heap[index] = heap[child]!;
      index = child;
    }
    heap[index] = last;
    return first;
  }
}

function isBefore(a: Planned, b: Planned): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
