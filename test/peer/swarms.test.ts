/** Who is a member of which swarm, and which member is told of which chunk, once. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type ChunkRanges, NO_CHUNKS } from "../../src/core/bitfield.ts";
import { SECOND_MS } from "../../src/core/units.ts";
import { NEIGHBOURS_MAX, Neighbour } from "../../src/peer/neighbour.ts";
import type { SwarmListener } from "../../src/peer/swarms.ts";
import { numRuns } from "../core/arbitraries.ts";
import { Room } from "../support/room.ts";
import { chunksIn } from "../swarm/support.ts";
import { Actor, CHUNK, contentOf, Parts, ranges } from "./parts.ts";

const content = contentOf(30 * CHUNK);
const other = contentOf(2 * CHUNK, 2);
const { contentId } = content;

/** A peer that fetches the content, with so many neighbours. */
function swarming(neighbourCount: number) {
  const room = new Room();
  const parts = new Parts(room);
  const { swarms } = parts;
  const part = parts.addPart(content);
  const actors = Array.from({ length: neighbourCount }, (_, index) => new Actor(room, "peer", `10.0.2.${index + 1}`));
  const neighbours = actors.map(({ address }) => room.wait(parts.neighbours.reach(address)));
  room.run(5);
  const heard: string[] = [];
  const nameOf = (member: Neighbour) => neighbours.indexOf(member);
  const listener: SwarmListener = {
    memberJoined: (member, chunks) => void heard.push(`${nameOf(member)} joined ${chunksIn(chunks)}`),
    memberHas: (member, chunks) => void heard.push(`${nameOf(member)} has ${chunksIn(chunks)}`),
    memberGone: (member, gaveUp) => void heard.push(`${nameOf(member)} ${gaveUp ? "gave up" : "gone"}`),
  };
  const gain = (...chunks: number[]) => {
    for (const chunk of chunks) parts.library.gain(contentId, part, chunk);
  };
  /** Chunks that this neighbour was told of by HAVE. */
  const toldTo = (index: number) => actors[index]!.all("HAVE").flatMap(({ chunks }) => chunksIn(chunks));
  return { room, parts, part, swarms, actors, neighbours, listener, heard, gain, toldTo };
}

