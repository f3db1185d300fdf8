/** Bytes between two connections: in any pieces, against the pressure of a reader that pauses, up to a close. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { P2pfsError } from "../../src/core/errors.ts";
import type { FileName } from "../../src/core/file-name.ts";
import type { ContentId } from "../../src/core/manifest.ts";
import { KiB, MiB } from "../../src/core/units.ts";
import type { Connection } from "../../src/net/connection.ts";
import { CONTROL_QUEUE_BYTES_MAX, payloadOf } from "../../src/net/send-queue.ts";
import { encodeFrame } from "../../src/wire/frame.ts";
import { isRequest, type Message, mayGo, messageTable, PROTOCOL_VERSION } from "../../src/wire/messages.ts";
import { numRuns } from "../core/arbitraries.ts";
import { Room } from "../support/room.ts";
import { type FakeHandlers, serveFake } from "../support/serve-fake.ts";
import { messageNames, messageOf } from "../wire/arbitraries.ts";
import { concat } from "../wire/recorder.ts";

const contentId = "ab".repeat(32) as ContentId;
const filename = "f" as FileName;
const ping = { type: "REQUEST_PING_PONG", peer_address: null } as const;
const manifest = { type: "REQUEST_MANIFEST", content_id: contentId } as const;
const manifestReply = { type: "REPLY_MANIFEST", content_id: contentId } as const;
const chunkReply = {
  type: "PEER_REPLY_CHUNK",
  filename,
  content_id: contentId,
  chunknum: 7,
  digest: new Uint8Array(32),
} as const;

/** Messages that one peer may send to another without having been asked. */
const sendable = fc.oneof(
  ...messageNames
    .filter(
      (name) =>
        messageTable[name].kind !== "reply" && name !== "HELLO" && mayGo(messageTable[name].way, "peer", "peer"),
    )
    .map((name) => messageOf(name) as fc.Arbitrary<Message>),
);

test("frames are handled the same in any pieces: a byte at a time, many at once, or cut anywhere", () => {
  const pieces = fc.oneof(
    fc.constant([1]),
    fc.constant([1_000_000]),
    fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1 }),
  );
  fc.assert(
    fc.property(fc.array(sendable, { maxLength: 12 }), pieces, (messages, cuts) => {
      const room = new Room();
      const handled: unknown[] = [];
      let inbound: Connection | undefined;
      const record = (message: Message) => void handled.push(message);
      const { address } = room.listen(room.machine("10.0.0.2"), {
        onConnection: (connection) => {
          inbound = connection;
          serveFake(connection, {
            request: (message) => {
              record(message);
              throw new P2pfsError("not_found", "no");
            },
            notice: record,
          });
        },
      });
      // Ids of unanswered requests differ.
      const distinct = messages.map(
        (message, request) => (isRequest(message.type) ? { ...message, request } : message) as Message,
      );
      const hello = { type: "HELLO", version: PROTOCOL_VERSION, role: "peer", agent: "", address: null } as const;
      const bytes = concat(...[hello, ...distinct].map((message) => encodeFrame(message)));
      const raw = room.dialRaw(room.machine("10.0.0.1"), address);
      for (let start = 0, cut = 0; start < bytes.length; cut++) {
        const end = start + cuts[cut % cuts.length]!;
        raw.write(bytes.slice(start, end));
        start = end;
      }
      room.run(20);
      expect(handled).toEqual(distinct);
      expect(inbound!.bytesReceived).toBe(bytes.length);
      expect(inbound!.partialSinceMs).toBeUndefined();
      const requests = distinct
        .filter(({ type }) => isRequest(type))
        .map((message) => (message as { request: number }).request);
      expect(raw.all("ERROR").map(({ request }) => request)).toEqual(requests);
    }),
    { numRuns: numRuns / 4 },
  );
});

