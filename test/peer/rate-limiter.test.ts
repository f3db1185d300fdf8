/** The shared limit on the real clock: accuracy, fairness, changes. */
import { describe, expect, test } from "bun:test";
import { KiB, MiB } from "../../src/core/units.ts";
import type { Throttle } from "../../src/net/send-queue.ts";
import { systemClock } from "../../src/net/system.ts";
import { inSeries, RateLimiter } from "../../src/peer/rate-limiter.ts";

/** Sends as much as the limiter allows, as a send queue does, until stopped. */
class Sender {
  bytes = 0;
  portionMax = 0;
  stopped = false;
  readonly #throttle: Throttle;

  constructor(throttle: Throttle) {
    this.#throttle = throttle;
  }

  readonly go = (): void => {
    while (!this.stopped) {
      const allowed = this.#throttle.allow(this.go);
      if (allowed === 0) return;
      this.#throttle.spend(allowed);
      this.bytes += allowed;
      this.portionMax = Math.max(this.portionMax, allowed);
    }
  };
}

/** Bytes of each sender after this time, and the time that really passed. */
async function run(senders: readonly Sender[], ms: number): Promise<number> {
  const startedMs = performance.now();
  for (const sender of senders) sender.go();
  await Bun.sleep(ms);
  for (const sender of senders) sender.stopped = true;
  return (performance.now() - startedMs) / 1000;
}

describe("a rate limiter", () => {
  test.each([100 * KiB, 4 * MiB, 300 * MiB])("of %d bytes a second keeps to it, and uses it", async (rate) => {
    const sender = new Sender(new RateLimiter(systemClock, rate));
    const seconds = await run([sender], 500);
    // One portion may be sent in advance. The lower bound is loose, since it depends on the load of the machine.
    expect(sender.bytes).toBeLessThanOrEqual(rate * seconds + sender.portionMax);
    expect(sender.bytes).toBeGreaterThan((rate * seconds) / 4);
  });

  test("serves several senders in turns", async () => {
    const limiter = new RateLimiter(systemClock, 4 * MiB);
    const senders = Array.from({ length: 8 }, () => new Sender(limiter));
    await run(senders, 400);
    const shares = senders.map(({ bytes }) => bytes);
    expect(Math.max(...shares) - Math.min(...shares)).toBeLessThanOrEqual(2 * senders[0]!.portionMax);
  });

  test("applies a new limit at once, also to senders that wait", async () => {
    const limiter = new RateLimiter(systemClock, 64 * KiB);
    const sender = new Sender(limiter);
    await run([sender], 50);
    sender.stopped = false;
    limiter.setLimit(64 * MiB);
    const before = sender.bytes;
    const seconds = await run([sender], 200);
    expect(sender.bytes - before).toBeGreaterThan(32 * MiB * seconds);
    expect(limiter.limit).toBe(64 * MiB);
  });

  test("without a limit allows everything and calls nobody back", () => {
    const limiter = new RateLimiter(systemClock, 4 * MiB);
    limiter.spend(MiB);
    let resumed = 0;
    expect(limiter.allow(() => resumed++)).toBe(0);
    limiter.setLimit(null);
    expect(resumed).toBe(1);
    expect(limiter.allow(() => resumed++)).toBe(Number.POSITIVE_INFINITY);
    limiter.spend(1e12);
    expect(limiter.allow(() => resumed++)).toBe(Number.POSITIVE_INFINITY);
    expect(resumed).toBe(1);
  });

  test("refunds what was spent and not sent", async () => {
    const limiter = new RateLimiter(systemClock, MiB);
    limiter.allow(() => {});
    limiter.spend(64 * KiB);
    limiter.refund(64 * KiB);
    const { promise, resolve } = Promise.withResolvers<void>();
    limiter.allow(resolve);
    await promise;
    limiter.spend(64 * KiB);
    expect(limiter.allow(() => {})).toBeGreaterThan(0);
  });
});

test("of two limits in series the lower one counts, and a shared one is shared", async () => {
  const shared = new RateLimiter(systemClock, 4 * MiB);
  const slow = new Sender(inSeries(shared, new RateLimiter(systemClock, MiB)));
  const fast = new Sender(inSeries(shared));
  const seconds = await run([slow, fast], 500);
  expect(slow.bytes).toBeLessThanOrEqual(MiB * seconds + slow.portionMax);
  expect(slow.bytes).toBeGreaterThan(0.8 * MiB * seconds - slow.portionMax);
  expect(slow.bytes + fast.bytes).toBeLessThanOrEqual(4 * MiB * seconds + slow.portionMax + fast.portionMax);
  expect(slow.bytes + fast.bytes).toBeGreaterThan(3.6 * MiB * seconds - fast.portionMax);
});
