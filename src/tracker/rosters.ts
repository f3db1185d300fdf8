/**
 * The online holders of contents that are asked for, in memory: to pick some of them at random costs the same in a
 * swarm of ten and in one of a hundred thousand. The registry fills a roster when its content is asked for first, and
 * tells it of every change from then on.
 */
import type { ContentId } from "../core/manifest.ts";

/** Rosters kept; the one that was asked for least recently goes first. */
const ROSTERS_MAX = 4096;
/** Entries in all rosters, about 100 bytes each. */
const ENTRIES_MAX = 1_000_000;

export interface Standing {
  readonly isComplete: boolean;
  /** Whether only peers on the tracker's own host may be told of it. */
  readonly isLoopback: boolean;
}

interface Place {
  list: number[];
  index: number;
}

/** Peers are known by the numbers that the registry gives them. */
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

  put(peer: number, { isComplete, isLoopback }: Standing): void {
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

  /** Up to so many peers, each as likely as any other, in random order, without those in `taken`. */
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
    // More than half of them are free, so that a draw or two finds another one.
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

interface Kept {
  readonly roster: Roster;
  readonly filled: Promise<void>;
}

export class Rosters {
  readonly #kept = new Map<ContentId, Kept>();

  get size(): number {
    return this.#kept.size;
  }

  /** Those that are there, full or being filled. */
  *all(): Iterable<[ContentId, Roster]> {
    for (const [contentId, { roster }] of this.#kept) yield [contentId, roster];
  }

  get(contentId: ContentId): Roster | undefined {
    return this.#kept.get(contentId)?.roster;
  }

  /** The roster of this content, filled if it is new. Changes are told to it from the moment of this call on. */
  async of(contentId: ContentId, fill: (roster: Roster) => Promise<void>): Promise<Roster> {
    let kept = this.#kept.get(contentId);
    if (kept === undefined) {
      const roster = new Roster();
      kept = { roster, filled: fill(roster) };
      this.#makeRoom();
    } else this.#kept.delete(contentId);
    this.#kept.set(contentId, kept);
    try {
      await kept.filled;
    } catch (thrown) {
      if (this.#kept.get(contentId) === kept) this.#kept.delete(contentId);
      throw thrown;
    }
    return kept.roster;
  }

  #makeRoom(): void {
    let entries = 0;
    for (const { roster } of this.#kept.values()) entries += roster.size;
    for (const [contentId, { roster }] of this.#kept) {
      if (this.#kept.size < ROSTERS_MAX && entries < ENTRIES_MAX) return;
      this.#kept.delete(contentId);
      entries -= roster.size;
    }
  }
}
