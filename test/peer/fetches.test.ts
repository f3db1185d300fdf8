/**
 * Fetches from the command to the file or the notice that it cannot be had (F17, R5, R7): with a tracker and holders
 * that are slow, silent, wrong or gone.
 */
import { describe, expect, test } from "bun:test";
import { P2pfsError } from "../../src/core/errors.ts";
import { NOTICE_MS_MAX } from "../../src/core/limits.ts";
import { MINUTE_MS, SECOND_MS } from "../../src/core/units.ts";
import { sleep } from "../../src/net/system.ts";
import { FETCHES_MAX } from "../../src/peer/fetches.ts";
import {
  answersFor,
  fetching,
  film,
  filmListed,
  honest,
  other,
  otherListed,
  type Side,
  slowHolder,
} from "./fetching.ts";
import { Actor, address, fileName, holderIn, ranges, trackerAnswers } from "./parts.ts";

describe("a fetch", () => {
  test("F17, R5: of a small file ends with the file, within 2 seconds", () => {
    const { room, parts, fetches, events, start, done } = fetching();
    honest(room);
    const startMs = room.now;
    const receipt = done(room.wait(start()));
    expect(room.now - startMs).toBeLessThan(100);
    expect(parts.disk.read("/files/film")).toEqual(film.bytes);
    expect(receipt).toMatchObject({
      fname: fileName("film"),
      bytes_fetched: film.size,
      bytes_copied: 0,
      bytes_resumed: 0,
    });
    expect(receipt.sources).toMatchObject([{ address: address("10.0.2.1:7000"), chunks: 3, bytes: film.size }]);
    expect(events).toEqual(["fetch_started film: running", "fetch_ended film: done"]);
    expect([fetches.runningCount, fetches.bufferBytesTaken]).toEqual([0, 0]);
    expect(parts.repository.unfinished()).toEqual([]);
    expect(parts.library.copyOf(film.contentId)).toMatchObject({ path: "/files/film" });
  });

  test("F4: runs beside others, and each is listed", () => {
    const { room, fetches, start, done } = fetching([
      filmListed,
      { ...otherListed, holders: [address("10.0.2.2:7000")] },
    ]);
    honest(room);
    holderIn(room, "10.0.2.2", other);
    const jobs = room.wait(Promise.all([start("film"), start("other")]));
    for (const job of jobs) done(job);
    const listed = fetches.list().map(({ fname, state }) => `${fname} ${state}`);
    expect(listed.sort()).toEqual(["film done", "other done"]);
    expect(fetches.find(jobs[1]!.id)).toBe(jobs[1]);
  });

  test("R7: onto an existing file is refused, and nothing is begun", () => {
    const { room, parts, fetches, start } = fetching();
    honest(room);
    parts.disk.write("/files/film", new Uint8Array(1));
    expect(room.failure(start())).toMatchObject({ code: "refused" });
    expect([fetches.list(), parts.repository.unfinished()]).toEqual([[], []]);
  });

  test("R7: does not replace a file that somebody made meanwhile; what was fetched is kept", () => {
    const { room, parts, start } = fetching();
    slowHolder(room, 300);
    const job = room.wait(start());
    const mine = new Uint8Array([1, 2, 3]);
    parts.disk.write("/files/film", mine);
    expect(room.failure(job.done)).toMatchObject({ code: "refused" });
    expect(parts.disk.read("/files/film")).toEqual(mine);
    expect(parts.store.left("/files/film", film.contentId)).toMatchObject({ isWhole: true });
    expect(parts.library.contentCount).toBe(0);
  });

  test("of what is here already is copied, and no peer is asked", () => {
    const { room, parts, tracker, fetches, start, done } = fetching();
    parts.addCopy(film, "/elsewhere");
    const receipt = done(room.wait(start()));
    expect(fetches.bufferBytesTaken).toBe(0);
    expect(receipt).toMatchObject({ bytes_copied: film.size, bytes_fetched: 0, sources: [] });
    expect(parts.disk.read("/files/film")).toEqual(film.bytes);
    expect(tracker.all("REQUEST_FILE_LOCATION")).toEqual([]);
  });

  test("of what is here, but was changed, comes from others", () => {
    const { room, parts, start, done } = fetching();
    honest(room);
    const copy = parts.addCopy(film, "/elsewhere");
    const starting = start();
    room.run(1);
    parts.disk.write(copy.path, other.bytes);
    const receipt = done(room.wait(starting));
    expect([receipt.bytes_copied + receipt.bytes_fetched, receipt.bytes_copied < film.size]).toEqual([film.size, true]);
    expect(parts.disk.read("/files/film")).toEqual(film.bytes);
  });
});

