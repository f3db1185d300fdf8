/**
 * What the tracker is told of this peer's publications and holdings (F1, F2, F19). However things change and whatever
 * the tracker does, in the end it knows what the library has.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Bitfield, formatRanges } from "../../src/core/bitfield.ts";
import { P2pfsError } from "../../src/core/errors.ts";
import { DIGEST_BYTES } from "../../src/core/limits.ts";
import { type ContentId, manifestOfFile } from "../../src/core/manifest.ts";
import { MiB, SECOND_MS } from "../../src/core/units.ts";
import type { Part } from "../../src/disk/content-store.ts";
import { sleep } from "../../src/net/system.ts";
import { Announcer } from "../../src/peer/announcer.ts";
import type { TrackerLink } from "../../src/peer/tracker-link.ts";
import type { Message, RequestName } from "../../src/wire/messages.ts";
import { numRuns } from "../core/arbitraries.ts";
import { Room } from "../support/room.ts";
import { chunksIn } from "../swarm/support.ts";
import { type Answers, CHUNK, contentOf, Parts, trackerAnswers, trackerIn } from "./parts.ts";

const [abc, def] = [contentOf(3 * CHUNK, 1), contentOf(4 * CHUNK, 2)];
const empty = contentOf(0);

/** A peer's library with an announcer that follows it, and a tracker with these answers. */
function announcing(answers: Answers = {}) {
  const room = new Room();
  const parts = new Parts(room);
  const tracker = trackerIn(room, answers);
  const announcer = new Announcer(parts.shared);
  parts.library.events.subscribe((event) => announcer.follow(event));
  const link: TrackerLink = parts.linkTo(tracker.at, { announce: (session) => announcer.announceAll(session) });
  const join = () => {
    link.open();
    room.until(() => link.isUp);
    return tracker.received.splice(0).flatMap(lineOf);
  };
  /** What the tracker was told since the last look. */
  const told = (ms = 10) => {
    room.run(ms);
    return tracker.received.splice(0).flatMap(lineOf);
  };
  return { room, parts, tracker, announcer, link, join, told };
}

const nameOf = new Map([
  [abc.contentId, "abc"],
  [def.contentId, "def"],
  [empty.contentId, "empty"],
]);

/** A request about contents in short. */
function lineOf(message: Message): string[] {
  if (message.type === "REQUEST_PUBLISH") return [`publish ${message.fname}`];
  if (message.type === "REQUEST_UNPUBLISH") return [`unpublish ${message.fname}`];
  if (message.type === "REQUEST_ANNOUNCED") return ["announced"];
  if (message.type !== "REQUEST_CHUNK_REGISTER") return [];
  const chunks = formatRanges(message.chunknum) || "nothing";
  return [`${nameOf.get(message.content_id)}: ${message.replace ? "only" : "also"} ${chunks}`];
}

