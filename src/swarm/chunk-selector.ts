/**
 * Selects the chunk that answers a request which leaves the choice to the uploader. Knows, for one content, which chunks
 * each requester has (those it was sent and those it announced) and so how many requesters have each chunk.
 */
import { type ChunkRanges, onlyChunk } from "../core/bitfield.ts";
import { CHUNK_COUNT_AIM } from "../core/limits.ts";
import { addBit, emptyBits, forEachBit, forEachInRanges, hasBit } from "./chunk-bits.ts";

/** The chunks of a content that the uploader has; a `Bitfield` is one. */
export interface Holdings {
  /** Chunks of the content. */
  readonly size: number;
  has(chunk: number): boolean;
}

/** Added to the rank of a chunk that the requester has: such a chunk comes after all that it lacks. */
const HELD_PENALTY = 0x2_0000;
/** Added, for a free-rider, to the rank of a chunk that no requester has: such a chunk comes after those that some have. */
const FREE_RIDER_PENALTY = 0x1_0000;
/** A free-rider has at least this many unshared chunks, and more than this many times the average of all requesters. */
const UNSHARED_MIN = 8;
const UNSHARED_FACTOR = 2;

/** How much a requester has, for comparison with other requesters. */
export interface RequesterChunks {
  readonly count: number;
  /** Chunks that this requester was the first to be sent and that no other requester has announced since. */
  readonly unshared: number;
}

export class ChunkSelector {
  holdings: Holdings;
  readonly #random: () => number;
  /** By chunk: how many requesters have it. */
  #counts = new Uint16Array(CHUNK_COUNT_AIM);
  readonly #heldBy = new Map<string, GrowingBits>();
  /** By chunk that one requester alone was sent: that requester's chunks. */
  readonly #soleHolders = new Map<number, GrowingBits>();
  /** Unshared chunks of all requesters together. */
  #unshared = 0;
  /** The chunk after the last one selected: equally rare chunks are sent in ascending order, so that the disk is read in order. */
  #cursor: number | undefined;

  constructor(holdings: Holdings, random: () => number) {
    this.holdings = holdings;
    this.#random = random;
  }

  /** Whether any chunk of the ranges, which lie within the content, is here. */
  canServe(chunks: ChunkRanges): boolean {
    for (let i = 0; i < chunks.length; i += 2) {
      for (let chunk = chunks[i]!; chunk <= chunks[i + 1]!; chunk++) if (this.holdings.has(chunk)) return true;
    }
    return false;
  }

