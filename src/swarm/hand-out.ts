/**
 * Who of an uploader's requesters has which chunks of one content, because it was sent them or told of them; from that,
 * how common each chunk is, and the chunk to give next.
 */
import { type ChunkRanges, onlyChunk } from "../core/bitfield.ts";
import { CHUNK_COUNT_AIM } from "../core/limits.ts";
import { addBit, emptyBits, forEachBit, hasBit } from "./chunk-bits.ts";

/** What is held of a content; a `Bitfield` is one. */
export interface Holdings {
  has(chunk: number): boolean;
}

/** Makes a chunk that the requester has come after any that it has not, however often that was handed out. */
const HELD_PENALTY = 0x1_0000;

/** What a requester has; only its size is of interest to others. */
export interface HeldChunks {
  readonly count: number;
}

export class HandOut {
  holdings: Holdings;
  readonly #random: () => number;
  /** By chunk: requesters that have it. */
  #counts = new Uint16Array(CHUNK_COUNT_AIM);
  readonly #heldBy = new Map<string, GrowingBits>();
  /** Where the last choice ended: equals are handed out in order, so that the disk is read in order. */
  #cursor: number | undefined;

  constructor(holdings: Holdings, random: () => number) {
    this.holdings = holdings;
    this.#random = random;
  }

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
    this.#note(this.#heldByOf(requester), chunk);
    return chunk;
  }

  /** How many requesters have the chunk that a request is for; none is assumed to where there is a choice. */
  commonness(chunk: number | undefined): number {
    return chunk === undefined ? 0 : (this.#counts[chunk] ?? 0);
  }

  /** Of the chunks that are held: one new to the requester, had by the fewest others, next in order. */
  #choose(requester: string, chunks: ChunkRanges): number | undefined {
    const heldByRequester = this.#heldBy.get(requester);
    this.#cursor ??= randomChunk(chunks, this.#random);
    let best: number | undefined;
    let bestRank = Number.POSITIVE_INFINITY;
    const consider = (first: number, last: number): boolean => {
      for (let chunk = first; chunk <= last; chunk++) {
        const count = this.#counts[chunk] ?? 0;
        if (count >= bestRank || !this.holdings.has(chunk)) continue;
        const rank = heldByRequester?.has(chunk) ? count + HELD_PENALTY : count;
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
    for (let i = 0; i < chunks.length; i += 2) {
      for (let chunk = chunks[i]!; chunk <= chunks[i + 1]!; chunk++) this.#note(held, chunk);
    }
  }

  forget(requester: string): void {
    this.#heldBy.get(requester)?.forEach((chunk) => {
      this.#counts[chunk]!--;
    });
    this.#heldBy.delete(requester);
  }

  #note(held: GrowingBits, chunk: number): void {
    if (!held.add(chunk)) return;
    if (chunk >= this.#counts.length) this.#grow(chunk + 1);
    this.#counts[chunk]!++;
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
