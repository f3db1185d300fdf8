/** Whoever is connected and gives nothing takes a place from others: the deadlines of section 10 of wire/README.md. */
import { describe, expect, test } from "bun:test";
import { rangeOfOne } from "../../src/core/bitfield.ts";
import { P2pfsError } from "../../src/core/errors.ts";
import type { FileName } from "../../src/core/file-name.ts";
import type { ContentId } from "../../src/core/manifest.ts";
import { MiB, SECOND_MS } from "../../src/core/units.ts";
import type { Connection } from "../../src/net/connection.ts";
import { payloadOf } from "../../src/net/send-queue.ts";
import { openSqliteRegistry } from "../../src/tracker/sqlite-registry.ts";
import { Tracker } from "../../src/tracker/tracker.ts";
import { encodeFrame } from "../../src/wire/frame.ts";
import { PROTOCOL_VERSION } from "../../src/wire/messages.ts";
import { type RawEnd, Room } from "../support/room.ts";
import { type FakeHandlers, serveFake } from "../support/serve-fake.ts";

const contentId = "ab".repeat(32) as ContentId;
const manifestRequest = { type: "REQUEST_MANIFEST", content_id: contentId } as const;
const helloFrame = encodeFrame({
  type: "HELLO",
  version: PROTOCOL_VERSION,
  role: "peer",
  agent: "raw",
  address: null,
});

/** A listener and a bare end that is connected to it and has said nothing yet. */
function bareEnd(handlersOf: (connection: Connection) => FakeHandlers = () => ({})) {
  const room = new Room();
  let connection: Connection | undefined;
  const { address } = room.listen(room.machine("10.0.0.2"), {
    onConnection: (greeted) => {
      connection = greeted;
      serveFake(greeted, handlersOf(greeted));
    },
  });
  const raw = room.dialRaw(room.machine("10.0.0.1"), address);
  const greet = (): Connection => {
    raw.hello();
    room.until(() => connection !== undefined);
    return connection!;
  };
  return { room, raw, greet, closedAfter: () => durationUntilClosed(room, raw) };
}

function durationUntilClosed(room: Room, raw: RawEnd): number {
  const startMs = room.now;
  room.until(() => raw.isClosed);
  return room.now - startMs;
}

/** Writes a byte each so many milliseconds. */
function trickle(room: Room, raw: RawEnd, bytes: Uint8Array, everyMs: number): void {
  for (let at = 0; at < bytes.length; at++) room.clock.after(at * everyMs, () => raw.write(bytes.subarray(at, at + 1)));
}

describe("HELLO", () => {
  test("has to be here within 2 seconds", () => {
    const { raw, closedAfter } = bareEnd();
    const tookMs = closedAfter();
    expect(tookMs).toBeGreaterThan(2 * SECOND_MS - 5);
    expect(tookMs).toBeLessThan(2 * SECOND_MS + 5);
    expect(raw.all("ERROR")).toMatchObject([{ request: null, code: 14, message: "no HELLO came in time" }]);
  });

  test("does not come in time if it comes a byte in 100 ms", () => {
    const { room, raw, closedAfter } = bareEnd();
    trickle(room, raw, helloFrame, 100);
    expect(closedAfter()).toBeLessThan(2 * SECOND_MS + 5);
  });

  test("may come late, a byte at a time", () => {
    const { room, raw } = bareEnd();
    room.run(SECOND_MS);
    trickle(room, raw, helloFrame, 10);
    room.run(60 * SECOND_MS);
    expect(raw.isClosed).toBe(false);
  });

  test("an ERROR is no HELLO: it prolongs nothing", () => {
    const { room, raw } = bareEnd();
    raw.send({ type: "ERROR", request: null, code: 16, message: "wait" });
    room.run(2 * SECOND_MS + 5);
    expect(raw.isClosed).toBe(true);
  });
});

describe("a frame", () => {
  const frame = encodeFrame({ type: "HAVE", content_id: contentId, chunks: rangeOfOne(1) });

  test("has to be whole 10 seconds after its first byte, however its bytes come", () => {
    for (const everyMs of [SECOND_MS, 60 * SECOND_MS]) {
      const { room, raw, greet, closedAfter } = bareEnd();
      greet();
      trickle(room, raw, frame, everyMs);
      const tookMs = closedAfter();
      expect(tookMs).toBeGreaterThan(10 * SECOND_MS);
      expect(tookMs).toBeLessThan(11.1 * SECOND_MS);
      expect(raw.all("ERROR")).toMatchObject([{ code: 17, message: "the rest of a frame did not come in time" }]);
    }
  });

  test("that is whole in 9 seconds is no fault, nor are many of these", () => {
    const { room, raw, greet } = bareEnd();
    greet();
    for (let round = 0; round < 5; round++) {
      trickle(room, raw, frame, (9 * SECOND_MS) / frame.length);
      room.run(10 * SECOND_MS);
    }
    expect(raw.isClosed).toBe(false);
  });

  test("is not late while this side does not read", () => {
    const { room, raw, greet } = bareEnd();
    const connection = greet();
    raw.write(frame.subarray(0, 5));
    room.run(5);
    connection.pause(room);
    raw.write(frame.subarray(5));
    room.run(60 * SECOND_MS);
    connection.resume(room);
    room.run(9 * SECOND_MS);
    expect(raw.isClosed).toBe(false);
  });

  test("is late again once this side reads again", () => {
    const { room, raw, greet } = bareEnd();
    const connection = greet();
    raw.write(frame.subarray(0, 5));
    room.run(5);
    connection.pause(room);
    room.run(60 * SECOND_MS);
    connection.resume(room);
    const tookMs = durationUntilClosed(room, raw);
    expect(tookMs).toBeGreaterThan(9 * SECOND_MS);
    expect(tookMs).toBeLessThan(12 * SECOND_MS);
  });
});

