/** A set of chunks with one byte for each chunk, as the chunk map draws it. */

export type ChunkSet = Uint8Array;

/** Reads `0-99,120`. */
export function readRanges(total: number, text: string): ChunkSet {
  return addRanges(new Uint8Array(total), text);
}

/** Adds `0-99,120` to the set, which is returned. */
export function addRanges(set: ChunkSet, text: string, value = 1): ChunkSet {
  if (text === "") return set;
  for (const part of text.split(",")) {
    const [first, last = first] = part.split("-").map(Number) as [number, number?];
    set.fill(value, first, Math.min(last + 1, set.length));
  }
  return set;
}

export function countOf(set: ChunkSet): number {
  let count = 0;
  for (const value of set) if (value > 0) count++;
  return count;
}

/** For each chunk, how many of the sets have it. */
export function sumOf(total: number, sets: readonly ChunkSet[]): Uint16Array {
  const sum = new Uint16Array(total);
  for (const set of sets) for (let chunk = 0; chunk < total; chunk++) if (set[chunk]! > 0) sum[chunk]!++;
  return sum;
}