describe("limits", () => {
  test("of one fetch on receiving hold for that fetch", () => {
    const { room, start, done } = fetching();
    honest(room);
    const startMs = room.now;
    const job = room.wait(start("film", undefined, { down_limit: 64 * 1024 }));
    done(job);
    // Three chunks of 64 KiB, of which the first may come at once.
    expect(room.now - startMs).toBeGreaterThan(1.8 * SECOND_MS);
    expect(room.now - startMs).toBeLessThan(2.3 * SECOND_MS);
  });

  test("of one fetch on sending its content hold while it runs, and no longer", () => {
    const { room, parts, start, done } = fetching();
    slowHolder(room, 5 * SECOND_MS);
    parts.listen();
    parts.addCopy(film, "/elsewhere");
    const leecher = new Actor(room, "peer", "10.0.2.7").dial(parts.address);
    const join = { type: "REQUEST_JOIN_SWARM", content_id: film.contentId, chunks: ranges() } as const;
    room.wait(leecher.request(join));
    const ask = { type: "PEER_REQUEST_CHUNK", filename: fileName("f"), content_id: film.contentId } as const;
    const timeOfChunk = () => room.duration(leecher.request({ ...ask, chunknum: ranges(0, 0) }));
    parts.accessMs = () => 500;
    const job = room.wait(start("film", "/files/film", { up_limit: 64 * 1024 }));
    expect(timeOfChunk()).toBeGreaterThan(800);
    done(job);
    parts.accessMs = () => 1;
    expect(timeOfChunk()).toBeLessThan(50);
  });

  test("on the number of fetches: the 257th is busy, and there is room again when one has ended", () => {
    const { room, fetches, start } = fetching();
    honest(room, { PEER_REQUEST_CHUNK: () => undefined });
    const jobs = Array.from({ length: FETCHES_MAX }, (_, index) => start("film", `/files/${index}`));
    const last = () => start("film", "/files/last");
    const tooMany = last().catch((error: P2pfsError) => error.code);
    const [first] = room.wait(Promise.all(jobs));
    expect([room.wait(tooMany), fetches.runningCount]).toEqual(["busy", FETCHES_MAX]);
    expect(room.failure(last())).toMatchObject({ code: "busy" });
    first!.cancel();
    room.failure(first!.done);
    expect(room.wait(last()).progress().state).toBe("running");
  });
});

describe("two commands", () => {
  test("for one content and destination are one fetch, at the same moment and later", () => {
    const { room, fetches, tracker, start, done } = fetching();
    const holder = slowHolder(room, 50);
    const [one, two] = room.wait(Promise.all([start(), start()]));
    const three = room.wait(start("film", "/files/film"));
    expect([two, three]).toEqual([one, one]);
    done(one!);
    expect([fetches.list().length, holder.all("REQUEST_MANIFEST").length]).toEqual([1, 1]);
    expect(tracker.all("REQUEST_FILE_LOCATION").length).toBeGreaterThan(0);
  });

  test("for two contents and one destination: the second is refused, while the first is prepared and while it runs", () => {
    const { room, start } = fetching();
    slowHolder(room, 50);
    const first = start("film", "/files/x");
    expect(room.failure(start("other", "/files/x"))).toMatchObject({
      code: "refused",
      hint: "choose another destination",
    });
    room.wait(first);
    expect(room.failure(start("other", "/files/x"))).toMatchObject({ code: "refused" });
  });

  test("for one content and two destinations fetch it once, and copy it", () => {
    const { room, parts, start, done } = fetching();
    const holder = slowHolder(room, 20);
    const jobs = [room.wait(start("film", "/files/one")), room.wait(start("film", "/files/two"))];
    const receipts = jobs.map(done);
    expect(receipts.map(({ bytes_fetched, bytes_copied }) => [bytes_fetched, bytes_copied])).toEqual([
      [film.size, 0],
      [0, film.size],
    ]);
    expect(holder.all("PEER_REQUEST_CHUNK").length).toBe(3);
    expect(["/files/one", "/files/two"].map((path) => parts.disk.read(path))).toEqual([film.bytes, film.bytes]);
  });

  test("of which the first fails: the second fetches it by itself", () => {
    const { room, fetches, start, done } = fetching();
    slowHolder(room, 100);
    const [one, two] = [room.wait(start("film", "/files/one")), room.wait(start("film", "/files/two"))];
    one!.cancel();
    expect(room.failure(one!.done)).toMatchObject({ code: "cancelled" });
    expect(done(two!)).toMatchObject({ bytes_fetched: film.size });
    expect(fetches.bufferBytesTaken).toBe(0);
  });
});

