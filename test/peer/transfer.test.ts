/**
 * The transfer of one content over real connections: whatever its holders do and however it ends, what is written is
 * right, every buffer comes back, and the reason is told.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Bitfield } from "../../src/core/bitfield.ts";
import { P2pfsError } from "../../src/core/errors.ts";
import { WINDOW_SIZE } from "../../src/core/limits.ts";
import { MINUTE_MS, SECOND_MS } from "../../src/core/units.ts";
import { BufferPool } from "../../src/disk/buffer-pool.ts";
import type { Part } from "../../src/disk/content-store.ts";
import type { Connection } from "../../src/net/connection.ts";
import { sleep } from "../../src/net/system.ts";
import { RateLimiter } from "../../src/peer/rate-limiter.ts";
import { Transfer, type TransferOptions } from "../../src/peer/transfer.ts";
import { numRuns } from "../core/arbitraries.ts";
import { Room } from "../support/room.ts";
import { chunksIn } from "../swarm/support.ts";
import {
  type Actor,
  type Answers,
  CHUNK,
  type Content,
  chooseChunk,
  contentOf,
  fileName,
  holderIn,
  Parts,
  sendChunk,
} from "./parts.ts";

const content = contentOf(8 * CHUNK - 9);
const { contentId } = content;
type ChunkAnswer = NonNullable<Answers["PEER_REQUEST_CHUNK"]>;

/** A transfer from holders that answer requests for chunks so. */
function transferring(
  answers: readonly ChunkAnswer[],
  options: Partial<TransferOptions> = {},
  room = new Room(),
  of: Content = content,
) {
  const { contentId, manifest } = of;
  const parts = new Parts(room);
  parts.listen();
  const holders = answers.map((answer, index) =>
    holderIn(room, `10.0.2.${index + 1}`, of, { PEER_REQUEST_CHUNK: answer }),
  );
  const part: Part = parts.addPart(of);
  const buffers = new BufferPool(0);
  const gained: number[] = [];
  const { clock } = parts.process.system;
  const downThrottle = new RateLimiter(clock);
  const transfer = new Transfer({
    clock,
    random: parts.process.system.random,
    contentId,
    fname: fileName("f"),
    manifest,
    part,
    neighbours: parts.neighbours,
    log: parts.log,
    swarms: parts.swarms,
    buffers,
    downThrottle,
    findHolders: async () => holders,
    gained: (chunk) => void gained.push(chunk),
    ...options,
  });
  const running = transfer.run(holders);
  running.catch(() => {});
  /** The held chunks whose bytes are not those of the content. */
  const wrongChunks = () =>
    [...part.have].filter((chunk) => {
      const target = new Uint8Array(of.chunk(chunk).length);
      room.wait(part.read(chunk * manifest.chunkSize, target));
      return !Buffer.from(target).equals(of.chunk(chunk));
    });
  return { room, parts, holders, part, buffers, gained, downThrottle, transfer, running, wrongChunks };
}

const right: ChunkAnswer = (message, connection) =>
  sendChunk(content, message, connection, chooseChunk(message, connection));
const silent: ChunkAnswer = () => undefined;

/** Bytes that come so many at a time, each so many milliseconds. */
function slowly(bytes: number, everyMs: number): ChunkAnswer {
  return (message, connection) => {
    const chunk = chooseChunk(message, connection);
    const all = content.chunk(chunk);
    const { request, filename } = message;
    const reply = { type: "PEER_REPLY_CHUNK", filename, content_id: contentId, chunknum: chunk } as const;
    const source = {
      bytes: all.length,
      read: async (at: number, target: Uint8Array) => target.set(all.subarray(at, at + target.length)),
    };
    const { clock } = clockOf.get(connection)!;
    const throttle = {
      next: 0,
      allow(resume: () => void) {
        if (clock.now() >= this.next) return bytes;
        clock.after(this.next - clock.now(), resume);
        return 0;
      },
      spend() {
        this.next = clock.now() + everyMs;
      },
    };
    if (connection.payloadFramesQueued < 4)
      connection.replyWithPayload(request, { ...reply, digest: new Uint8Array(32) }, source, { throttle });
    return undefined;
  };
}

/** Clocks of the holders' machines, by connection, for answers that take time. */
const clockOf = new WeakMap<Connection, Actor["process"]["system"]>();

