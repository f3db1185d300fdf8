/**
 * S7 in virtual time, end to end: a member's certificate renews itself at two thirds of its 90 days, over a session with
 * a tracker; what happens while no tracker is there, after the end, and where clocks differ by ten minutes.
 *
 * Elsewhere: what a certificate says at which time (test/identity/certificate.test.ts); a tracker whose authority was
 * replaced (test/hostile/tracker.test.ts).
 */
import { expect, test } from "bun:test";
import { noticeDeadline } from "../../src/core/deadline.ts";
import type { P2pfsError } from "../../src/core/errors.ts";
import { DAY_MS, MINUTE_MS, SECOND_MS } from "../../src/core/units.ts";
import { MemoryDisk } from "../../src/disk/memory-store.ts";
import { foundSwarm } from "../../src/identity/found-swarm.ts";
import { parseInvitation } from "../../src/identity/invitation.ts";
import { createPrivateKeyPem } from "../../src/identity/keys.ts";
import type { Membership } from "../../src/identity/membership.ts";
import { joinSwarm } from "../../src/peer/join-swarm.ts";
import type { Peer } from "../../src/peer/peer.ts";
import type { Tracker } from "../../src/tracker/tracker.ts";
import { EPOCH_MS, type Process } from "../sim/system/process.ts";
import { randomBytes } from "../support/bytes.ts";
import { Room } from "../support/room.ts";
import { startPeer, startTracker } from "./machines.ts";
import { pass, settle } from "./real-time.ts";

const HOUR_MS = 60 * MINUTE_MS;
const ENDS_AFTER_MS = 90 * DAY_MS;
/** Until a renewal that is due has happened: peers look once a minute. */
const RENEWED_WITHIN_MS = 65 * SECOND_MS;

/** A swarm of a tracker and of members, whose clocks can be set. */
class Times {
  readonly room = new Room();
  readonly trackerMachine = this.room.machine("10.0.1.1");
  tracker!: Tracker;
  readonly #machines = [this.trackerMachine];
  #sleptMs = 0;

  static async open(): Promise<Times> {
    const times = new Times();
    const { clock, random } = times.trackerMachine.system;
    const founded = await foundSwarm("lab", clock.wallTime(), random);
    const askRenewal = () => Promise.reject(new Error("there is no other tracker"));
    times.tracker = startTracker(
      times.room,
      { swarm: { ...founded, keep: () => {}, askRenewal } },
      times.trackerMachine,
    );
    return times;
  }

  machine(ip: string, aheadMs = 0): Process {
    const machine = this.room.machine(ip);
    machine.wallAheadMs = this.#sleptMs + aheadMs;
    this.#machines.push(machine);
    return machine;
  }

  async join(machine: Process, name: string): Promise<Membership> {
    const invitation = { uses: 1, for_ms: DAY_MS, role: "peer", approve: false, label: "" } as const;
    const { token } = await settle(this.room, this.tracker.membership.invite(invitation), MINUTE_MS);
    const joining = joinSwarm({
      invitation: parseInvitation(token),
      key: await createPrivateKeyPem(),
      name,
      system: machine.system,
      deadline: noticeDeadline(machine.system.clock.now()),
    });
    return (await settle(this.room, joining, MINUTE_MS))!;
  }

  async peer(
    name: string,
    ip: string,
    { aheadMs = 0, disk }: { aheadMs?: number; disk?: MemoryDisk } = {},
  ): Promise<Peer> {
    const machine = this.machine(ip, aheadMs);
    const membership = await this.join(machine, name);
    const peer = startPeer(this.room, ip, { membership, ...(disk && { disk }) }, machine);
    await pass(this.room, SECOND_MS);
    return peer;
  }