describe("R5: the notice is out within 2 seconds", () => {
  /** How long it takes until the fetch cannot be had, and why. */
  function notice({ room, start }: Side) {
    const starting = start().then((job) => job.done);
    const tookMs = room.duration(starting);
    return { tookMs, code: room.failure(starting).code };
  }

  const cases: Record<string, (side: Side) => unknown> = {
    "where nobody shares the file": ({ tracker }) => {
      tracker.answers = trackerAnswers;
    },
    "where nobody holds it any more": ({ tracker }) => {
      tracker.answers = answersFor([{ ...filmListed, holders: [] }]);
    },
    "where the holder cannot be reached": () => {},
    "where the holder is silent": ({ room }) => room.listenRaw(room.machine("10.0.2.1")),
    "where the holder does not have it": ({ room }) =>
      honest(room, {
        REQUEST_MANIFEST: () => {
          throw new P2pfsError("not_found", "not held");
        },
      }),
    "where the manifest does not come": ({ room }) => honest(room, { REQUEST_MANIFEST: () => undefined }),
    "where the list comes late and the location never": ({ tracker }) => {
      const { REQUEST_FILE_LIST } = tracker.answers;
      tracker.answers = {
        ...tracker.answers,
        REQUEST_FILE_LIST: async (...asked) => {
          await sleep(tracker.process.system.clock, 1000);
          return REQUEST_FILE_LIST!(...asked);
        },
        REQUEST_FILE_LOCATION: () => undefined,
      };
    },
    "where nobody has what is missing of an unfinished file, and the tracker takes its time": ({
      room,
      parts,
      tracker,
    }) => {
      const { contentId, manifest } = film;
      const part = room.wait(parts.store.openPart({ destination: "/files/film", contentId, manifest }));
      room.wait(part.write(0, film.chunk(0)));
      room.wait(part.close());
      const { REQUEST_FILE_LIST } = tracker.answers;
      tracker.answers = {
        ...tracker.answers,
        REQUEST_FILE_LIST: async (...asked) => {
          await sleep(tracker.process.system.clock, 1000);
          return REQUEST_FILE_LIST!(...asked);
        },
      };
    },
    "where the tracker is silent": ({ tracker }) => {
      tracker.answers = { ...trackerAnswers, REQUEST_FILE_LIST: () => undefined };
    },
    "where the tracker is gone": ({ tracker }) => tracker.process.kill(),
    "where the tracker is frozen": ({ tracker }) => tracker.process.freeze(MINUTE_MS),
  };

  test.each(Object.entries(cases))("%s", (_name, prepare) => {
    const side = fetching();
    prepare(side);
    const { tookMs, code } = notice(side);
    expect(tookMs).toBeLessThan(NOTICE_MS_MAX);
    expect(["not_found", "no_holder", "tracker_unreachable"]).toContain(code);
    expect([side.fetches.runningCount, side.fetches.bufferBytesTaken]).toEqual([0, 0]);
    expect(side.parts.repository.unfinished()).toEqual([]);
  });

  test("and not before: holders that come within the time are found", () => {
    const side = fetching([{ ...filmListed, holders: [] }]);
    const { room, tracker, start, done } = side;
    room.clock.after(1000, () => {
      tracker.answers = answersFor([filmListed]);
      honest(room);
    });
    expect(done(room.wait(start()))).toMatchObject({ bytes_fetched: film.size });
  });
});

test("a fetch that waits for an earlier one of the same content ends with it, where nobody gives a chunk to that", () => {
  const { room, fetches, start } = fetching([filmListed]);
  honest(room, { PEER_REQUEST_CHUNK: () => undefined });
  const jobs = ["/files/one", "/files/two", "/files/three"].map((path) => room.wait(start("film", path)));
  for (const job of jobs) expect(room.failure(job.done)).toMatchObject({ code: "no_holder" });
  expect(room.now).toBeLessThan(3 * MINUTE_MS);
  expect(fetches.runningCount).toBe(0);
});
