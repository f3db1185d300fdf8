/** Changed inputs for everything that takes bytes or texts of others; `scripts/fuzz` does the same for as long as one likes. */
import { expect, test } from "bun:test";
import { fuzz } from "./fuzzer.ts";
import { targets } from "./targets.ts";

const IS_LONG = process.env.P2PFS_TEST_LONG === "1";
const EXECUTIONS = IS_LONG ? 50_000 : 1500;
const SESSION_EXECUTIONS = IS_LONG ? 20_000 : 150;
const MS_MAX = IS_LONG ? 600_000 : 60_000;

test.each(targets.map((target) => [target.name, target] as const))(
  "%s",
  async (name, target) => {
    const executionsMax = name.endsWith("session") ? SESSION_EXECUTIONS : EXECUTIONS;
    const { executions, finding } = await fuzz(target, { seed: 1, executionsMax });
    if (finding !== undefined) throw finding.thrown;
    expect(executions).toBe(executionsMax);
  },
  MS_MAX,
);

test("a target that takes an input badly is found, with that input", async () => {
  const run = (input: Uint8Array) => {
    if (input.length > 3) throw new Error("too long");
  };
  const { finding } = await fuzz(
    { name: "none", inputs: () => [Uint8Array.of(1, 2)], run },
    { seed: 1, executionsMax: 500 },
  );
  expect(finding?.thrown).toBeInstanceOf(Error);
  expect(finding!.input.length).toBeGreaterThan(3);
});