describe("the start of a session", () => {
  test("names every publication and holding, and says then that this was all", () => {
    const { parts, join } = announcing();
    parts.addShare(abc, "one");
    parts.addShare(abc, "other", "/files/copy");
    parts.addPart(def, [0, 2]);
    expect(join()).toEqual(["publish one", "publish other", "def: only 0,2", "announced"]);
  });

  test("of a fetch without a chunk says that it has begun, and takes nothing back", () => {
    const { parts, join } = announcing();
    parts.addPart(def);
    expect(join()).toEqual(["def: also nothing", "announced"]);
  });

  test("of a share whose file is lost names the publication, then the chunks that are really here", () => {
    const { parts, join } = announcing();
    const share = parts.addShare(abc, "f");
    parts.disk.unmounted.add(share.path);
    parts.library.checkCopy(share);
    expect(join()).toEqual(["publish f", "abc: only nothing", "announced"]);
  });

  test("of an empty file that was fetched says that it is held, as a file without chunks can be", () => {
    const { parts, join } = announcing();
    parts.addCopy(empty);
    expect(join()).toEqual(["empty: only nothing", "announced"]);
  });

  test("leaves out an empty file that is lost: it has no chunks that could be taken back", () => {
    const { parts, join } = announcing();
    const share = parts.addShare(empty, "nothing");
    parts.disk.unmounted.add(share.path);
    parts.library.checkCopy(share);
    expect(join()).toEqual(["announced"]);
  });

  test.each([
    ["before its turn", 0],
    ["while it is under way", 50],
    ["when all is announced but the end", 150],
  ])("is followed by a change that comes %s, in its order", (_when, ms) => {
    const { room, parts, tracker, link } = announcing();
    const slowly = (answer: (message: never) => unknown) => async (message: unknown) => {
      await sleep(tracker.process.system.clock, 100);
      return answer(message as never) as never;
    };
    const { REQUEST_PUBLISH, REQUEST_CHUNK_REGISTER, REQUEST_ANNOUNCED } = trackerAnswers;
    tracker.answers = {
      ...trackerAnswers,
      REQUEST_PUBLISH: slowly(REQUEST_PUBLISH),
      REQUEST_CHUNK_REGISTER: slowly(REQUEST_CHUNK_REGISTER),
      REQUEST_ANNOUNCED: slowly(REQUEST_ANNOUNCED),
    };
    const share = parts.addShare(abc, "f");
    const part = parts.addPart(def, [1]);
    link.open();
    room.until(() => tracker.all("REQUEST_REGISTER").length === 1);
    room.run(ms + 3);
    expect(link.isUp).toBe(false);
    parts.disk.unmounted.add(share.path);
    parts.library.checkCopy(share);
    parts.gain(def, part, 3);
    room.until(() => link.isUp);
    room.run(SECOND_MS);
    const told = tracker.received.flatMap(lineOf);
    expect(told.filter((line) => line.startsWith("abc")).at(-1)).toBe("abc: only nothing");
    expect(told.lastIndexOf("abc: only nothing")).toBeGreaterThan(told.indexOf("publish f"));
    expect(told.some((line) => line.startsWith("def") && line.endsWith("3"))).toBe(true);
  });

  test("tells a set of many ranges in several messages, of which the first alone takes something back", () => {
    const { room, parts, tracker, link } = announcing();
    const chunkCount = 10_000;
    const manifest = manifestOfFile(chunkCount * 4 * MiB, new Uint8Array(chunkCount * DIGEST_BYTES));
    const have = new Bitfield(chunkCount);
    for (let chunk = 0; chunk < chunkCount; chunk += 2) have.add(chunk);
    parts.library.addPart(abc.contentId, { manifest, have } as unknown as Part);
    link.open();
    room.until(() => link.isUp);
    const told = tracker.all("REQUEST_CHUNK_REGISTER");
    expect(told.map(({ replace }) => replace)).toEqual([true, false]);
    expect(told.flatMap(({ chunknum }) => chunksIn(chunknum))).toEqual([...have]);
  });

  test("goes on after a refusal, which is logged", () => {
    const { parts, join } = announcing({
      REQUEST_PUBLISH: ({ fname }) => {
        if (fname === "f") throw new P2pfsError("refused", "the name is taken");
        return { type: "REPLY_PUBLISH", filename: fname, result: "ok" };
      },
    });
    parts.addShare(abc, "f");
    parts.addShare(def, "g");
    expect(join()).toEqual(["publish f", "publish g", "announced"]);
    expect(parts.logged).toContain("warn: the tracker refused f: the name is taken");
  });

  test("has at most 64 announcements under way", () => {
    let waiting = 0;
    let waitingMax = 0;
    const { room, parts, tracker, join } = announcing();
    tracker.answers = {
      ...trackerAnswers,
      REQUEST_PUBLISH: async (message) => {
        waitingMax = Math.max(waitingMax, ++waiting);
        await sleep(parts.process.system.clock, 10);
        waiting--;
        return trackerAnswers.REQUEST_PUBLISH(message);
      },
    };
    for (let share = 0; share < 200; share++) parts.addShare(abc, `f${share}`);
    expect(join().length).toBe(201);
    expect(waitingMax).toBe(64);
    expect(room.now).toBeLessThan(100);
  });
});

