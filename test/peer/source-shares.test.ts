/** Who gave how much to a fetch, and who holds a content as the page shows it. */
import { describe, expect, test } from "bun:test";
import { P2pfsError } from "../../src/core/errors.ts";
import { holdersOf } from "../../src/peer/content-holders.ts";
import { PAST_SHARES_MAX, SourceShares } from "../../src/peer/source-shares.ts";
import { Room } from "../support/room.ts";
import { type Answers, address, CHUNK, contentOf, fileRow, Parts, ranges, trackerIn } from "./parts.ts";

const sourceAt = (host: string, isInbound = false) => {
  const end = address(`${host}:7000`);
  return { end, address: isInbound ? null : end, origin: isInbound ? `from ${host}` : end };
};
const counters = (chunks: number, rejected = 0) => ({ bytes: chunks * CHUNK, chunks, rejected });

describe("shares of the sources", () => {
  test("are summed by origin over connections that are gone and those that are there", () => {
    const shares = new SourceShares();
    const [one, two] = [sourceAt("10.0.0.2"), sourceAt("10.0.0.3", true)];
    shares.keep(one, counters(2, 1));
    shares.keep(one, counters(3));
    const sum = shares.sum([
      [one, counters(1)],
      [two, counters(4)],
      [two, counters(1)],
    ]);
    expect(sum).toEqual([
      { address: one.end, inbound: false, ...counters(6, 1) },
      { address: two.end, inbound: true, ...counters(5) },
    ]);
    expect(shares.sum([])).toEqual([{ address: one.end, inbound: false, ...counters(5, 1) }]);
  });

  test("of sources that are gone are kept up to a bound, the latest ones", () => {
    const shares = new SourceShares();
    for (let number = 0; number < PAST_SHARES_MAX + 10; number++)
      shares.keep(sourceAt(`10.0.${number >> 8}.${number & 255}`), counters(1));
    const kept = shares.sum([]).map((share) => share.address);
    expect([kept.length, kept[0]]).toEqual([PAST_SHARES_MAX, address("10.0.0.10:7000")]);
  });
});

describe("the holders of a content", () => {
  const content = contentOf(3 * CHUNK);

  function locating(location: Answers["REQUEST_FILE_LOCATION"]) {
    const room = new Room();
    const parts = new Parts(room);
    const directory = parts.directoryAt(trackerIn(room, { REQUEST_FILE_LOCATION: location! }).at);
    directory.open();
    room.until(() => directory.isUp);
    return { room, parts, find: () => holdersOf(content.contentId, parts.library, directory, parts.within(1700)) };
  }
  const held = [{ address: address("10.0.0.9:1"), chunks: ranges(0, 1) }];

  test("are those that the tracker names, and this peer before them where it has any of it", () => {
    const { room, parts, find } = locating(() => ({ type: "REPLY_FILE_LOCATION", fileinfo: null, chunkinfo: held }));
    expect(room.wait(find())).toEqual({
      total_chunknum: 2,
      holders: [{ address: address("10.0.0.9:1"), chunks: "0-1" }],
    });
    parts.addPart(content, [2]);
    expect(room.wait(find())).toEqual({
      total_chunknum: 3,
      holders: [
        { address: parts.address, chunks: "2" },
        { address: address("10.0.0.9:1"), chunks: "0-1" },
      ],
    });
  });

  test("tell the number of chunks by the publication, and by no holder where nobody has any", () => {
    const fileinfo = { ...fileRow("f", 1, address("10.0.0.9:1")), total_chunknum: 7 };
    const published = locating(() => ({ type: "REPLY_FILE_LOCATION", fileinfo, chunkinfo: [] }));
    expect(published.room.wait(published.find())).toEqual({ total_chunknum: 7, holders: [] });
    const nobody = locating(() => ({ type: "REPLY_FILE_LOCATION", fileinfo: null, chunkinfo: [] }));
    expect(nobody.room.wait(nobody.find())).toEqual({ total_chunknum: 0, holders: [] });
  });

  test("are not found where the tracker does not know the content", () => {
    const { room, find } = locating(() => {
      throw new P2pfsError("not_found", "no such content");
    });
    expect(room.failure(find())).toMatchObject({ code: "not_found" });
  });
});
