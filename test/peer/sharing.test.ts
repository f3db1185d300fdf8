/** What other peers get of this one: manifests, membership, chunks. Each request gets one answer, whatever is asked. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type ChunkRanges, NO_CHUNKS } from "../../src/core/bitfield.ts";
import type { P2pfsError } from "../../src/core/errors.ts";
import type { ContentId } from "../../src/core/manifest.ts";
import { MiB, SECOND_MS } from "../../src/core/units.ts";
import type { Connection } from "../../src/net/connection.ts";
import { numRuns } from "../core/arbitraries.ts";
import { chunksIn, rangesOf } from "../swarm/support.ts";
import { CHUNK, contentOf, fileName, ranges } from "./parts.ts";
import { askFor, content, contentId, join, joinRequest, serving, unheld } from "./serving.ts";

const manifestRequest = (id: ContentId = contentId) => ({ type: "REQUEST_MANIFEST", content_id: id }) as const;

describe("a manifest", () => {
  test("is sent to whoever asks for a content that is held, without joining", () => {
    const { room, connection } = serving();
    const openPayload = (_message: unknown, bytes: number) => new Uint8Array(bytes);
    const { payload } = room.wait(connection.ask(manifestRequest(), { openPayload }).reply);
    expect(payload).toEqual(content.manifestBytes);
  });

  test("of what is not held is not found", () => {
    const { room, connection } = serving();
    expect(room.failure(connection.request(manifestRequest(unheld.contentId)))).toMatchObject({ code: "not_found" });
  });

  test("waits with two others at most on one connection", () => {
    const { room, connection } = serving();
    const asked = Array.from({ length: 6 }, () =>
      connection.request(manifestRequest()).then(
        () => "sent",
        ({ code }) => code,
      ),
    );
    const outcomes = room.wait(Promise.all(asked));
    expect(outcomes.filter((outcome) => outcome === "sent").length).toBe(3);
    expect(outcomes.filter((outcome) => outcome === "busy").length).toBe(3);
  });
});

describe("a swarm", () => {
  test("is joined for a content that is held, and tells what is held of it", () => {
    const { room, connection } = serving();
    expect(join(room, connection)).toMatchObject({ content_id: contentId, chunks: ranges(0, 5) });
    expect(room.failure(connection.request(joinRequest(NO_CHUNKS, unheld.contentId)))).toMatchObject({
      code: "not_found",
    });
  });

  test("may be joined 512 times at once and 50 times a second, more is busy", () => {
    const { room, connection } = serving();
    const joinTimes = (times: number) => {
      const asked = Array.from({ length: times }, () =>
        connection.request(joinRequest()).then(
          () => 1,
          () => 0,
        ),
      );
      return room.wait(Promise.all(asked)).reduce<number>((sum, granted) => sum + granted, 0);
    };
    expect(joinTimes(500)).toBe(500);
    expect(joinTimes(100)).toBeLessThan(20);
    room.run(SECOND_MS);
    const granted = joinTimes(100);
    expect(granted).toBeGreaterThan(48);
    expect(granted).toBeLessThan(60);
  });

  test("that is left is not served any more until it is joined again", () => {
    const { room, connection } = serving();
    join(room, connection);
    connection.send({ type: "LEAVE_SWARM", content_id: contentId });
    expect(room.failure(askFor(connection, ranges(0, 0)).reply)).toMatchObject({ code: "not_found" });
    join(room, connection);
    expect(room.wait(askFor(connection, ranges(0, 0)).reply).message.chunknum).toBe(0);
  });

  test("hears HAVE beyond a rate later, and loses none: whoever sends them waits", () => {
    const { room, parts, connection } = serving();
    let heard = 0;
    parts.uploads.noteHeld = () => void heard++;
    join(room, connection);
    const have = { type: "HAVE", content_id: contentId, chunks: ranges(0, 0) } as const;
    const startMs = room.now;
    for (let sent = 0; sent < 8000; sent++) {
      connection.send(have);
      if (sent % 20 === 0) room.run(0.1);
    }
    room.until(() => heard === 8001);
    expect(room.now - startMs).toBeGreaterThan(2.5 * SECOND_MS);
    expect(connection.isOpen).toBe(true);
  });
});

describe("a chunk", () => {
  test("is sent with its number, its digest and the name that the requester gave", () => {
    const { room, parts, connection } = serving();
    join(room, connection);
    for (let chunk = 0; chunk < 6; chunk++) {
      const { message, payload } = room.wait(askFor(connection, ranges(chunk, chunk)).reply);
      expect(message).toMatchObject({ content_id: contentId, chunknum: chunk, filename: fileName("mine") });
      expect(payload).toEqual(content.chunk(chunk));
    }
    expect(parts.sharing.bytesSent).toBe(content.size);
  });

  test("is not sent to strangers of the swarm, nor of another content, nor one that there is not", () => {
    const { room, parts, connection } = serving(2);
    const refusal = (chunks: ChunkRanges, id?: ContentId) => room.failure(askFor(connection, chunks, id).reply).code;
    expect(refusal(ranges(0, 0))).toBe("not_found");
    join(room, connection);
    expect(refusal(ranges(0, 0), unheld.contentId)).toBe("not_found");
    expect([refusal(ranges(6, 6)), refusal(ranges(7, 200_000))]).toEqual(["not_found", "not_found"]);
    expect(parts.uploads.requestCount).toBe(0);
    expect(room.wait(askFor(connection, ranges(5, 200_000)).reply).message.chunknum).toBe(5);
  });

  test("that is missing in an unfinished file is not sent, those that are there are", () => {
    const { room, parts, connection } = serving();
    const leeched = contentOf(4 * CHUNK, 3);
    parts.addPart(leeched, [1, 3]);
    room.wait(connection.request(joinRequest(NO_CHUNKS, leeched.contentId)));
    expect(room.failure(askFor(connection, ranges(0, 0), leeched.contentId).reply)).toMatchObject({
      code: "not_found",
    });
    const { message, payload } = room.wait(askFor(connection, ranges(0, 1), leeched.contentId).reply);
    expect([message.chunknum, payload]).toEqual([1, leeched.chunk(1)]);
  });

  test("is another one for each request that names the same ranges", () => {
    const { room, connection } = serving();
    join(room, connection);
    const asked = Array.from({ length: 6 }, () => askFor(connection, ranges(0, 5)).reply);
    const chunks = room.wait(Promise.all(asked)).map(({ message }) => message.chunknum);
    expect(chunks.sort()).toEqual([0, 1, 2, 3, 4, 5]);
  });

  test("waits with 239 others of its requester, one more is busy", () => {
    const { room, parts, connection } = serving();
    parts.upLimiter.setLimit(1024);
    join(room, connection);
    const refusals: string[] = [];
    for (let sent = 0; sent < 245; sent++)
      askFor(connection, ranges(0, 0)).reply.catch(({ code }) => refusals.push(code));
    room.run(50);
    // Of 245 two are being sent.
    expect(refusals).toEqual(["busy", "busy", "busy"]);
  });
});

describe("CANCEL", () => {
  /** Requests of which the first two are being sent, slowly, and the others wait. */
  function waiting() {
    const side = serving();
    side.parts.upLimiter.setLimit(100 * 1024);
    join(side.room, side.connection);
    const asked = [0, 1, 2, 3].map((chunk) => askFor(side.connection, ranges(chunk, chunk)));
    const outcomes = asked.map(({ reply }) =>
      reply.then(
        ({ message }) => `chunk ${message.chunknum}`,
        ({ code }: P2pfsError) => code,
      ),
    );
    side.room.run(50);
    const cancel = (request: number) => side.connection.send({ type: "CANCEL", request });
    return { ...side, asked, outcomes, cancel };
  }

  test("withdraws a request that waits, and answers it once, however often it is sent", () => {
    const { room, asked, outcomes, cancel, connection } = waiting();
    for (let times = 0; times < 3; times++) cancel(asked[3]!.id);
    expect(room.wait(Promise.all(outcomes))).toEqual(["chunk 0", "chunk 1", "chunk 2", "cancelled"]);
    expect(connection.isOpen).toBe(true);
  });

  test("of what is being sent, was answered or was never asked changes nothing", () => {
    const { room, asked, outcomes, cancel, connection } = waiting();
    for (const id of [asked[0]!.id, asked[1]!.id, 4711]) cancel(id);
    expect(room.wait(Promise.all(outcomes))).toEqual(["chunk 0", "chunk 1", "chunk 2", "chunk 3"]);
    cancel(asked[2]!.id);
    room.run(SECOND_MS);
    expect(connection.isOpen).toBe(true);
  });
});

