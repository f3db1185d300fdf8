/** Limits on transfer rates: parsing, and the stored form, bytes per second or null for no limit. */
import * as v from "valibot";
import { GiB, KiB, MiB, TiB } from "./units.ts";

/** With less, a chunk would take longer than other peers wait for it. */
export const RATE_LIMIT_MIN = KiB;
export const RATE_LIMIT_MAX = TiB;

const BYTES_OF_UNIT = new Map([
  ["", 1],
  ["b", 1],
  ["kib", KiB],
  ["mib", MiB],
  ["gib", GiB],
  ["kb", 1000],
  ["mb", 1000 ** 2],
  ["gb", 1000 ** 3],
]);

export const RateLimitSchema = v.nullable(
  v.pipe(v.number(), v.integer(), v.minValue(RATE_LIMIT_MIN), v.maxValue(RATE_LIMIT_MAX)),
);
/** Bytes per second, or null for no limit. */
export type RateLimit = v.InferOutput<typeof RateLimitSchema>;

/**
 * Parses `4MiB/s`, `500KB/s`, `1.5 MB/s`, plain bytes per second, or `none`, which gives Infinity. Units with iB are powers
 * of 1024, the others of 1000; `/s` may be left out, and case does not matter. Throws SyntaxError.
 */
export function parseRateLimit(text: string): number {
  if (/^(?:none|unlimited)$/i.test(text)) return Number.POSITIVE_INFINITY;
  const match = /^(\d{1,15}(?:\.\d{1,6})?) ?([a-z]*)(?:\/s)?$/i.exec(text);
  const unit = match === null ? undefined : BYTES_OF_UNIT.get(match[2]!.toLowerCase());
  if (match === null || unit === undefined)
    throw new SyntaxError(`expected a rate like 4MiB/s, 500KB/s or none, not "${text}"`);
  const bytesPerSecond = Math.round(Number(match[1]) * unit);
  if (bytesPerSecond < RATE_LIMIT_MIN || bytesPerSecond > RATE_LIMIT_MAX)
    throw new SyntaxError(`expected a rate from 1KiB/s to 1024GiB/s, or none, not "${text}"`);
  return bytesPerSecond;
}

/** The stored form of a parsed limit. */
export function asRateLimit(bytesPerSecond: number): RateLimit {
  return bytesPerSecond === Number.POSITIVE_INFINITY ? null : bytesPerSecond;
}
