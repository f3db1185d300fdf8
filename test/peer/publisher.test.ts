/** Publishing and taking back (F16, R1–R3), with a tracker that agrees, refuses, is silent or breaks. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { P2pfsError } from "../../src/core/errors.ts";
import { foldFileName } from "../../src/core/file-name.ts";
import { NOTICE_MS_MAX } from "../../src/core/limits.ts";
import { parseTicket } from "../../src/core/ticket.ts";
import { SECOND_MS } from "../../src/core/units.ts";
import { sleep } from "../../src/net/system.ts";
import { Publisher } from "../../src/peer/publisher.ts";
import { numRuns } from "../core/arbitraries.ts";
import { Room } from "../support/room.ts";
import { type Answers, address, CHUNK, contentOf, fileName, Parts, trackerAnswers, trackerIn } from "./parts.ts";

const content = contentOf(3 * CHUNK);
const own = address("10.0.0.1:7000");

/** A peer that has joined a tracker with these answers. */
function publishing(answers: Answers = {}) {
  const room = new Room();
  const parts = new Parts(room);
  const tracker = trackerIn(room, answers);
  const directory = parts.directoryAt(tracker.at);
  directory.open();
  room.until(() => directory.isUp);
  tracker.received.length = 0;
  const publisher = new Publisher({ ...parts.shared, directory });
  parts.disk.write("/home/me/f", content.bytes);
  const publish = (path = "/home/me/f", fname?: string) => publisher.publish({ path, lname: `./${path}`, fname }, {});
  const unpublish = (name = "f") => publisher.unpublish(fileName(name), parts.within(1700));
  /** Whether the tracker, this peer's repository and its library agree that the file is not shared. */
  const isNowhere = () => parts.repository.shareCount() === 0 && parts.library.contentCount === 0;
  return { room, parts, tracker, directory, publish, unpublish, isNowhere };
}

const silent = () => undefined;
const breaking: NonNullable<Answers["REQUEST_PUBLISH"]> = (_message, connection) => {
  connection.close();
  return undefined;
};

describe("a publish", () => {
  test("F16, R1: tells the tracker at once, and the peer serves the file from then on", () => {
    const { room, parts, tracker, publish } = publishing();
    const startMs = room.now;
    const published = room.wait(publish());
    expect(room.now - startMs).toBeLessThan(10);
    const publication = {
      primary_key: "f_10.0.0.1_7000",
      fname: fileName("f"),
      size: content.size,
      total_chunknum: 3,
      local_file: ".//home/me/f",
      content_id: content.contentId,
      author_address: own,
    };
    expect(tracker.all("REQUEST_PUBLISH")).toMatchObject([publication]);
    expect(published).toMatchObject({ key: "f_10.0.0.1_7000", address: own, path: ".//home/me/f", total_chunknum: 3 });
    expect(parseTicket(published.ticket)).toMatchObject({ fname: fileName("f"), contentId: content.contentId });
    expect(parts.repository.shareNamed(fileName("f"))).toMatchObject({ path: "/home/me/f", size: content.size });
    expect(parts.library.offer(content.contentId)?.have.isFull).toBe(true);
    room.run(SECOND_MS);
    expect(tracker.types.filter((type) => type === "REQUEST_CHUNK_REGISTER")).toEqual([]);
  });

  test("takes the last part of the path where no name is given, and says so where that is no name", () => {
    const { room, parts, publish } = publishing();
    expect(room.wait(publish()).fname).toBe(fileName("f"));
    parts.disk.write("/home/me/con", content.bytes);
    expect(room.failure(publish("/home/me/con"))).toMatchObject({
      code: "refused",
      hint: "give a FNAME after the path",
    });
    expect(room.wait(publish("/home/me/con", "g")).fname).toBe(fileName("g"));
  });

  test("of a file that is not there fails, and the tracker hears nothing", () => {
    const { room, tracker, publish } = publishing();
    expect(room.failure(publish("/home/me/none"))).toMatchObject({ code: "not_found" });
    expect(tracker.all("REQUEST_PUBLISH")).toEqual([]);
  });

  test("with no tracker fails within the time of a notice, before the file is read", () => {
    const { room, parts, tracker, directory, publish, isNowhere } = publishing();
    tracker.process.kill();
    room.until(() => !directory.isUp);
    let reads = 0;
    parts.accessMs = () => ++reads;
    const publishingNow = publish();
    expect(room.duration(publishingNow)).toBeLessThan(NOTICE_MS_MAX);
    expect(room.failure(publishingNow)).toMatchObject({ code: "tracker_unreachable" });
    expect([reads, isNowhere()]).toEqual([0, true]);
  });

  test("that took long to hash has a new deadline for the tracker, and the address of the session that there is by then", () => {
    const { room, parts, tracker, directory, publish } = publishing();
    parts.accessMs = () => 10 * SECOND_MS;
    const publishingNow = publish();
    room.run(5 * SECOND_MS);
    tracker.answers = {
      ...tracker.answers,
      REQUEST_REGISTER: (message) => ({ ...trackerAnswers.REQUEST_REGISTER(message), address: address("10.9.9.9:1") }),
    };
    tracker.open[0]!.close();
    room.run(SECOND_MS);
    expect(directory.address).toBe(address("10.9.9.9:1"));
    expect(room.wait(publishingNow)).toMatchObject({ key: "f_10.9.9.9_1", address: address("10.9.9.9:1") });
  });
});

