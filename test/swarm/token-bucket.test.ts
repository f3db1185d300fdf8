/** Upload and download limits: the average keeps to the rate. */
import { expect, test } from "bun:test";
import { TokenBucket } from "../../src/swarm/token-bucket.ts";

test("the average rate is kept although each portion is larger than the burst", () => {
  const bucket = new TokenBucket(1000, 100, 0);
  let now = 0;
  let sent = 0;
  while (now < 10_000) {
    expect(bucket.take(400, now)).toBe(true);
    sent += 400;
    now += bucket.waitMs(now);
  }
  expect(sent).toBeGreaterThanOrEqual(10_000);
  expect(sent).toBeLessThanOrEqual(10_000 + 100 + 400);
});

test("waitMs says when take succeeds, and not before", () => {
  const bucket = new TokenBucket(1000, 100, 0);
  bucket.take(600, 0);
  expect(bucket.waitMs(0)).toBe(500);
  expect(bucket.take(1, 499)).toBe(false);
  expect(bucket.take(1, 500)).toBe(true);
});

test("idle time is saved up to the burst only", () => {
  const bucket = new TokenBucket(1000, 100, 0);
  bucket.take(1100, 60_000);
  expect(bucket.waitMs(60_000)).toBe(1000);
});

test("the rate may change while running, also to none", () => {
  const bucket = new TokenBucket(1000, 1000, 0);
  bucket.take(3000, 0);
  bucket.setRate(500, 1000);
  expect(bucket.waitMs(1000)).toBe(2000);
  bucket.setRate(Number.POSITIVE_INFINITY, 1000);
  expect(bucket.waitMs(1000)).toBe(0);
  for (let i = 0; i < 100; i++) expect(bucket.take(1e9, 1000)).toBe(true);
});

test("a clock that runs backwards gives nothing", () => {
  const bucket = new TokenBucket(1000, 100, 1000);
  bucket.take(200, 1000);
  expect(bucket.waitMs(0)).toBe(100);
  expect(bucket.waitMs(1000)).toBe(100);
});

test("a rate or burst of zero throws a RangeError", () => {
  expect(() => new TokenBucket(0, 1, 0)).toThrow(RangeError);
  expect(() => new TokenBucket(1, 0, 0)).toThrow(RangeError);
});
