/**
 * A deadline is made once, where a user's request enters, and passed to everything that waits for this request, so that
 * successive waits do not add up. Times are milliseconds on a monotonic clock.
 */
import { NOTICE_MS_MAX, NOTICE_RESERVE_MS } from "./limits.ts";

export interface Deadline {
  readonly atMs: number;
}

export function deadlineIn(ms: number, now: number): Deadline {
  return { atMs: now + ms };
}

/** R5: the deadline of a command that was given now. */
export function noticeDeadline(now: number): Deadline {
  return deadlineIn(NOTICE_MS_MAX - NOTICE_RESERVE_MS, now);
}

/** The time left until the deadline, or 0. */
export function msLeft({ atMs }: Deadline, now: number): number {
  return Math.max(0, atMs - now);
}

/** The deadline of one step: `ms` from now, but not later than the whole, so that later steps have time left. */
export function stepOf({ atMs }: Deadline, ms: number, now: number): Deadline {
  return { atMs: Math.min(atMs, now + ms) };
}
