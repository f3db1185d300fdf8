/** Leases on a fake clock. */
import { expect, test } from "bun:test";
import { Liveness } from "../../src/tracker/liveness.ts";
import type { PeerRecord } from "../../src/tracker/registry.ts";
import { clockAt } from "../support/system.ts";
import { address, peerId } from "../support/values.ts";

const leaseMs = 8000;

function fixture() {
  let nowMs = 1000;
  const expired: string[] = [];
  const liveness = new Liveness({
    leaseMs,
    clock: clockAt(() => nowMs),
    expired: ({ peerId, session }, lastSeenMs) => expired.push(`${Number(peerId)}/${session} ${lastSeenMs}`),
  });
  /** Advances the clock in steps, with a sweep after each. */
  const pass = (ms: number) => {
    for (const endMs = nowMs + ms; nowMs < endMs; liveness.sweep()) nowMs += Math.min(500, endMs - nowMs);
  };
  return { liveness, expired, pass, now: () => nowMs, skip: (ms: number) => (nowMs += ms) };
}

function record(number: number, session = 1): PeerRecord {
  const at = address(`10.0.0.${number}:1`);
  return {
    peerId: peerId(number),
    member: null,
    session,
    address: at,
    hostName: "",
    online: true,
    since: 0,
    lastSeen: 0,
  };
}

test("a silent session expires once, at the end of its lease, and no other with it", () => {
  const { liveness, expired, pass, now } = fixture();
  liveness.hold(record(1), () => 1000);
  liveness.hold(record(2), now);
  pass(leaseMs - 1);
  expect(expired).toEqual([]);
  pass(1);
  expect(expired).toEqual(["1/1 1000"]);
  pass(5 * leaseMs);
  expect(expired).toHaveLength(1);
});

test("a released lease does not expire; releasing a replaced session leaves its successor's", () => {
  const { liveness, expired, pass, now } = fixture();
  liveness.hold(record(1, 1), () => 1000);
  liveness.hold(record(1, 2), now);
  liveness.release(record(1, 1));
  expect(liveness.lastSeenMs(peerId(1))).toBe(now());
  pass(2 * leaseMs);
  liveness.release(record(1, 2));
  expect(liveness.lastSeenMs(peerId(1))).toBeUndefined();
  pass(2 * leaseMs);
  expect(expired).toEqual([]);
});

test("after the tracker itself was stopped for a while, every session gets a whole lease", () => {
  const { liveness, expired, pass, skip } = fixture();
  liveness.hold(record(1), () => 1000);
  skip(10 * leaseMs);
  liveness.sweep();
  pass(leaseMs - 500);
  expect(expired).toEqual([]);
  pass(500);
  expect(expired).toHaveLength(1);
});

test("the lease of an earlier session, taken over late, does not replace that of a newer one", () => {
  const { liveness, expired, pass, now } = fixture();
  liveness.hold(record(1, 2), now);
  liveness.hold(record(1, 1), () => 0);
  pass(5 * leaseMs);
  expect(expired).toEqual([]);
});
