/**
 * Who is told of which new chunks, and when. A part of the members has its turn at a time: were all told of a chunk at
 * once, all would ask its only new holder for it, and wait there one behind the other, while those who get it first
 * find nobody left to serve. Told one part after another, the later ones hear of several holders.
 */
import { type ChunkRanges, pagesOf, rangesOfAscending } from "../core/bitfield.ts";
import { GOSSIP_BOUNDS, type GossipBounds } from "./bounds.ts";

/** Members to be told of the same chunks. */
export interface GossipTurn<Member> {
  readonly members: readonly Member[];
  /** As many messages as their ranges need. */
  readonly pages: readonly ChunkRanges[];
}

export class Gossip<Member> {
  readonly #bounds: GossipBounds;
  /** Chunks gained, oldest first, from the number `#forgotten` on. */
  #gained: number[] = [];
  #forgotten = 0;
  /** How many gained chunks each member has been told of: ascending, since who is told goes to the end. */
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

  /** From now on the member is told of what is gained; what is held already it learns otherwise. */
  join(member: Member): void {
    this.#told.delete(member);
    this.#told.set(member, this.#gainedCount);
  }

  /** False where it was not a member. */
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

  /** When the next turn is due, in milliseconds; undefined while every member knows everything. */
  deadline(): number | undefined {
    return this.#toldLeast() < this.#gainedCount ? this.#turnAt : undefined;
  }

  /** Takes the turn that is due: those who have waited longest, together where they have missed the same. */
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
