/** Formatting of what the commands print. */
import { formatDuration } from "../core/human.ts";

export * from "../core/human.ts";

export function formatAgo(isoTime: string, nowMs: number): string {
  return `${formatDuration(Math.max(0, nowMs - Date.parse(isoTime)))} ago`;
}