describe("a file that changed on the disk", () => {
  test("is not sent: who asks is refused, members are told, and each waiting request is answered once", () => {
    const { room, parts, copy, connection, actor } = serving();
    parts.upLimiter.setLimit(100 * 1024);
    join(room, connection);
    const outcomes = [0, 1, 2, 3, 4].map((chunk) =>
      askFor(connection, ranges(chunk, chunk)).reply.then(
        ({ message }) => message.chunknum,
        ({ code }: P2pfsError) => code,
      ),
    );
    room.run(50);
    parts.disk.write(copy.path, unheld.bytes);
    parts.library.checkCopy(copy);
    expect(parts.uploads.requestCount).toBe(0);
    // The two that have begun cannot be ended but with the connection.
    expect(room.wait(Promise.all(outcomes)).slice(2)).toEqual(["not_found", "not_found", "not_found"]);
    expect(actor.types).toEqual(["LEAVE_SWARM"]);
  });

  test("is noticed when a chunk is about to be sent, before its frame begins", () => {
    const { room, parts, copy, connection } = serving();
    join(room, connection);
    parts.disk.write(copy.path, unheld.bytes);
    expect(room.failure(askFor(connection, ranges(0, 0)).reply)).toMatchObject({ code: "not_found" });
    expect(connection.isOpen).toBe(true);
    expect(room.failure(connection.request(joinRequest()))).toMatchObject({ code: "not_found" });
    expect(room.failure(connection.request(manifestRequest()))).toMatchObject({ code: "not_found" });
  });

  test("in the midst of a chunk ends the connection, and no wrong byte counts as sent", () => {
    const { room, parts, copy, connection } = serving();
    join(room, connection);
    parts.accessMs = () => 20;
    const asked = askFor(connection, ranges(0, 0)).reply;
    room.run(10);
    parts.disk.write(copy.path, unheld.bytes);
    expect(room.failure(asked)).toMatchObject({ code: "unreachable" });
    expect(parts.sharing.bytesSent).toBe(0);
  });
});

