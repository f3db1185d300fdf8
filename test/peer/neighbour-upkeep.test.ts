/** Connections to other peers over their lifetime: dialled once, probed when silent, closed when of no use. */
import { describe, expect, test } from "bun:test";
import type { Address } from "../../src/core/address.ts";
import { MINUTE_MS, SECOND_MS } from "../../src/core/units.ts";
import type { Neighbour } from "../../src/peer/neighbour.ts";
import { DIAL_MS_MAX, neighboursMax } from "../../src/peer/neighbours.ts";
import { encodeFrame } from "../../src/wire/frame.ts";
import { RawEnd, Room } from "../support/room.ts";
import { Actor, type Answers, CHUNK, contentOf, holderIn, Parts, ranges, trackerIn } from "./parts.ts";

const content = contentOf(2 * CHUNK);
const manifestRequest = { type: "REQUEST_MANIFEST", content_id: content.contentId } as const;
/** Fewer than may turn out to be dead. */
const DIALLED_AT_ONCE = 100;
const nowhere = "10.0.9.9:7000" as Address;

/** A peer, and another one that answers so. */
function meeting(answers: Answers = {}) {
  const room = new Room();
  const parts = new Parts(room);
  parts.listen();
  const other = holderIn(room, "10.0.2.1", content, answers);
  const events: string[] = [];
  parts.events.subscribe((event) => {
    if ("address" in event) events.push(`${event.type} ${event.address}`);
  });
  const reach = (address = other.address) => parts.neighbours.reach(address);
  return { room, parts, other, events, reach };
}

describe("reaching an address", () => {
  test("dials once, for however many at the same time, and not again while the connection is open", () => {
    const { room, other, events, reach } = meeting();
    const [one, ...others] = room.wait(Promise.all([reach(), reach(), reach()])) as [Neighbour, ...Neighbour[]];
    expect(others.every((neighbour) => neighbour === one)).toBe(true);
    expect(room.wait(reach())).toBe(one);
    room.run(5);
    expect([other.connections.length, one.isInbound, one.address]).toEqual([1, false, other.address]);
    expect(events).toEqual([`peer_joined ${other.address}`]);
  });

  test("dials again after the connection has closed, from either side", () => {
    const { room, other, events, reach } = meeting();
    const first = room.wait(reach());
    first.connection.close();
    const second = room.wait(reach());
    room.run(5);
    other.open[0]!.close();
    room.run(5);
    const third = room.wait(reach());
    expect(new Set([first, second, third]).size).toBe(3);
    const [joined, left] = ["peer_joined", "peer_left"].map((type) => `${type} ${other.address}`);
    expect(events).toEqual([joined!, left!, joined!, left!, joined!]);
  });

  test("fails for all who wait, and is tried anew by who comes afterwards", () => {
    const { room, parts, reach } = meeting();
    const failures = [reach(nowhere), reach(nowhere)].map((reached) => room.failure(reached).code);
    expect(failures).toEqual(["unreachable", "unreachable"]);
    new Actor(room, "peer", "10.0.9.9");
    expect(room.wait(reach(nowhere)).address).toBe(nowhere);
    expect(parts.neighbours.bytesReceived).toBeGreaterThan(0);
  });

  test("of somebody who says nothing is given up in a second", () => {
    const { room, reach } = meeting();
    const { address } = room.listenRaw(room.machine("10.0.2.9"));
    expect(room.duration(reach(address))).toBe(DIAL_MS_MAX);
  });

  test("of a tracker finds no peer, and leaves no connection", () => {
    const { room, reach } = meeting();
    const tracker = trackerIn(room);
    expect(room.failure(reach(tracker.address))).toMatchObject({ message: `${tracker.address} is not a peer` });
    room.run(5);
    expect(tracker.open.length).toBe(0);
  });
});

test("a connection that closes while the other side is asked whether it dialled this one is none: nobody joined", () => {
  const breaking: Answers = {
    REQUEST_CONFIRM: (_message, connection) => {
      connection.close();
      return undefined;
    },
  };
  const { room, parts, other, events, reach } = meeting(breaking);
  // Somebody who came in says that it listens there.
  const claimant = new Actor(room, "peer", "10.0.2.2");
  claimant.dial(parts.address, { address: other.address, nonce: "ab".repeat(16) });
  room.run(5);
  expect(room.failure(reach())).toMatchObject({ code: "unreachable" });
  room.run(SECOND_MS);
  expect(events).toEqual([]);
});