describe("during a session", () => {
  test("chunks gained within 150 ms are told together, as ranges, and each once", () => {
    const { room, parts, join, told } = announcing();
    join();
    const part = parts.addPart(def);
    expect(told()).toEqual(["def: also nothing"]);
    for (const chunk of [0, 1]) parts.gain(def, part, chunk);
    expect(told(100)).toEqual([]);
    parts.gain(def, part, 3);
    expect(told(60)).toEqual(["def: also 0-1,3"]);
    room.run(SECOND_MS);
    parts.gain(def, part, 2);
    expect(told(200)).toEqual(["def: also 2"]);
  });

  test("a lost file is told as no chunks, a regained one of a share as its publication, of a fetched one as its chunks", () => {
    const { parts, join, told } = announcing();
    const share = parts.addShare(abc, "f");
    const copy = parts.addCopy(def);
    join();
    for (const file of [share, copy]) {
      parts.disk.unmounted.add(file.path);
      parts.library.checkCopy(file);
      parts.library.checkCopy(file);
    }
    expect(told()).toEqual(["abc: only nothing", "def: only nothing"]);
    parts.disk.unmounted.clear();
    for (const file of [share, copy]) parts.library.checkCopy(file);
    expect(told()).toEqual(["publish f", "def: only 0-3"]);
  });

  test("an empty share that is lost is unpublished, and published again when it is back", () => {
    const { parts, join, told } = announcing();
    const share = parts.addShare(empty, "nothing");
    expect(join()).toEqual(["publish nothing", "announced"]);
    parts.disk.unmounted.add(share.path);
    parts.library.checkCopy(share);
    expect(told()).toEqual(["unpublish nothing"]);
    parts.disk.unmounted.clear();
    parts.library.checkCopy(share);
    expect(told()).toEqual(["publish nothing"]);
  });

  test("what is gained and not told yet gives way to what is held in all, and is not told after it", () => {
    const { room, parts, join, told } = announcing();
    join();
    const part = parts.addPart(abc);
    told();
    for (const chunk of [0, 1, 2]) parts.gain(abc, part, chunk);
    const { mtimeNs } = parts.disk.write("/files/abc", abc.bytes);
    parts.library.addCopy({ contentId: abc.contentId, path: "/files/abc", size: abc.size, mtimeNs });
    parts.library.removePart(abc.contentId, part);
    room.wait(part.close());
    expect(told(SECOND_MS)).toEqual(["abc: only 0-2"]);
  });

  test("a refusal is logged, a lost connection is not", () => {
    const { parts, tracker, join, told } = announcing({
      REQUEST_CHUNK_REGISTER: () => {
        throw new P2pfsError("refused", "another size");
      },
    });
    join();
    const part = parts.addPart(abc);
    told();
    const refusals = () => parts.logged.filter((line) => line.includes("refused"));
    expect(refusals()).toEqual([`warn: the tracker refused the chunks of ${abc.contentId}: another size`]);
    const breaking: Answers["REQUEST_CHUNK_REGISTER"] = (_message, connection) => {
      connection.close();
      return undefined;
    };
    tracker.answers = { ...trackerAnswers, REQUEST_CHUNK_REGISTER: breaking };
    parts.gain(abc, part, 0);
    expect(told(160)).toEqual(["abc: also 0"]);
    expect(refusals().length).toBe(1);
  });
});

test("without a session a change is told to nobody, and no refusal is logged", () => {
  const { parts, tracker, link, join, told } = announcing();
  const copy = parts.addCopy(abc);
  join();
  const taken = () => {
    throw new P2pfsError("refused", "the address is another's by now");
  };
  tracker.answers = { ...trackerAnswers, REQUEST_REGISTER: taken };
  tracker.open[0]!.close(new P2pfsError("refused", "a newer session has your id"));
  told();
  parts.library.removeCopy(copy);
  expect([link.isUp, told(SECOND_MS)]).toEqual([false, []]);
  expect(parts.logged.filter((line) => line.includes("the tracker refused"))).toEqual([]);
});

describe("settled", () => {
  test("waits for the last change of that content, and no longer than its deadline", () => {
    const { room, parts, announcer, tracker, join } = announcing();
    const copy = parts.addCopy(abc);
    join();
    const answers = [300, 5000];
    tracker.answers = {
      ...trackerAnswers,
      REQUEST_CHUNK_REGISTER: async (message) => {
        await sleep(tracker.process.system.clock, answers.shift()!);
        return trackerAnswers.REQUEST_CHUNK_REGISTER(message);
      },
    };
    parts.library.removeCopy(copy);
    expect(room.duration(announcer.settled(def.contentId, parts.within(SECOND_MS)))).toBe(0);
    const tookMs = room.duration(announcer.settled(abc.contentId, parts.within(SECOND_MS)));
    expect(tookMs).toBeGreaterThan(299);
    expect(tookMs).toBeLessThan(310);
    parts.library.addCopy(copy);
    parts.library.removeCopy(copy);
    expect(room.duration(announcer.settled(abc.contentId, parts.within(SECOND_MS)))).toBe(SECOND_MS);
  });
});

test("after a close nothing is told any more", () => {
  const { parts, announcer, join, told } = announcing();
  const copy = parts.addCopy(abc);
  const part = parts.addPart(def);
  join();
  for (const chunk of [0, 1]) parts.gain(def, part, chunk);
  announcer.close();
  parts.library.removeCopy(copy);
  expect(told(SECOND_MS)).toEqual([]);
});

/** What a tracker knows of one peer's holdings: section 7.1 and 7.4 of wire/README.md. */
class Book {
  readonly held = new Map<ContentId, Set<number>>();
  #named = new Set<ContentId>();

