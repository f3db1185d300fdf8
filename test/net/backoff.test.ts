/** Waits between tries: jittered within bounds, growing, and short again after a success. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import type { Random } from "../../src/core/clock.ts";
import { Backoff } from "../../src/net/backoff.ts";
import { numRuns } from "../core/arbitraries.ts";

/** Gives these numbers one after another. */
function chance(numbers: readonly number[]): Random {
  let given = 0;
  return { number: () => numbers[given++ % numbers.length]!, bytes: (count) => new Uint8Array(count) };
}

const below1 = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
const bounds = fc
  .record({ firstMs: fc.integer({ min: 1, max: 5000 }), doublings: fc.double({ min: 0, max: 10, noNaN: true }) })
  .map(({ firstMs, doublings }) => ({ firstMs, maxMs: firstMs * 2 ** doublings }));

test("each wait is at least half of its step and never more; steps double up to the maximum", () => {
  fc.assert(
    fc.property(bounds, fc.array(below1, { minLength: 1, maxLength: 20 }), ({ firstMs, maxMs }, numbers) => {
      const backoff = new Backoff({ firstMs, maxMs, random: chance(numbers) });
      for (let step = 0; step < numbers.length; step++) {
        const stepMs = Math.min(maxMs, firstMs * 2 ** step);
        const waitMs = backoff.next();
        expect(waitMs).toBeGreaterThanOrEqual(stepMs / 2);
        expect(waitMs).toBeLessThanOrEqual(stepMs);
      }
    }),
    { numRuns },
  );
});

test("chance decides all of the range, so that a thousand peers come back spread over it", () => {
  const waitOf = (number: number) => new Backoff({ firstMs: 1000, maxMs: 8000, random: chance([number]) }).next();
  expect([0, 0.5, 0.999].map(waitOf)).toEqual([500, 750, 999.5]);
});

test("after a reset the next wait is that of a first try", () => {
  const backoff = new Backoff({ firstMs: 100, maxMs: 2000, random: chance([0]) });
  expect(Array.from({ length: 7 }, () => backoff.next())).toEqual([50, 100, 200, 400, 800, 1000, 1000]);
  backoff.reset();
  expect([backoff.next(), backoff.next()]).toEqual([50, 100]);
});
