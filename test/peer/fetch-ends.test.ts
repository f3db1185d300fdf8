/** Fetches that end without their file: what is kept, what is deleted, and how they go on (also in the next process). */
import { describe, expect, test } from "bun:test";
import { P2pfsError } from "../../src/core/errors.ts";
import { NOTICE_MS_MAX } from "../../src/core/limits.ts";
import { MINUTE_MS, SECOND_MS } from "../../src/core/units.ts";
import { Room } from "../support/room.ts";
import { answersFor, fetching, film, filmListed, honest, type Listing, slowHolder } from "./fetching.ts";
import { CHUNK, chooseChunk, fileName, Parts, sendChunk } from "./parts.ts";

describe("a fetch that ends without its file", () => {
  test("keeps what has arrived when it is stopped or fails, and goes on from there when it is tried again", () => {
    const { room, parts, fetches, events, start, done } = fetching();
    const holder = slowHolder(room, 100);
    const job = room.wait(start());
    let sent = 0;
    holder.answers = {
      ...holder.answers,
      PEER_REQUEST_CHUNK: (message, connection) =>
        sent++ === 0 ? sendChunk(film, message, connection, chooseChunk(message, connection)) : undefined,
    };
    room.run(SECOND_MS);
    job.stop();
    expect(room.failure(job.done)).toMatchObject({ code: "cancelled" });
    expect(job.progress()).toMatchObject({ state: "stopped", bytes_per_second: 0, sources: 0 });
    expect(parts.library.contentCount).toBe(0);
    const held = job.progress().chunks;
    expect(held).toBeGreaterThan(0);
    holder.answers = {
      ...holder.answers,
      PEER_REQUEST_CHUNK: (message, connection) =>
        sendChunk(film, message, connection, chooseChunk(message, connection)),
    };
    const again = room.wait(fetches.retry(job));
    expect(done(again)).toMatchObject({ bytes_resumed: held * CHUNK, bytes_fetched: film.size - held * CHUNK });
    expect(parts.disk.read("/files/film")).toEqual(film.bytes);
    expect(events.at(-1)).toBe("fetch_ended film: done");
    expect(fetches.bufferBytesTaken).toBe(0);
  });

  test("deletes what has arrived when it is cancelled", () => {
    const { room, parts, start } = fetching();
    slowHolder(room, 50);
    const job = room.wait(start());
    room.run(40);
    job.cancel();
    job.cancel();
    expect(room.failure(job.done)).toMatchObject({ code: "cancelled", hint: "what had arrived was deleted" });
    expect(job.progress().state).toBe("cancelled");
    expect(parts.store.left("/files/film", film.contentId)).toBeUndefined();
    expect(parts.repository.unfinished()).toEqual([]);
  });

  test("may be started again while it is being stopped: the new one waits for the part file", () => {
    const { room, parts, start, done } = fetching();
    slowHolder(room, 50);
    const job = room.wait(start());
    room.run(30);
    parts.accessMs = () => 200;
    room.run(100);
    job.stop();
    const again = room.wait(start());
    expect(again).not.toBe(job);
    expect(done(again)).toMatchObject({ fname: fileName("film") });
  });

  test("whose part file is damaged fetches those chunks again", () => {
    const { room, parts, fetches, start, done } = fetching();
    let sent = 0;
    const holder = honest(room);
    const { PEER_REQUEST_CHUNK } = holder.answers;
    holder.answers = {
      ...holder.answers,
      PEER_REQUEST_CHUNK: (...asked) => (sent++ < 2 ? PEER_REQUEST_CHUNK!(...asked) : undefined),
    };
    const job = room.wait(start());
    room.run(SECOND_MS);
    job.stop();
    room.failure(job.done);
    const [damaged, intact] = [...job.have];
    parts.disk.unfinishedBytes("/files/film", film.contentId)![damaged! * CHUNK]! ^= 1;
    holder.answers = { ...holder.answers, PEER_REQUEST_CHUNK: PEER_REQUEST_CHUNK! };
    const receipt = done(room.wait(fetches.retry(job)));
    expect(intact).toBeDefined();
    expect(receipt).toMatchObject({ bytes_resumed: CHUNK, bytes_fetched: 2 * CHUNK });
    expect(parts.disk.read("/files/film")).toEqual(film.bytes);
  });

  test("ends as it would where the repository can remember nothing; that is logged", () => {
    const { room, parts, start, done } = fetching();
    honest(room);
    const job = room.wait(start());
    const full = () => {
      throw new P2pfsError("disk", "no space left");
    };
    parts.repository.addFetched = full;
    parts.repository.removeUnfinished = full;
    done(job);
    expect(parts.disk.read("/files/film")).toEqual(film.bytes);
    expect(parts.logged.filter((line) => line.startsWith("warn: cannot remember")).length).toBe(2);
  });

  test("is refused where it cannot be remembered at its beginning, and leaves nothing", () => {
    const { room, parts, fetches, start } = fetching();
    honest(room);
    parts.repository.addUnfinished = () => {
      throw new P2pfsError("disk", "no space left");
    };
    expect(room.failure(start())).toMatchObject({ code: "disk" });
    expect([fetches.runningCount, parts.store.left("/files/film", film.contentId)]).toEqual([0, undefined]);
    expect(room.failure(start())).toMatchObject({ code: "disk" });
  });
});

