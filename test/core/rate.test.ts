/** How rate limits are read. */
import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import { asRateLimit, parseRateLimit, RATE_LIMIT_MAX, RATE_LIMIT_MIN, RateLimitSchema } from "../../src/core/rate.ts";

describe("parseRateLimit", () => {
  test.each([
    ["4MiB/s", 4 * 1024 * 1024],
    ["4mib", 4 * 1024 * 1024],
    ["500KB/s", 500_000],
    ["500kB/s", 500_000],
    ["1.5 MB/s", 1_500_000],
    ["2GiB/S", 2 * 1024 ** 3],
    ["1GB/s", 1_000_000_000],
    ["65536", 65_536],
    ["65536/s", 65_536],
    ["65536B/s", 65_536],
    ["1KiB/s", RATE_LIMIT_MIN],
    ["1024GiB/s", RATE_LIMIT_MAX],
  ])("%s", (text, bytesPerSecond) => expect(parseRateLimit(text)).toBe(bytesPerSecond));

  test.each(["none", "None", "unlimited"])("%s is no limit", (text) =>
    expect(asRateLimit(parseRateLimit(text))).toBeNull(),
  );

  test.each([
    "",
    "fast",
    "4 MiB / s",
    "-4MiB/s",
    "4MiB/m",
    "4Mbit/s",
    "1e6",
    "4,5MB/s",
    "0",
    "1023",
    "1025GiB/s",
    "MiB/s",
    "Infinity",
    "constructor",
    "5constructor",
  ])("%p is refused", (text) => expect(() => parseRateLimit(text)).toThrow(SyntaxError));
});

test("the schema accepts what the parser returns", () => {
  for (const text of ["none", "4MiB/s", "1KiB/s"])
    expect(v.is(RateLimitSchema, asRateLimit(parseRateLimit(text)))).toBe(true);
  for (const wrong of [0, 1.5 * RATE_LIMIT_MIN + 0.5, -1, Number.POSITIVE_INFINITY, Number.NaN, "4MiB/s"])
    expect(v.is(RateLimitSchema, wrong)).toBe(false);
});
