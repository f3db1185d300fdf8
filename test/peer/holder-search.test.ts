/** Holders are looked for at the start, when the engine asks and later; each is joined once, with what this peer has. */
import { describe, expect, test } from "bun:test";
import type { Address } from "../../src/core/address.ts";
import { Bitfield } from "../../src/core/bitfield.ts";
import { P2pfsError } from "../../src/core/errors.ts";
import { MINUTE_MS, SECOND_MS } from "../../src/core/units.ts";
import { sleep } from "../../src/net/system.ts";
import { HolderSearch, type HolderSearchOptions } from "../../src/peer/holder-search.ts";
import { Room } from "../support/room.ts";
import { chunksIn } from "../swarm/support.ts";
import { type Actor, type Answers, CHUNK, contentOf, holderIn, Parts } from "./parts.ts";

const content = contentOf(4 * CHUNK);
const { contentId } = content;

/** A search in which the tracker names whom the test says. */
function searching(options: Partial<HolderSearchOptions> = {}, answers: Answers = {}) {
  const room = new Room();
  const parts = new Parts(room);
  const holders = [1, 2, 3].map((number) => holderIn(room, `10.0.2.${number}`, content, answers));
  const asked: number[] = [];
  const side = { named: [] as readonly Pick<Actor, "address">[], sources: 0 };
  const have = new Bitfield(content.chunkCount);
  const joined: string[] = [];
  parts.swarms.listen(contentId, {
    memberJoined: ({ address }, chunks) => void joined.push(`${address} ${chunksIn(chunks)}`),
    memberHas: ({ address }) => void joined.push(`${address} again`),
    memberGone: ({ address }) => void joined.push(`${address} gone`),
  });
  const search = new HolderSearch({
    clock: parts.process.system.clock,
    contentId,
    have,
    neighbours: parts.neighbours,
    swarms: parts.swarms,
    findHolders: async () => {
      asked.push(room.now);
      return [...side.named];
    },
    sourceCount: () => side.sources,
    isKnown: () => false,
    delayed: () => {},
    log: parts.log,
    ...options,
  });
  const joins = (actor: Actor) => actor.all("REQUEST_JOIN_SWARM").map(({ chunks }) => chunksIn(chunks));
  return { room, parts, holders, asked, side, have, joined, search, joins };
}