  /** Selects one of these chunks and counts it as sent to the requester; undefined where none is here. */
  select(requester: string, chunks: ChunkRanges): number | undefined {
    const chunk = onlyChunk(chunks) ?? this.#choose(requester, chunks);
    if (chunk === undefined || !this.holdings.has(chunk)) return undefined;
    const held = this.#heldByOf(requester);
    if (!this.#note(held, chunk)) return chunk;
    if (this.#counts[chunk] === 1) {
      this.#soleHolders.set(chunk, held);
      held.unshared++;
      this.#unshared++;
    } else {
      this.#soleHolders.delete(chunk);
    }
    return chunk;
  }

  /** How many requesters have this chunk; undefined stands for the rarest chunk. */
  availability(chunk: number | undefined): number {
    return chunk === undefined ? 0 : (this.#counts[chunk] ?? 0);
  }

  /**
   * Whether the chunks that the requester is sent do not reach the others: its upload is slow or closed, or the others
   * avoid it because it sends damaged chunks. Having the fewest chunks, it would otherwise be served first.
   */
  isFreeRider({ unshared }: RequesterChunks): boolean {
    return unshared >= UNSHARED_MIN && unshared * this.#heldBy.size > UNSHARED_FACTOR * this.#unshared;
  }

  /** Of the chunks that are here: one that the requester lacks and that the fewest requesters have, next in order. */
  #choose(requester: string, chunks: ChunkRanges): number | undefined {
    const heldByRequester = this.#heldByOf(requester);
    const newChunkPenalty = this.isFreeRider(heldByRequester) ? FREE_RIDER_PENALTY : 0;
    this.#cursor ??= randomChunk(chunks, this.#random);
    let best: number | undefined;
    let bestRank = Number.POSITIVE_INFINITY;
    const consider = (first: number, last: number): boolean => {
      for (let chunk = first; chunk <= last; chunk++) {
        const count = this.#sharingCount(chunk);
        if (count >= bestRank || !this.holdings.has(chunk)) continue;
        let rank = count === 0 ? newChunkPenalty : count;
        if (heldByRequester.has(chunk)) rank += HELD_PENALTY;
        if (rank >= bestRank) continue;
        best = chunk;
        bestRank = rank;
        if (rank === 0) return true;
      }
      return false;
    };
    if (!forRangesFrom(chunks, this.#cursor, consider)) forRangesBelow(chunks, this.#cursor, consider);
    if (best !== undefined) this.#cursor = best + 1;
    return best;
  }

  /** The requester has announced that it has these chunks. */
  noteHeld(requester: string, chunks: ChunkRanges): void {
    const held = this.#heldByOf(requester);
    forEachInRanges(chunks, this.holdings.size, (chunk) => {
      if (this.#note(held, chunk)) this.#noteShared(chunk);
    });
  }

  forget(requester: string): void {
    const held = this.#heldBy.get(requester);
    if (held === undefined) return;
    held.forEach((chunk) => {
      this.#counts[chunk]!--;
      if (this.#soleHolders.get(chunk) === held) this.#soleHolders.delete(chunk);
    });
    this.#unshared -= held.unshared;
    this.#heldBy.delete(requester);
  }

  /** Returns whether the requester was not known to have the chunk. */
  #note(held: GrowingBits, chunk: number): boolean {
    if (!held.add(chunk)) return false;
    if (chunk >= this.#counts.length) this.#grow(chunk + 1);
    this.#counts[chunk]!++;
    return true;
  }

  /** Another requester has the chunk that only one was sent. */
  #noteShared(chunk: number): void {
    const sole = this.#soleHolders.get(chunk);
    if (sole === undefined) return;
    sole.unshared--;
    this.#unshared--;
    this.#soleHolders.delete(chunk);
  }

  /** How many requesters have the chunk, a free-rider that alone has it not counted. */
  #sharingCount(chunk: number): number {
    const count = this.#counts[chunk] ?? 0;
    const sole = count === 1 ? this.#soleHolders.get(chunk) : undefined;
    return sole !== undefined && this.isFreeRider(sole) ? 0 : count;
  }

  /** The chunks that the requester was sent or announced. The object stays up to date. */
  heldBy(requester: string): RequesterChunks {
    return this.#heldByOf(requester);
  }

  #heldByOf(requester: string): GrowingBits {
    let held = this.#heldBy.get(requester);
    if (held === undefined) {
      held = new GrowingBits();
      this.#heldBy.set(requester, held);
    }
    return held;
  }

  #grow(length: number): void {
    const counts = new Uint16Array(Math.max(length, 2 * this.#counts.length));
    counts.set(this.#counts);
    this.#counts = counts;
  }
}

/** A set of chunks that grows: ranges from strangers may reach beyond the content. */
class GrowingBits {
  #bits = emptyBits(CHUNK_COUNT_AIM);
  count = 0;
  unshared = 0;

  has(chunk: number): boolean {
    return chunk >>> 5 < this.#bits.length && hasBit(this.#bits, chunk);
  }

  /** Returns whether the chunk was not in the set. */
  add(chunk: number): boolean {
    if (chunk >>> 5 >= this.#bits.length) this.#grow(chunk + 1);
    else if (hasBit(this.#bits, chunk)) return false;
    addBit(this.#bits, chunk);
    this.count++;
    return true;
  }

  forEach(visit: (chunk: number) => void): void {
    forEachBit(this.#bits, visit);
  }

  #grow(length: number): void {
    const bits = emptyBits(Math.max(length, 64 * this.#bits.length));
    bits.set(this.#bits);
    this.#bits = bits;
  }
}

type Visit = (first: number, last: number) => boolean;

/** Visits the parts of the ranges from a chunk on until a visit returns true; returns whether one did. */
function forRangesFrom(chunks: ChunkRanges, from: number, visit: Visit): boolean {
  for (let i = 0; i < chunks.length; i += 2) {
    if (chunks[i + 1]! >= from && visit(Math.max(chunks[i]!, from), chunks[i + 1]!)) return true;
  }
  return false;
}

/** The same for the parts of the ranges below a chunk. */
function forRangesBelow(chunks: ChunkRanges, below: number, visit: Visit): boolean {
  for (let i = 0; i < chunks.length && chunks[i]! < below; i += 2) {
    if (visit(chunks[i]!, Math.min(chunks[i + 1]!, below - 1))) return true;
  }
  return false;
}

function randomChunk(chunks: ChunkRanges, random: () => number): number {
  const i = 2 * Math.floor((random() * chunks.length) / 2);
  return chunks[i]! + Math.floor(random() * (chunks[i + 1]! - chunks[i]! + 1));
}
