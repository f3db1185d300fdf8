/**
 * Sets of chunks as 32-bit words. `Bitfield` of core is laid out for the wire; scheduling intersects sets all the
 * time, and does that a word at a time.
 */
import { type ChunkRanges, rangesOfAscending } from "../core/bitfield.ts";

export type ChunkBits = Uint32Array;

/** A set of another owner. */
export interface ReadonlyChunkBits {
  readonly length: number;
  readonly [wordIndex: number]: number;
}

export function emptyBits(chunkCount: number): ChunkBits {
  return new Uint32Array((chunkCount + 31) >>> 5);
}

export function fullBits(chunkCount: number): ChunkBits {
  const bits = emptyBits(chunkCount).fill(~0);
  if ((chunkCount & 31) !== 0) bits[bits.length - 1] = (1 << (chunkCount & 31)) - 1;
  return bits;
}

export function hasBit(bits: ReadonlyChunkBits, chunk: number): boolean {
  return (bits[chunk >>> 5]! & (1 << (chunk & 31))) !== 0;
}

export function addBit(bits: ChunkBits, chunk: number): void {
  bits[chunk >>> 5]! |= 1 << (chunk & 31);
}

export function removeBit(bits: ChunkBits, chunk: number): void {
  bits[chunk >>> 5]! &= ~(1 << (chunk & 31));
}

/** The lowest chunk in a word that has at least one. */
export function lowestInWord(wordIndex: number, word: number): number {
  return (wordIndex << 5) + (31 - Math.clz32(word & -word));
}

/** Calls `visit` for every chunk of the set, ascending. */
export function forEachBit(bits: ReadonlyChunkBits, visit: (chunk: number) => void): void {
  for (let index = 0; index < bits.length; index++) {
    for (let word = bits[index]!; word !== 0; word &= word - 1) visit(lowestInWord(index, word));
  }
}

export function rangesInclude(ranges: ChunkRanges, chunk: number): boolean {
  let low = 0;
  let high = ranges.length / 2 - 1;
  while (low <= high) {
    const middle = (low + high) >>> 1;
    if (chunk < ranges[2 * middle]!) high = middle - 1;
    else if (chunk > ranges[2 * middle + 1]!) low = middle + 1;
    else return true;
  }
  return false;
}

/** Calls `visit` for every chunk of the ranges below the count. */
export function forEachInRanges(ranges: ChunkRanges, chunkCount: number, visit: (chunk: number) => void): void {
  for (let i = 0; i < ranges.length; i += 2) {
    const last = Math.min(ranges[i + 1]!, chunkCount - 1);
    for (let chunk = ranges[i]!; chunk <= last; chunk++) visit(chunk);
  }
}

export function coversAll(ranges: ChunkRanges, chunkCount: number): boolean {
  return ranges.length === 2 && ranges[0] === 0 && ranges[1]! >= chunkCount - 1;
}

/** Ranges of ascending chunks; where there are too many, the longest of them, for they leave the most choice. */
export function longestRanges(ascending: readonly number[], rangesMax: number): ChunkRanges {
  const flat = rangesOfAscending(ascending);
  const surplus = flat.length / 2 - rangesMax;
  if (surplus <= 0) return flat;
  const lengths = Int32Array.from({ length: flat.length / 2 }, (_, index) => flat[2 * index + 1]! - flat[2 * index]!);
  lengths.sort();
  const shortest = lengths[surplus]!;
  let shortestLeft = lengths.lastIndexOf(shortest) - surplus + 1;
  const kept: number[] = [];
  for (let start = 0; start < flat.length; start += 2) {
    const length = flat[start + 1]! - flat[start]!;
    if (length > shortest || (length === shortest && shortestLeft-- > 0)) kept.push(flat[start]!, flat[start + 1]!);
  }
  return kept as unknown as ChunkRanges;
}