describe("a payload", () => {
  /** A connection that has asked for a manifest of 20 bytes, whose header is here. */
  function begun() {
    const side = bareEnd();
    const connection = side.greet();
    const openPayload = (_message: unknown, bytes: number) => new Uint8Array(bytes);
    const { id, reply } = connection.ask(manifestRequest, { openPayload });
    side.raw.write(encodeFrame({ type: "REPLY_MANIFEST", request: id, content_id: contentId }, 20));
    return { ...side, connection, reply };
  }

  test("may take minutes as long as a byte of it comes every 9 seconds", () => {
    const { room, raw, reply } = begun();
    trickle(room, raw, new Uint8Array(20).fill(7), 9 * SECOND_MS);
    expect(room.wait(reply).payload).toEqual(new Uint8Array(20).fill(7));
    expect(room.now).toBeGreaterThan(170 * SECOND_MS);
  });

  test("of which no byte comes for 10 seconds ends the connection and its requests", () => {
    const { room, raw, reply, closedAfter } = begun();
    raw.write(new Uint8Array(19));
    const lost = room.failure(reply);
    expect(lost).toMatchObject({ code: "unreachable", message: "the rest of a frame did not come in time" });
    expect(room.now).toBeLessThan(11.2 * SECOND_MS);
    closedAfter();
  });

  test("whose first byte never comes is a frame that is not whole", () => {
    const { closedAfter } = begun();
    const tookMs = closedAfter();
    expect(tookMs).toBeGreaterThan(10 * SECOND_MS);
    expect(tookMs).toBeLessThan(11.2 * SECOND_MS);
  });
});

describe("whoever reads nothing", () => {
  const bytes = new Uint8Array(MiB);
  const filename = "f" as FileName;
  const chunk = { content_id: contentId, chunknum: rangeOfOne(7), filename } as const;

  /** A bare end that was sent more than the network buffers. */
  function sending() {
    const side = bareEnd((connection) => ({
      request: ({ request }) => {
        const reply = { filename, content_id: contentId, chunknum: 7, digest: new Uint8Array(32) } as const;
        connection.replyWithPayload(request, { type: "PEER_REPLY_CHUNK", ...reply }, payloadOf(bytes));
        return undefined;
      },
    }));
    const connection = side.greet();
    side.raw.send({ type: "PEER_REQUEST_CHUNK", request: 1, ...chunk });
    return { ...side, connection };
  }

  test("of what waits for it is closed after 30 seconds", () => {
    const { room, raw, connection } = sending();
    raw.transport.pause();
    room.until(() => connection.sendBlockedSinceMs !== undefined);
    const sinceMs = room.now;
    room.until(() => !connection.isOpen);
    expect(room.now - sinceMs).toBeGreaterThan(30 * SECOND_MS);
    expect(room.now - sinceMs).toBeLessThan(31.1 * SECOND_MS);
    expect(connection.closeCause).toMatchObject({ message: "what was sent was not read in time" });
  });

  test("for 29 seconds and then goes on gets all of it", () => {
    const { room, raw, connection } = sending();
    raw.transport.pause();
    room.run(29 * SECOND_MS);
    raw.transport.resume();
    room.run(60 * SECOND_MS);
    expect(raw.payloads.map(({ length }) => length)).toEqual([MiB]);
    expect([connection.isOpen, connection.sendBlockedSinceMs]).toEqual([true, undefined]);
  });

  test("is waited for no longer than a second once this side closes", () => {
    const { room, raw, connection } = sending();
    raw.transport.pause();
    room.run(10);
    let closedAtMs: number | undefined;
    serveFake(connection, {
      closed: () => {
        closedAtMs = room.now;
      },
    });
    const askedMs = room.now;
    connection.close(new P2pfsError("cancelled", "enough"));
    room.run(10 * SECOND_MS);
    expect(closedAtMs! - askedMs).toBe(SECOND_MS);
  });
});

test("F22: whoever has not registered at a tracker 10 seconds after HELLO is closed, whatever else it asks meanwhile", () => {
  const room = new Room();
  const { system, ip } = room.machine("10.0.0.2");
  const tracker = room.wait(
    Tracker.open({
      dataFolder: { path: "", databasePath: ":memory:" },
      registry: openSqliteRegistry({ path: ":memory:", ...system }),
      insecure: true,
      system,
      log: () => {},
    }),
  );
  const address = room.wait(tracker.start({ host: ip, port: 7700 }));
  const stranger = room.dial(room.machine("10.0.0.1"), address);
  const startMs = room.now;
  while (stranger.isOpen) {
    room.duration(stranger.request({ type: "HEARTBEAT" }));
    room.run(500);
  }
  expect(room.now - startMs).toBeGreaterThan(10 * SECOND_MS);
  expect(room.now - startMs).toBeLessThan(11.6 * SECOND_MS);
});