  enter(message: Message<RequestName>): void {
    if (message.type === "REQUEST_REGISTER") this.#named = new Set();
    else if (message.type === "REQUEST_PUBLISH") {
      this.#named.add(message.content_id);
      this.held.set(message.content_id, new Set(Array.from({ length: message.total_chunknum }, (_, chunk) => chunk)));
    } else if (message.type === "REQUEST_CHUNK_REGISTER") {
      // A fetch begins: that is no holding.
      if (message.chunknum.length === 0 && !message.replace) return;
      this.#named.add(message.content_id);
      const before = message.replace ? [] : (this.held.get(message.content_id) ?? []);
      this.held.set(message.content_id, new Set([...before, ...chunksIn(message.chunknum)]));
    } else if (message.type === "REQUEST_ANNOUNCED") {
      for (const id of this.held.keys()) if (!this.#named.has(id)) this.held.delete(id);
    }
  }
}

const contents = [abc, def, contentOf(2 * CHUNK, 3)];

test("however the library changes and the tracker breaks: in the end the tracker knows what is held, and no more", () => {
  const which = fc.nat({ max: contents.length - 1 });
  const step = fc.oneof(
    {
      weight: 2,
      arbitrary: fc.record({
        type: fc.constantFrom("lose" as const, "regain" as const, "finish" as const, "abandon" as const),
        which,
      }),
    },
    { weight: 2, arbitrary: fc.record({ type: fc.constant("begin" as const), which }) },
    { weight: 4, arbitrary: fc.record({ type: fc.constant("gain" as const), which, chunk: fc.nat({ max: 3 }) }) },
    { weight: 3, arbitrary: fc.record({ type: fc.constant("pass" as const), ms: fc.constantFrom(1, 20, 170, 700) }) },
    { weight: 1, arbitrary: fc.record({ type: fc.constant("break" as const) }) },
    { weight: 1, arbitrary: fc.record({ type: fc.constant("slow" as const), ms: fc.constantFrom(0, 100, 400) }) },
  );
  const beginnings = fc.array(fc.constantFrom("none", "share", "copy"), { minLength: 3, maxLength: 3 });
  fc.assert(
    fc.property(beginnings, fc.array(step, { maxLength: 25 }), (kinds, steps) => {
      const { room, parts, tracker, link } = announcing();
      const book = new Book();
      let slowMs = 0;
      const slowly = (answer: (message: never) => unknown) => async (message: Message<RequestName>) => {
        book.enter(message);
        await sleep(tracker.process.system.clock, slowMs);
        return answer(message as never) as never;
      };
      tracker.answers = Object.fromEntries(
        Object.entries(trackerAnswers).map(([name, answer]) => [name, slowly(answer)]),
      );
      const copies = kinds.map((kind, index) => {
        const content = contents[index]!;
        if (kind === "none") return undefined;
        return kind === "share" ? parts.addShare(content, `f${index}`) : parts.addCopy(content);
      });
      const running = new Map<number, Part>();
      link.open();
      for (const each of steps) {
        if (each.type === "pass") room.run(each.ms);
        else if (each.type === "slow") slowMs = each.ms;
        else if (each.type === "break") tracker.open[0]?.close();
        else {
          const content = contents[each.which]!;
          const copy = copies[each.which];
          const part = running.get(each.which);
          if (each.type === "lose" || each.type === "regain") {
            if (copy === undefined) continue;
            if (each.type === "lose") parts.disk.unmounted.add(copy.path);
            else parts.disk.unmounted.delete(copy.path);
            parts.library.checkCopy(copy);
          } else if (each.type === "begin") {
            if (part === undefined) running.set(each.which, parts.addPart(content, [], `/files/part${each.which}`));
          } else if (part === undefined) continue;
          else if (each.type === "gain") {
            if (each.chunk < content.chunkCount && !part.have.has(each.chunk)) parts.gain(content, part, each.chunk);
          } else {
            if (each.type === "finish" && part.have.isFull) copies[each.which] ??= parts.addCopy(content);
            parts.library.removePart(content.contentId, part);
            room.wait(part.discard());
            running.delete(each.which);
          }
        }
      }
      slowMs = 0;
      room.run(10 * SECOND_MS);
      expect(link.isUp).toBe(true);
      for (const { contentId } of contents) {
        const have = [...(parts.library.offer(contentId)?.have ?? [])];
        expect([...(book.held.get(contentId) ?? [])].sort()).toEqual(have);
      }
    }),
    { numRuns: numRuns / 2 },
  );
});