describe("R2 and R3", () => {
  test("R2: one name within a peer is one file, in any case and normalisation", () => {
    const { room, parts, tracker, publish } = publishing();
    parts.disk.write("/home/me/g", content.bytes);
    room.wait(publish("/home/me/f", "Größe"));
    for (const name of ["Größe", "GRÖSSE", "größe", "gro\u0308ße"]) {
      const refused = room.failure(publish("/home/me/g", name));
      expect(refused).toMatchObject({ code: "refused", message: expect.stringContaining("(R2)") });
    }
    expect(tracker.all("REQUEST_PUBLISH").length).toBe(1);
  });

  test("R3: one path is one share, whatever it is called", () => {
    const { room, tracker, publish } = publishing();
    room.wait(publish());
    const refused = room.failure(publish("/home/me/f", "other"));
    expect(refused).toMatchObject({
      code: "refused",
      hint: "unpublish f first",
      message: expect.stringContaining("(R3)"),
    });
    expect(tracker.all("REQUEST_PUBLISH").length).toBe(1);
  });

  test("hold between publishes at the same time, and whatever can be shared is shared", () => {
    const names = ["a", "A", "b", "c"];
    const paths = ["/1", "/2", "/3"];
    const command = fc.record({
      name: fc.constantFrom(...names),
      path: fc.constantFrom(...paths),
      afterMs: fc.nat({ max: 6 }),
    });
    fc.assert(
      fc.property(fc.array(command, { minLength: 1, maxLength: 6 }), (commands) => {
        const { room, parts, tracker, publish } = publishing();
        for (const path of paths) parts.disk.write(path, content.bytes);
        const outcomes = commands.map(async ({ name, path, afterMs }) => {
          await sleep(parts.process.system.clock, afterMs);
          return publish(path, name).then(
            () => "shared",
            ({ code }) => code as string,
          );
        });
        const results = room.wait(Promise.all(outcomes));
        const shares = parts.repository.shares();
        expect(new Set(shares.map(({ fname }) => foldFileName(fname))).size).toBe(shares.length);
        expect(new Set(shares.map(({ path }) => path)).size).toBe(shares.length);
        expect(results.filter((result) => result === "shared").length).toBe(shares.length);
        expect(results.every((result) => result === "shared" || result === "refused")).toBe(true);
        expect(tracker.all("REQUEST_PUBLISH").length).toBe(shares.length);
        for (const [index, { name, path }] of commands.entries()) {
          if (results[index] === "shared") continue;
          const clashes = shares.some(
            (share) => share.path === path || foldFileName(share.fname) === foldFileName(fileName(name)),
          );
          expect(clashes).toBe(true);
        }
      }),
      { numRuns: numRuns / 4 },
    );
  });

  test("a publish that ends without a share a moment after the next began is not in its way", () => {
    let isFirst = true;
    const { room, parts, publish } = publishing({
      REQUEST_PUBLISH: (message) => {
        if (!isFirst) return trackerAnswers.REQUEST_PUBLISH(message);
        isFirst = false;
        throw new P2pfsError("busy", "not now");
      },
    });
    const [first, next] = [publish(), publish()];
    expect(room.failure(first)).toMatchObject({ code: "busy" });
    expect(room.wait(next)).toMatchObject({ fname: fileName("f") });
    expect(parts.repository.shareCount()).toBe(1);
  });

  test("R5: a publish that goes on is reported to the next one in time", () => {
    const { room, publish } = publishing({ REQUEST_PUBLISH: silent });
    const first = publish();
    const next = publish().catch(({ code }: P2pfsError) => code);
    expect(room.duration(next)).toBeLessThan(NOTICE_MS_MAX);
    expect(room.wait(next)).toBe("refused");
    expect(room.failure(first)).toMatchObject({ code: "tracker_unreachable" });
  });

  test("a publish that failed is in nobody's way", () => {
    const { room, parts, tracker, publish } = publishing();
    expect(room.failure(publish("/home/me/none", "f"))).toMatchObject({ code: "not_found" });
    tracker.answers = {
      ...trackerAnswers,
      REQUEST_PUBLISH: () => {
        throw new P2pfsError("busy", "not now");
      },
    };
    expect(room.failure(publish())).toMatchObject({ code: "busy" });
    parts.accessMs = () => {
      throw new P2pfsError("disk", "EIO");
    };
    expect(room.failure(publish())).toMatchObject({ code: "disk" });
    parts.accessMs = () => 1;
    tracker.answers = trackerAnswers;
    expect(room.wait(publish()).fname).toBe(fileName("f"));
  });
});

