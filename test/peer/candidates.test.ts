/** Which content a fetch means (F17, decisions 3 and 5, R6), whatever the tracker lists. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Address, HostPort } from "../../src/core/address.ts";
import { NOTICE_MS_MAX } from "../../src/core/limits.ts";
import type { FileInfo } from "../../src/core/model.ts";
import { formatTicket } from "../../src/core/ticket.ts";
import { SECOND_MS } from "../../src/core/units.ts";
import { sleep } from "../../src/net/system.ts";
import { CANDIDATES_MAX, type FetchSubject, findTarget } from "../../src/peer/candidates.ts";
import type { Message } from "../../src/wire/messages.ts";
import { numRuns } from "../core/arbitraries.ts";
import { Room } from "../support/room.ts";
import { type Answers, address, contentId, fileName, fileRow, Parts, trackerAnswers, trackerIn } from "./parts.ts";

const own = address("10.0.0.1:7000");
const [one, two, three] = ["10.0.0.2:4000", "10.0.0.3:4000", "10.0.0.4:4000"].map(address) as [
  Address,
  Address,
  Address,
];
const at = (text: Address): HostPort => ({ host: text.split(":")[0]!, port: Number(text.split(":")[1]) });
const ticketFor = (content: number) =>
  formatTicket({ tracker: { host: "10.0.1.1", port: 7000 }, fname: fileName("f"), contentId: contentId(content) });

type Query = Message<"REQUEST_FILE_LIST">;
type Page = { readonly rows: readonly FileInfo[]; readonly next: string | null };

/** A peer whose tracker gives these pages. */
function searching(pageOf: (query: Query) => Page | Promise<Page> | undefined, answers: Answers = {}) {
  const room = new Room();
  const parts = new Parts(room);
  const tracker = trackerIn(room, {
    ...answers,
    REQUEST_FILE_LIST: async (query) => {
      const page = await pageOf(query);
      return page && { type: "REPLY_FILE_LIST", file_list: [...page.rows], next: page.next };
    },
  });
  const directory = parts.directoryAt(tracker.at);
  directory.open();
  room.until(() => directory.isUp);
  const find = (subject: FetchSubject, withinMs = 1700) =>
    findTarget(directory, subject, parts.within(withinMs), parts.process.system);
  return { room, parts, tracker, find };
}

/** The tracker lists these publications of `f`. */
const listing = (...rows: FileInfo[]) => searching(() => ({ rows, next: null }));
const target = (content: number) => ({ fname: fileName("f"), contentId: contentId(content) });

describe("a name", () => {
  test("means what others publish by it; several publishers of one content are one candidate", () => {
    const { room, tracker, find } = listing(fileRow("f", 1, one), fileRow("f", 1, two));
    expect(room.wait(find({ what: "f" }))).toEqual(target(1));
    expect(tracker.all("REQUEST_FILE_LIST")).toMatchObject([{ fname: fileName("f"), holder: null, cursor: null }]);
  });

  test("that nobody publishes is not found", () => {
    const { room, find } = listing();
    expect(room.failure(find({ what: "f" }))).toMatchObject({ code: "not_found", message: "no online peer shares f" });
    const from = { host: "10.0.0.2", port: 4000 };
    expect(room.failure(find({ what: "f", from }))).toMatchObject({
      message: "no online peer shares f at 10.0.0.2:4000",
    });
  });

  test("of different contents is ambiguous; ten are shown, with their sizes and ids, and how many more there are", () => {
    const rows = Array.from({ length: 13 }, (_, index) => fileRow("f", index, address(`10.0.3.${index + 1}:1`)));
    const { room, find } = listing(...rows);
    const error = room.failure(find({ what: "f" }));
    expect(error.code).toBe("ambiguous");
    expect(error.message.match(/10\.0\.3\.\d+:1 \(1 bytes, c{12}\)/g)?.length).toBe(10);
    expect(error.message).toEndWith(", 3 more");
  });

  test("that is no file name is refused, and the tracker is not asked", () => {
    const { room, tracker, find } = listing();
    for (const what of ["", "..", "a/b", "a\u0000"])
      expect(room.failure(find({ what }))).toMatchObject({ code: "refused" });
    expect(tracker.all("REQUEST_FILE_LIST")).toEqual([]);
  });
});

describe("R6", () => {
  test("what this peer alone published is refused, by name and by ticket", () => {
    const { room, find } = listing(fileRow("f", 1, own));
    for (const what of ["f", ticketFor(1)])
      expect(room.failure(find({ what }))).toMatchObject({
        code: "refused",
        message: "f was published by this peer itself (R6)",
      });
  });

  test("its own publications are no candidates beside those of others", () => {
    const { room, find } = listing(fileRow("f", 1, own), fileRow("f", 2, one));
    expect(room.wait(find({ what: "f" }))).toEqual(target(2));
  });
});

describe("an address", () => {
  test("of a publisher selects its publication", () => {
    const { room, tracker, find } = listing(fileRow("f", 1, one), fileRow("f", 2, two));
    expect(room.wait(find({ what: "f", from: at(two) }))).toEqual(target(2));
    expect(tracker.all("REQUEST_FILE_LIST")).toMatchObject([{ holder: two }]);
  });

  test("of a holder, who published nothing, leaves what it holds", () => {
    const { room, find } = listing(fileRow("f", 1, one));
    expect(room.wait(find({ what: "f", from: at(three) }))).toEqual(target(1));
  });

  test("of a holder of two contents of that name is ambiguous", () => {
    const { room, find } = listing(fileRow("f", 1, one), fileRow("f", 2, two));
    expect(room.failure(find({ what: "f", from: at(three) }))).toMatchObject({ code: "ambiguous" });
  });
});

