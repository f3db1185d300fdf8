/**
 * Requests and their answers over one connection: answered once, by the right reply, or not at all. The other end is
 * bare, so that it can answer as no peer of ours would.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { P2pfsError } from "../../src/core/errors.ts";
import type { ContentId } from "../../src/core/manifest.ts";
import { SECOND_MS } from "../../src/core/units.ts";
import type { Connection } from "../../src/net/connection.ts";
import { payloadOf } from "../../src/net/send-queue.ts";
import { REQUESTS_SERVED_MAX } from "../../src/net/served-requests.ts";
import { encodeFrame, FRAME_PREFIX_BYTES } from "../../src/wire/frame.ts";
import type { Message, Role } from "../../src/wire/messages.ts";
import { numRuns } from "../core/arbitraries.ts";
import { type RawEnd, Room } from "../support/room.ts";
import { type FakeHandlers, serveFake } from "../support/serve-fake.ts";

const contentId = "ab".repeat(32) as ContentId;
const ping = { type: "REQUEST_PING_PONG", peer_address: null } as const;
const manifest = { type: "REQUEST_MANIFEST", content_id: contentId } as const;
const pong = (request: number): Message => ({ type: "REPLY_PING_PONG", request, response: "pong" });
const join = (request: number): Message => ({
  type: "REPLY_JOIN_SWARM",
  request,
  content_id: contentId,
  chunks: [] as never,
});
const error = (request: number | null, code = 4): Message => ({ type: "ERROR", request, code, message: "no" });

interface Side {
  readonly room: Room;
  readonly connection: Connection;
  readonly raw: RawEnd;
  /** Filled once the connection has closed. */
  readonly closed: (P2pfsError | undefined)[];
}

/** A connection whose other end is bare. */
function connected(handlers: FakeHandlers = {}, { role = "peer" as Role, isStranger = false } = {}): Side {
  const room = new Room();
  const closed: (P2pfsError | undefined)[] = [];
  let connection: Connection | undefined;
  const { address } = room.listen(room.machine("10.0.0.2"), {
    role,
    onConnection: (greeted) => {
      connection = greeted;
      greeted.isStranger = isStranger;
      serveFake(greeted, { ...handlers, closed: (cause) => void closed.push(cause) });
    },
  });
  const raw = room.dialRaw(room.machine("10.0.0.1"), address);
  raw.hello();
  room.until(() => connection !== undefined);
  return { room, raw, connection: connection!, closed };
}

test("an answer counts once and for its own request; whatever else is taken for one ends the connection", () => {
  const step = fc.oneof(
    { weight: 3, arbitrary: fc.record({ type: fc.constant("ask" as const), timeoutMs: fc.constantFrom(5, 1000) }) },
    { weight: 3, arbitrary: fc.record({ type: fc.constantFrom("pong" as const, "refuse" as const), which: fc.nat() }) },
    { weight: 2, arbitrary: fc.record({ type: fc.constant("pass" as const), ms: fc.nat({ max: 12 }) }) },
    {
      weight: 1,
      arbitrary: fc.record({ type: fc.constantFrom("join" as const, "unasked" as const), which: fc.nat() }),
    },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const { room, raw, connection, closed } = connected();
      const ends: string[][] = [];
      /** Ids of requests whose answer is still owed, the late ones included. */
      const owed = new Set<number>();
      const asked: number[] = [];
      let isFaulty = false;
      for (const each of steps) {
        if (each.type === "ask") {
          const { id, reply } = connection.ask(ping, each);
          const outcome: string[] = [];
          ends.push(outcome);
          reply.then(
            () => outcome.push("pong"),
            ({ code }: P2pfsError) => outcome.push(code),
          );
          asked.push(id);
          if (!isFaulty) owed.add(id);
        } else if (each.type === "pass") room.run(each.ms);
        else {
          const id = each.type === "unasked" ? 900 + (each.which % 9) : (asked[each.which % asked.length] ?? 900);
          raw.send(each.type === "refuse" ? error(id) : each.type === "join" ? join(id) : pong(id));
          room.run(2);
          isFaulty ||= each.type === "join" || !owed.has(id);
          owed.delete(id);
        }
        expect(connection.isOpen).toBe(!isFaulty);
      }
      room.run(2 * SECOND_MS);
      expect(closed.map((cause) => cause?.code)).toEqual(isFaulty ? ["protocol"] : []);
      for (const outcome of ends) expect(outcome.length).toBe(1);
    }),
    { numRuns },
  );
});

