/** Which members get HAVE for which chunks, and when. */
import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { CHUNK_RANGES_MAX } from "../../src/core/limits.ts";
import { GOSSIP_BOUNDS } from "../../src/swarm/bounds.ts";
import { Gossip, type GossipTurn } from "../../src/swarm/gossip.ts";
import { chunksIn } from "./support.ts";

function sentIn(turns: readonly GossipTurn<string>[]): [string, number[]][] {
  return turns.flatMap(({ members, pages }) =>
    members.map((member): [string, number[]] => [member, pages.flatMap(chunksIn)]),
  );
}

test("a chunk after a pause is sent in a HAVE at once, one soon after it in the next turn", () => {
  const gossip = new Gossip<string>();
  gossip.join("a");
  expect(gossip.deadline()).toBeUndefined();
  gossip.gain(7);
  expect(gossip.deadline()).toBeLessThanOrEqual(1000);
  expect(sentIn(gossip.next(1000))).toEqual([["a", [7]]]);
  gossip.gain(9);
  gossip.gain(8);
  expect(gossip.deadline()).toBe(1000 + GOSSIP_BOUNDS.turnMs);
  const [turn] = gossip.next(1020);
  expect(turn!.pages as unknown).toEqual([[8, 9]]);
  expect(gossip.deadline()).toBeUndefined();
});

test("members get their HAVE in turns, those that have waited longest first, all within one round", () => {
  const gossip = new Gossip<string>();
  const names = Array.from({ length: 50 }, (_, index) => `m${index}`);
  for (const name of names) gossip.join(name);
  gossip.gain(1);
  const received: string[] = [];
  for (let turn = 0; turn < GOSSIP_BOUNDS.turnsPerRound; turn++) {
    const sent = sentIn(gossip.next(turn * GOSSIP_BOUNDS.turnMs));
    expect(sent).toHaveLength(50 / GOSSIP_BOUNDS.turnsPerRound);
    received.push(...sent.map(([name]) => name));
    if (turn === 0) gossip.gain(2);
  }
  expect(received).toEqual(names);
  expect(sentIn(gossip.next(1000)).map(([name, chunks]) => [name, chunks])).toEqual(
    names.slice(0, 10).map((name) => [name, [2]]),
  );
  expect(gossip.deadline()).toBeUndefined();
});

test("a member that joins gets HAVE for later chunks only, one that left for none", () => {
  const gossip = new Gossip<string>();
  gossip.join("old");
  gossip.gain(1);
  gossip.join("new");
  expect(gossip.leave("old")).toBe(true);
  expect(gossip.leave("old")).toBe(false);
  expect(gossip.deadline()).toBeUndefined();
  gossip.gain(2);
  expect(sentIn(gossip.next(0))).toEqual([["new", [2]]]);
});

test("more ranges than a HAVE takes are sent in several", () => {
  const gossip = new Gossip<string>();
  gossip.join("a");
  for (let index = 0; index <= CHUNK_RANGES_MAX; index++) gossip.gain(2 * index);
  const [turn] = gossip.next(0);
  expect(turn!.pages.map((page) => page.length / 2)).toEqual([CHUNK_RANGES_MAX, 1]);
});

const operation = fc.record({ kind: fc.constantFrom("gain", "join", "leave", "turn"), member: fc.nat(30) });

test("every member gets each chunk that arrives while it is a member in exactly one HAVE, under any sequence of events", () => {
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 300 }), (operations) => {
      const gossip = new Gossip<string>({ turnsPerRound: 3, membersPerTurnMin: 2 });
      const expected = new Map<string, number[]>();
      const sent = new Map<string, number[]>();
      let chunk = 0;
      const takeTurn = () => {
        const received = sentIn(gossip.next(0));
        expect(received.length).toBeLessThanOrEqual(Math.max(2, Math.ceil(gossip.size / 3)));
        for (const [member, chunks] of received) sent.get(member)!.push(...chunks);
      };
      for (const { kind, member: index } of operations) {
        const member = `m${index}`;
        if (kind === "gain") {
          gossip.gain(chunk);
          for (const chunks of expected.values()) chunks.push(chunk);
          chunk++;
        } else if (kind === "join" && !gossip.has(member)) {
          gossip.join(member);
          expected.set(member, []);
          sent.set(member, []);
        } else if (kind === "leave") {
          expect(gossip.leave(member)).toBe(expected.delete(member));
          sent.delete(member);
        } else if (kind === "turn" && gossip.deadline() !== undefined) takeTurn();
      }
      while (gossip.deadline() !== undefined) takeTurn();
      expect([...sent].sort()).toEqual([...expected].sort());
    }),
  );
});
