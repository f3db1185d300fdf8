/**
 * The online holders of recently located contents, in memory, so that a random sample costs the same in a swarm of ten
 * and in one of a hundred thousand. The registry fills the roster of a content when the content is first located, and
 * updates the roster with every change from then on.
 */
import type { ContentId } from "../core/manifest.ts";

/** Rosters kept; the least recently used one is dropped first. */
const ROSTERS_MAX = 4096;
/** Entries in all rosters, about 200 bytes each. */
const ENTRIES_MAX = 1_000_000;
/**
 * Of one owner with many holders, those that have been here for longest are named first, and half of the time: whoever
 * makes up others beside them on the same machine, where nobody can tell them apart, comes later.
 */
const SENIORS = 4;

export interface HolderTraits {
  /** Who stands behind the holder: in a swarm the member, otherwise the machine, by its IP. */
  readonly owner: string;
  readonly isComplete: boolean;
  /** Whether the holder's address is of use on the tracker's own host only. */
  readonly isLoopback: boolean;
}

/** The holders of one owner; never empty while it is in the list of its kind. */
interface Group {
  readonly owner: string;
  /** The longest here first, but for the last one, which takes the place of any that leaves. */
  readonly peers: number[];
  index: number;
}

/** Holders that are alike but for their owners. */
class Kind {
  readonly groups: Group[] = [];
  readonly #byOwner = new Map<string, Group>();
  size = 0;

  groupOf(owner: string): Group {
    const known = this.#byOwner.get(owner);
    if (known !== undefined) return known;
    const group = { owner, peers: [], index: this.groups.length };
    this.#byOwner.set(owner, group);
    this.groups.push(group);
    return group;
  }

  remove(group: Group): void {
    this.#byOwner.delete(group.owner);
    const last = this.groups.pop()!;
    if (last === group) return;
    this.groups[group.index] = last;
    last.index = group.index;
  }
}

interface Place {
  readonly kind: Kind;
  readonly group: Group;
  index: number;
}

/** The online holders of one content, by the registry's row ids of peers. */
export class Roster {
  readonly #kinds = {
    complete: { loopback: new Kind(), elsewhere: new Kind() },
    partial: { loopback: new Kind(), elsewhere: new Kind() },
  };
  readonly #places = new Map<number, Place>();

  get size(): number {
    return this.#places.size;
  }

  has(peer: number): boolean {
    return this.#places.has(peer);
  }

  put(peer: number, { owner, isComplete, isLoopback }: HolderTraits): void {
    const kind = this.#kinds[isComplete ? "complete" : "partial"][isLoopback ? "loopback" : "elsewhere"];
    const place = this.#places.get(peer);
    if (place?.kind === kind && place.group.owner === owner) return;
    this.drop(peer);
    const group = kind.groupOf(owner);
    this.#places.set(peer, { kind, group, index: group.peers.length });
    group.peers.push(peer);
    kind.size++;
  }

  drop(peer: number): void {
    const place = this.#places.get(peer);
    if (place === undefined) return;
    this.#places.delete(peer);
    const { kind, group, index } = place;
    kind.size--;
    const last = group.peers.pop()!;
    if (last !== peer) {
      group.peers[index] = last;
      this.#places.get(last)!.index = index;
    }
    if (group.peers.length === 0) kind.remove(group);
  }

  /**
   * A random sample of up to `count` peers that are not in `taken`, in random order. Each owner is as likely as any
   * other, however many peers it has: ids of peers can be made up, machines and members cannot. Among its peers, see
   * SENIORS.
   */
  pick(
    count: number,
    among: { readonly onlyComplete: boolean; readonly withLoopback: boolean },
    taken: ReadonlyMap<number, unknown>,
    random: () => number,
  ): number[] {
    const { complete, partial } = this.#kinds;
    const kinds = (among.onlyComplete ? [complete] : [complete, partial]).flatMap(({ loopback, elsewhere }) =>
      among.withLoopback ? [loopback, elsewhere] : [elsewhere],
    );
    const groups = kinds.map((kind) => kind.groups);
    const total = kinds.reduce((sum, { size }) => sum + size, 0);
    if (total <= 2 * (count + taken.size)) return pickInTurn(groups.flat(), count, taken, random);
    // Owners whose peers are all taken are fewer than what is taken, so that drawing again and again ends soon.
    const owners = groups.reduce((sum, { length }) => sum + length, 0);
    const picked = new Set<number>();
    while (picked.size < count) {
      const { peers } = nth(groups, Math.floor(random() * owners));
      const among = random() < 0.5 ? Math.min(SENIORS, peers.length) : peers.length;
      const peer = peers[Math.floor(random() * among)]!;
      if (!taken.has(peer)) picked.add(peer);
    }
    return [...picked];
  }
}

/** One of each owner, its seniors first, in random order, then another one of each. */
function pickInTurn(
  groups: readonly Group[],
  count: number,
  taken: ReadonlyMap<number, unknown>,
  random: () => number,
): number[] {
  const isFree = (peer: number) => !taken.has(peer);
  const free = groups.map(({ peers }) => [
    ...shuffled(peers.slice(SENIORS).filter(isFree), random),
    ...shuffled(peers.slice(0, SENIORS).filter(isFree), random),
  ]);
  const picked: number[] = [];
  for (let turns = shuffled(free, random); picked.length < count && turns.length > 0; ) {
    for (const peers of turns) {
      const peer = peers.pop();
      if (peer !== undefined && picked.length < count) picked.push(peer);
    }
    turns = turns.filter(({ length }) => length > 0);
  }
  return picked;
}

function nth<Item>(lists: readonly (readonly Item[])[], index: number): Item {
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
