/** A deadline is one moment for all the waits behind it. */
import { expect, test } from "bun:test";
import { deadlineIn, msLeft, noticeDeadline, stepOf } from "../../src/core/deadline.ts";
import { NOTICE_MS_MAX, TRACKER_WAIT_MS } from "../../src/core/limits.ts";

test("the time left shrinks to zero, and not below", () => {
  const deadline = deadlineIn(100, 1000);
  expect([1000, 1040, 1100, 5000].map((now) => msLeft(deadline, now))).toEqual([100, 60, 0, 0]);
});

test("a step ends after its own time or at the deadline, whichever is sooner", () => {
  const deadline = deadlineIn(100, 1000);
  expect(msLeft(stepOf(deadline, 30, 1000), 1000)).toBe(30);
  expect(msLeft(stepOf(deadline, 30, 1090), 1090)).toBe(10);
  expect(msLeft(stepOf(deadline, 30, 2000), 2000)).toBe(0);
});

test("R5: the waits of a command, one after another, leave time to report the failure", () => {
  const deadline = noticeDeadline(0);
  let now = 0;
  for (let step = 0; step < 5; step++) now += msLeft(stepOf(deadline, TRACKER_WAIT_MS, now), now);
  expect(now).toBeLessThan(NOTICE_MS_MAX);
});
