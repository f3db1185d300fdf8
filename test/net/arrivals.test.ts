/** What strangers may cost a listener before it knows them: greetings under way, and greetings in a second. */
import { describe, expect, test } from "bun:test";
import { MINUTE_MS, SECOND_MS } from "../../src/core/units.ts";
import { type Arrival, Arrivals, HANDSHAKE_RATES } from "../../src/net/arrivals.ts";
import { Room } from "../support/room.ts";

const { perSource, inAll } = HANDSHAKE_RATES;
const atOnce = { inAll: 2048, perSource: 640 };

/** A listener's arrivals, and what became of them. */
class Gate {
  readonly room = new Room();
  readonly crowded: string[] = [];
  readonly arrivals = new Arrivals({
    clock: this.room.machine("10.0.0.1").system.clock,
    rates: HANDSHAKE_RATES,
    atOnce,
    crowded: (ip) => void this.crowded.push(ip),
  });
  /** The names of those that had to go. */
  readonly evicted: string[] = [];

  /** Undefined where it is closed on arrival. */
  enter(ip: string, name = ip, isAnswered = false): Arrival | undefined {
    if (!this.arrivals.lets(ip)) return undefined;
    const arrival = { ip, isAnswered: () => isAnswered, terminate: () => void this.evicted.push(name) };
    this.arrivals.enter(arrival);
    return arrival;
  }

  /** How many of so many tries from there come in and are greeted. */
  greet(ip: string, tries: number): number {
    let greeted = 0;
    for (let number = 0; number < tries; number++) {
      const arrival = this.enter(ip);
      if (arrival === undefined) continue;
      this.arrivals.spend(arrival);
      this.arrivals.leave(arrival);
      greeted++;
    }
    return greeted;
  }
}

describe("greetings under way", () => {
  test("beyond those of one source the oldest of that source has to go, and no other", () => {
    const gate = new Gate();
    gate.enter("10.0.1.1", "of another source");
    for (let number = 0; number < atOnce.perSource + 2; number++) gate.enter("10.0.1.2", `${number}`);
    expect(gate.evicted).toEqual(["0", "1"]);
  });

  test("beyond all of them the oldest of the source with the most has to go", () => {
    const gate = new Gate();
    const few = atOnce.perSource / 2;
    for (let number = 0; number < few + 2; number++) gate.enter("10.0.1.1", `most ${number}`);
    for (let entered = few + 2; entered < atOnce.inAll; entered++)
      gate.enter(`10.0.1.${2 + Math.floor(entered / few)}`);
    expect(gate.evicted).toEqual([]);
    gate.enter("10.0.9.9");
    expect(gate.evicted).toEqual(["most 0"]);
    gate.enter("10.0.9.9");
    expect(gate.evicted).toEqual(["most 0", "most 1"]);
  });

  test("whoever has said nothing goes before those that wait for the other side", () => {
    const gate = new Gate();
    for (const name of ["begun 0", "begun 1"]) gate.enter("10.0.1.1", name, true);
    for (let number = 0; number < 2 * atOnce.perSource; number++) gate.enter("10.0.1.1", "silent");
    expect(new Set(gate.evicted)).toEqual(new Set(["silent"]));
    gate.evicted.length = 0;
    for (let number = 0; number < atOnce.perSource; number++) gate.enter("10.0.1.1", `late ${number}`, true);
    expect(gate.evicted.slice(-2)).toEqual(["begun 0", "begun 1"]);
  });

  test("those that are over make room", () => {
    const gate = new Gate();
    for (let number = 0; number < 3 * atOnce.perSource; number++) {
      const arrival = gate.enter("10.0.1.1")!;
      gate.arrivals.leave(arrival);
      gate.arrivals.leave(arrival);
    }
    expect(gate.evicted).toEqual([]);
  });

  test("nothing is spent on one that never said anything", () => {
    const gate = new Gate();
    for (let number = 0; number < 3 * perSource.burst; number++) expect(gate.enter("10.0.1.1")).toBeDefined();
    expect(gate.greet("10.0.1.1", 1)).toBe(1);
  });
});

describe("greetings in a second", () => {
  test("one source gets its burst and then its rate, whatever it tries; others get theirs", () => {
    const gate = new Gate();
    expect(gate.greet("10.0.1.1", 3 * perSource.burst)).toBe(perSource.burst);
    expect(gate.greet("10.0.1.2", 10)).toBe(10);
    gate.room.run(SECOND_MS);
    expect(gate.greet("10.0.1.1", 3 * perSource.burst)).toBe(perSource.perSecond);
  });

  test("many sources get no more than all together may", () => {
    const gate = new Gate();
    let greeted = 0;
    for (let source = 0; source < 10; source++) greeted += gate.greet(`10.0.1.${source}`, perSource.burst);
    expect(greeted).toBe(inAll.burst);
  });

  test("the addresses of one IPv6 network are one source", () => {
    const gate = new Gate();
    gate.greet("2001:db8:0:1::1", perSource.burst);
    expect(gate.greet("2001:db8:0:1:ffff::2", 1)).toBe(0);
    expect(gate.greet("2001:db8:0:2::1", 1)).toBe(1);
  });

  test("work that ends after the last was let in is made up for before the next is", () => {
    const gate = new Gate();
    const open = Array.from({ length: atOnce.perSource }, () => gate.enter("10.0.1.1")!);
    expect(gate.greet("10.0.1.1", perSource.burst)).toBe(perSource.burst);
    for (const arrival of open) gate.arrivals.spend(arrival);
    gate.room.run((atOnce.perSource / perSource.perSecond) * SECOND_MS);
    expect(gate.greet("10.0.1.1", 10)).toBeLessThan(3);
  });

  test("who runs the listener is told, once a minute", () => {
    const gate = new Gate();
    gate.greet("10.0.1.1", perSource.burst + 100);
    expect(gate.crowded).toEqual(["10.0.1.1"]);
    gate.room.run(MINUTE_MS);
    gate.greet("10.0.1.1", perSource.burst + 100);
    expect(gate.crowded).toEqual(["10.0.1.1", "10.0.1.1"]);
  });

  test("two hundred peers on one machine come back four times within a second, and are all let in", () => {
    const gate = new Gate();
    for (let time = 0; time < 4; time++) {
      expect(gate.greet("10.0.1.1", 200)).toBe(200);
      gate.room.run(200);
    }
  });
});