describe("a tracker that", () => {
  test("refuses a publication: nothing is shared, and nothing is to be taken back", () => {
    const { room, tracker, publish, isNowhere } = publishing({
      REQUEST_PUBLISH: () => {
        throw new P2pfsError("refused", "the address is another's");
      },
    });
    expect(room.failure(publish())).toMatchObject({ code: "refused", message: "the address is another's" });
    room.run(SECOND_MS);
    expect(isNowhere()).toBe(true);
    expect(tracker.types.filter((type) => type !== "HEARTBEAT")).toEqual(["REQUEST_PUBLISH"]);
  });

  test("R5: never answers may have published all the same: what it may list is taken back", () => {
    const { room, tracker, publish, isNowhere } = publishing({ REQUEST_PUBLISH: silent });
    const publishingNow = publish();
    expect(room.duration(publishingNow)).toBeLessThan(NOTICE_MS_MAX);
    expect(room.failure(publishingNow)).toMatchObject({ code: "tracker_unreachable" });
    room.run(10);
    expect(isNowhere()).toBe(true);
    expect(tracker.all("REQUEST_UNPUBLISH")).toMatchObject([{ fname: fileName("f") }]);
    expect(tracker.all("REQUEST_CHUNK_REGISTER")).toMatchObject([{ replace: true, chunknum: [] }]);
  });

  test("closes in the midst of a publish hears nothing of that file in the next session", () => {
    const { room, tracker, directory, publish, isNowhere } = publishing({ REQUEST_PUBLISH: breaking });
    expect(room.failure(publish())).toMatchObject({ code: "tracker_unreachable" });
    tracker.answers = trackerAnswers;
    tracker.received.length = 0;
    room.until(() => directory.isUp);
    expect(isNowhere()).toBe(true);
    expect(tracker.types).toEqual(["REQUEST_REGISTER", "REQUEST_ANNOUNCED"]);
  });

  test("has published what this peer then cannot remember is told to forget it", () => {
    const { room, parts, tracker, publish, isNowhere } = publishing();
    parts.repository.addShare = () => {
      throw new P2pfsError("disk", "the disk is full");
    };
    expect(room.failure(publish())).toMatchObject({ code: "disk" });
    room.run(10);
    expect(isNowhere()).toBe(true);
    expect(tracker.all("REQUEST_UNPUBLISH").length).toBe(1);
  });
});

