/**
 * Which members of a swarm are told of which new chunks (HAVE in BitTorrent), and when. One part of the members is told
 * at a time. If all were told of a chunk at once, all would ask its only new holder and wait there in line, and those
 * served first would find that nobody asks them. Those told later hear of several holders.
 */
import { type ChunkRanges, pagesOf, rangesOfAscending } from "../core/bitfield.ts";
import { GOSSIP_BOUNDS, type GossipBounds } from "./bounds.ts";

/** Members to be told of the same chunks now. */
export interface GossipTurn<Member> {
  readonly members: readonly Member[];
  /** The chunks, in as many messages as their ranges need. */
  readonly pages: readonly ChunkRanges[];
}

export class Gossip<Member> {
  readonly #bounds: GossipBounds;
  /** Chunks gained, oldest first, from the number `#forgotten` on. */
  #gained: number[] = [];
  #forgotten = 0;
  /** How many gained chunks each member has been told of; ascending, since a member that is told moves to the end. */
  readonly #told = new Map<Member, number>();
  #turnAt = Number.NEGATIVE_INFINITY;

  constructor(bounds: Partial<GossipBounds> = {}) {
    this.#bounds = { ...GOSSIP_BOUNDS, ...bounds };
  }

  get size(): number {
    return this.#told.size;
  }

  has(member: Member): boolean {
    return this.#told.has(member);
  }

  members(): Iterable<Member> {
    return this.#told.keys();
  }

  /** From now on the member is told of every chunk gained; of those held before it learns otherwise. */
  join(member: Member): void {
    this.#told.delete(member);
    this.#told.set(member, this.#gainedCount);
  }

  /** Returns whether it was a member. */
  leave(member: Member): boolean {
    return this.#told.delete(member);
  }

  gain(chunk: number): void {
    if (this.#toldLeast() === this.#gainedCount) {
      this.#forgotten = this.#gainedCount;
      this.#gained = [];
    }
    this.#gained.push(chunk);
  }

  /** When the next turn is due, in milliseconds; undefined while every member has been told of everything. */
  deadline(): number | undefined {
    return this.#toldLeast() < this.#gainedCount ? this.#turnAt : undefined;
  }

  /** Takes the turn that is due: the members that have waited longest, grouped by the chunks that they have to be told of. */
  next(now: number): GossipTurn<Member>[] {
    const { membersPerTurnMin, turnMs, turnsPerRound } = this.#bounds;
    this.#turnAt = now + turnMs;
    const places = Math.max(membersPerTurnMin, Math.ceil(this.#told.size / turnsPerRound));
    const byTold = new Map<number, Member[]>();
    let taken = 0;
    for (const [member, told] of this.#told) {
      if (told === this.#gainedCount || taken++ === places) break;
      const alike = byTold.get(told);
      if (alike === undefined) byTold.set(told, [member]);
      else alike.push(member);
    }
    return [...byTold].map(([told, members]) => {
      for (const member of members) this.join(member);
      const missed = this.#gained.slice(told - this.#forgotten).sort((a, b) => a - b);
      return { members, pages: pagesOf(rangesOfAscending(missed)) };
    });
  }

  get #gainedCount(): number {
    return this.#forgotten + this.#gained.length;
  }

  #toldLeast(): number {
    for (const told of this.#told.values()) return told;
    return this.#gainedCount;
  }
}
