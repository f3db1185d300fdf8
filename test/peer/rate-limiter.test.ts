/** Limits on bytes, to the millisecond: what passes in any stretch of time, who gets it, and what comes back. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { KiB, MiB, SECOND_MS } from "../../src/core/units.ts";
import type { Throttle } from "../../src/net/send-queue.ts";
import { inSeries, RateLimiter } from "../../src/peer/rate-limiter.ts";
import { RateMeter } from "../../src/peer/rate-meter.ts";
import { numRuns } from "../core/arbitraries.ts";
import { Room } from "../support/room.ts";

/** Sends what it is allowed, as a send queue does: at once, or after a wait, or less of it than it may. */
class Sender {
  readonly sent: { readonly atMs: number; readonly bytes: number }[] = [];
  left: number;
  readonly #room: Room;
  readonly #throttle: Throttle;
  readonly #part: () => number;

  constructor(room: Room, throttle: Throttle, bytes: number, part: () => number = () => 1) {
    this.#room = room;
    this.#throttle = throttle;
    this.#part = part;
    this.left = bytes;
  }

  get total(): number {
    return this.sent.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  readonly go = (): void => {
    while (this.left > 0) {
      const allowed = this.#throttle.allow(this.go);
      if (allowed === 0) return;
      const bytes = Math.min(this.left, Math.ceil(allowed * this.#part()));
      this.left -= bytes;
      this.sent.push({ atMs: this.#room.now, bytes });
      this.#throttle.spend(bytes);
    }
  };
}

const portionOf = (rate: number) => Math.min(Math.max((rate * 20) / SECOND_MS, 4 * KiB), 256 * KiB);

/** No stretch of time has more than the rate, a burst of a tenth of a second, and one portion in advance. */
function expectWithin(rate: number, sent: Sender["sent"]): void {
  let sum = 0;
  // What was sent beyond the rate before the stretch began that has seen most.
  let least = Number.POSITIVE_INFINITY;
  let mostAhead = 0;
  for (const { atMs, bytes } of sent) {
    const byRate = (rate * atMs) / SECOND_MS;
    least = Math.min(least, sum - byRate);
    sum += bytes;
    mostAhead = Math.max(mostAhead, sum - byRate - least);
  }
  expect(mostAhead).toBeLessThanOrEqual(rate / 10 + portionOf(rate) + 1);
}

describe("a limiter", () => {
  test("lets no more pass in any stretch of time than its rate and a burst, and no less in a long one", () => {
    const rates = fc.integer({ min: KiB, max: 50 * MiB });
    fc.assert(
      fc.property(
        rates,
        fc.integer({ min: 1, max: 5 }),
        fc.array(fc.double({ min: 0.2, max: 1, noNaN: true }), { minLength: 1 }),
        (rate, senderCount, parts) => {
          const room = new Room();
          const limiter = new RateLimiter(room.machine("10.0.0.1").system.clock, rate);
          let taken = 0;
          const part = () => parts[taken++ % parts.length]!;
          const senders = Array.from(
            { length: senderCount },
            () => new Sender(room, limiter, Number.POSITIVE_INFINITY, part),
          );
          for (const sender of senders) sender.go();
          room.run(2 * SECOND_MS);
          const sent = senders.flatMap(({ sent: each }) => each).sort((a, b) => a.atMs - b.atMs);
          expectWithin(rate, sent);
          const total = sent.reduce((sum, { bytes }) => sum + bytes, 0);
          expect(total).toBeGreaterThan(1.9 * rate - portionOf(rate));
        },
      ),
      { numRuns: numRuns / 4 },
    );
  });

  test("serves its users in turns: of equal needs each has an equal part at any time", () => {
    const room = new Room();
    const limiter = new RateLimiter(room.machine("10.0.0.1").system.clock, MiB);
    const senders = Array.from({ length: 7 }, () => new Sender(room, limiter, Number.POSITIVE_INFINITY));
    // So that all of them have to wait from the beginning.
    limiter.spend(KiB);
    for (const sender of senders) sender.go();
    for (let look = 0; look < 10; look++) {
      room.run(333);
      const totals = senders.map(({ total }) => total);
      expect(Math.max(...totals) - Math.min(...totals)).toBeLessThanOrEqual(portionOf(MiB));
    }
  });

  test("does not let a newcomer pass those that wait", () => {
    const room = new Room();
    const limiter = new RateLimiter(room.machine("10.0.0.1").system.clock, 64 * KiB);
    const first = new Sender(room, limiter, 64 * KiB);
    first.go();
    room.run(200);
    const [second, third] = [new Sender(room, limiter, 8 * KiB), new Sender(room, limiter, 8 * KiB)];
    second.go();
    third.go();
    room.run(SECOND_MS);
    expect(second.sent[0]!.atMs).toBeLessThanOrEqual(third.sent[0]!.atMs);
  });

  test("does not let a newcomer pass whoever waits, although the timer for that one is late", () => {
    const room = new Room();
    const { clock } = room.machine("10.0.0.1").system;
    const late = { ...clock, after: (ms: number, action: () => void) => clock.after(ms + 60, action) };
    const limiter = new RateLimiter(late, 64 * KiB);
    limiter.spend(4 * KiB);
    const order: string[] = [];
    const user = (name: string) => () => {
      order.push(name);
      limiter.spend(4 * KiB);
    };
    expect(limiter.allow(user("first"))).toBe(0);
    room.run(70);
    expect([limiter.allow(user("newcomer")), order]).toEqual([0, []]);
    room.run(SECOND_MS);
    expect(order).toEqual(["first", "newcomer"]);
  });

  test("makes up for a timer that came late, by a tenth of a second and no more", () => {
    const room = new Room();
    const { clock } = room.machine("10.0.0.1").system;
    const late = { ...clock, after: (ms: number, action: () => void) => clock.after(ms + 60, action) };
    const limiter = new RateLimiter(late, MiB);
    const sender = new Sender(room, limiter, Number.POSITIVE_INFINITY);
    sender.go();
    room.run(5 * SECOND_MS);
    expect(sender.total).toBeGreaterThan(4.7 * MiB);
    expectWithin(MiB, sender.sent);
  });

  test("does not begin with a burst: neither at first, nor with a new limit", () => {
    const room = new Room();
    const limiter = new RateLimiter(room.machine("10.0.0.1").system.clock, MiB);
    const sender = new Sender(room, limiter, Number.POSITIVE_INFINITY);
    sender.go();
    expect(sender.total).toBeLessThanOrEqual(portionOf(MiB));
    room.run(SECOND_MS);
    const before = sender.total;
    limiter.setLimit(2 * MiB);
    expect(sender.total - before).toBeLessThanOrEqual(portionOf(2 * MiB));
  });

  test("that is lifted lets everybody pass at once, and calls nobody twice", () => {
    const room = new Room();
    const limiter = new RateLimiter(room.machine("10.0.0.1").system.clock, KiB);
    const calls: number[] = [];
    limiter.spend(MiB);
    for (const user of [1, 2, 3]) expect(limiter.allow(() => void calls.push(user))).toBe(0);
    limiter.setLimit(null);
    room.run(10 * SECOND_MS);
    expect(calls).toEqual([1, 2, 3]);
    expect(limiter.allow(() => {})).toBe(Number.POSITIVE_INFINITY);
    expect(room.isQuietAfter(MiB)).toBe(true);
  });

  test("gives refunded bytes to later ones, and forgets them with its limit", () => {
    const room = new Room();
    const limiter = new RateLimiter(room.machine("10.0.0.1").system.clock, 64 * KiB);
    limiter.refund(64 * KiB);
    const sender = new Sender(room, limiter, 128 * KiB);
    sender.go();
    room.until(() => sender.left === 0);
    expect(room.now).toBeLessThan(1.2 * SECOND_MS);
    limiter.refund(MiB);
    limiter.setLimit(64 * KiB);
    const other = new Sender(room, limiter, 64 * KiB);
    const startMs = room.now;
    other.go();
    room.until(() => other.left === 0);
    expect(room.now - startMs).toBeGreaterThan(0.8 * SECOND_MS);
  });

  test("whose user does not send what it was allowed passes the turn on when it asks for more", () => {
    const room = new Room();
    const limiter = new RateLimiter(room.machine("10.0.0.1").system.clock, 64 * KiB);
    limiter.spend(4 * KiB);
    let idle = 0;
    limiter.allow(() => void idle++);
    const sender = new Sender(room, limiter, 64 * KiB);
    sender.go();
    room.until(() => sender.left === 0);
    expect([idle, room.now < 1.3 * SECOND_MS]).toEqual([1, true]);
  });
});

test("limits in series: each user keeps to all of its own, and those who share one share it", () => {
  const room = new Room();
  const { clock } = room.machine("10.0.0.1").system;
  const shared = new RateLimiter(clock, 4 * MiB);
  const slow = new Sender(
    room,
    inSeries(shared, new RateLimiter(clock, MiB), new RateLimiter(clock, 8 * MiB)),
    Number.POSITIVE_INFINITY,
  );
  const fast = new Sender(room, inSeries(shared), Number.POSITIVE_INFINITY);
  for (const sender of [slow, fast]) sender.go();
  room.run(3 * SECOND_MS);
  expectWithin(MiB, slow.sent);
  expectWithin(
    4 * MiB,
    [...slow.sent, ...fast.sent].sort((a, b) => a.atMs - b.atMs),
  );
  // Its turn at the shared one does not always come when its own would allow more.
  expect(slow.total).toBeGreaterThan(2.3 * MiB);
  expect(slow.total + fast.total).toBeGreaterThan(11.5 * MiB);
});

test("the shown rate is the average of the last 3 seconds, or of the time since the beginning", () => {
  const meter = new RateMeter(1000);
  expect(meter.bytesPerSecond(1000)).toBe(0);
  meter.add(500, 1000);
  expect(meter.bytesPerSecond(2000)).toBe(500);
  for (let ms = 2000; ms < 10_000; ms += 100) meter.add(100, ms);
  expect(meter.bytesPerSecond(10_000)).toBeGreaterThan(900);
  expect(meter.bytesPerSecond(10_000)).toBeLessThanOrEqual(1100);
  expect(meter.bytesPerSecond(20_000)).toBe(0);
});