describe("a ticket", () => {
  test("selects by content, whatever else has that name", () => {
    const { room, find } = listing(fileRow("f", 1, one), fileRow("f", 2, two));
    expect(room.wait(find({ what: ticketFor(2) }))).toEqual(target(2));
  });

  test("needs no publication: holders may remain when the publisher has left", () => {
    const { room, find } = listing(fileRow("f", 1, one));
    expect(room.wait(find({ what: ticketFor(9) }))).toEqual(target(9));
  });

  test("that is none is told as such", () => {
    const { room, find } = listing();
    expect(room.failure(find({ what: "p2pfs://10.0.1.1:7000/f?id=12" }))).toMatchObject({ code: "usage" });
  });
});

describe("pages", () => {
  const full = (number: number) => ({
    rows: Array.from({ length: 500 }, (_, row) => fileRow("f", 1, address(`10.1.${number}.${row % 250}:${1 + row}`))),
    next: `${number + 1}`,
  });

  test("are all read, so that a publication on the last one counts", () => {
    const { room, find } = searching(({ cursor }) =>
      cursor === "2" ? { rows: [fileRow("f", 7, three)], next: null } : full(Number(cursor ?? 0)),
    );
    expect(room.wait(find({ what: "f", from: at(three) }))).toEqual(target(7));
  });

  test("without an end are read up to 2000 publications", () => {
    const { room, tracker, find } = searching(({ cursor }) => full(Number(cursor ?? 0)));
    expect(room.wait(find({ what: "f" }))).toEqual(target(1));
    expect(tracker.all("REQUEST_FILE_LIST").length).toBe(CANDIDATES_MAX / 500);
  });

  test("that lead back, or are empty with another to follow, break the protocol", () => {
    const circle = searching(() => ({ rows: [fileRow("f", 1, one)], next: "again" }));
    const hollow = searching(({ cursor }) => ({ rows: [], next: `${cursor}x` }));
    for (const { room, find } of [circle, hollow])
      expect(room.failure(find({ what: "f" }))).toMatchObject({ code: "protocol" });
  });

  test("R5: that each take long are given up at the deadline", () => {
    const { room, parts, find } = searching(async ({ cursor }) => {
      await sleep(parts.process.system.clock, 600);
      return { rows: [fileRow("f", 1, one)], next: `${cursor}x` };
    });
    const finding = find({ what: "f" });
    expect(room.duration(finding)).toBeLessThan(NOTICE_MS_MAX);
    expect(room.failure(finding)).toMatchObject({ code: "tracker_unreachable" });
  });

  test("R5: from a tracker that does not answer, or breaks, end in a notice", () => {
    const silent = searching(() => undefined);
    const finding = silent.find({ what: "f" });
    expect(silent.room.duration(finding)).toBeLessThan(NOTICE_MS_MAX);
    expect(silent.room.failure(finding)).toMatchObject({ code: "tracker_unreachable" });
    const breaking = searching(() => undefined);
    const { tracker, room, find } = breaking;
    tracker.answers = {
      ...trackerAnswers,
      REQUEST_FILE_LIST: (_query, connection) => {
        connection.close();
        return undefined;
      },
    };
    expect(room.failure(find({ what: "f" }, SECOND_MS))).toMatchObject({ code: "tracker_unreachable" });
  });
});

test("a host is looked up before the tracker is asked; one without an address is not found", () => {
  const { room, tracker, find } = listing(fileRow("f", 1, one));
  const from = { host: "nowhere", port: 1 };
  expect(room.failure(find({ what: "f", from }))).toMatchObject({ code: "not_found" });
  expect(tracker.all("REQUEST_FILE_LIST")).toEqual([]);
});

test("whatever is listed: what is found is somebody else's, at the address where one is given, and the only one", () => {
  const rows = fc.array(fc.record({ content: fc.nat({ max: 2 }), at: fc.constantFrom(own, one, two, three) }), {
    maxLength: 6,
  });
  const from = fc.option(fc.constantFrom(one, two, three), { nil: undefined });
  const { room, tracker, find } = listing();
  fc.assert(
    fc.property(rows, from, (listed, where) => {
      const file_list = listed.map(({ content, at: publisher }) => fileRow("f", content, publisher));
      tracker.answers = {
        ...tracker.answers,
        REQUEST_FILE_LIST: () => ({ type: "REPLY_FILE_LIST", file_list, next: null }),
      };
      const outcome = find({ what: "f", ...(where && { from: at(where) }) }).then(
        ({ contentId: found }) => found as string,
        ({ code }) => code as string,
      );
      const others = listed.filter(({ at: publisher }) => publisher !== own);
      const named = others.filter(({ at: publisher }) => publisher === where);
      const contents = new Set((named.length > 0 ? named : others).map(({ content }) => contentId(content) as string));
      const missing = listed.length > 0 ? "refused" : "not_found";
      const expected = contents.size === 0 ? missing : contents.size === 1 ? [...contents][0]! : "ambiguous";
      expect(room.wait(outcome)).toBe(expected);
    }),
    { numRuns },
  );
});
