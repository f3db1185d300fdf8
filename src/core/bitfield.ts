/**
 * Sets of chunk numbers. A `Bitfield` is the form in memory and in the registry, one bit a chunk, most significant bit
 * first (as in BEP 3); `ChunkRanges` is the form on the wire, `0-99,120` the form that people and scripts read.
 */
import * as v from "valibot";
import { CHUNK_COUNT_MAX, CHUNK_RANGES_MAX } from "./limits.ts";

/** Inclusive pairs in one flat array, `[first, last, first, last, …]`, ascending, neither touching nor overlapping. */
export const ChunkRangesSchema = v.pipe(
  v.custom<readonly number[]>(areCanonicalRanges, "expected ascending, separate, inclusive pairs of chunk numbers"),
  v.brand("ChunkRanges"),
);
export type ChunkRanges = v.InferOutput<typeof ChunkRangesSchema>;

export const NO_CHUNKS = [] as unknown as ChunkRanges;

export function rangeOfOne(chunk: number): ChunkRanges {
  return [chunk, chunk] as unknown as ChunkRanges;
}

/** @param chunks distinct, in ascending order */
export function rangesOfAscending(chunks: Iterable<number>): ChunkRanges {
  const flat: number[] = [];
  for (const chunk of chunks) {
    if (flat.length > 0 && flat[flat.length - 1] === chunk - 1) flat[flat.length - 1] = chunk;
    else flat.push(chunk, chunk);
  }
  return flat as unknown as ChunkRanges;
}

/** The ranges, divided into parts that each fit into one message; none for no ranges. */
export function pagesOf(ranges: ChunkRanges): ChunkRanges[] {
  const pages: ChunkRanges[] = [];
  for (let start = 0; start < ranges.length; start += 2 * CHUNK_RANGES_MAX) {
    pages.push(ranges.slice(start, start + 2 * CHUNK_RANGES_MAX) as unknown as ChunkRanges);
  }
  return pages;
}

/** The chunk, if the ranges name exactly one; else undefined. */
export function onlyChunk(ranges: ChunkRanges): number | undefined {
  return ranges.length === 2 && ranges[0] === ranges[1] ? ranges[0] : undefined;
}

export function formatRanges(ranges: ChunkRanges): string {
  const parts: string[] = [];
  for (let i = 0; i < ranges.length; i += 2) {
    parts.push(ranges[i] === ranges[i + 1] ? `${ranges[i]}` : `${ranges[i]}-${ranges[i + 1]}`);
  }
  return parts.join(",");
}

export class Bitfield {
  readonly size: number;
  readonly bytes: Uint8Array;
  #count: number;

  /** An empty set over chunks 0 … size − 1, or the one stored in `bytes` (copied; spare bits are cleared). */
  constructor(size: number, bytes?: Uint8Array) {
    this.size = size;
    this.bytes = new Uint8Array(Math.ceil(size / 8));
    this.#count = 0;
    if (bytes === undefined) return;
    this.bytes.set(bytes.subarray(0, this.bytes.length));
    if (size % 8 !== 0) this.bytes[this.bytes.length - 1]! &= 0xff << (8 - (size % 8));
    for (const byte of this.bytes) this.#count += BITS_IN_BYTE[byte]!;
  }

  static full(size: number): Bitfield {
    return new Bitfield(size, new Uint8Array(Math.ceil(size / 8)).fill(0xff));
  }

  static fromRanges(size: number, ranges: ChunkRanges): Bitfield {
    const field = new Bitfield(size);
    field.addRanges(ranges);
    return field;
  }

  get count(): number {
    return this.#count;
  }

  get isFull(): boolean {
    return this.#count === this.size;
  }

  has(chunk: number): boolean {
    return chunk >= 0 && chunk < this.size && (this.bytes[chunk >> 3]! & (0x80 >> (chunk & 7))) !== 0;
  }

  /** Adds the chunk; false if it was in the set already or is out of range. */
  add(chunk: number): boolean {
    if (chunk < 0 || chunk >= this.size || this.has(chunk)) return false;
    this.bytes[chunk >> 3]! |= 0x80 >> (chunk & 7);
    this.#count++;
    return true;
  }

  remove(chunk: number): boolean {
    if (!this.has(chunk)) return false;
    this.bytes[chunk >> 3]! &= ~(0x80 >> (chunk & 7));
    this.#count--;
    return true;
  }

  /** Adds the chunks of the ranges that are below the size. */
  addRanges(ranges: ChunkRanges): void {
    for (let i = 0; i < ranges.length; i += 2) {
      const last = Math.min(ranges[i + 1]!, this.size - 1);
      for (let chunk = ranges[i]!; chunk <= last; chunk++) this.add(chunk);
    }
  }

  /** The set as ranges: the first `rangesMax` of them, for messages with a limit. */
  toRanges(rangesMax = Number.POSITIVE_INFINITY): ChunkRanges {
    const flat: number[] = [];
    let chunk = this.#nextFrom(0);
    while (chunk < this.size && flat.length < 2 * rangesMax) {
      let last = chunk;
      while (this.has(last + 1)) last++;
      flat.push(chunk, last);
      chunk = this.#nextFrom(last + 1);
    }
    return flat as unknown as ChunkRanges;
  }

  *[Symbol.iterator](): Generator<number> {
    for (let chunk = this.#nextFrom(0); chunk < this.size; chunk = this.#nextFrom(chunk + 1)) yield chunk;
  }

  #nextFrom(start: number): number {
    let chunk = start;
    while (chunk < this.size) {
      if ((chunk & 7) === 0 && this.bytes[chunk >> 3] === 0) chunk += 8;
      else if (this.has(chunk)) return chunk;
      else chunk++;
    }
    return this.size;
  }
}

const BITS_IN_BYTE = Uint8Array.from({ length: 256 }, (_, byte) => {
  let bits = 0;
  for (let rest = byte; rest !== 0; rest &= rest - 1) bits++;
  return bits;
});

/** Checks everything in one pass, since the array may come from another machine and have thousands of numbers. */
function areCanonicalRanges(flat: unknown): boolean {
  if (!Array.isArray(flat) || flat.length % 2 !== 0 || flat.length > 2 * CHUNK_RANGES_MAX) return false;
  let firstMin = 0;
  for (let i = 0; i < flat.length; i += 2) {
    const [first, last] = [flat[i], flat[i + 1]];
    if (!Number.isInteger(first) || !Number.isInteger(last)) return false;
    if (first < firstMin || last < first || last >= CHUNK_COUNT_MAX) return false;
    firstMin = last + 2;
  }
  return true;
}

/** The part of the ranges below this count. */
export function clampRanges(ranges: ChunkRanges, chunkCount: number): ChunkRanges {
  if ((ranges.at(-1) ?? -1) < chunkCount) return ranges;
  const flat: number[] = [];
  for (let i = 0; i < ranges.length && ranges[i]! < chunkCount; i += 2)
    flat.push(ranges[i]!, Math.min(ranges[i + 1]!, chunkCount - 1));
  return flat as unknown as ChunkRanges;
}
