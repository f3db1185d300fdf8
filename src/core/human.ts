/** Formats sizes, times and names for people, in the terminal and on the page. */
import { KiB, MINUTE_MS, SECOND_MS } from "./units.ts";

const SIZE_UNITS = ["B", "KiB", "MiB", "GiB", "TiB"] as const;
const CONTENT_ID_DIGITS = 12;
/** Control, format (bidi, zero-width) and line-breaking characters, with which a text of others could mislead. */
const MISLEADING = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;
/** Texts that need no replacement. A quick test, since almost all texts are so and a list may have a million. */
const PLAIN = /^[\x20-\x7e]*$/;

export function formatSize(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= KiB && unit < SIZE_UNITS.length - 1) {
    value /= KiB;
    unit++;
  }
  return `${unit === 0 ? value : threeDigits(value)} ${SIZE_UNITS[unit]}`;
}

export function formatRate(bytesPerSecond: number): string {
  return `${formatSize(Math.round(bytesPerSecond))}/s`;
}

export function formatDuration(ms: number): string {
  if (ms < SECOND_MS) return `${threeDigits(ms)} ms`;
  if (ms < MINUTE_MS) return `${threeDigits(ms / SECOND_MS)} s`;
  const minutes = Math.floor(ms / MINUTE_MS);
  if (minutes < 60) return `${minutes} min ${Math.floor((ms % MINUTE_MS) / SECOND_MS)} s`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

export function formatContentId(contentId: string): string {
  return contentId.slice(0, CONTENT_ID_DIGITS);
}

/** The text, safe to print: a character that could move the cursor or reverse the line is shown as its code. */
export function printable(text: string): string {
  if (PLAIN.test(text)) return text;
  return text.replace(MISLEADING, (sign) => `\\u{${sign.codePointAt(0)!.toString(16)}}`);
}

/** JSON that is safe to print: the same characters as JSON escapes, so that it parses to the same value. */
export function printableJson(value: unknown): string {
  const json = JSON.stringify(value);
  if (PLAIN.test(json)) return json;
  return json.replace(MISLEADING, (sign) =>
    Array.from({ length: sign.length }, (_, at) => `\\u${sign.charCodeAt(at).toString(16).padStart(4, "0")}`).join(""),
  );
}

function threeDigits(value: number): string {
  if (value >= 100) return value.toFixed(0);
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}