/** Two connections that are joined to each other. */
function pair(handlersOf: (connection: Connection) => FakeHandlers) {
  const room = new Room();
  let there: Connection | undefined;
  const { address } = room.listen(room.machine("10.0.0.2"), {
    onConnection: (connection) => {
      there = connection;
      serveFake(connection, handlersOf(connection));
    },
  });
  const here = room.dial(room.machine("10.0.0.1"), address);
  room.until(() => there !== undefined);
  return { room, here, there: there! };
}

function patterned(bytes: number): Uint8Array {
  const pattern = new Uint8Array(bytes);
  for (let index = 0; index < bytes; index++) pattern[index] = index * 31;
  return pattern;
}

describe("a side that pauses", () => {
  test("reads nothing until every pauser has resumed, each once", () => {
    let handled = 0;
    const { room, here, there } = pair(() => ({ notice: () => handled++ }));
    const [one, other] = [{}, {}];
    for (const pauser of [one, one, other]) there.pause(pauser);
    here.send({ type: "LEAVE_SWARM", content_id: contentId });
    room.run(10);
    there.resume(one);
    there.resume(one);
    there.resume({});
    room.run(10);
    expect([handled, there.isPaused]).toEqual([0, true]);
    there.resume(other);
    room.run(10);
    expect([handled, there.isPaused]).toEqual([1, false]);
  });

  test("holds up the sender of a payload, which sends no more than the network takes, and all of it afterwards", () => {
    const bytes = patterned(4 * MiB);
    let readUpTo = 0;
    const source = {
      bytes: bytes.length,
      read: async (offset: number, target: Uint8Array) => {
        readUpTo = offset + target.length;
        target.set(bytes.subarray(offset, readUpTo));
      },
    };
    const { room, here, there } = pair((connection) => ({
      request: ({ request }) => {
        connection.replyWithPayload(request, chunkReply, source);
        return undefined;
      },
    }));
    let received: Uint8Array | undefined;
    const openPayload = (_message: unknown, length: number) => {
      received = new Uint8Array(length);
      here.pause(room);
      return received;
    };
    const asked = here.ask(
      { type: "PEER_REQUEST_CHUNK", filename, content_id: contentId, chunknum: [7, 7] as never },
      { openPayload },
    );
    room.run(1000);
    expect(there.sendBlockedSinceMs).toBeDefined();
    expect(readUpTo).toBeLessThan(2 * MiB);
    expect(here.payloadBytesReceived).toBeLessThan(MiB);
    here.resume(room);
    expect(room.wait(asked.reply).payload).toEqual(bytes);
    expect(there.sendBlockedSinceMs).toBeUndefined();
    expect(here.payloadBytesReceived).toBe(0);
  });

  test("for ever loses the connection once the other side has queued so much for it", () => {
    const { room, here, there } = pair(() => ({}));
    let closed: P2pfsError | undefined;
    serveFake(here, { closed: (cause) => (closed = cause) });
    there.pause(room);
    const notice = encodeFrame({
      type: "HAVE",
      content_id: contentId,
      chunks: Array.from({ length: 8000 }, (_, at) => 3 * at) as never,
    });
    const notices = Math.ceil((CONTROL_QUEUE_BYTES_MAX + MiB) / notice.length);
    for (let sent = 0; sent < notices; sent++) {
      here.sendEncoded(notice);
      room.run(0);
    }
    expect(closed).toMatchObject({ code: "busy", message: "the other side does not read what it is sent" });
    room.until(() => !there.isOpen);
  });
});

test("a ping is answered before payloads that wait for their turn, and after the one that has begun", () => {
  const { room, here } = pair((connection) => ({
    request: ({ request, type }) => {
      if (type === "REQUEST_PING_PONG") return { type: "REPLY_PING_PONG", response: "pong" };
      connection.replyWithPayload(request, manifestReply, payloadOf(patterned(MiB)));
      return undefined;
    },
  }));
  const order: string[] = [];
  const manifests = [1, 2, 3].map((number) => here.request(manifest).then(() => order.push(`manifest ${number}`)));
  const pong = here.request(ping).then(() => order.push("pong"));
  room.wait(Promise.all([...manifests, pong]));
  expect(order).toEqual(["manifest 1", "pong", "manifest 2", "manifest 3"]);
});

