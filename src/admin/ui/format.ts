/** Formatting of ages and counts. */
import { formatDuration } from "../../core/human.ts";

const SECOND_MS = 1000;

/** A duration that is redrawn every second, so without fractions of seconds. */
export function formatAge(ms: number): string {
  const wholeMs = Math.floor(Math.max(0, ms) / SECOND_MS) * SECOND_MS;
  return wholeMs < 60 * SECOND_MS ? `${wholeMs / SECOND_MS} s` : formatDuration(wholeMs);
}

/** `1 file`, `12,000 files`. */
export function plural(count: number, one: string, many: string): string {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}
