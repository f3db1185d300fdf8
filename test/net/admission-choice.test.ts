/** Which connection has to go when all places are taken, and which are closed because nothing useful comes of them. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { MINUTE_MS, SECOND_MS } from "../../src/core/units.ts";
import { Admission, type Conduct, type Standing } from "../../src/net/admission.ts";
import type { Connection } from "../../src/net/connection.ts";
import { HELLO_MS_MAX } from "../../src/net/greeting.ts";
import type { Process } from "../sim/system/process.ts";
import { type RawEnd, Room } from "../support/room.ts";

/** Between two steps: longer than a scan that found no stranger is believed. */
const STEP_MS = 60;

interface Guest {
  readonly raw: RawEnd;
  readonly ip: string;
  /** Undefined for one that was refused, or has not sent its HELLO. */
  readonly connection: Connection | undefined;
  standing: Standing;
  usefulMs: number;
}

/** A listener with so many places, and guests from several source addresses. */
class House {
  readonly room = new Room();
  readonly guests: Guest[] = [];
  fullCalls = 0;
  patienceMs = Number.POSITIVE_INFINITY;
  readonly #address;
  readonly #machines = new Map<string, Process>();
  #arrived: Connection | undefined;

  constructor(places: number) {
    const { address } = this.room.listen(this.room.machine("10.0.0.1"), {
      connectionsMax: places,
      conductOf: (connection) => this.#conductOf(connection),
      full: () => {
        this.fullCalls++;
      },
      onConnection: (connection) => {
        this.#arrived = connection;
      },
    });
    this.#address = address;
  }

  get present(): Guest[] {
    return this.guests.filter(({ raw }) => !raw.isClosed);
  }

  enter(from: number, { isSilent = false, standing = "stranger" as Standing } = {}): Guest {
    const ip = `10.0.1.${from}`;
    const machine = this.#machines.get(ip) ?? this.room.machine(ip);
    this.#machines.set(ip, machine);
    this.#arrived = undefined;
    const raw = this.room.dialRaw(machine, this.#address);
    if (!isSilent) raw.hello();
    this.room.run(STEP_MS);
    const guest = { raw, ip, connection: this.#arrived, standing, usefulMs: this.room.now };
    this.guests.push(guest);
    return guest;
  }

  leave({ raw }: Guest): void {
    raw.transport.end();
    this.room.run(STEP_MS);
  }

  #conductOf(connection: Connection): Conduct | undefined {
    const guest = this.guests.find((each) => each.connection === connection);
    const { patienceMs } = this;
    return guest && { standing: guest.standing, usefulMs: guest.usefulMs, patienceMs };
  }
}

/** Those of whom one may be evicted: the idlest strangers of each source address that has the most. */
function evictable(guests: readonly Guest[]): Guest[] {
  const strangers = guests.filter(({ standing }) => standing === "stranger");
  const bySource = [...Map.groupBy(strangers, ({ ip }) => ip).values()];
  const most = Math.max(...bySource.map(({ length }) => length));
  return bySource
    .filter(({ length }) => length === most)
    .map((all) => all.reduce((idlest, each) => (each.usefulMs < idlest.usefulMs ? each : idlest)));
}

test("of the source address with most strangers the idlest goes; members and busy ones never, then the newcomer is refused", () => {
  const which = fc.nat();
  const step = fc.oneof(
    { weight: 5, arbitrary: fc.record({ type: fc.constant("enter" as const), from: fc.integer({ min: 1, max: 3 }) }) },
    { weight: 2, arbitrary: fc.record({ type: fc.constantFrom("use" as const, "leave" as const), which }) },
    {
      weight: 2,
      arbitrary: fc.record({
        type: fc.constant("become" as const),
        which,
        standing: fc.constantFrom<Standing>("stranger", "member", "busy"),
      }),
    },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), fc.integer({ min: 1, max: 6 }), (steps, places) => {
      const house = new House(places);
      for (const each of steps) {
        const before = house.present;
        if (each.type === "enter") {
          const candidates = before.length < places ? [] : evictable(before);
          const isRefused = before.length === places && candidates.length === 0;
          const newcomer = house.enter(each.from);
          const gone = before.filter(({ raw }) => raw.isClosed);
          expect(newcomer.raw.isClosed).toBe(isRefused);
          expect(gone.length).toBe(candidates.length > 0 ? 1 : 0);
          for (const guest of gone) {
            expect(candidates).toContain(guest);
            expect(guest.raw.all("ERROR")).toMatchObject([{ request: null, code: 16 }]);
          }
          continue;
        }
        const guest = before[each.which % Math.max(1, before.length)];
        if (guest === undefined) continue;
        house.room.run(STEP_MS);
        if (each.type === "become") guest.standing = each.standing;
        else if (each.type === "leave") house.leave(guest);
        else guest.usefulMs = house.room.now;
        expect(house.present.length).toBe(before.length - (each.type === "leave" ? 1 : 0));
      }
    }),
    { numRuns: 100 },
  );
});

test("whoever has not said HELLO takes no place, and has its time for it", () => {
  const house = new House(3);
  const silent = house.enter(1, { isSilent: true });
  const others = [house.enter(1), house.enter(2), house.enter(3)];
  expect([silent, ...others].map(({ raw }) => raw.isClosed)).toEqual([false, false, false, false]);
  house.room.run(HELLO_MS_MAX);
  expect([silent, ...others].map(({ raw }) => raw.isClosed)).toEqual([true, false, false, false]);
});

