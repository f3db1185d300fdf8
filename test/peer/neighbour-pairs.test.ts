/**
 * Peers that reach one another at any moments: in the end one connection for each pair, in use on both sides. Where both
 * dial before either has heard of the other, two stay, of which each side uses its own.
 */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { SECOND_MS } from "../../src/core/units.ts";
import { sleep } from "../../src/net/system.ts";
import type { Neighbour } from "../../src/peer/neighbour.ts";
import { numRuns } from "../core/arbitraries.ts";
import { Room } from "../support/room.ts";
import { Parts } from "./parts.ts";

const PEERS = 3;

interface Meeting {
  readonly from: number;
  readonly to: number;
  readonly atMs: number;
}

const meetings: fc.Arbitrary<Meeting[]> = fc.array(
  fc
    .record({
      from: fc.nat({ max: PEERS - 1 }),
      by: fc.integer({ min: 1, max: PEERS - 1 }),
      atMs: fc.nat({ max: 300 }),
    })
    .map(({ from, by, atMs }) => ({ from, to: (from + by) % PEERS, atMs })),
  { minLength: 1, maxLength: 10 },
);

/** Whether each of the two may have dialled before it heard of the other. */
function isSimultaneous(all: readonly Meeting[], { from, to }: Meeting, latencyMsMax: number): boolean {
  const timesOf = (one: number, other: number) =>
    all.filter((meeting) => meeting.from === one && meeting.to === other).map(({ atMs }) => atMs);
  // A connection and a HELLO each way.
  const heardAfterMs = 4 * latencyMsMax;
  return timesOf(from, to).some((atMs) => timesOf(to, from).some((other) => Math.abs(atMs - other) < heardAfterMs));
}

test("whoever dials whom and when: each pair that met has one connection, and both reach each other by it", () => {
  let pairsMet = 0;
  fc.assert(
    fc.property(meetings, fc.nat(), fc.integer({ min: 1, max: 20 }), (all, seed, latencyMsMax) => {
      const room = new Room({ seed, latencyMs: (random) => latencyMsMax * (0.1 + 0.9 * random()) });
      const met: Neighbour[][] = [];
      const peers = Array.from({ length: PEERS }, (_, index) => {
        const parts = new Parts(room, `10.0.0.${index + 1}`);
        const mine: Neighbour[] = [];
        met.push(mine);
        const handlersOf = parts.sharing.handlersOf.bind(parts.sharing);
        parts.sharing.handlersOf = (neighbour) => {
          mine.push(neighbour);
          return handlersOf(neighbour);
        };
        parts.listen();
        return parts;
      });
      const reach = ({ from, to }: Meeting) => peers[from]!.neighbours.reach(peers[to]!.address);
      const reached = all.map(async (meeting) => {
        await sleep(peers[0]!.process.system.clock, meeting.atMs);
        return reach(meeting);
      });
      room.wait(Promise.all(reached));
      room.run(3 * SECOND_MS);
      const openTo = (from: number, to: number) =>
        met[from]!.filter(({ connection }) => connection.isOpen && connection.remote.ip === peers[to]!.process.ip);
      for (const meeting of all) {
        const { from, to } = meeting;
        const [here, there] = [openTo(from, to), openTo(to, from)];
        if (isSimultaneous(all, meeting, latencyMsMax)) expect([1, 2]).toContain(here.length);
        else {
          pairsMet++;
          expect([here.length, there.length]).toEqual([1, 1]);
          expect(room.wait(reach(meeting))).toBe(here[0]!);
          expect(room.wait(reach({ ...meeting, from: to, to: from }))).toBe(there[0]!);
          // What was dialled to ask is closed.
          room.run(SECOND_MS);
          expect([openTo(from, to).length, here[0]!.connection.isOpen]).toEqual([1, true]);
        }
      }
    }),
    { numRuns: numRuns / 4 },
  );
  expect(pairsMet).toBeGreaterThan(50);
});
