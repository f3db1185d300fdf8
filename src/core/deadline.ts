/**
 * A deadline is made once, where somebody's request enters, and passed down to everything that waits on its behalf: so
 * waits that follow one another never add up. Times are milliseconds on the clock of performance.now().
 */
import { NOTICE_MS_MAX, NOTICE_RESERVE_MS } from "./limits.ts";

export interface Deadline {
  readonly atMs: number;
}

export function deadlineIn(ms: number, now: number): Deadline {
  return { atMs: now + ms };
}

/** R5: of a command that was given now. */
export function noticeDeadline(now: number): Deadline {
  return deadlineIn(NOTICE_MS_MAX - NOTICE_RESERVE_MS, now);
}

/** What is left until the deadline, 0 once it is over. */
export function msLeft({ atMs }: Deadline, now: number): number {
  return Math.max(0, atMs - now);
}

/** For a step that must leave time for those after it: over after so long, or with the whole if that is sooner. */
export function stepOf({ atMs }: Deadline, ms: number, now: number): Deadline {
  return { atMs: Math.min(atMs, now + ms) };
}