describe("fetches that an earlier process did not finish", () => {
  /** A peer whose repository has an unfinished fetch of the film. */
  function interrupted(listings: readonly Listing[] = [filmListed]) {
    const room = new Room();
    const parts = new Parts(room);
    const unfinished = { contentId: film.contentId, fname: fileName("film"), destination: "/files/film" };
    parts.repository.addUnfinished(unfinished);
    const side = fetching(listings, room, parts);
    return { ...side, unfinished };
  }

  test("go on by themselves, and are forgotten when they are done", () => {
    const { room, parts, fetches } = interrupted();
    honest(room);
    fetches.resume();
    room.until(() => parts.disk.read("/files/film") !== undefined);
    room.run(10);
    expect([parts.repository.unfinished(), fetches.list().map(({ state }) => state)]).toEqual([[], ["done"]]);
  });

  test("are tried again with growing, jittered pauses of at most 30 seconds, until a holder is there", () => {
    const { room, parts, tracker, fetches, unfinished } = interrupted([{ ...filmListed, holders: [] }]);
    const triesMs: number[] = [];
    let askedMs = Number.NEGATIVE_INFINITY;
    const { REQUEST_FILE_LOCATION } = tracker.answers;
    tracker.answers = {
      ...tracker.answers,
      REQUEST_FILE_LOCATION: (message, connection) => {
        // Within a try it is asked again and again.
        if (room.now - askedMs > 400) triesMs.push(room.now);
        askedMs = room.now;
        return REQUEST_FILE_LOCATION!(message, connection);
      },
    };
    fetches.resume();
    room.run(5 * MINUTE_MS);
    const pauses = triesMs.slice(1).map((ms, index) => ms - triesMs[index]!);
    for (const [index, pauseMs] of pauses.entries()) {
      const stepMs = Math.min(30 * SECOND_MS, SECOND_MS * 2 ** index);
      expect(pauseMs).toBeGreaterThanOrEqual(stepMs / 2);
      expect(pauseMs).toBeLessThan(stepMs + NOTICE_MS_MAX);
    }
    expect(pauses.length).toBeGreaterThan(10);
    expect(parts.repository.unfinished()).toEqual([unfinished]);
    tracker.answers = answersFor([filmListed]);
    honest(room);
    room.run(32 * SECOND_MS);
    expect(parts.disk.read("/files/film")).toEqual(film.bytes);
    expect(parts.repository.unfinished()).toEqual([]);
  });

  test("are given up and forgotten where nothing can change, as with a file that is there by now", () => {
    const { room, parts, fetches } = interrupted();
    honest(room);
    parts.disk.write("/files/film", new Uint8Array(1));
    fetches.resume();
    room.run(MINUTE_MS);
    expect([parts.repository.unfinished(), fetches.list()]).toEqual([[], []]);
    expect(parts.logged.some((line) => line.startsWith("warn: gave up the unfinished fetch of film"))).toBe(true);
  });

  test("are not tried any more once the peer ends, and wait for the next start", () => {
    const { room, parts, tracker, fetches, unfinished } = interrupted([{ ...filmListed, holders: [] }]);
    fetches.resume();
    room.run(10 * SECOND_MS);
    // Between two tries.
    let asked = 0;
    do {
      asked = tracker.all("REQUEST_FILE_LOCATION").length;
      room.run(SECOND_MS);
    } while (asked !== tracker.all("REQUEST_FILE_LOCATION").length);
    room.wait(fetches.close());
    tracker.received.length = 0;
    room.run(2 * MINUTE_MS);
    expect(tracker.all("REQUEST_FILE_LOCATION")).toEqual([]);
    expect(parts.repository.unfinished()).toEqual([unfinished]);
  });
});

describe("the end of the peer", () => {
  test("stops each fetch, keeps its part, and remembers it for the next start", () => {
    const { room, parts, fetches, start } = fetching();
    honest(room, { PEER_REQUEST_CHUNK: () => undefined });
    const job = room.wait(start());
    room.wait(fetches.close());
    const message = "the peer ended during the fetch of film";
    expect(job.progress()).toMatchObject({ state: "stopped", error: { message } });
    expect(parts.repository.unfinished()).toMatchObject([{ destination: "/files/film" }]);
    expect(parts.store.left("/files/film", film.contentId)).toBeDefined();
    expect([fetches.runningCount, fetches.bufferBytesTaken]).toEqual([0, 0]);
  });

  test.each([0, 3, 6, 8, 10])(
    "%d ms after a command: the fetch that was being prepared leaves nothing behind",
    (ms) => {
      const { room, parts, fetches, start } = fetching();
      honest(room, { PEER_REQUEST_CHUNK: () => undefined });
      const starting = start();
      room.run(ms);
      const wasRunning = fetches.runningCount;
      room.wait(fetches.close());
      const outcome = room.wait(
        starting.then(
          () => "running",
          ({ code }: P2pfsError) => code,
        ),
      );
      expect(outcome).toBe(wasRunning === 1 ? "running" : "cancelled");
      expect(parts.store.left("/files/film", film.contentId) !== undefined).toBe(wasRunning === 1);
      expect(parts.repository.unfinished().length).toBe(wasRunning);
    },
  );
});
