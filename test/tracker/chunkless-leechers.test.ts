/** Chunkless leechers are named to one another, within bounds, until their session ends. */
import { expect, test } from "bun:test";
import type { Address } from "../../src/core/address.ts";
import type { ContentId } from "../../src/core/manifest.ts";
import type { PeerId } from "../../src/core/model.ts";
import { ChunklessLeechers } from "../../src/tracker/chunkless-leechers.ts";

const content = "ab".repeat(32) as ContentId;
const [one, two, three] = ["1", "2", "3"].map((digit) => digit.repeat(32) as PeerId) as [PeerId, PeerId, PeerId];
const leecher = (peerId: PeerId, address: Address) => ({ peerId, member: null, address });
const here = { sameHost: true };
const addressesOf = (
  chunklessLeechers: ChunklessLeechers,
  requester: { peerId?: PeerId; sameHost: boolean },
  max = 50,
) => chunklessLeechers.of(content, requester, max).map((holder) => holder.address as string);

function threeLeechers(): ChunklessLeechers {
  const chunklessLeechers = new ChunklessLeechers();
  chunklessLeechers.enter(content, leecher(one, "10.0.0.1:1" as Address));
  chunklessLeechers.enter(content, leecher(two, "10.0.0.2:2" as Address));
  chunklessLeechers.enter(content, leecher(three, "127.0.0.1:3" as Address));
  return chunklessLeechers;
}

test("each is named to the others, the latest first, with no chunks", () => {
  const chunklessLeechers = threeLeechers();
  expect(addressesOf(chunklessLeechers, { ...here, peerId: one })).toEqual(["127.0.0.1:3", "10.0.0.2:2"]);
  expect(addressesOf(chunklessLeechers, here, 1)).toEqual(["127.0.0.1:3"]);
  expect(addressesOf(chunklessLeechers, here, 0)).toEqual([]);
  expect(chunklessLeechers.of(content, here, 1)[0]!.chunks).toHaveLength(0);
});

test("a loopback address is not named to another host", () => {
  expect(addressesOf(threeLeechers(), { sameHost: false })).toEqual(["10.0.0.2:2", "10.0.0.1:1"]);
});

test("a leecher that holds a chunk, gives up or goes offline is not named any more", () => {
  const chunklessLeechers = threeLeechers();
  chunklessLeechers.leave(content, two);
  chunklessLeechers.drop(three);
  chunklessLeechers.drop(three);
  expect(addressesOf(chunklessLeechers, here)).toEqual(["10.0.0.1:1"]);
});

test("the number of contents for one peer is bounded", () => {
  const chunklessLeechers = new ChunklessLeechers();
  for (let index = 0; index < 2000; index++) {
    chunklessLeechers.enter(index.toString(16).padStart(64, "0") as ContentId, leecher(one, "10.0.0.1:1" as Address));
  }
  chunklessLeechers.enter(content, leecher(one, "10.0.0.1:1" as Address));
  expect(addressesOf(chunklessLeechers, here)).toEqual([]);
});

test("the leechers of one machine do not crowd out those of others", () => {
  const chunklessLeechers = new ChunklessLeechers();
  const peer = (index: number) => index.toString(16).padStart(32, "0") as PeerId;
  chunklessLeechers.enter(content, leecher(peer(1), "10.0.0.1:1" as Address));
  for (let index = 2; index <= 1000; index++)
    chunklessLeechers.enter(content, leecher(peer(index), `10.0.0.2:${index}` as Address));
  const all = addressesOf(chunklessLeechers, here, 1000);
  expect(all).toHaveLength(51);
  expect(all.slice(0, 2)).toEqual(["10.0.0.2:1000", "10.0.0.2:999"]);
  expect(all.at(-1)).toBe("10.0.0.1:1");
});

test("of many leechers the latest are named, and a bounded number is looked at", () => {
  const chunklessLeechers = new ChunklessLeechers();
  const peer = (index: number) => index.toString(16).padStart(32, "0") as PeerId;
  const count = 10_000;
  for (let index = 1; index <= count; index++)
    chunklessLeechers.enter(content, leecher(peer(index), `10.0.${index >> 8}.${index & 255}:1` as Address));
  const all = addressesOf(chunklessLeechers, here, count);
  expect(all).toHaveLength(200);
  expect(all[0]).toBe(`10.0.${count >> 8}.${count & 255}:1`);
  for (let index = 1; index <= count; index++) chunklessLeechers.drop(peer(index));
  expect(addressesOf(chunklessLeechers, here, count)).toEqual([]);
});