describe("a transfer", () => {
  test("gets every chunk once, from all holders, and returns every buffer", () => {
    const { room, running, part, buffers, gained, transfer, wrongChunks } = transferring([right, right, right]);
    room.wait(running);
    expect([part.have.isFull, wrongChunks(), buffers.takenBytes]).toEqual([true, [], 0]);
    expect(gained.sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(transfer.shares().reduce((sum, { chunks }) => sum + chunks, 0)).toBe(8);
  });

  test("D4: never has more than thirty requests unanswered over all holders", () => {
    const large = contentOf(100 * CHUNK, 6);
    const unanswered = new Set<string>();
    let unansweredMax = 0;
    const answerOf = (number: number): ChunkAnswer => {
      return async (message, connection) => {
        // What was cancelled is asked for elsewhere.
        for (const [index, holder] of side.holders.entries())
          for (const { request } of holder.all("CANCEL")) unanswered.delete(`${index} ${request}`);
        const name = `${number} ${message.request}`;
        unanswered.add(name);
        unansweredMax = Math.max(unansweredMax, unanswered.size);
        await sleep(side.parts.process.system.clock, 40);
        unanswered.delete(name);
        return sendChunk(large, message, connection, chooseChunk(message, connection));
      };
    };
    const side = transferring([0, 1, 2].map(answerOf), {}, new Room(), large);
    side.room.wait(side.running);
    expect(unansweredMax).toBeGreaterThan(5);
    expect(unansweredMax).toBeLessThanOrEqual(WINDOW_SIZE);
  });

  test("D7: without a holder of a chunk ends within 2 seconds, and names the chunk", () => {
    const { room, running } = transferring([]);
    expect(room.duration(running)).toBeLessThan(2 * SECOND_MS);
    expect(room.failure(running)).toMatchObject({
      code: "no_holder",
      message: expect.stringMatching(/^no reachable peer holds chunk \d of 8 of f$/),
    });
  });

  test("F21, D7: of which every holder sends damaged bytes ends with that, and asks none of them any more", () => {
    const damaged: ChunkAnswer = (message, connection) => {
      const chunk = chooseChunk(message, connection);
      return sendChunk(
        content,
        message,
        connection,
        chunk,
        content.chunk(chunk).map((byte) => byte ^ 1),
      );
    };
    const { room, running, holders, buffers, part } = transferring([damaged, damaged]);
    expect(room.failure(running)).toMatchObject({ code: expect.stringMatching(/^(integrity|no_holder)$/) });
    const asked = holders.map((holder) => holder.all("PEER_REQUEST_CHUNK").length);
    room.run(MINUTE_MS);
    expect(holders.map((holder) => holder.all("PEER_REQUEST_CHUNK").length)).toEqual(asked);
    expect([part.have.count, buffers.takenBytes]).toEqual([0, 0]);
  });

  test("F21: drops a holder that lies, bans it for the rest of the fetch, and gets all from the honest one", () => {
    const lying: ChunkAnswer = (message, connection) => {
      const chunk = chooseChunk(message, connection);
      return sendChunk(content, message, connection, chunk, new Uint8Array(content.chunk(chunk).length));
    };
    const slow: ChunkAnswer = async (message, connection) => {
      await sleep(clocks.clock, 300);
      return right(message, connection);
    };
    const room = new Room();
    const clocks = room.machine("10.0.8.8").system;
    const { running, holders, part, buffers, wrongChunks, transfer } = transferring([lying, slow], {}, room);
    room.until(() => holders[0]!.connections.length === 1 && holders[0]!.open.length === 0);
    // The honest one has not sent anything yet.
    expect([part.have.count, buffers.takenBytes]).toEqual([0, 0]);
    room.wait(running);
    expect([part.have.isFull, wrongChunks()]).toEqual([true, []]);
    expect(holders[0]!.connections.length).toBe(1);
    expect(holders[0]!.open.length).toBe(0);
    expect(transfer.counters.chunksRejected).toBeGreaterThan(0);
  });

  test("takes no bytes for a chunk that was not asked for, nor of another length", () => {
    const wrong =
      (change: (chunk: number) => { readonly chunk: number; readonly bytes: Uint8Array }): ChunkAnswer =>
      (message, connection) => {
        const { chunk, bytes } = change(chooseChunk(message, connection));
        return sendChunk(content, message, connection, chunk, bytes);
      };
    const cases = [
      wrong(() => ({ chunk: 8, bytes: new Uint8Array(CHUNK) })),
      wrong((chunk) => ({ chunk, bytes: new Uint8Array(CHUNK + 1) })),
      wrong((chunk) => ({ chunk, bytes: new Uint8Array(3) })),
      wrong((chunk) => ({ chunk: chunk + 200_000, bytes: new Uint8Array(CHUNK) })),
    ];
    // With two holders it is asked for single chunks, so that another one of the content is wrong as well.
    const another: ChunkAnswer = (message, connection) => {
      const chunk = [0, 1, 2, 3, 4, 5, 6, 7].find((each) => !chunksIn(message.chunknum).includes(each));
      return chunk === undefined ? undefined : sendChunk(content, message, connection, chunk);
    };
    for (const answers of [...cases.map((answer) => [answer]), [another, silent]]) {
      const { room, running, buffers, wrongChunks, part } = transferring(answers);
      let takenMax = 0;
      const acquire = buffers.acquire.bind(buffers);
      buffers.acquire = (bytes) => {
        takenMax = Math.max(takenMax, bytes);
        return acquire(bytes);
      };
      expect(room.failure(running)).toBeInstanceOf(P2pfsError);
      expect([takenMax, wrongChunks(), part.have.count, buffers.takenBytes]).toEqual([0, [], 0, 0]);
    }
  });

  test("whose disk fails ends with that reason and returns every buffer", () => {
    const { room, running, parts, buffers } = transferring([right, right]);
    room.run(7);
    parts.accessMs = () => {
      throw new P2pfsError("disk", "no space left");
    };
    expect(room.failure(running)).toMatchObject({ code: "disk", message: "no space left" });
    room.run(SECOND_MS);
    expect(buffers.takenBytes).toBe(0);
  });

  test("under a limit on receiving gets no more than that, and what is refused is not paid for", () => {
    const room = new Room();
    const { clock } = room.machine("10.0.8.8").system;
    const limiter = new RateLimiter(clock, 128 * 1024);
    let refusals = 2;
    const busy: ChunkAnswer = (message, connection) => {
      if (refusals-- > 0) throw new P2pfsError("busy", "later");
      return right(message, connection);
    };
    const { running } = transferring([busy], { downThrottle: limiter }, room);
    const tookMs = room.duration(running);
    expect(tookMs).toBeGreaterThan(3.4 * SECOND_MS);
    expect(tookMs).toBeLessThan(4.3 * SECOND_MS);
  });
});

describe("a transfer that is stopped", () => {
  test("withdraws what it has asked for, takes what still comes, and keeps no buffer", () => {
    const { room, running, transfer, holders, buffers, gained } = transferring([silent]);
    room.run(50);
    transfer.stop(new P2pfsError("cancelled", "enough"));
    expect(room.failure(running)).toMatchObject({ code: "cancelled", message: "enough" });
    room.run(5);
    const [holder] = holders as [Actor];
    const asked = holder.all("PEER_REQUEST_CHUNK");
    expect(holder.all("CANCEL").length).toBe(asked.length);
    for (const message of asked.slice(0, 4)) right(message, holder.connections[0]!);
    room.run(SECOND_MS);
    expect([gained, buffers.takenBytes, holder.open.length]).toEqual([[], 0, 1]);
  });

  test("asks nobody any more, whoever joins or says that it has chunks", () => {
    const { room, transfer, holders, parts } = transferring([silent]);
    room.run(50);
    transfer.stop(new P2pfsError("cancelled", "enough"));
    room.run(5);
    const before = holders[0]!.all("PEER_REQUEST_CHUNK").length;
    let heard = 0;
    transfer.memberJoined = () => heard++;
    const late = holderIn(room, "10.0.2.9", content);
    const connection = late.dial(parts.address);
    const join = { type: "REQUEST_JOIN_SWARM", content_id: contentId, chunks: Bitfield.full(8).toRanges() } as const;
    room.wait(connection.request(join));
    room.run(MINUTE_MS);
    const asked = [...holders, late].map((holder) => holder.all("PEER_REQUEST_CHUNK").length);
    expect([asked, heard]).toEqual([[before, 0], 0]);
  });

  test("closes a connection on which the rest of a chunk would take longer than 10 seconds, and no other", () => {
    for (const [bytes, isClosed] of [
      [1000, true],
      [20_000, false],
    ] as const) {
      const { room, transfer, holders, buffers } = transferring([slowly(bytes, 200)]);
      const [holder] = holders as [Actor];
      const serve = holder.serve.bind(holder);
      holder.serve = (connection) => {
        clockOf.set(connection, holder.process.system);
        serve(connection);
      };
      room.run(2 * SECOND_MS);
      transfer.stop(new P2pfsError("cancelled", "enough"));
      room.run(10);
      expect(holder.open.length).toBe(isClosed ? 0 : 1);
      // Bytes still come into the buffer of the one that goes on.
      expect(buffers.takenBytes > 0).toBe(!isClosed);
      room.run(20 * SECOND_MS);
      expect(buffers.takenBytes).toBe(0);
    }
  });
});

test("a holder that never answers keeps no place for ever: once the transfer has ended, it is idle", () => {
  const { room, running, transfer, holders, parts } = transferring([silent]);
  room.run(50);
  transfer.stop(new P2pfsError("cancelled", "enough"));
  expect(room.failure(running)).toMatchObject({ code: "cancelled" });
  room.run(15 * MINUTE_MS);
  expect(holders[0]!.open.length).toBe(0);
  expect(parts.logged).toEqual([]);
});

test("whatever holders do and whenever it is stopped: no wrong chunk is held, and every buffer comes back", () => {
  const kinds = [
    "right",
    "right",
    "right",
    "damaged",
    "short",
    "other",
    "busy",
    "gone",
    "silent",
    "late",
    "close",
    "break",
  ] as const;
  const scripts = fc.array(fc.array(fc.constantFrom(...kinds), { minLength: 1, maxLength: 12 }), {
    minLength: 1,
    maxLength: 3,
  });
  const stopAfterMs = fc.option(fc.nat({ max: 200 }), { nil: undefined });
  fc.assert(
    fc.property(scripts, stopAfterMs, fc.nat({ max: 12 }), (behaviours, stopMs, diskMs) => {
      const room = new Room();
      const { clock } = room.machine("10.0.8.8").system;
      const answers = behaviours.map((kindsOf): ChunkAnswer => {
        let asked = 0;
        return async (message, connection) => {
          const kind = kindsOf[asked++ % kindsOf.length]!;
          const chunk = chooseChunk(message, connection);
          if (kind === "busy") throw new P2pfsError("busy", "later");
          if (kind === "gone") throw new P2pfsError("not_found", "not any more");
          if (kind === "silent") return undefined;
          if (kind === "late") await sleep(clock, 150);
          if (kind === "damaged")
            return sendChunk(content, message, connection, chunk, new Uint8Array(content.chunk(chunk).length));
          if (kind === "short") return sendChunk(content, message, connection, chunk, new Uint8Array(9));
          if (kind === "other") return sendChunk(content, message, connection, (chunk + 1) % 8);
          right(message, connection);
          if (kind === "close") connection.close();
          if (kind === "break")
            queueMicrotask(() => void clock.after(1, () => connection.close(new P2pfsError("internal", "oh"))));
          return undefined;
        };
      });
      const side = transferring(answers, {}, room);
      const { parts, running, transfer, part, buffers, gained, wrongChunks } = side;
      parts.accessMs = () => diskMs;
      if (stopMs !== undefined) clock.after(stopMs, () => transfer.stop(new P2pfsError("cancelled", "enough")));
      const outcome = room.wait(
        running.then(
          () => "done",
          (error: unknown) => (error instanceof P2pfsError ? error.code : String(error)),
        ),
      );
      parts.neighbours.closeAll();
      room.run(2 * SECOND_MS);
      expect(["done", "cancelled", "no_holder", "integrity"]).toContain(outcome);
      expect([wrongChunks(), buffers.takenBytes]).toEqual([[], 0]);
      expect(new Set(gained)).toEqual(new Set(part.have));
      expect(gained.length).toBe(part.have.count);
      if (outcome === "done") expect(part.have.isFull).toBe(true);
    }),
    { numRuns: numRuns / 4 },
  );
});
