/** Limits on what this peer sends: for all, and for one content. */
import { describe, expect, test } from "bun:test";
import { NO_CHUNKS } from "../../src/core/bitfield.ts";
import { SECOND_MS } from "../../src/core/units.ts";
import type { Connection } from "../../src/net/connection.ts";
import { RateLimiter } from "../../src/peer/rate-limiter.ts";
import { CHUNK, type Content, contentOf, ranges } from "./parts.ts";
import { askFor, content, contentId, join, joinRequest, serving } from "./serving.ts";

describe("limits", () => {
  test("on sending hold for all connections together", () => {
    const { room, parts, requesters } = serving(2);
    parts.upLimiter.setLimit(128 * 1024);
    for (const { connection } of requesters) join(room, connection);
    const startMs = room.now;
    const asked = requesters.flatMap(({ connection }) =>
      [0, 1, 2].map((chunk) => askFor(connection, ranges(chunk, chunk)).reply),
    );
    room.wait(Promise.all(asked));
    // Six chunks of 64 KiB, of which a tenth of a second may come at once.
    expect(room.now - startMs).toBeGreaterThan(2.7 * SECOND_MS);
    expect(room.now - startMs).toBeLessThan(3.3 * SECOND_MS);
  });

  test("on one content hold up nobody who asks for another", () => {
    const { room, parts, requesters } = serving(2);
    const free = contentOf(2 * CHUNK, 7);
    parts.addCopy(free);
    parts.sharing.limitContent(contentId, new RateLimiter(parts.process.system.clock, 1024));
    const [slow, fast] = requesters.map(({ connection }) => connection) as [Connection, Connection];
    join(room, slow);
    room.wait(fast.request(joinRequest(NO_CHUNKS, free.contentId)));
    for (const chunk of [0, 1, 2]) askFor(slow, ranges(chunk, chunk)).reply.catch(() => {});
    room.run(10);
    expect(room.duration(askFor(fast, ranges(0, 0), free.contentId).reply)).toBeLessThan(50);
  });

  test("on one content hold while they are set, beside the common one, and for that content alone", () => {
    const { room, parts, connection } = serving();
    const free = contentOf(2 * CHUNK, 7);
    parts.addCopy(free);
    join(room, connection);
    room.wait(connection.request(joinRequest(NO_CHUNKS, free.contentId)));
    const timeOf = (of: Content) => {
      const startMs = room.now;
      room.wait(Promise.all([0, 1].map((chunk) => askFor(connection, ranges(chunk, chunk), of.contentId).reply)));
      return room.now - startMs;
    };
    const limiter = () => new RateLimiter(parts.process.system.clock, 64 * 1024);
    const [endOne, endOther] = [
      parts.sharing.limitContent(contentId, limiter()),
      parts.sharing.limitContent(contentId, limiter()),
    ];
    expect(timeOf(free)).toBeLessThan(100);
    expect(timeOf(content)).toBeGreaterThan(1.8 * SECOND_MS);
    endOne();
    expect(timeOf(content)).toBeGreaterThan(1.8 * SECOND_MS);
    endOther();
    endOther();
    expect(timeOf(content)).toBeLessThan(100);
  });
});
