/** Shared files are looked at again and again, in steps, so that lists are right about files that nobody fetches. */
import { expect, test } from "bun:test";
import { SECOND_MS } from "../../src/core/units.ts";
import { ShareWatch } from "../../src/peer/share-watch.ts";
import { Room } from "../support/room.ts";
import { contentOf, fileName, Parts } from "./parts.ts";

const content = contentOf(5);

/** A watch over so many shares and fetched files. */
function watching({ shares = 0, fetched = 0 }) {
  const room = new Room();
  const parts = new Parts(room);
  for (let index = 0; index < shares; index++)
    parts.addShare(content, `s${index}`, `/s/${String(index).padStart(4, "0")}`);
  for (let index = 0; index < fetched; index++) parts.addCopy(content, `/f/${String(index).padStart(4, "0")}`);
  const told: string[] = [];
  parts.library.events.subscribe((event) => {
    if ("copy" in event) told.push(`${event.type} ${event.copy.path}`);
  });
  const looks: { readonly path: string; readonly atMs: number }[] = [];
  const stampOf = parts.store.stampOf.bind(parts.store);
  parts.store.stampOf = (path) => {
    looks.push({ path, atMs: room.now });
    return stampOf(path);
  };
  const watch = new ShareWatch(parts.shared);
  watch.open();
  return { room, parts, told, looks, watch };
}

test("a file that vanishes or changes is told once, and once more when it is back as it was", () => {
  const { room, parts, told } = watching({ shares: 2, fetched: 2 });
  parts.disk.unmounted.add("/s/0001").add("/f/0000");
  room.run(10 * SECOND_MS);
  expect(told).toEqual(["copy_lost /s/0001", "copy_lost /f/0000"]);
  parts.disk.unmounted.clear();
  room.run(10 * SECOND_MS);
  expect(told.slice(2)).toEqual(["copy_regained /s/0001", "copy_regained /f/0000"]);
  parts.disk.write("/s/0000", content.bytes);
  room.run(10 * SECOND_MS);
  expect(told.slice(4)).toEqual(["copy_lost /s/0000"]);
});

test("each file is looked at once in a round, and rounds begin 2 seconds apart at least", () => {
  const { room, looks } = watching({ shares: 3, fetched: 2 });
  room.run(10.5 * SECOND_MS);
  const rounds = looks.filter(({ path }) => path === "/s/0000").map(({ atMs }) => atMs);
  expect(rounds.length).toBe(6);
  for (const [index, atMs] of rounds.slice(1).entries())
    expect(atMs - rounds[index]!).toBeGreaterThanOrEqual(2 * SECOND_MS);
  expect(looks.length).toBe(6 * 5);
});

test("many files take several steps of a hundred, one in 100 ms, and none is left out", () => {
  const { room, looks } = watching({ shares: 250, fetched: 120 });
  room.run(1.9 * SECOND_MS);
  const perStep = [...Map.groupBy(looks, ({ atMs }) => atMs).values()].map(({ length }) => length);
  expect(perStep).toEqual([100, 100, 50, 100, 20]);
  expect(new Set(looks.map(({ path }) => path)).size).toBe(370);
});

test("exactly a hundred files end a step, and the next one finds that there are no more", () => {
  const { room, looks } = watching({ shares: 100, fetched: 1 });
  room.run(SECOND_MS);
  expect(looks.length).toBe(101);
});

test("a file that is unpublished in the midst of a round is not served again by it", () => {
  const { room, parts, told } = watching({ shares: 250 });
  const share = parts.repository.shareAt("/s/0240")!;
  room.run(250);
  parts.repository.removeShare(share.fname);
  parts.library.removeCopy(share);
  room.run(5 * SECOND_MS);
  expect(told).toEqual([]);
  expect(parts.library.copyAt(content.contentId, share.path)).toBeUndefined();
});

test("a file that was fetched, touched and then published is served by its new stamp, whatever the old one says", () => {
  const { room, parts, told } = watching({});
  const fetched = parts.addCopy(content, "/f");
  const { mtimeNs } = parts.disk.write("/f", content.bytes);
  room.run(5 * SECOND_MS);
  expect(told).toEqual(["copy_lost /f"]);
  const share = { ...fetched, mtimeNs, fname: fileName("f"), lname: "f" };
  parts.repository.addShare(share, content.manifestBytes);
  parts.library.addCopy(share);
  room.run(20 * SECOND_MS);
  expect(told).toEqual(["copy_lost /f"]);
  expect(parts.library.copyOf(content.contentId)).toMatchObject({ mtimeNs });
});

test("a watch that is closed looks at nothing more, and leaves no timer behind", () => {
  const { room, parts, looks, watch } = watching({ shares: 3 });
  parts.neighbours.closeAll();
  room.run(SECOND_MS);
  watch.close();
  const before = looks.length;
  expect(room.isQuietAfter(10 * SECOND_MS)).toBe(true);
  expect(looks.length).toBe(before);
});

test("a watch that is closed while it looks, by what a lost file brings about, leaves no timer behind", () => {
  const { room, parts, told, watch } = watching({ shares: 1 });
  parts.neighbours.closeAll();
  parts.library.events.subscribe(() => watch.close());
  parts.disk.unmounted.add("/s/0000");
  expect(room.isQuietAfter(10 * SECOND_MS)).toBe(true);
  expect(told).toEqual(["copy_lost /s/0000"]);
});
