/**
 * Changed inputs for everything that takes bytes or texts of others, and the corpus: what was found once, and what reaches
 * much of the program. `scripts/fuzz` does the same for as long as one likes, and guided by coverage.
 */
import { expect, test } from "bun:test";
import { fuzz } from "./fuzzer.ts";
import { targets } from "./targets/index.ts";

const IS_LONG = process.env.P2PFS_TEST_LONG === "1";
const EXECUTIONS_MAX = IS_LONG ? 50_000 : 1500;
const SLOW_EXECUTIONS_MAX = IS_LONG ? 5000 : 60;
const SEARCH_MS_MAX = IS_LONG ? 60_000 : 120;
const MS_MAX = IS_LONG ? 600_000 : 60_000;

test.each(targets.map((target) => [target.name, target] as const))(
  "%s",
  async (_name, target) => {
    const executionsMax = target.isSlow === true ? SLOW_EXECUTIONS_MAX : EXECUTIONS_MAX;
    const { executions, outcomes, finding } = await fuzz(target, { seed: 1, executionsMax, msMax: SEARCH_MS_MAX });
    if (finding !== undefined) throw finding.thrown;
    expect(executions).toBeGreaterThan(0);
    expect(outcomes).toBeGreaterThan(1);
  },
  MS_MAX,
);

test("every target has a name of its own", () => {
  expect(new Set(targets.map(({ name }) => name)).size).toBe(targets.length);
});

test("an input that a target takes badly is found, and shortened", async () => {
  const run = (input: Uint8Array) => {
    if (input.includes(7) && input.length > 3) throw new Error("a seven");
    return "accepted";
  };
  const { finding } = await fuzz(
    { name: "none", inputs: () => [Uint8Array.of(1, 2, 3, 4, 5)], run },
    { seed: 1, executionsMax: 100_000 },
  );
  expect(finding?.thrown).toEqual(new Error("a seven"));
  expect(finding?.input).toHaveLength(4);
});

test("an input with a new outcome is changed further", async () => {
  /** Three bytes have to be right, of which each shows in the outcome. */
  const run = (input: Uint8Array) => {
    const right = [0xa7, 0x3b, 0xd1].findIndex((byte, at) => input[at] !== byte);
    if (right < 0) throw new Error("all three");
    return `${right}`;
  };
  const target = { name: "none", inputs: () => [new Uint8Array(3)], run };
  const { finding, outcomes } = await fuzz(target, { seed: 1, executionsMax: 200_000 });
  expect(outcomes).toBe(3);
  expect(finding?.thrown).toEqual(new Error("all three"));
});
