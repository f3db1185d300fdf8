/** Requests that are made again and again: never two under way, and the last call is always answered. */
import { expect, test } from "bun:test";
import { oneAtATime } from "../../../src/admin/ui/one-at-a-time.ts";

/** Work whose runs end when the test says so. */
function manualWork() {
  const runs: (() => void)[] = [];
  const begin = oneAtATime(() => new Promise<void>((end) => runs.push(end)));
  return { runs, begin };
}

const settled = () => new Promise((resolve) => setTimeout(resolve));

test("a hundred calls during a run cause one more run, which begins after it", async () => {
  const { runs, begin } = manualWork();
  const first = begin();
  const ended: number[] = [];
  const others = Array.from({ length: 100 }, (_, index) => begin().then(() => ended.push(index)));
  expect(runs).toHaveLength(1);
  runs[0]!();
  await first;
  await settled();
  expect([runs.length, ended.length]).toEqual([2, 0]);
  runs[1]!();
  await Promise.all(others);
  expect(runs).toHaveLength(2);
});

test("a call is answered by a run that began after it, at whatever moment it comes", async () => {
  const { runs, begin } = manualWork();
  const first = begin();
  const second = begin();
  // Called when the second has begun just then, which is too early to answer it.
  const third = first.then(begin);
  for (const run of [0, 1, 2]) {
    expect(runs).toHaveLength(run + 1);
    runs[run]!();
    await settled();
  }
  await Promise.all([second, third]);
  expect(runs).toHaveLength(3);
});
