/** Leechers without a chunk are named to one another, within bounds, and forgotten with their session. */
import { expect, test } from "bun:test";
import type { Address } from "../../src/core/address.ts";
import type { ContentId } from "../../src/core/manifest.ts";
import type { PeerId } from "../../src/core/model.ts";
import { Newcomers } from "../../src/tracker/newcomers.ts";

const content = "ab".repeat(32) as ContentId;
const [one, two, three] = ["1", "2", "3"].map((digit) => digit.repeat(32) as PeerId) as [PeerId, PeerId, PeerId];
const here = { sameHost: true };
const addressesOf = (newcomers: Newcomers, asker: { peerId?: PeerId; sameHost: boolean }, max = 50) =>
  newcomers.of(content, asker, max).map((holder) => holder.address as string);

function threeNewcomers(): Newcomers {
  const newcomers = new Newcomers();
  newcomers.enter(content, one, "10.0.0.1:1" as Address);
  newcomers.enter(content, two, "10.0.0.2:2" as Address);
  newcomers.enter(content, three, "127.0.0.1:3" as Address);
  return newcomers;
}

test("each hears of the others, the latest first, and holds nothing", () => {
  const newcomers = threeNewcomers();
  expect(addressesOf(newcomers, { ...here, peerId: one })).toEqual(["127.0.0.1:3", "10.0.0.2:2"]);
  expect(addressesOf(newcomers, here, 1)).toEqual(["127.0.0.1:3"]);
  expect(addressesOf(newcomers, here, 0)).toEqual([]);
  expect(newcomers.of(content, here, 1)[0]!.chunks).toHaveLength(0);
});

test("a loopback address is not told to another host", () => {
  expect(addressesOf(threeNewcomers(), { sameHost: false })).toEqual(["10.0.0.2:2", "10.0.0.1:1"]);
});

test("who holds a chunk, gives up or goes is a newcomer no longer", () => {
  const newcomers = threeNewcomers();
  newcomers.leave(content, two);
  newcomers.drop(three);
  newcomers.drop(three);
  expect(addressesOf(newcomers, here)).toEqual(["10.0.0.1:1"]);
});

test("one peer cannot fill the tracker's memory with beginnings", () => {
  const newcomers = new Newcomers();
  for (let index = 0; index < 2000; index++) {
    newcomers.enter(index.toString(16).padStart(64, "0") as ContentId, one, "10.0.0.1:1" as Address);
  }
  newcomers.enter(content, one, "10.0.0.1:1" as Address);
  expect(addressesOf(newcomers, here)).toEqual([]);
});

test("of many that begin at once the latest are named, and no more are looked at than a few replies hold", () => {
  const newcomers = new Newcomers();
  const peer = (index: number) => index.toString(16).padStart(32, "0") as PeerId;
  const count = 10_000;
  for (let index = 1; index <= count; index++) newcomers.enter(content, peer(index), `10.0.0.1:${index}` as Address);
  const all = addressesOf(newcomers, here, count);
  expect(all).toHaveLength(200);
  expect(all[0]).toBe(`10.0.0.1:${count}`);
  for (let index = 1; index <= count; index++) newcomers.drop(peer(index));
  expect(addressesOf(newcomers, here, count)).toEqual([]);
});