describe("a neighbour that owes an answer and is silent", () => {
  const silent: Answers = { REQUEST_MANIFEST: () => undefined };

  test("is closed after 3 seconds of silence and 3 of no answer to a ping", () => {
    const { room, other, reach } = meeting(silent);
    const { connection } = room.wait(reach());
    const asked = connection.request(manifestRequest);
    other.process.freeze(MINUTE_MS);
    const tookMs = room.duration(asked);
    expect(tookMs).toBeGreaterThan(6 * SECOND_MS);
    expect(tookMs).toBeLessThan(8 * SECOND_MS);
    expect(connection.closeCause).toMatchObject({ code: "unreachable", message: "this peer does not answer" });
  });

  test("and answers the ping may take its time", () => {
    const { room, other, reach } = meeting(silent);
    const { connection } = room.wait(reach());
    connection.request(manifestRequest).catch(() => {});
    room.run(MINUTE_MS);
    expect(connection.isOpen).toBe(true);
    expect(other.all("REQUEST_PING_PONG").length).toBeGreaterThan(10);
    expect(other.all("REQUEST_PING_PONG").length).toBeLessThan(25);
  });

  test("but whose bytes come is alive, although the pong waits behind them", () => {
    const { room, parts } = meeting();
    const { address, ends } = room.listenRaw(room.machine("10.0.2.9"));
    const reaching = parts.neighbours.reach(address);
    room.until(() => ends.length === 1);
    const raw = ends[0]!;
    raw.hello();
    const { connection } = room.wait(reaching);
    const { id, reply } = connection.ask(manifestRequest);
    reply.catch(() => {});
    raw.write(encodeFrame({ type: "REPLY_MANIFEST", request: id, content_id: content.contentId }, 20));
    for (let second = 0; second < 19; second++) {
      raw.write(new Uint8Array(1));
      room.run(4 * SECOND_MS);
    }
    expect([connection.isOpen, raw.all("REQUEST_PING_PONG").length > 0]).toEqual([true, true]);
  });

  test("is left alone while this side does not read from it", () => {
    const { room, other, reach } = meeting(silent);
    const { connection } = room.wait(reach());
    connection.request(manifestRequest).catch(() => {});
    connection.pause(room);
    room.run(MINUTE_MS);
    expect(other.all("REQUEST_PING_PONG")).toEqual([]);
    expect(connection.isOpen).toBe(true);
  });
});

test("a neighbour that owes nothing is not probed", () => {
  const { room, other, reach } = meeting();
  room.wait(reach());
  room.run(MINUTE_MS);
  expect(other.all("REQUEST_PING_PONG")).toEqual([]);
});

describe("a neighbour that is of no use any more", () => {
  /** A peer that has come in, as this side sees it. */
  function inbound() {
    const { room, parts, other } = meeting();
    let neighbour: Neighbour | undefined;
    const handlersOf = parts.sharing.handlersOf.bind(parts.sharing);
    parts.sharing.handlersOf = (met) => {
      neighbour = met;
      return handlersOf(met);
    };
    const connection = other.dial(parts.address);
    room.until(() => neighbour !== undefined);
    return { room, connection, neighbour: neighbour! };
  }

  test.each([
    ["15 seconds where nothing was moved", 15 * SECOND_MS, () => {}],
    ["2 minutes after something was moved", 2 * MINUTE_MS, (neighbour: Neighbour) => neighbour.noteUse()],
    ["10 minutes in a swarm", 10 * MINUTE_MS, ({ swarms }: Neighbour) => void swarms.add(content.contentId)],
  ])("is closed after %s, whatever it says meanwhile", (_when, patienceMs, prepare) => {
    const { room, connection, neighbour } = inbound();
    prepare(neighbour);
    const startMs = room.now;
    while (connection.isOpen) {
      connection.request({ type: "REQUEST_PING_PONG", peer_address: null }).catch(() => {});
      connection.send({ type: "HAVE", content_id: content.contentId, chunks: ranges(0, 0) });
      room.run(SECOND_MS);
    }
    expect(room.now - startMs).toBeGreaterThan(patienceMs);
    expect(room.now - startMs).toBeLessThan(patienceMs + 2.1 * SECOND_MS);
  });

  test("keeps its place while it is used", () => {
    const { room, neighbour } = inbound();
    for (let minute = 0; minute < 30; minute++) {
      neighbour.noteUse();
      room.run(MINUTE_MS);
    }
    expect(neighbour.connection.isOpen).toBe(true);
  });
});

test("with as many dialled connections as there are places a further one is busy, until one of them was idle for a minute", () => {
  const { room, parts, reach } = meeting();
  const crowd = room.machine("10.0.3.1");
  const addressOf = (index: number) => `${crowd.ip}:${1000 + index}` as Address;
  for (let index = 0; index <= neighboursMax(); index++)
    crowd.system.network.listen(crowd.ip, 1000 + index, (transport) => {
      const end = new RawEnd(transport);
      end.hello();
      return end.events;
    });
  const last = addressOf(neighboursMax());
  for (let first = 0; first < neighboursMax(); first += DIALLED_AT_ONCE) {
    const count = Math.min(DIALLED_AT_ONCE, neighboursMax() - first);
    const reached = Array.from({ length: count }, (_, index) => reach(addressOf(first + index)));
    if (first + count === neighboursMax()) expect(room.failure(reach(last), 0)).toMatchObject({ code: "busy" });
    expect(room.wait(Promise.all(reached)).length).toBe(count);
  }
  expect(room.failure(reach(last))).toMatchObject({ code: "busy" });
  room.run(61 * SECOND_MS);
  expect(room.wait(reach(last)).address).toBe(last);
  room.run(5);
  expect(parts.neighbours.bytesReceived).toBeGreaterThan(0);
});

test("a connection that is being made when all are closed is closed as well", () => {
  const { room, parts, other, reach } = meeting();
  const reaching = reach().catch(() => {});
  room.run(1);
  parts.neighbours.closeAll();
  room.wait(reaching);
  room.run(SECOND_MS);
  expect([other.connections.length, other.open.length]).toEqual([1, 0]);
});

test("after closing all, no connection and no timer is left", () => {
  const room = new Room();
  const parts = new Parts(room);
  const { address, ends } = room.listenRaw(room.machine("10.0.2.9"));
  const reaching = parts.neighbours.reach(address);
  room.until(() => ends.length === 1);
  ends[0]!.hello();
  room.wait(reaching);
  parts.neighbours.closeAll();
  expect(room.isQuietAfter(10 * SECOND_MS)).toBe(true);
  expect(ends[0]!.isClosed).toBe(true);
});