describe("a search", () => {
  test("joins the holders that it is given and those that the tracker names by then", () => {
    const { room, holders, side, joined, search, joins } = searching();
    const [one, two] = holders as [Actor, Actor];
    side.named = [two];
    search.start([one]);
    room.run(20);
    expect(joined.sort()).toEqual([`${one.address} 0,1,2,3`, `${two.address} 0,1,2,3`]);
    expect([joins(one), joins(two)]).toEqual([[[]], [[]]]);
  });

  test("asks again, soon at first and less often later, while there are few sources", () => {
    const { room, asked, search } = searching();
    search.start([]);
    room.run(40 * SECOND_MS);
    expect(asked).toEqual([0, 250, 750, 1750, 3750, 7750, 15_750, 23_750, 31_750, 39_750]);
  });

  test("does not ask while there are thirty sources, and does when one is gone", () => {
    const { room, asked, side, search } = searching();
    side.sources = 30;
    search.start([]);
    room.run(20 * SECOND_MS);
    expect(asked).toEqual([0]);
    side.sources = 29;
    room.run(8 * SECOND_MS);
    expect(asked.length).toBe(2);
  });

  test("never asks twice at a time, however slow the tracker is and however often it is told to", () => {
    let underWay = 0;
    let underWayMax = 0;
    const { room, parts, search } = searching({
      findHolders: async () => {
        underWayMax = Math.max(underWayMax, ++underWay);
        await sleep(parts.process.system.clock, 1500);
        underWay--;
        return [];
      },
    });
    search.start([]);
    for (let times = 0; times < 50; times++) {
      search.again();
      room.run(100);
    }
    expect(underWayMax).toBe(1);
  });

  test("dials a holder once, although every answer names it while that takes long", () => {
    const { room, holders, side, search, joins } = searching();
    const [one] = holders as [Actor];
    one.process.freeze(600);
    side.named = [one];
    search.start([one, one]);
    for (let times = 0; times < 5; times++) {
      search.again();
      room.run(100);
    }
    room.run(200);
    expect([one.connections.length, joins(one).length]).toEqual([1, 1]);
  });

  test("tries one that could not be reached, or refused, again when it is named again", () => {
    let refusals = 2;
    const { room, holders, side, joined, search } = searching(
      {},
      {
        REQUEST_JOIN_SWARM: ({ content_id }) => {
          if (refusals-- > 0) throw new P2pfsError("busy", "too many members");
          return { type: "REPLY_JOIN_SWARM", content_id, chunks: Bitfield.full(4).toRanges() };
        },
      },
    );
    const [one] = holders as [Actor];
    side.named = [{ address: "10.0.9.9:7000" as Address }, one];
    search.start([]);
    room.run(700);
    expect(joined).toEqual([]);
    room.run(100);
    expect(joined).toEqual([`${one.address} 0,1,2,3`]);
  });

  test("that hears no answer to its join for a second goes on without that holder", () => {
    const { room, holders, joined, search } = searching({}, { REQUEST_JOIN_SWARM: () => undefined });
    search.start([holders[0]!]);
    room.run(5 * SECOND_MS);
    expect(joined).toEqual([]);
    expect(holders[0]!.all("REQUEST_JOIN_SWARM").length).toBe(1);
  });

  test("leaves out whom it knows: sources and banned ones, also those that become so while they are dialled", () => {
    const known = new Set<Address>();
    const { room, holders, search, joins } = searching({ isKnown: (address) => known.has(address) });
    const [one, two, three] = holders as [Actor, Actor, Actor];
    known.add(one.address);
    search.start([one, two, three]);
    known.add(two.address);
    room.run(50);
    expect([one.connections.length, joins(two).length, joins(three).length]).toEqual([0, 0, 1]);
  });

  test("that is closed asks no more, dials no more, and does not join whom it has dialled", () => {
    const { room, parts, holders, asked, side, joined, search, joins } = searching();
    side.named = [holders[1]!];
    search.start([holders[0]!]);
    search.close();
    search.again();
    room.run(MINUTE_MS);
    expect([asked.length, joined, holders.flatMap(joins)]).toEqual([1, [], []]);
    expect(holders[1]!.connections.length).toBe(0);
    expect(parts.logged).toEqual([]);
  });

  test("that is closed while a holder answers its join makes no member of it", () => {
    const { room, holders, joined, search } = searching();
    search.start([holders[0]!]);
    room.until(() => holders[0]!.all("REQUEST_JOIN_SWARM").length === 1);
    search.close();
    room.run(50);
    expect(joined).toEqual([]);
  });

  test("does not join a holder whose connection was closed when its answer came", () => {
    const side = searching({
      neighbours: {
        reach: async (address: Address) => {
          const neighbour = await side.parts.neighbours.reach(address);
          const request = neighbour.connection.request.bind(neighbour.connection);
          neighbour.connection.request = async (...asked) => {
            const reply = await request(...asked);
            neighbour.connection.close();
            return reply;
          };
          return neighbour;
        },
      } as unknown as HolderSearchOptions["neighbours"],
    });
    const { room, holders, joined, search } = side;
    search.start([holders[0]!]);
    room.run(200);
    expect([holders[0]!.all("REQUEST_JOIN_SWARM").length, joined]).toEqual([1, []]);
  });
});

describe("what this peer has", () => {
  test("is told in the join, and what it gains until the answer in HAVE", () => {
    const { room, holders, have, search, joins } = searching();
    const [one] = holders as [Actor];
    have.add(1);
    search.start([one]);
    room.until(() => one.all("REQUEST_JOIN_SWARM").length === 1);
    have.add(3);
    room.run(20);
    expect(joins(one)).toEqual([[1]]);
    expect(one.all("HAVE").map(({ chunks }) => chunksIn(chunks))).toEqual([[3]]);
  });

  test("goes on in HAVE where it needs more ranges than a message may have", () => {
    const many = new Bitfield(10_000);
    for (let chunk = 0; chunk < many.size; chunk += 2) many.add(chunk);
    const { room, holders, search, joins } = searching({ have: many });
    const [one] = holders as [Actor];
    search.start([one]);
    room.run(20);
    const told = [...joins(one), ...one.all("HAVE").map(({ chunks }) => chunksIn(chunks))];
    expect(told.map(({ length }) => length)).toEqual([4096, 904]);
    expect(told.flat()).toEqual([...many]);
  });
});