  /** All clocks go on by so much, as those of machines that slept. */
  sleep(ms: number): void {
    this.#sleptMs += ms;
    for (const machine of this.#machines) machine.wallAheadMs += ms;
  }

  /** Days from the beginning to the end of the member's latest certificate. */
  async endOf(name: string): Promise<number> {
    const { rows } = await settle(this.room, this.tracker.membership.list(null), MINUTE_MS);
    const row = rows.find((each) => each.name === name);
    return (Date.parse(row!.expires!) - EPOCH_MS) / DAY_MS;
  }

  error(promise: Promise<unknown>): Promise<P2pfsError | undefined> {
    const failed = promise.then(
      () => undefined,
      (thrown: P2pfsError) => thrown,
    );
    return settle(this.room, failed, MINUTE_MS);
  }
}

test("a certificate lasts 90 days, is renewed after 60 and not before, and again and again", async () => {
  const times = await Times.open();
  const anna = await times.peer("anna", "10.0.0.1");
  expect(await times.endOf("anna")).toBeCloseTo(90, 2);
  times.sleep(60 * DAY_MS - HOUR_MS);
  await pass(times.room, RENEWED_WITHIN_MS);
  expect(await times.endOf("anna")).toBeCloseTo(90, 2);
  times.sleep(2 * HOUR_MS);
  await pass(times.room, RENEWED_WITHIN_MS);
  expect(await times.endOf("anna")).toBeCloseTo(150, 1);
  for (const day of [90, 120, 150, 180, 200]) {
    // It tries again after an hour at the earliest, of those in which its machine was awake.
    if (day % 60 === 0) await pass(times.room, HOUR_MS);
    times.sleep(EPOCH_MS + day * DAY_MS + HOUR_MS - times.trackerMachine.system.clock.wallTime());
    await pass(times.room, RENEWED_WITHIN_MS);
    expect([day, anna.status().connected]).toEqual([day, true]);
  }
  expect(await times.endOf("anna")).toBeWithin(265, 275);
  const ben = await times.peer("ben", "10.0.0.2");
  expect([anna.status().connected, ben.status().connected]).toEqual([true, true]);
});

test("a renewal that finds no tracker is tried again each hour, and is in time while the certificate lasts", async () => {
  const times = await Times.open();
  const anna = await times.peer("anna", "10.0.0.1");
  times.room.network.partition("10.0.0.1", "10.0.1.1", 10 * HOUR_MS);
  times.sleep(61 * DAY_MS);
  await pass(times.room, RENEWED_WITHIN_MS);
  times.sleep(20 * DAY_MS);
  await pass(times.room, RENEWED_WITHIN_MS);
  expect(await times.endOf("anna")).toBeCloseTo(90, 2);
  times.room.network.healAll();
  await pass(times.room, HOUR_MS + RENEWED_WITHIN_MS);
  expect(await times.endOf("anna")).toBeCloseTo(171, 0);
  times.sleep(20 * DAY_MS);
  await pass(times.room, RENEWED_WITHIN_MS);
  expect(anna.status().connected).toBe(true);
});

test("a member that was away until its certificate ended is told so, and how to come back", async () => {
  const times = await Times.open();
  const machine = times.machine("10.0.0.1");
  const membership = await times.join(machine, "anna");
  times.sleep(ENDS_AFTER_MS + MINUTE_MS);
  // The tracker's own is renewed as soon as it runs again.
  await pass(times.room, RENEWED_WITHIN_MS);
  const anna = startPeer(times.room, "10.0.0.1", { membership }, machine);
  const error = await times.error(anna.listFiles());
  expect(error).toMatchObject({ code: "tracker_unreachable" });
  const endedOn = new Date(Date.parse(membership.certificate.validTo)).toISOString().slice(0, 10);
  expect(error!.message).toContain(`this peer's membership of the swarm lab ended on ${endedOn}`);
  expect(error!.hint).toMatch(/invitation.*swarm leave.*swarm join/);
  const again = await times.peer("anna again", "10.0.0.2");
  expect(again.status().connected).toBe(true);
});

test("clocks may differ by ten minutes, either way: machines join, renew and fetch from each other", async () => {
  const times = await Times.open();
  const disk = new MemoryDisk();
  const anna = await times.peer("anna", "10.0.0.1", { aheadMs: -10 * MINUTE_MS, disk });
  const ben = await times.peer("ben", "10.0.0.2", { aheadMs: 10 * MINUTE_MS });
  expect([anna.status().connected, ben.status().connected]).toEqual([true, true]);
  const shareAndFetch = async (fname: string, seed: number) => {
    const path = `/files/${fname}`;
    disk.write(path, randomBytes(200_000, seed));
    await settle(times.room, anna.publish({ path, lname: path, fname }), MINUTE_MS);
    const job = await settle(times.room, ben.fetch({ what: fname, destination: path }), MINUTE_MS);
    return settle(times.room, job.done, MINUTE_MS);
  };
  expect(await shareAndFetch("first", 1)).toMatchObject({ fname: "first" });
  times.sleep(60 * DAY_MS + HOUR_MS);
  await pass(times.room, RENEWED_WITHIN_MS);
  for (const name of ["anna", "ben"]) expect(await times.endOf(name)).toBeCloseTo(150, 0);
  // Where the first certificates have ended, the new ones are shown.
  times.sleep(31 * DAY_MS);
  await pass(times.room, RENEWED_WITHIN_MS);
  expect([anna.status().connected, ben.status().connected]).toEqual([true, true]);
  expect(await shareAndFetch("second", 2)).toMatchObject({ fname: "second" });
});

test("a clock that is behind by more than a quarter of an hour is told about", async () => {
  const times = await Times.open();
  const machine = times.machine("10.0.0.1", -16 * MINUTE_MS);
  const error = await times.error(times.join(machine, "anna"));
  expect(error?.message).toMatch(/not valid yet; check the clocks/);
});
