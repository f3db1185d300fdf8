/** D1: which chunk comes next. */
import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { addBit, emptyBits, hasBit, removeBit } from "../../src/swarm/chunk-bits.ts";
import { RarestFirst } from "../../src/swarm/picker.ts";
import { seededRandom } from "./support.ts";

function pickerOf(chunkCount: number, seed = 1): RarestFirst {
  const picker = new RarestFirst(chunkCount, seededRandom(seed));
  for (let chunk = 0; chunk < chunkCount; chunk++) picker.want(chunk);
  return picker;
}

test("D1: fewest holders first, ties at random", () => {
  const firsts = new Set<number>();
  for (let seed = 0; seed < 50; seed++) {
    const picker = pickerOf(4, seed);
    for (const chunk of [0, 0, 1, 2, 3, 3]) picker.addHolder(chunk);
    firsts.add(picker.pick()!);
  }
  expect(firsts).toEqual(new Set([1, 2]));
});

test("holders of all chunks change no order, and leave no chunk without a holder", () => {
  const picker = pickerOf(3);
  picker.addHolder(1);
  expect(picker.orphanCount).toBe(2);
  picker.addCompleteHolder();
  expect(picker.orphanCount).toBe(0);
  expect(picker.holders(1)).toBe(2);
  expect([0, 2]).toContain(picker.pick()!);
  expect(picker.pick(undefined, 2)).toBe(1);
  picker.removeCompleteHolder();
  expect(picker.pick()).toBe(1);
  expect([...picker.orphans()].sort()).toEqual([0, 2]);
});

test("finds the only wanted chunk of a source among very many", () => {
  const picker = pickerOf(100_000);
  const held = emptyBits(100_000);
  for (let chunk = 0; chunk < 100_000; chunk++) picker.addHolder(chunk);
  addBit(held, 77_777);
  expect(picker.pick(held)).toBe(77_777);
  picker.unwant(77_777);
  expect(picker.pick(held)).toBeUndefined();
});

/** Operations on 40 chunks and 4 holders. */
const operation = fc.record({
  kind: fc.constantFrom("want", "unwant", "gain", "lose", "complete", "incomplete"),
  chunk: fc.nat(39),
  holder: fc.nat(3),
});

test("agrees with a plain model under any sequence of updates", () => {
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 200 }), fc.nat(), (operations, seed) => {
      const picker = new RarestFirst(40, seededRandom(seed));
      const wanted = new Set<number>();
      const held = Array.from({ length: 4 }, () => emptyBits(40));
      let complete = 0;
      for (const { kind, chunk, holder } of operations) {
        const bits = held[holder]!;
        const has = hasBit(bits, chunk);
        if (kind === "want") {
          picker.want(chunk);
          wanted.add(chunk);
        } else if (kind === "unwant") {
          picker.unwant(chunk);
          wanted.delete(chunk);
        } else if (kind === "gain" && !has) {
          picker.addHolder(chunk);
          addBit(bits, chunk);
        } else if (kind === "lose" && has) {
          picker.removeHolder(chunk);
          removeBit(bits, chunk);
        } else if (kind === "complete") {
          picker.addCompleteHolder();
          complete++;
        } else if (kind === "incomplete" && complete > 0) {
          picker.removeCompleteHolder();
          complete--;
        }
        const holders = (each: number) => complete + held.filter((set) => hasBit(set, each)).length;
        const rarestOf = (chunks: number[]) => Math.min(...chunks.map(holders));
        expect(picker.wantedCount).toBe(wanted.size);
        expect(picker.orphanCount).toBe([...wanted].filter((each) => holders(each) === 0).length);
        const own = [...wanted].filter((each) => hasBit(bits, each));
        const picked = picker.pick(bits);
        if (own.length === 0) expect(picked).toBeUndefined();
        else expect(holders(picked!)).toBe(rarestOf(own));
        const any = [...wanted].filter((each) => holders(each) > 0);
        const rarest = picker.pick();
        if (any.length === 0) expect(rarest).toBeUndefined();
        else expect(holders(rarest!)).toBe(rarestOf(any));
      }
    }),
    { numRuns: 100 },
  );
});
