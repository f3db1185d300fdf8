/** Virtual time: a heap of things to do, earliest first, ties in the order of planning, so that a run can be repeated. */

interface Planned {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

export class VirtualClock {
  now = 0;
  /** Things done so far. */
  steps = 0;
  readonly #heap: Planned[] = [];
  #order = 0;

  at(time: number, run: () => void): void {
    const planned = { at: Math.max(time, this.now), order: this.#order++, run };
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

  after(ms: number, run: () => void): void {
    this.at(this.now + ms, run);
  }

  /** Does the next thing; false where there is none. */
  step(): boolean {
    const next = this.#take();
    if (next === undefined) return false;
    this.now = next.at;
    this.steps++;
    next.run();
    return true;
  }

  #take(): Planned | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
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
