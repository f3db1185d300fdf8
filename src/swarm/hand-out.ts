/**
 * Who of an uploader's requesters has which chunks of one content, because it was sent them or told of them; from that,
 * how common each chunk is, and the chunk to give next.
 */
import { type ChunkRanges, onlyChunk } from "../core/bitfield.ts";
import { CHUNK_COUNT_AIM } from "../core/limits.ts";
import { addBit, emptyBits, forEachBit, forEachInRanges, hasBit } from "./chunk-bits.ts";

/** What is held of a content; a `Bitfield` is one. */
export interface Holdings {
  /** Chunks of the content. */
  readonly size: number;
  has(chunk: number): boolean;
}

/** Makes a chunk that the requester has come after any that it has not, however often that was handed out. */
const HELD_PENALTY = 0x2_0000;
/** Makes a chunk that nobody has come after the others, where the requester would keep it to itself. */
const HOARD_PENALTY = 0x1_0000;
/** A requester hoards if nobody else has got so many of the chunks that it was sent first, and so many times the average. */
const HOARD_MIN = 8;
const HOARD_FACTOR = 2;

/** What a requester has, for others to compare. */
export interface HeldChunks {
  readonly count: number;
  /** Chunks that it was sent first and that nobody else has got from there. */
  readonly unspread: number;
}

export class HandOut {
  holdings: Holdings;
  readonly #random: () => number;
  /** By chunk: requesters that have it. */
  #counts = new Uint16Array(CHUNK_COUNT_AIM);
  readonly #heldBy = new Map<string, GrowingBits>();
  /** The requesters who were sent a chunk that nobody else has. */
  readonly #soleHolders = new Map<number, GrowingBits>();
  /** Of all requesters together. */
  #unspread = 0;
  /** Where the last choice ended: equals are handed out in order, so that the disk is read in order. */
  #cursor: number | undefined;

  constructor(holdings: Holdings, random: () => number) {
    this.holdings = holdings;
    this.#random = random;
  }

  /** Of ranges within the content. */
  canServe(chunks: ChunkRanges): boolean {
    for (let i = 0; i < chunks.length; i += 2) {
      for (let chunk = chunks[i]!; chunk <= chunks[i + 1]!; chunk++) if (this.holdings.has(chunk)) return true;
    }
    return false;
  }

  /** Chooses a chunk of these for the requester, which has it from then on; undefined where none is held. */
  handOut(requester: string, chunks: ChunkRanges): number | undefined {
    const chunk = onlyChunk(chunks) ?? this.#choose(requester, chunks);
    if (chunk === undefined || !this.holdings.has(chunk)) return undefined;
    const held = this.#heldByOf(requester);
    if (!this.#note(held, chunk)) return chunk;
    if (this.#counts[chunk] === 1) {
      this.#soleHolders.set(chunk, held);
      held.unspread++;
      this.#unspread++;
    } else {
      this.#soleHolders.delete(chunk);
    }
    return chunk;
  }

  /** How many requesters have this chunk; undefined stands for the rarest that there is. */
  commonness(chunk: number | undefined): number {
    return chunk === undefined ? 0 : (this.#counts[chunk] ?? 0);
  }

  /**
   * Whether what the requester is sent stays with it: it passes nothing on, or nobody takes it from there. A liar is
   * soon avoided by all whom it sent damaged chunks, so it would become the one that has least and is served first.
   */
  hoards({ unspread }: HeldChunks): boolean {
    return unspread >= HOARD_MIN && unspread * this.#heldBy.size > HOARD_FACTOR * this.#unspread;
  }

  /** Of the chunks that are held: one new to the requester, had by the fewest others, next in order. */
  #choose(requester: string, chunks: ChunkRanges): number | undefined {
    const heldByRequester = this.#heldByOf(requester);
    const freshPenalty = this.hoards(heldByRequester) ? HOARD_PENALTY : 0;
    this.#cursor ??= randomChunk(chunks, this.#random);
    let best: number | undefined;
    let bestRank = Number.POSITIVE_INFINITY;
    const consider = (first: number, last: number): boolean => {
      for (let chunk = first; chunk <= last; chunk++) {
        const count = this.#spreadingCount(chunk);
        if (count >= bestRank || !this.holdings.has(chunk)) continue;
        let rank = count === 0 ? freshPenalty : count;
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

  noteHeld(requester: string, chunks: ChunkRanges): void {
    const held = this.#heldByOf(requester);
    forEachInRanges(chunks, this.holdings.size, (chunk) => {
      if (this.#note(held, chunk)) this.#noteSpread(chunk);
    });
  }

  forget(requester: string): void {
    const held = this.#heldBy.get(requester);
    if (held === undefined) return;
    held.forEach((chunk) => {
      this.#counts[chunk]!--;
      if (this.#soleHolders.get(chunk) === held) this.#soleHolders.delete(chunk);
    });
    this.#unspread -= held.unspread;
    this.#heldBy.delete(requester);
  }

  /** False where the requester was known to have it. */
  #note(held: GrowingBits, chunk: number): boolean {
    if (!held.add(chunk)) return false;
    if (chunk >= this.#counts.length) this.#grow(chunk + 1);
    this.#counts[chunk]!++;
    return true;
  }

  /** Somebody else has got what the sole holder was sent. */
  #noteSpread(chunk: number): void {
    const sole = this.#soleHolders.get(chunk);
    if (sole === undefined) return;
    sole.unspread--;
    this.#unspread--;
    this.#soleHolders.delete(chunk);
  }

  /** Requesters that have the chunk, but for one that hoards it. */
  #spreadingCount(chunk: number): number {
    const count = this.#counts[chunk] ?? 0;
    const sole = count === 1 ? this.#soleHolders.get(chunk) : undefined;
    return sole !== undefined && this.hoards(sole) ? 0 : count;
  }

  /** The chunks that the requester was sent or told of. */
  heldBy(requester: string): HeldChunks {
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

/** A set whose size is not known beforehand. */
class GrowingBits {
  #bits = emptyBits(CHUNK_COUNT_AIM);
  count = 0;
  unspread = 0;

  has(chunk: number): boolean {
    return chunk >>> 5 < this.#bits.length && hasBit(this.#bits, chunk);
  }

  /** False where it was in already. */
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

/** Visits the part of the ranges from a chunk on until a visit returns true; whether one did. */
function forRangesFrom(chunks: ChunkRanges, from: number, visit: Visit): boolean {
  for (let i = 0; i < chunks.length; i += 2) {
    if (chunks[i + 1]! >= from && visit(Math.max(chunks[i]!, from), chunks[i + 1]!)) return true;
  }
  return false;
}

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