test("a newcomer that is refused hears why", () => {
  const house = new House(1);
  house.enter(1, { standing: "member" });
  const refused = house.enter(2);
  expect(refused.raw.isClosed).toBe(true);
  expect(refused.raw.all("ERROR")).toMatchObject([{ request: null, message: "all places are taken" }]);
});

test("`full` is called once, and again only after half of the places were free in between", () => {
  const house = new House(4);
  const guests = [1, 2, 3, 4].map((from) => house.enter(from));
  for (let newcomer = 0; newcomer < 5; newcomer++) house.enter(9);
  expect(house.fullCalls).toBe(1);
  for (const guest of house.present.slice(0, 2)) house.leave(guest);
  for (const from of [5, 6]) house.enter(from);
  expect(house.fullCalls).toBe(1);
  for (const guest of house.present.slice(0, 3)) house.leave(guest);
  for (const from of [5, 6, 7]) house.enter(from);
  expect(house.fullCalls).toBe(2);
  expect(guests.some(({ raw }) => raw.isClosed)).toBe(true);
});

describe("one scan serves several newcomers", () => {
  const PLACES = 256;
  function fullHouse() {
    const house = new House(PLACES);
    const guests = Array.from({ length: PLACES }, () => house.enter(1));
    const gone = () => guests.flatMap(({ raw }, index) => (raw.isClosed ? [index] : []));
    return { house, guests, gone };
  }

  test("and passes over those that were useful or became members since", () => {
    const { house, guests, gone } = fullHouse();
    house.enter(2);
    expect(gone()).toEqual([0]);
    guests[1]!.usefulMs = house.room.now;
    guests[2]!.standing = "member";
    house.enter(2);
    expect(gone()).toEqual([0, 3]);
  });

  test("and those that have left, which make no room", () => {
    const { house, guests, gone } = fullHouse();
    house.enter(2);
    house.leave(guests[1]!);
    house.enter(2);
    expect(gone()).toEqual([0, 1]);
    house.enter(2);
    expect(gone()).toEqual([0, 1, 2]);
  });

  test("but for a second at most, after which the idlest are found anew", () => {
    const { house, guests, gone } = fullHouse();
    house.enter(2);
    guests[200]!.usefulMs = 0;
    house.enter(2);
    expect(gone()).toEqual([0, 1]);
    house.room.run(1.1 * SECOND_MS);
    house.enter(2);
    expect(gone()).toEqual([0, 1, 200]);
  });
});

test("one source gets three quarters of the places and no more, and then has to make room itself", () => {
  const MOST = 300;
  const house = new House((MOST * 4) / 3);
  const others = Array.from({ length: 3 }, (_, index) => house.enter(index + 2));
  const own = Array.from({ length: MOST + 2 }, () => house.enter(1));
  const isGone = ({ raw }: Guest) => raw.isClosed;
  expect(own.filter(isGone)).toEqual(own.slice(0, 2));
  expect(others.some(isGone)).toBe(false);
  for (const guest of own) guest.standing = "member";
  house.room.run(STEP_MS);
  expect(isGone(house.enter(1))).toBe(true);
  expect(isGone(house.enter(2))).toBe(false);
  expect(house.fullCalls).toBe(0);
});

test("a flood where there are only members costs one scan in fifty milliseconds", () => {
  let scans = 0;
  const room = new Room();
  const { address } = room.listen(room.machine("10.0.0.1"), {
    connectionsMax: 1,
    admission: { sweepMs: MINUTE_MS },
    conductOf: () => {
      scans++;
      return { standing: "member", usefulMs: room.now, patienceMs: Number.POSITIVE_INFINITY };
    },
  });
  const flood = room.machine("10.0.0.2");
  room.dialRaw(flood, address).hello();
  room.run(60);
  for (let newcomer = 0; newcomer < 50; newcomer++) room.dialRaw(flood, address).hello();
  room.run(STEP_MS);
  expect(scans).toBeGreaterThan(0);
  expect(scans).toBeLessThan(5);
});

test("a connection without use for longer than its patience is closed within a second, one in use is not", () => {
  const house = new House(4);
  house.patienceMs = 10 * SECOND_MS;
  const [idle, used] = [house.enter(1, { standing: "member" }), house.enter(2)];
  const keepUsing = used.connection!;
  house.room.until(() => {
    used.usefulMs = house.room.now;
    return idle.raw.isClosed;
  });
  const idleMs = house.room.now - idle.usefulMs;
  expect(idleMs).toBeGreaterThan(10 * SECOND_MS);
  expect(idleMs).toBeLessThan(11.1 * SECOND_MS);
  const message = "this connection was not used for too long";
  expect(idle.raw.all("ERROR")).toMatchObject([{ request: null, message }]);
  expect(keepUsing.isOpen).toBe(true);
});

test("connections that are let in and not here yet take places as well", () => {
  const { system } = new Room().machine("10.0.0.1");
  const full: number[] = [];
  const options = { placesMax: 3, conductOf: () => undefined, full: (places: number) => void full.push(places) };
  const admission = new Admission(system.clock, options);
  expect([0, 1].map((expected) => admission.makeRoom(undefined, expected))).toEqual([true, true]);
  expect(full).toEqual([]);
  expect([2, 3].map((expected) => admission.makeRoom(undefined, expected))).toEqual([true, false]);
  expect(full).toEqual([3]);
});
