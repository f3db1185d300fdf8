/** Trackers on one registry, in virtual time: each holds the sessions of its own peers, and those of none are taken over. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { HEARTBEAT_MS, LEASE_MS } from "../../../src/core/limits.ts";
import { SECOND_MS } from "../../../src/core/units.ts";
import { World } from "./world.ts";

const START_MS_MAX = 2 * SECOND_MS;
/** Between two looks of a tracker at its leases, and a third of a lease until others notice that it is gone. */
const TAKE_OVER_MS_MAX = LEASE_MS / 3 + SECOND_MS;

let world: World;
/** Peer 1 is at the first tracker, peer 2 at the second. */
beforeEach(() => {
  world = new World(1, { peers: 2, trackers: 2 });
  for (const host of world.trackers) world.await("a tracker's start", host.start(), START_MS_MAX);
  for (const [index, host] of world.hosts.entries()) {
    host.home = world.trackers[index]!;
    world.await("a peer's start", host.start(), START_MS_MAX);
  }
  world.runUntil(world.clock.now + START_MS_MAX);
});
afterEach(() => {
  expect(world.violations).toEqual([]);
  world.close();
});

const pass = (ms: number) => world.runUntil(world.clock.now + ms);
const listed = () =>
  world.await("a list", world.registry.listPeers(null), SECOND_MS)!.rows.map(({ address }) => String(address));
const [one, two] = ["10.0.0.1:7000", "10.0.0.2:7000"];

/** Who leaves the lists meanwhile, looked at every 100 ms. */
function missingDuring(ms: number): Set<string> {
  const missing = new Set<string>();
  for (const endMs = world.clock.now + ms; world.clock.now < endMs; pass(100))
    for (const address of [one, two]) if (!listed().includes(address)) missing.add(address);
  return missing;
}

test("a tracker that starts beside another one ends none of its sessions, for many leases", () => {
  world.trackers[1]!.kill();
  world.await("the tracker's start", world.trackers[1]!.start(), START_MS_MAX);
  expect(missingDuring(10 * LEASE_MS)).toEqual(new Set());
});

test("peers of a tracker that is killed stay listed, and a peer that dies with it leaves the lists", () => {
  world.trackers[0]!.kill();
  world.hosts[0]!.kill();
  expect(missingDuring(LEASE_MS)).toEqual(new Set());
  pass(LEASE_MS + TAKE_OVER_MS_MAX);
  expect(listed()).toEqual([two]);
});

test("a peer whose tracker is back within a lease never leaves the lists", () => {
  world.trackers[0]!.kill();
  pass(2 * SECOND_MS);
  world.await("the tracker's start", world.trackers[0]!.start(), START_MS_MAX);
  expect(missingDuring(4 * LEASE_MS)).toEqual(new Set());
});

test("a tracker that stood still for long has lost its sessions, and its peers register again", () => {
  world.trackers[0]!.process!.freeze(3 * LEASE_MS);
  pass(3 * LEASE_MS + 5 * SECOND_MS);
  expect(listed()).toEqual([one, two]);
  expect(world.hosts[0]!.peer!.status().connected).toBe(true);
  expect(missingDuring(4 * LEASE_MS)).toEqual(new Set());
});

test("a peer that moves to the other tracker is listed once, whatever becomes of the first", () => {
  const [first, second] = world.trackers;
  world.hosts[0]!.home = second!;
  world.await("connect", world.hosts[0]!.peer!.connect(second!.listen), START_MS_MAX);
  first!.kill();
  expect(missingDuring(4 * LEASE_MS)).toEqual(new Set());
  expect(listed()).toEqual([one, two]);
});

test("a peer that freezes leaves the lists when its lease is over, and not before", () => {
  const frozenMs = world.clock.now;
  world.hosts[0]!.process!.freeze(3 * LEASE_MS);
  while (listed().includes(one)) pass(50);
  const silentMs = world.clock.now - frozenMs;
  expect(silentMs).toBeGreaterThan(LEASE_MS - HEARTBEAT_MS - 100);
  expect(silentMs).toBeLessThan(LEASE_MS + SECOND_MS);
  expect(listed()).toEqual([two]);
});