describe("membership", () => {
  test("begins once; who joins again says what else it has", () => {
    const { swarms, neighbours, listener, heard } = swarming(1);
    const [one] = neighbours as [Neighbour];
    swarms.listen(contentId, listener);
    expect(swarms.join(contentId, one, ranges(0, 1))).toBe(true);
    expect(swarms.join(contentId, one, ranges(5, 5))).toBe(true);
    swarms.has(contentId, one, ranges(7, 8));
    expect(heard).toEqual(["0 joined 0,1", "0 has 5", "0 has 7,8"]);
    expect([...one.swarms]).toEqual([contentId]);
  });

  test("is needed for HAVE and LEAVE_SWARM to mean anything", () => {
    const { swarms, neighbours, listener, heard } = swarming(2);
    const [one, two] = neighbours as [Neighbour, Neighbour];
    swarms.listen(contentId, listener);
    swarms.join(contentId, two, NO_CHUNKS);
    swarms.has(contentId, one, ranges(0, 0));
    swarms.leave(contentId, one);
    swarms.has(other.contentId, two, ranges(0, 0));
    swarms.leave(other.contentId, two);
    expect(heard).toEqual(["1 joined "]);
  });

  test("ends once: by LEAVE_SWARM, or with the connection, and then in every swarm", () => {
    const { swarms, neighbours, listener, heard } = swarming(2);
    const [one, two] = neighbours as [Neighbour, Neighbour];
    for (const id of [contentId, other.contentId]) {
      swarms.listen(id, listener);
      for (const each of [one, two]) swarms.join(id, each, NO_CHUNKS);
    }
    heard.length = 0;
    for (let times = 0; times < 2; times++) {
      swarms.leave(contentId, one);
      swarms.drop(two);
    }
    expect(heard).toEqual(["0 gave up", "1 gone", "1 gone"]);
    expect([...one.swarms, ...two.swarms]).toEqual([other.contentId]);
  });

  test("ends when the neighbour's connection closes", () => {
    const { room, swarms, actors, neighbours, listener, heard } = swarming(1);
    swarms.listen(contentId, listener);
    swarms.join(contentId, neighbours[0]!, NO_CHUNKS);
    actors[0]!.open[0]!.close();
    room.run(10);
    expect(heard).toEqual(["0 joined ", "0 gone"]);
    expect(neighbours[0]!.swarms.size).toBe(0);
  });

  test("has room for as many as there can be neighbours; beyond that newcomers are turned away, members are not", () => {
    const { parts, swarms, neighbours } = swarming(1);
    const { connection } = neighbours[0]!;
    const many = Array.from(
      { length: 2 * NEIGHBOURS_MAX + 1 },
      (_, index) => new Neighbour(`n${index}`, connection, null, parts.process.system.clock),
    );
    const joined = many.map((each) => swarms.join(contentId, each, NO_CHUNKS));
    expect(joined.filter((isIn) => isIn).length).toBe(2 * NEIGHBOURS_MAX);
    expect([joined.at(-1), many.at(-1)!.swarms.size]).toEqual([false, 0]);
    expect(swarms.join(contentId, many[0]!, ranges(1, 1))).toBe(true);
    swarms.leave(contentId, many[0]!);
    expect(swarms.join(contentId, many.at(-1)!, NO_CHUNKS)).toBe(true);
  });

  test("a listener hears nothing of members that joined before it, nor anything after it has ended", () => {
    const { swarms, neighbours, listener, heard } = swarming(2);
    const [one, two] = neighbours as [Neighbour, Neighbour];
    swarms.join(contentId, one, ranges(0, 0));
    swarms.listen(contentId, listener);
    expect(heard).toEqual([]);
    swarms.has(contentId, one, ranges(1, 1));
    swarms.unlisten(contentId);
    swarms.join(contentId, two, NO_CHUNKS);
    swarms.drop(one);
    expect(heard).toEqual(["0 has 1"]);
  });

  test("each word of a member on what it has reaches the upload queue, and no other's does", () => {
    const { parts, swarms, neighbours } = swarming(2);
    const [one, two] = neighbours as [Neighbour, Neighbour];
    const noted: [string, ChunkRanges][] = [];
    parts.uploads.noteHeld = (requester, _content, chunks) => void noted.push([requester, chunks]);
    swarms.join(contentId, one, ranges(0, 3));
    swarms.join(contentId, one, ranges(5, 5));
    swarms.has(contentId, one, ranges(9, 9));
    swarms.has(contentId, two, ranges(9, 9));
    expect(noted).toEqual([ranges(0, 3), ranges(5, 5), ranges(9, 9)].map((chunks) => [one.id, chunks]));
  });
});

