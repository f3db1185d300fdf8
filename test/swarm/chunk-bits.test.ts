/** Sets of chunks as the scheduler uses them. */
import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { longestRanges } from "../../src/swarm/chunk-bits.ts";
import { chunksIn } from "./support.ts";

const lengthsOf = (ranges: readonly number[]) =>
  ranges.flatMap((first, index) => (index % 2 === 0 ? [ranges[index + 1]! - first + 1] : []));

test("of too many ranges the longest are kept, in ascending order", () => {
  expect(longestRanges([1, 3, 4, 6, 8, 9, 10, 20], 2) as unknown).toEqual([3, 4, 8, 10]);
  expect(longestRanges([1, 3, 5], 2) as unknown).toEqual([1, 1, 3, 3]);
  expect(longestRanges([], 2) as unknown).toEqual([]);
});

test("as many ranges as allowed are kept, no longer one is left out, and none is added", () => {
  const sets = fc.uniqueArray(fc.nat(200), { maxLength: 120 }).map((chunks) => chunks.sort((a, b) => a - b));
  fc.assert(
    fc.property(sets, fc.integer({ min: 1, max: 40 }), (chunks, rangesMax) => {
      const all = lengthsOf(longestRanges(chunks, Number.POSITIVE_INFINITY));
      const ranges = longestRanges(chunks, rangesMax);
      expect(chunks).toEqual(expect.arrayContaining(chunksIn(ranges)));
      expect([...ranges].sort((a, b) => a - b)).toEqual([...ranges]);
      const longest = all.sort((a, b) => b - a).slice(0, rangesMax);
      expect(lengthsOf(ranges).sort((a, b) => b - a)).toEqual(longest);
    }),
  );
});