describe("a request", () => {
  test("fails at its time-out and not before; its late answer is taken and ignored, payload included", () => {
    const { room, raw, connection } = connected();
    const { id, reply } = connection.ask(manifest, { timeoutMs: 50 });
    expect(room.duration(reply)).toBe(50);
    expect(connection.isAwaitingReply).toBe(false);
    raw.send({ type: "REPLY_MANIFEST", request: id, content_id: contentId }, new Uint8Array(100_000));
    const next = connection.ask(ping);
    raw.send(pong(next.id));
    expect(room.wait(next.reply).message).toMatchObject({ response: "pong" });
  });

  test("that times out while its payload comes fails then, and the connection goes on after the rest", () => {
    const { room, raw, connection } = connected();
    const { id, reply } = connection.ask(manifest, { timeoutMs: 50, openPayload: () => new Uint8Array(8) });
    raw.write(encodeFrame({ type: "REPLY_MANIFEST", request: id, content_id: contentId }, 8));
    raw.write(new Uint8Array(4));
    expect(room.duration(reply)).toBe(50);
    raw.write(new Uint8Array(4));
    const next = connection.ask(ping);
    raw.send(pong(next.id));
    expect(room.wait(next.reply).message).toMatchObject({ response: "pong" });
  });

  test("fails with the other side's word when the connection closes under it, and so do all others", () => {
    const { room, raw, connection, closed } = connected();
    const asked = Array.from({ length: 5 }, () => connection.request(ping));
    room.run(5);
    raw.send(error(null, 16));
    raw.transport.end();
    for (const request of asked) expect(room.failure(request)).toMatchObject({ code: "busy", message: "no" });
    expect(closed).toMatchObject([{ code: "busy" }]);
  });

  test("fails when the connection breaks without a word", () => {
    const { room, raw, connection } = connected();
    const asked = connection.request(ping);
    room.run(5);
    raw.transport.terminate();
    expect(room.failure(asked)).toMatchObject({ code: "unreachable" });
  });

  test("on a closed connection fails at once, with the reason of the close; notices and answers are not sent", () => {
    const { room, raw, connection } = connected();
    raw.send({ ...ping, request: 3 });
    connection.close(new P2pfsError("refused", "enough"));
    expect(room.failure(connection.request(ping), 0)).toMatchObject({ code: "refused", message: "enough" });
    connection.send({ type: "LEAVE_SWARM", content_id: contentId });
    connection.reply(3, { type: "REPLY_PING_PONG", response: "pong" });
    room.run(10);
    expect(raw.types).toEqual(["HELLO", "ERROR"]);
    connection.close(new P2pfsError("internal", "again"));
    expect(connection.closeCause).toMatchObject({ message: "enough" });
  });
});

describe("a request of the other side", () => {
  test("gets exactly one answer: the first that its handler gives", () => {
    const { room, raw, connection } = connected({ request: () => undefined });
    raw.send({ ...manifest, request: 7 });
    room.run(5);
    expect(connection.requestsServed).toBe(1);
    expect(
      connection.replyWithPayload(7, { type: "REPLY_MANIFEST", content_id: contentId }, payloadOf(new Uint8Array(3))),
    ).toBe(true);
    expect(
      connection.replyWithPayload(7, { type: "REPLY_MANIFEST", content_id: contentId }, payloadOf(new Uint8Array(3))),
    ).toBe(false);
    connection.refuse(7, new P2pfsError("busy", "no"));
    connection.refuse(8, new P2pfsError("busy", "never asked"));
    room.run(5);
    expect(raw.types).toEqual(["HELLO", "REPLY_MANIFEST"]);
    expect(connection.requestsServed).toBe(0);
  });

  test("may be answered after the connection has closed: nothing happens", () => {
    const answer = Promise.withResolvers<undefined>();
    const { room, raw, closed } = connected({ request: () => answer.promise });
    raw.send({ ...manifest, request: 7 });
    room.run(5);
    raw.transport.terminate();
    room.run(5);
    expect(closed.length).toBe(1);
    answer.reject(new P2pfsError("not_found", "no"));
    room.run(5);
    expect(raw.types).toEqual(["HELLO"]);
  });

  test("whose handler fails by a defect tells the other side nothing of this machine", () => {
    const { room, raw } = connected({
      request: () => {
        throw new Error("ENOENT /home/me/secret");
      },
    });
    raw.send({ ...manifest, request: 7 });
    room.run(5);
    expect(raw.all("ERROR")).toEqual([{ type: "ERROR", request: 7, code: 1, message: "the other side has a defect" }]);
  });

  test("is refused as busy while 512 wait, and each answer makes room for one", () => {
    const { room, raw, connection } = connected({ request: () => undefined });
    for (let request = 0; request <= REQUESTS_SERVED_MAX; request++) raw.send({ ...manifest, request });
    room.run(10);
    expect(raw.all("ERROR")).toMatchObject([{ request: REQUESTS_SERVED_MAX, code: 16 }]);
    connection.refuse(5, new P2pfsError("not_found", "no"));
    raw.send({ ...manifest, request: REQUESTS_SERVED_MAX });
    room.run(10);
    expect(raw.all("ERROR").map(({ code }) => code)).toEqual([16, 4]);
    expect(connection.requestsServed).toBe(REQUESTS_SERVED_MAX);
  });

  test("with an id that waits for its answer ends the connection", () => {
    const { room, raw, closed } = connected({ request: () => undefined });
    raw.send({ ...manifest, request: 5 });
    raw.send({ ...ping, request: 5 });
    room.run(10);
    expect(closed).toMatchObject([{ code: "protocol", message: "request id 5 is in use" }]);
  });
});