test("a payload frame is counted while it is queued or being sent, and `sent` is called for each", () => {
  const sent: string[] = [];
  const { room, here, there } = pair((connection) => ({
    request: ({ request }) => {
      connection.replyWithPayload(request, manifestReply, payloadOf(patterned(MiB)), {
        sent: () => void sent.push("own"),
      });
      return undefined;
    },
    sent: () => void sent.push("all"),
  }));
  const asked = [here.request(manifest), here.request(manifest)];
  room.until(() => there.payloadFramesQueued === 2);
  room.wait(Promise.all(asked));
  expect([there.payloadFramesQueued, sent]).toEqual([0, ["own", "all", "own", "all"]]);
});

describe("a close", () => {
  test("sends first what is queued, a payload too, then its reason", () => {
    const { room, here, there } = pair((connection) => ({
      request: ({ request }) => {
        connection.replyWithPayload(request, manifestReply, payloadOf(patterned(400 * KiB)));
        connection.send({ type: "LEAVE_SWARM", content_id: contentId });
        connection.close(new P2pfsError("refused", "last words"));
        return undefined;
      },
    }));
    const seen: string[] = [];
    serveFake(here, {
      notice: ({ type }) => void seen.push(type),
      closed: (cause) => void seen.push(`closed: ${cause?.message}`),
    });
    const openPayload = (_message: unknown, bytes: number) => new Uint8Array(bytes);
    expect(room.wait(here.ask(manifest, { openPayload }).reply).payload).toEqual(patterned(400 * KiB));
    room.run(50);
    expect(seen).toEqual(["LEAVE_SWARM", "closed: last words"]);
    expect(there.isOpen).toBe(false);
  });

  test("takes nothing more: what arrives while the last bytes go out is not handled", () => {
    let handled = 0;
    const { room, here, there } = pair((connection) => ({
      request: ({ request }) => {
        connection.replyWithPayload(request, manifestReply, payloadOf(patterned(MiB)));
        return undefined;
      },
      notice: () => handled++,
    }));
    const asked = here.request(manifest);
    here.pause(room);
    room.until(() => there.sendBlockedSinceMs !== undefined);
    there.close();
    here.send({ type: "LEAVE_SWARM", content_id: contentId });
    room.run(50);
    expect([handled, there.isOpen]).toEqual([0, false]);
    here.resume(room);
    expect(room.wait(asked)).toMatchObject({ type: "REPLY_MANIFEST" });
  });

  test("by both sides at once is one close on each", () => {
    const closes: string[] = [];
    const { room, here, there } = pair(() => ({ closed: () => void closes.push("there") }));
    serveFake(here, { closed: () => void closes.push("here") });
    here.close();
    there.close(new P2pfsError("busy", "no"));
    room.run(5000);
    expect(closes.sort()).toEqual(["here", "there"]);
  });
});

test("a payload whose bytes cannot be read ends the connection, and the other side hears of no path", () => {
  const { room, here } = pair((connection) => ({
    request: ({ request }) => {
      const read = async () => {
        throw new Error("EIO: /home/me/secret");
      };
      connection.replyWithPayload(request, manifestReply, { bytes: 5, read });
      return undefined;
    },
  }));
  expect(room.failure(here.request(manifest))).toMatchObject({ code: "unreachable" });
  expect(here.closeCause?.message ?? "").not.toContain("secret");
});

test("a defect in a handler of a notice ends the connection with `internal`, and its words stay here", () => {
  const { room, here, there } = pair(() => ({
    notice: () => {
      throw new TypeError("/home/me is undefined");
    },
  }));
  let heard: P2pfsError | undefined;
  serveFake(here, { closed: (cause) => (heard = cause) });
  here.send({ type: "LEAVE_SWARM", content_id: contentId });
  room.until(() => !here.isOpen);
  expect(there.closeCause).toMatchObject({ code: "internal" });
  expect(heard?.message ?? "").not.toContain("/home/me");
});
