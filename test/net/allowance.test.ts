/** Rates of messages on one connection: what is refused, and what is read later but never lost. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import type { ContentId } from "../../src/core/manifest.ts";
import { SECOND_MS } from "../../src/core/units.ts";
import { Allowance } from "../../src/net/allowance.ts";
import type { Connection } from "../../src/net/connection.ts";
import { numRuns } from "../core/arbitraries.ts";
import { Room } from "../support/room.ts";
import { serveFake } from "../support/serve-fake.ts";

const contentId = "ab".repeat(32) as ContentId;

const steps = fc.array(fc.record({ pauseMs: fc.nat({ max: 3000 }), count: fc.integer({ min: 1, max: 12 }) }), {
  minLength: 1,
  maxLength: 40,
});

test("over any stretch of time no more is granted than the burst and what the rate gives meanwhile", () => {
  fc.assert(
    fc.property(steps, fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 10 }), (taken, perSecond, burst) => {
      const room = new Room();
      const allowance = new Allowance(room.machine("10.0.0.1").system.clock, { perSecond, burst });
      const granted: { readonly atMs: number; readonly count: number }[] = [];
      for (const { pauseMs, count } of taken) {
        room.run(pauseMs);
        if (allowance.take(count)) granted.push({ atMs: room.now, count });
      }
      for (const [index, from] of granted.entries()) {
        let sum = 0;
        for (const { atMs, count } of granted.slice(index)) {
          sum += count;
          expect(sum).toBeLessThanOrEqual(burst + ((atMs - from.atMs) * perSecond) / SECOND_MS + 1e-6);
        }
      }
    }),
    { numRuns },
  );
});

test("a refusal takes nothing, and a long pause saves up the burst and no more", () => {
  const room = new Room();
  const allowance = new Allowance(room.machine("10.0.0.1").system.clock, { perSecond: 2, burst: 5 });
  expect([allowance.take(6), allowance.take(5), allowance.take(1)]).toEqual([false, true, false]);
  room.run(SECOND_MS);
  expect([allowance.take(3), allowance.take(2), allowance.take(1)]).toEqual([false, true, false]);
  room.run(60 * SECOND_MS);
  expect([allowance.take(6), allowance.take(5)]).toEqual([false, true]);
});

/** Two connected sides, of which the one sends and the other calls `notice` for each notice. */
function sendingTo(notice: (connection: Connection) => void) {
  const room = new Room();
  const [here, there] = [room.machine("10.0.0.1"), room.machine("10.0.0.2")];
  let receiver: Connection | undefined;
  const { address } = room.listen(there, {
    onConnection: (connection) => {
      receiver = connection;
      serveFake(connection, { notice: () => notice(connection) });
    },
  });
  const sender = room.dial(here, address);
  room.until(() => receiver !== undefined);
  const send = (times: number) => {
    for (let sent = 0; sent < times; sent++) sender.send({ type: "LEAVE_SWARM", content_id: contentId });
  };
  return { room, sender, receiver: receiver!, send, clock: there.system.clock };
}

test("notices beyond the rate are read later, at the rate, and none is lost", () => {
  const handled: number[] = [];
  const side = sendingTo((connection) => {
    handled.push(side.room.now);
    allowance.holdBack(connection, 1);
  });
  const allowance: Allowance = new Allowance(side.clock, { perSecond: 10, burst: 5 });
  for (let sent = 0; sent < 25; sent++) {
    side.send(1);
    side.room.run(1);
  }
  side.room.run(10 * SECOND_MS);
  expect(handled.length).toBe(25);
  expect(handled.at(-1)! - handled[0]!).toBeGreaterThan(1.8 * SECOND_MS);
});

test("whoever sent far too much is not read for a second at a time, so that its answers come in between", () => {
  let handled = 0;
  const side = sendingTo((connection) => {
    handled++;
    allowance.holdBack(connection, 1000);
  });
  const allowance: Allowance = new Allowance(side.clock, { perSecond: 1, burst: 1 });
  side.send(1);
  side.room.run(2);
  expect(side.receiver.isPaused).toBe(true);
  const asked = side.sender.request({ type: "REQUEST_PING_PONG", peer_address: null });
  side.room.run(SECOND_MS - 5);
  expect(side.receiver.isPaused).toBe(true);
  const pong = side.receiver.request({ type: "REQUEST_PING_PONG", peer_address: null });
  expect(side.room.duration(Promise.all([asked, pong]))).toBeLessThan(20);
  side.send(2);
  side.room.run(2);
  expect(handled).toBe(3);
});