describe("gossip", () => {
  test("tells every member of every chunk once, in few messages, and not those that joined later of earlier ones", () => {
    const { room, swarms, actors, neighbours, gain, toldTo } = swarming(3);
    for (const neighbour of neighbours.slice(0, 2)) swarms.join(contentId, neighbour, NO_CHUNKS);
    gain(0, 1, 2, 9);
    room.run(100);
    swarms.join(contentId, neighbours[2]!, NO_CHUNKS);
    gain(5);
    room.run(100);
    expect([0, 1, 2].map(toldTo)).toEqual([[0, 1, 2, 9, 5], [0, 1, 2, 9, 5], [5]]);
    expect(actors[0]!.all("HAVE").length).toBe(2);
  });

  test("whatever is gained and whoever comes and goes: a member hears of each chunk gained while it is one, once", () => {
    const member = fc.nat({ max: 3 });
    const step = fc.oneof(
      { weight: 4, arbitrary: fc.record({ type: fc.constant("gain" as const), member }) },
      { weight: 2, arbitrary: fc.record({ type: fc.constantFrom("join" as const, "leave" as const), member }) },
      { weight: 2, arbitrary: fc.record({ type: fc.constant("pass" as const), member, ms: fc.nat({ max: 30 }) }) },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const { room, swarms, neighbours, gain, toldTo } = swarming(4);
        const gained: number[] = [];
        /** Of each member the chunks gained since it joined, and whether it is one. */
        const due = neighbours.map(() => new Set<number>());
        const isMember = neighbours.map(() => false);
        for (const each of steps) {
          const neighbour = neighbours[each.member]!;
          if (each.type === "pass") room.run(each.ms);
          else if (each.type === "gain") {
            const chunk = (gained.length * 7) % content.chunkCount;
            if (gained.includes(chunk)) continue;
            gained.push(chunk);
            gain(chunk);
            for (const [index, set] of due.entries()) if (isMember[index]) set.add(chunk);
          } else if (each.type === "join") {
            swarms.join(contentId, neighbour, NO_CHUNKS);
            isMember[each.member] = true;
          } else {
            // What it was not told by then it is not told any more.
            room.run(200);
            swarms.leave(contentId, neighbour);
            isMember[each.member] = false;
          }
        }
        room.run(SECOND_MS);
        for (const [index, set] of due.entries()) expect(toldTo(index).sort()).toEqual([...set].sort());
      }),
      { numRuns: numRuns / 4 },
    );
  });

  test("tells a large swarm in turns, a part of its members at a time, and all within a fifth of a second", () => {
    const { room, parts, swarms, neighbours, gain } = swarming(1);
    const { connection } = neighbours[0]!;
    const sentAtMs: number[] = [];
    const counting = Object.create(connection, {
      sendEncoded: { value: () => void sentAtMs.push(room.now) },
    }) as typeof connection;
    for (let index = 0; index < 100; index++)
      swarms.join(contentId, new Neighbour(`n${index}`, counting, null, parts.process.system.clock), NO_CHUNKS);
    gain(3);
    room.run(200);
    expect(sentAtMs.length).toBe(100);
    expect([...Map.groupBy(sentAtMs, (ms) => ms).values()].map(({ length }) => length)).toEqual([20, 20, 20, 20, 20]);
  });
});

describe("a content that is lost", () => {
  test("ends the swarm: every member is told by LEAVE_SWARM, and of nothing after it", () => {
    const { room, parts, part, swarms, actors, neighbours, gain } = swarming(2);
    for (const neighbour of neighbours) swarms.join(contentId, neighbour, NO_CHUNKS);
    gain(0);
    room.run(50);
    gain(1);
    parts.library.removePart(contentId, part);
    gain(2);
    room.run(SECOND_MS);
    for (const actor of actors) expect(actor.types).toEqual(["HAVE", "LEAVE_SWARM"]);
    expect(neighbours.map(({ swarms: of }) => of.size)).toEqual([0, 0]);
  });

  test("in one of two copies is not lost", () => {
    const { room, parts, part, swarms, actors, neighbours } = swarming(1);
    const copy = parts.addCopy(content);
    swarms.join(contentId, neighbours[0]!, NO_CHUNKS);
    parts.library.removePart(contentId, part);
    room.run(50);
    expect([actors[0]!.types, neighbours[0]!.swarms.size]).toEqual([[], 1]);
    parts.disk.unmounted.add(copy.path);
    parts.library.checkCopy(copy);
    room.run(50);
    expect(actors[0]!.types).toEqual(["LEAVE_SWARM"]);
  });
});

test("after a close nobody is told anything", () => {
  const { room, swarms, actors, neighbours, gain } = swarming(1);
  swarms.join(contentId, neighbours[0]!, NO_CHUNKS);
  gain(0);
  room.run(50);
  gain(1);
  swarms.close();
  room.run(SECOND_MS);
  expect(actors[0]!.all("HAVE").length).toBe(1);
});