describe("what the other side may not send", () => {
  test("of an unknown id is skipped, payload included, and answered with the id of its request", () => {
    const { room, raw } = connected();
    const unknown = encodeFrame({ ...ping, request: 5 }, 0);
    unknown[4] = 0xee;
    new DataView(unknown.buffer).setUint32(0, unknown.length - FRAME_PREFIX_BYTES + 1000);
    raw.write(unknown);
    raw.write(new Uint8Array(1000));
    raw.send({ ...ping, request: 6 });
    room.run(5);
    expect(raw.all("ERROR")).toMatchObject([{ request: 5, code: 15, message: "message 238 is unknown here" }]);
    expect(raw.all("REPLY_PING_PONG")).toMatchObject([{ request: 6 }]);
  });

  test("is answered with an ERROR and the connection lives, a hundred times; then it is closed", () => {
    const { room, raw, connection, closed } = connected();
    const stray: Message = { type: "REQUEST_FILE_LIST", request: 1, fname: null, holder: null, cursor: null };
    for (let times = 1; times <= 100; times++) raw.send({ ...stray, request: times });
    room.run(10);
    expect(raw.all("ERROR").map(({ request, code }) => [request, code])).toEqual(
      Array.from({ length: 100 }, (_, index) => [index + 1, 15]),
    );
    expect(connection.isOpen).toBe(true);
    raw.send({ ...stray, request: 101 });
    room.run(10);
    expect(closed).toMatchObject([{ code: "unknown_message" }]);
  });

  test("a reply that nobody asked for ends the connection before its header is here", () => {
    const { room, raw, closed } = connected();
    raw.write(encodeFrame(join(1)).subarray(0, FRAME_PREFIX_BYTES));
    room.run(10);
    expect(closed).toMatchObject([{ code: "protocol", message: "nobody asked for a REPLY_JOIN_SWARM" }]);
  });

  test("a second HELLO changes nothing", () => {
    const { room, raw, connection } = connected();
    raw.send({ type: "HELLO", version: 9, role: "tracker", agent: "other", address: null });
    raw.send({ ...ping, request: 1 });
    room.run(10);
    expect(connection.hello).toMatchObject({ role: "peer", agent: "raw" });
    expect(raw.types).toEqual(["HELLO", "REPLY_PING_PONG"]);
  });

  test("a stranger's request that needs a registration is unauthorised, and its handler is not called", () => {
    let served = 0;
    const handlers = {
      request: () => {
        served++;
        return undefined;
      },
    };
    const { room, raw, connection } = connected(handlers, { role: "tracker", isStranger: true });
    const list = { type: "REQUEST_FILE_LIST", fname: null, holder: null, cursor: null } as const;
    raw.send({ ...list, request: 1 });
    room.run(10);
    expect(raw.all("ERROR")).toMatchObject([{ request: 1, code: 11 }]);
    expect([served, connection.requestsServed]).toEqual([0, 0]);
    connection.isStranger = false;
    raw.send({ ...list, request: 2 });
    room.run(10);
    expect(served).toBe(1);
  });

  test("an ERROR for the connection as a whole is remembered as the reason of a close, and closes nothing itself", () => {
    const { room, raw, connection, closed } = connected();
    raw.send(error(null, 6));
    room.run(SECOND_MS);
    expect(connection.isOpen).toBe(true);
    raw.transport.end();
    room.run(10);
    expect(closed).toMatchObject([{ code: "refused" }]);
  });

  test("a code that this side does not know counts as internal", () => {
    const { room, raw, connection } = connected();
    const { id, reply } = connection.ask(ping);
    raw.send(error(id, 999));
    expect(room.failure(reply)).toMatchObject({ code: "internal" });
  });
});
