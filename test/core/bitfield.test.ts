/** Sets of chunks: `Bitfield` behaves as a Set of numbers does, and ranges say the same in canonical form. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import * as v from "valibot";
import {
  Bitfield,
  type ChunkRanges,
  ChunkRangesSchema,
  clampRanges,
  formatRanges,
  NO_CHUNKS,
  onlyChunk,
  pagesOf,
  rangeOfOne,
} from "../../src/core/bitfield.ts";
import { CHUNK_COUNT_MAX, CHUNK_RANGES_MAX } from "../../src/core/limits.ts";
import { chunkRanges, numRuns } from "./arbitraries.ts";

const ranges = (...flat: number[]) => flat as unknown as ChunkRanges;

type Step =
  | { readonly op: "add" | "remove"; readonly chunk: number }
  | { readonly op: "addTo"; readonly chunk: number; readonly last: number };

const sizes = fc.oneof(fc.nat({ max: 40 }), fc.constantFrom(7, 8, 9, 63, 64, 65, 99, 100, 101, 200, 1000));
const steps = fc.array(
  fc.oneof(
    fc.record({ op: fc.constantFrom("add" as const, "remove" as const), chunk: fc.integer({ min: -2, max: 1010 }) }),
    fc.record({ op: fc.constant("addTo" as const), chunk: fc.nat({ max: 1010 }), last: fc.nat({ max: 1010 }) }),
  ),
  { maxLength: 60 },
);

/** What a Bitfield must be equal to, kept in the plainest way. */
class Model {
  readonly chunks = new Set<number>();
  readonly size: number;
  constructor(size: number) {
    this.size = size;
  }
  add(chunk: number): boolean {
    if (chunk < 0 || chunk >= this.size || this.chunks.has(chunk)) return false;
    this.chunks.add(chunk);
    return true;
  }
  sorted(): number[] {
    return [...this.chunks].toSorted((a, b) => a - b);
  }
}

function apply(field: Bitfield, model: Model, step: Step): void {
  if (step.op === "addTo") {
    const [first, last] = [Math.min(step.chunk, step.last), Math.max(step.chunk, step.last)];
    field.addRanges(ranges(first, last));
    for (let chunk = first; chunk <= last; chunk++) model.add(chunk);
  } else if (step.op === "add") expect(field.add(step.chunk)).toBe(model.add(step.chunk));
  else expect(field.remove(step.chunk)).toBe(model.chunks.delete(step.chunk));
}

describe("Bitfield", () => {
  test("behaves as a set of numbers under any operations", () => {
    fc.assert(
      fc.property(sizes, steps, (size, todo) => {
        const field = new Bitfield(size);
        const model = new Model(size);
        for (const step of todo) apply(field, model, step);
        expect([...field]).toEqual(model.sorted());
        expect(field.count).toBe(model.chunks.size);
        expect(field.isFull).toBe(model.chunks.size === size);
        for (let chunk = -1; chunk <= size; chunk++) expect(field.has(chunk)).toBe(model.chunks.has(chunk));
        const copy = new Bitfield(size, field.bytes);
        expect(copy.count).toBe(field.count);
        expect(Bitfield.fromRanges(size, field.toRanges()).bytes).toEqual(field.bytes);
        expect(v.is(ChunkRangesSchema, field.toRanges())).toBe(true);
      }),
      { numRuns },
    );
  });

  test("stores bits as BEP 3 does, the first chunk in the highest bit", () => {
    const field = new Bitfield(10);
    field.add(0);
    field.add(9);
    expect(field.bytes.toHex()).toBe("8040");
  });

  test("clears the spare bits of what it is given", () => {
    const field = new Bitfield(3, Uint8Array.of(0xff, 0xff));
    expect([...field]).toEqual([0, 1, 2]);
    expect(field.bytes).toEqual(Uint8Array.of(0xe0));
    expect(field.isFull).toBe(true);
  });

  test("does not share the bytes that it was made from", () => {
    const bytes = Uint8Array.of(0x80);
    const field = new Bitfield(8, bytes);
    bytes[0] = 0;
    expect(field.has(0)).toBe(true);
  });

  test("reads missing bytes as absent chunks", () => {
    expect([...new Bitfield(20, Uint8Array.of(0x80))]).toEqual([0]);
  });

  test.each([0, 1, 7, 8, 9, 100, 101, CHUNK_COUNT_MAX])("full of %d", (size) => {
    const field = Bitfield.full(size);
    expect(field.count).toBe(size);
    expect(field.isFull).toBe(true);
    expect(field.toRanges()).toEqual(size === 0 ? NO_CHUNKS : ranges(0, size - 1));
  });

  test("gives a bounded number of ranges, from the lowest on; all of them fit into pages", () => {
    const size = 2 * (2 * CHUNK_RANGES_MAX + 1);
    const field = new Bitfield(size);
    for (let chunk = 0; chunk < size; chunk += 2) field.add(chunk);
    expect(field.toRanges(7) as unknown).toEqual(field.toRanges().slice(0, 14));
    const pages = pagesOf(field.toRanges());
    expect(pages.map((page) => page.length / 2)).toEqual([CHUNK_RANGES_MAX, CHUNK_RANGES_MAX, 1]);
    for (const page of pages) expect(v.is(ChunkRangesSchema, page)).toBe(true);
    expect(pages.flat()).toEqual([...field.toRanges()]);
    expect(pagesOf(NO_CHUNKS)).toEqual([]);
  });

  test("ignores ranges beyond its size", () => {
    const field = Bitfield.fromRanges(5, ranges(3, CHUNK_COUNT_MAX - 1));
    expect([...field]).toEqual([3, 4]);
  });
});

describe("ChunkRanges", () => {
  test("are cut off at a number of chunks", () => {
    const chunks = ranges(0, 2, 5, 6, 9, 9);
    for (let count = 0; count <= 11; count++) {
      const expected = Bitfield.fromRanges(count, chunks).toRanges();
      expect([...clampRanges(chunks, count)]).toEqual([...expected]);
    }
  });

  test.each([
    ["an odd number of ends", [1]],
    ["a last before its first", [2, 1]],
    ["pairs that overlap", [0, 5, 5, 9]],
    ["pairs that touch", [0, 5, 6, 9]],
    ["pairs out of order", [8, 9, 0, 1]],
    ["a negative number", [-1, 1]],
    ["a fraction", [0.5, 1]],
    ["a chunk beyond the largest content", [0, CHUNK_COUNT_MAX]],
    ["not a number", [Number.NaN, 1]],
    ["text", ["0", "1"]],
    ["more ranges than a message may have", Array.from({ length: 2 * CHUNK_RANGES_MAX + 2 }, (_, i) => i * 2)],
  ])("refuses %s", (_what, flat) => {
    expect(v.is(ChunkRangesSchema, flat)).toBe(false);
  });

  test("accepts every canonical form", () => {
    fc.assert(
      fc.property(chunkRanges(), (flat) => expect(v.is(ChunkRangesSchema, flat)).toBe(true)),
      { numRuns },
    );
  });

  test("is formatted as ranges like 0-2,9", () => {
    expect(formatRanges(ranges(0, 99, 120, 120))).toBe("0-99,120");
    expect(formatRanges(NO_CHUNKS)).toBe("");
  });

  test("gives the only chunk of a range of one", () => {
    expect(onlyChunk(rangeOfOne(7))).toBe(7);
    expect(onlyChunk(ranges(7, 8))).toBeUndefined();
    expect(onlyChunk(ranges(7, 7, 9, 9))).toBeUndefined();
    expect(onlyChunk(NO_CHUNKS)).toBeUndefined();
  });
});
