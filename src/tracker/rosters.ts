/**
 * The online holders of recently located contents, in memory, so that a random sample costs the same in a swarm of ten
 * and in one of a hundred thousand. The registry fills the roster of a content when the content is first located, and
 * updates the roster with every change from then on.
 */
import type { ContentId } from "../core/manifest.ts";

/** Rosters kept; the least recently used one is dropped first. */
const ROSTERS_MAX = 4096;
/** Entries in all rosters, about 100 bytes each. */
const ENTRIES_MAX = 1_000_000;

export interface HolderTraits {
  readonly isComplete: boolean;
  /** Whether the holder's address is of use on the tracker's own host only. */
  readonly isLoopback: boolean;
}

interface Place {
  list: number[];
  index: number;
}

/** The online holders of one content, by the registry's row ids of peers. */
export class Roster {
  readonly #lists = {
    complete: { loopback: [] as number[], elsewhere: [] as number[] },
    partial: { loopback: [] as number[], elsewhere: [] as number[] },
  };
  readonly #places = new Map<number, Place>();

  get size(): number {
    return this.#places.size;
  }

  has(peer: number): boolean {
    return this.#places.has(peer);
  }

  put(peer: number, { isComplete, isLoopback }: HolderTraits): void {
    const list = this.#lists[isComplete ? "complete" : "partial"][isLoopback ? "loopback" : "elsewhere"];
    if (this.#places.get(peer)?.list === list) return;
    this.drop(peer);
    this.#places.set(peer, { list, index: list.length });
    list.push(peer);
  }

  drop(peer: number): void {
    const place = this.#places.get(peer);
    if (place === undefined) return;
    this.#places.delete(peer);
    const { list, index } = place;
    const last = list.pop()!;
    if (last === peer) return;
    list[index] = last;
    this.#places.get(last)!.index = index;
  }

  /** A uniform random sample of up to `count` peers that are not in `taken`, in random order. */
  pick(
    count: number,
    among: { readonly onlyComplete: boolean; readonly withLoopback: boolean },
    taken: ReadonlyMap<number, unknown>,
    random: () => number,
  ): number[] {
    const lists = (among.onlyComplete ? [this.#lists.complete] : [this.#lists.complete, this.#lists.partial]).flatMap(
      ({ loopback, elsewhere }) => (among.withLoopback ? [loopback, elsewhere] : [elsewhere]),
    );
    const total = lists.reduce((sum, list) => sum + list.length, 0);
    if (total <= 2 * (count + taken.size)) {
      const free = lists.flat().filter((peer) => !taken.has(peer));
      return shuffled(free, random).slice(0, count);
    }
    // More than half of the peers are still free, so that drawing again and again ends soon.
    const picked = new Set<number>();
    while (picked.size < count) {
      const peer = nth(lists, Math.floor(random() * total));
      if (!taken.has(peer)) picked.add(peer);
    }
    return [...picked];
  }
}

function nth(lists: readonly number[][], index: number): number {
  let rest = index;
  for (const list of lists) {
    if (rest < list.length) return list[rest]!;
    rest -= list.length;
  }
  throw new RangeError("there are not so many");
}

export function shuffled<Item>(items: readonly Item[], random: () => number): Item[] {
  const mixed = [...items];
  for (let last = mixed.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    [mixed[last], mixed[other]] = [mixed[other]!, mixed[last]!];
  }
  return mixed;
}

interface CachedRoster {
  readonly roster: Roster;
  readonly filled: Promise<void>;
}

export class Rosters {
  readonly #cached = new Map<ContentId, CachedRoster>();

  get size(): number {
    return this.#cached.size;
  }

  /** All rosters, also those that are still being filled. */
  *all(): Iterable<[ContentId, Roster]> {
    for (const [contentId, { roster }] of this.#cached) yield [contentId, roster];
  }

  get(contentId: ContentId): Roster | undefined {
    return this.#cached.get(contentId)?.roster;
  }

  /** The roster of this content, filled if it is new. The registry must pass changes to it from this call on. */
  async of(contentId: ContentId, fill: (roster: Roster) => Promise<void>): Promise<Roster> {
    let cached = this.#cached.get(contentId);
    if (cached === undefined) {
      const roster = new Roster();
      cached = { roster, filled: fill(roster) };
      this.#makeRoom();
    } else this.#cached.delete(contentId);
    this.#cached.set(contentId, cached);
    try {
      await cached.filled;
    } catch (thrown) {
      if (this.#cached.get(contentId) === cached) this.#cached.delete(contentId);
      throw thrown;
    }
    return cached.roster;
  }

  #makeRoom(): void {
    let entries = 0;
    for (const { roster } of this.#cached.values()) entries += roster.size;
    for (const [contentId, { roster }] of this.#cached) {
      if (this.#cached.size < ROSTERS_MAX && entries < ENTRIES_MAX) return;
      this.#cached.delete(contentId);
      entries -= roster.size;
    }
  }
}
