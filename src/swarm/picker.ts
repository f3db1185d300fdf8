/**
 * D1: the piece picker, rarest first. The wanted chunks lie in one array by number of holders, with a mark where each
 * number ends. One holder more or less moves a chunk across one mark, which is one exchange. A pick starts at a random
 * place among chunks with equally many holders. It looks at a bounded number of chunks, and then, at worst, at one bit
 * per chunk. The picker knows nothing of sources, requests or time.
 */
import {
  addBit,
  type ChunkBits,
  emptyBits,
  hasBit,
  lowestInWord,
  type ReadonlyChunkBits,
  removeBit,
} from "./chunk-bits.ts";

/** Chunks tried in order of rarity before the set of the holder is searched instead. */
const TRIES_MAX = 64;
/** Chunks compared by rarity in that search. */
const COMPARED_MAX = 128;

const UNWANTED = -1;

/** What may be asked of the picker; the FetchState alone changes it. */
export type Picker = Pick<
  RarestFirst,
  "holders" | "isWanted" | "orphanCount" | "orphans" | "pick" | "wanted" | "wantedCount"
>;

export class RarestFirst {
  readonly #random: () => number;
  /** By chunk; the complete holders are the same for every chunk and counted apart. */
  readonly #partialHolders: Uint16Array;
  /** The wanted chunks by number of partial holders. */
  readonly #order: Int32Array;
  /** By chunk: its place in the order, or UNWANTED. */
  readonly #position: Int32Array;
  /** By number of partial holders: the place in the order behind the last chunk with so many. */
  readonly #ends: number[] = [0];
  readonly #wanted: ChunkBits;
  #completeHolders = 0;

  /** Nothing is wanted and nobody holds anything at first. `random` gives numbers from 0 to below 1. */
  constructor(chunkCount: number, random: () => number) {
    this.#random = random;
    this.#partialHolders = new Uint16Array(chunkCount);
    this.#order = new Int32Array(chunkCount);
    this.#position = new Int32Array(chunkCount).fill(UNWANTED);
    this.#wanted = emptyBits(chunkCount);
  }

  get wantedCount(): number {
    return this.#ends[this.#ends.length - 1]!;
  }

  get wanted(): ReadonlyChunkBits {
    return this.#wanted;
  }

  /** Wanted chunks that nobody holds. */
  get orphanCount(): number {
    return this.#completeHolders > 0 ? 0 : this.#ends[0]!;
  }

  orphans(): Iterable<number> {
    return this.#order.subarray(0, this.orphanCount);
  }

  isWanted(chunk: number): boolean {
    return this.#position[chunk] !== UNWANTED;
  }

  holders(chunk: number): number {
    return this.#completeHolders + this.#partialHolders[chunk]!;
  }

  want(chunk: number): void {
    if (this.isWanted(chunk)) return;
    const ends = this.#ends;
    const holders = this.#partialHolders[chunk]!;
    this.#reach(holders);
    let free = this.wantedCount;
    for (let level = ends.length - 1; level > holders; level--) {
      const start = ends[level - 1]!;
      if (start < free) this.#put(this.#order[start]!, free);
      free = start;
      ends[level]!++;
    }
    this.#put(chunk, free);
    ends[holders]!++;
    addBit(this.#wanted, chunk);
  }

  unwant(chunk: number): void {
    if (!this.isWanted(chunk)) return;
    const ends = this.#ends;
    let free = this.#position[chunk]!;
    for (let level = this.#partialHolders[chunk]!; level < ends.length; level++) {
      const last = --ends[level]!;
      if (last > free) this.#put(this.#order[last]!, free);
      free = last;
    }
    this.#position[chunk] = UNWANTED;
    removeBit(this.#wanted, chunk);
  }

  /** Returns whether the chunk is wanted. */
  addHolder(chunk: number): boolean {
    const holders = this.#partialHolders[chunk]!++;
    const place = this.#position[chunk]!;
    if (place === UNWANTED) return false;
    if (holders + 1 >= this.#ends.length) this.#reach(holders + 1);
    this.#exchange(chunk, place, --this.#ends[holders]!);
    return true;
  }

  /** Returns whether the chunk is wanted. */
  removeHolder(chunk: number): boolean {
    const holders = --this.#partialHolders[chunk]!;
    const place = this.#position[chunk]!;
    if (place === UNWANTED) return false;
    this.#exchange(chunk, place, this.#ends[holders]!++);
    return true;
  }

  /** For a holder of every chunk, in constant time: the order of the chunks stays the same. */
  addCompleteHolder(): void {
    this.#completeHolders++;
  }

  removeCompleteHolder(): void {
    this.#completeHolders--;
  }

  /** The rarest wanted chunk with at least `holdersMin` holders; of those in `held` only, where that is given. */
  pick(held?: ReadonlyChunkBits, holdersMin = 1): number | undefined {
    const lowest = Math.max(held === undefined ? 0 : 1, holdersMin - this.#completeHolders);
    let start = lowest === 0 ? 0 : (this.#ends[lowest - 1] ?? this.wantedCount);
    let tries = TRIES_MAX;
    for (let level = lowest; start < this.wantedCount; start = this.#ends[level++]!) {
      const count = this.#ends[level]! - start;
      if (count === 0) continue;
      const first = Math.floor(this.#random() * count);
      for (let offset = 0; offset < count; offset++) {
        const index = first + offset;
        const chunk = this.#order[start + (index < count ? index : index - count)]!;
        if (held === undefined || hasBit(held, chunk)) return chunk;
        if (--tries === 0) return this.#search(held, lowest);
      }
    }
    return undefined;
  }

  /** For a holder of few wanted chunks among many: searches its set, from a random place on. */
  #search(held: ReadonlyChunkBits, levelMin: number): number | undefined {
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

  #exchange(chunk: number, from: number, to: number): void {
    this.#put(this.#order[to]!, from);
    this.#put(chunk, to);
  }

  #put(chunk: number, place: number): void {
    this.#order[place] = chunk;
    this.#position[chunk] = place;
  }

  /** Adds marks up to this number of holders. */
  #reach(holders: number): void {
    while (this.#ends.length <= holders) this.#ends.push(this.wantedCount);
  }
}
