/**
 * D1: which chunk next. Wanted chunks lie in one bucket per number of holders, so that the rarest come first; a pick
 * begins at a random place of a bucket, so that ties are broken at random. Every update moves one chunk between two
 * buckets in constant time; a pick looks at a bounded number of chunks and then, at worst, at one bit per chunk. Nothing here knows of
 * sources, requests or time, so it can be used by itself.
 */
import { type ChunkBits, emptyBits, hasBit, lowestInWord } from "./chunk-bits.ts";

/** Chunks tried in order of rarity before the set of the holder is searched instead. */
const TRIES_MAX = 64;
/** Chunks compared by rarity in that search. */
const COMPARED_MAX = 128;

const UNWANTED = -1;

export class RarestFirst {
  readonly #random: () => number;
  /** By number of partial holders; the complete ones are the same for every chunk and counted apart. */
  readonly #buckets: number[][] = [[]];
  readonly #partialHolders: Uint16Array;
  /** Index within its bucket, or UNWANTED. */
  readonly #position: Int32Array;
  readonly #wanted: ChunkBits;
  #completeHolders = 0;
  #wantedCount = 0;

  /** Nothing is wanted and nobody holds anything at first. `random` gives numbers from 0 to below 1. */
  constructor(chunkCount: number, random: () => number) {
    this.#random = random;
    this.#partialHolders = new Uint16Array(chunkCount);
    this.#position = new Int32Array(chunkCount).fill(UNWANTED);
    this.#wanted = emptyBits(chunkCount);
  }

  get wantedCount(): number {
    return this.#wantedCount;
  }

  /** The wanted chunks; to be read only. */
  get wanted(): ChunkBits {
    return this.#wanted;
  }

  get completeHolders(): number {
    return this.#completeHolders;
  }

  /** Wanted chunks that nobody holds. */
  get orphanCount(): number {
    return this.#completeHolders > 0 ? 0 : this.#buckets[0]!.length;
  }

  orphans(): readonly number[] {
    return this.#completeHolders > 0 ? [] : this.#buckets[0]!;
  }

  isWanted(chunk: number): boolean {
    return this.#position[chunk] !== UNWANTED;
  }

  holders(chunk: number): number {
    return this.#completeHolders + this.#partialHolders[chunk]!;
  }

  want(chunk: number): void {
    if (this.isWanted(chunk)) return;
    this.#insert(chunk, this.#partialHolders[chunk]!);
    this.#wanted[chunk >>> 5]! |= 1 << (chunk & 31);
    this.#wantedCount++;
  }

  unwant(chunk: number): void {
    if (!this.isWanted(chunk)) return;
    this.#take(chunk, this.#partialHolders[chunk]!);
    this.#position[chunk] = UNWANTED;
    this.#wanted[chunk >>> 5]! &= ~(1 << (chunk & 31));
    this.#wantedCount--;
  }

  addHolder(chunk: number): void {
    const holders = this.#partialHolders[chunk]!++;
    if (this.isWanted(chunk)) this.#move(chunk, holders, holders + 1);
  }

  removeHolder(chunk: number): void {
    const holders = this.#partialHolders[chunk]!--;
    if (this.isWanted(chunk)) this.#move(chunk, holders, holders - 1);
  }

  /** Somebody who holds every chunk: in constant time, since the order stays the same. */
  addCompleteHolder(): void {
    this.#completeHolders++;
  }

  removeCompleteHolder(): void {
    this.#completeHolders--;
  }

  /** The rarest wanted chunk with at least `holdersMin` holders; of those in `held` only, where that is given. */
  pick(held?: ChunkBits, holdersMin = 1): number | undefined {
    const lowest = Math.max(held === undefined ? 0 : 1, holdersMin - this.#completeHolders);
    let tries = TRIES_MAX;
    for (let level = lowest; level < this.#buckets.length; level++) {
      const bucket = this.#buckets[level]!;
      if (bucket.length === 0) continue;
      const start = Math.floor(this.#random() * bucket.length);
      for (let offset = 0; offset < bucket.length; offset++) {
        const index = start + offset;
        const chunk = bucket[index < bucket.length ? index : index - bucket.length]!;
        if (held === undefined || hasBit(held, chunk)) return chunk;
        if (--tries === 0) return this.#search(held, lowest);
      }
    }
    return undefined;
  }

  /** For a holder of few wanted chunks among many: goes through what it holds, from a random place on. */
  #search(held: ChunkBits, levelMin: number): number | undefined {
    const words = held.length;
    const start = Math.floor(this.#random() * words);
    let best: number | undefined;
    let compared = 0;
    for (let offset = 0; offset < words && compared < COMPARED_MAX; offset++) {
      const index = start + offset < words ? start + offset : start + offset - words;
      for (let word = held[index]! & this.#wanted[index]!; word !== 0; word &= word - 1) {
        const chunk = lowestInWord(index, word);
        const level = this.#partialHolders[chunk]!;
        if (level < levelMin) continue;
        compared++;
        if (best === undefined || level < this.#partialHolders[best]!) best = chunk;
      }
    }
    return best;
  }

  #move(chunk: number, from: number, to: number): void {
    this.#take(chunk, from);
    this.#insert(chunk, to);
  }

  #take(chunk: number, level: number): void {
    const bucket = this.#buckets[level]!;
    const last = bucket.pop()!;
    if (last === chunk) return;
    const index = this.#position[chunk]!;
    bucket[index] = last;
    this.#position[last] = index;
  }

  #insert(chunk: number, level: number): void {
    while (this.#buckets.length <= level) this.#buckets.push([]);
    this.#position[chunk] = this.#buckets[level]!.push(chunk) - 1;
  }
}