describe("several requesters", () => {
  test("have two chunks on the way between them, so that each chunk is chosen as late as can be", () => {
    const { room, parts, requesters, sides } = serving(4);
    parts.upLimiter.setLimit(MiB);
    const asked = requesters.flatMap(({ connection }) => {
      join(room, connection);
      return [0, 1, 2, 3].map((chunk) => askFor(connection, ranges(chunk, chunk)).reply);
    });
    let isDone = false;
    Promise.all(asked).then(() => {
      isDone = true;
    });
    let queuedMax = 0;
    room.until(() => {
      const queued = sides.reduce((sum, { connection }) => sum + connection.payloadFramesQueued, 0);
      queuedMax = Math.max(queuedMax, queued);
      return isDone;
    });
    expect(queuedMax).toBe(2);
  });

  test("are not held up by one that reads nothing", () => {
    const big = contentOf(2 * MiB, 4);
    const { room, parts, requesters } = serving(3);
    parts.addCopy(big);
    for (const { connection } of requesters) room.wait(connection.request(joinRequest(NO_CHUNKS, big.contentId)));
    const [mute, ...readers] = requesters.map(({ connection }) => connection) as [Connection, ...Connection[]];
    mute.pause(room);
    for (let chunk = 0; chunk < 20; chunk++) askFor(mute, ranges(chunk, chunk), big.contentId).reply.catch(() => {});
    room.run(50);
    const asked = readers.flatMap((connection) =>
      Array.from({ length: 10 }, (_, chunk) => askFor(connection, ranges(chunk, chunk), big.contentId).reply),
    );
    expect(room.wait(Promise.all(asked), 5 * SECOND_MS).length).toBe(20);
  });

  test("one that leaves takes its requests with it, and the others are served", () => {
    const { room, parts, requesters } = serving(2);
    parts.upLimiter.setLimit(256 * 1024);
    const [one, two] = requesters.map(({ connection }) => connection) as [Connection, Connection];
    for (const connection of [one, two]) join(room, connection);
    for (let sent = 0; sent < 20; sent++) askFor(one, ranges(sent % 6, sent % 6)).reply.catch(() => {});
    const asked = askFor(two, ranges(1, 1)).reply;
    room.run(20);
    one.close();
    expect(room.wait(asked).payload).toEqual(content.chunk(1));
    expect([parts.uploads.requestCount, parts.uploads.requesterCount]).toEqual([0, 0]);
  });

  test("whoever asks for what, cancels and leaves in whatever order: one answer each, with a chunk that was asked for", () => {
    const step = fc.record({
      who: fc.nat({ max: 2 }),
      type: fc.constantFrom("ask", "ask", "ask", "cancel", "leave", "join", "pass"),
      chunks: fc.uniqueArray(fc.nat({ max: 7 }), { minLength: 1, maxLength: 4 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const { room, parts, requesters } = serving(3);
        parts.upLimiter.setLimit(2 * MiB);
        const answers: { readonly chunks: ChunkRanges; readonly outcomes: (number | string)[] }[] = [];
        const ids = requesters.map((): number[] => []);
        for (const { connection } of requesters) join(room, connection);
        for (const { who, type, chunks } of steps) {
          const { connection } = requesters[who]!;
          if (type === "pass") room.run(10);
          else if (type === "leave") connection.send({ type: "LEAVE_SWARM", content_id: contentId });
          else if (type === "join") join(room, connection);
          else if (type === "cancel") connection.send({ type: "CANCEL", request: ids[who]!.at(-1) ?? 99 });
          else {
            const wanted = rangesOf([...chunks].sort((a, b) => a - b));
            const { id, reply } = askFor(connection, wanted);
            const outcomes: (number | string)[] = [];
            ids[who]!.push(id);
            answers.push({ chunks: wanted, outcomes });
            reply.then(
              ({ message, payload }) => {
                expect(payload).toEqual(content.chunk(message.chunknum));
                outcomes.push(message.chunknum);
              },
              ({ code }: P2pfsError) => outcomes.push(code),
            );
          }
        }
        room.run(10 * SECOND_MS);
        for (const { chunks, outcomes } of answers) {
          expect(outcomes.length).toBe(1);
          const [outcome] = outcomes;
          if (typeof outcome === "number") expect(chunksIn(chunks)).toContain(outcome);
          else expect(["not_found", "cancelled"]).toContain(outcome!);
        }
        expect(parts.uploads.requestCount).toBe(0);
      }),
      { numRuns: numRuns / 8 },
    );
  });
});