describe("an unpublish", () => {
  /** A peer that shares `f`. */
  function sharing(answers: Answers = {}) {
    const side = publishing();
    side.room.wait(side.publish());
    side.tracker.received.length = 0;
    side.tracker.answers = { ...trackerAnswers, ...answers };
    return side;
  }

  test("is complete when the tracker knows that neither the name nor a chunk is here", () => {
    const { room, tracker, unpublish, isNowhere } = sharing();
    expect(room.wait(unpublish("F"))).toEqual({ fname: fileName("f") });
    expect(isNowhere()).toBe(true);
    expect(tracker.all("REQUEST_UNPUBLISH")).toMatchObject([{ fname: fileName("f") }]);
    expect(tracker.all("REQUEST_CHUNK_REGISTER")).toMatchObject([{ replace: true, chunknum: [] }]);
  });

  test("of a name that is not shared is not found, twice as well", () => {
    const { room, tracker, unpublish } = sharing();
    expect(room.failure(unpublish("g"))).toMatchObject({ code: "not_found" });
    room.wait(unpublish());
    expect(room.failure(unpublish())).toMatchObject({ code: "not_found" });
    expect(tracker.all("REQUEST_UNPUBLISH").length).toBe(1);
  });

  test("of a file that was fetched goes on to serve it", () => {
    const { room, parts, tracker, unpublish } = sharing();
    const { path, mtimeNs } = parts.repository.shareNamed(fileName("f"))!;
    const copy = { contentId: content.contentId, path, size: content.size, mtimeNs };
    parts.repository.addFetched(copy, content.manifestBytes);
    room.wait(unpublish());
    expect(parts.library.copyOf(content.contentId)).toMatchObject({ path });
    expect(tracker.all("REQUEST_CHUNK_REGISTER")).toEqual([]);
  });

  test("is done where the tracker has no such publication", () => {
    const { room, unpublish, isNowhere } = sharing({
      REQUEST_UNPUBLISH: () => {
        throw new P2pfsError("not_found", "no such publication");
      },
    });
    room.wait(unpublish());
    expect(isNowhere()).toBe(true);
  });

  test("R5: that the tracker does not answer fails in time, the file stays shared, and is published again", () => {
    const { room, parts, tracker, unpublish } = sharing({ REQUEST_UNPUBLISH: silent });
    const unpublishing = unpublish();
    expect(room.duration(unpublishing)).toBeLessThan(NOTICE_MS_MAX);
    expect(room.failure(unpublishing)).toMatchObject({ code: "tracker_unreachable" });
    room.run(10);
    expect(parts.repository.shareCount()).toBe(1);
    expect(parts.library.copyOf(content.contentId)).toBeDefined();
    expect(tracker.all("REQUEST_PUBLISH").length).toBe(1);
  });

  test("R5: that the tracker answers slowly is complete in time, whether the chunks were taken back by then or not", () => {
    const { room, tracker, unpublish, isNowhere } = sharing({
      REQUEST_UNPUBLISH: async (message) => {
        await sleep(tracker.process.system.clock, 1100);
        return trackerAnswers.REQUEST_UNPUBLISH(message);
      },
      REQUEST_CHUNK_REGISTER: silent,
    });
    expect(room.duration(unpublish())).toBeLessThan(NOTICE_MS_MAX);
    expect(isNowhere()).toBe(true);
  });
});
