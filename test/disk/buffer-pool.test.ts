/** The pool of chunk buffers. */
import { expect, test } from "bun:test";
import { KiB, MiB } from "../../src/core/units.ts";
import { BufferPool } from "../../src/disk/buffer-pool.ts";

test("buffers have the requested length and are used again, up to the bound", () => {
  const pool = new BufferPool(2 * MiB);
  const first = pool.acquire(MiB);
  expect(first.length).toBe(MiB);
  pool.release(first);
  expect(pool.idleBytes).toBe(MiB);
  const last = pool.acquire(600 * KiB + 1);
  expect(last.length).toBe(600 * KiB + 1);
  expect(last.buffer).toBe(first.buffer);
  expect(pool.takenBytes).toBe(MiB);

  const more = Array.from({ length: 4 }, () => pool.acquire(MiB));
  expect(new Set([last, ...more].map((buffer) => buffer.buffer)).size).toBe(5);
  for (const buffer of more) pool.release(buffer);
  expect(pool.idleBytes).toBe(2 * MiB);
  expect(pool.takenBytes).toBe(MiB);
});

test("a buffer is released once, and only to the pool that it came from", () => {
  const pool = new BufferPool(MiB);
  const buffer = pool.acquire(5);
  pool.release(buffer);
  expect(() => pool.release(buffer)).toThrow(RangeError);
  expect(() => pool.release(new Uint8Array(5))).toThrow(RangeError);
});
