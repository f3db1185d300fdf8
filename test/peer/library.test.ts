/** What this peer holds has one owner: who can be served what, and exactly one event for each change. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { P2pfsError } from "../../src/core/errors.ts";
import type { Part } from "../../src/disk/content-store.ts";
import type { LibraryEvent } from "../../src/peer/library.ts";
import type { LocalCopy } from "../../src/peer/repository.ts";
import { numRuns } from "../core/arbitraries.ts";
import { Room } from "../support/room.ts";
import { CHUNK, type Content, contentOf, lengthOf, Parts } from "./parts.ts";

const contents = [contentOf(3 * CHUNK - 5, 1), contentOf(CHUNK, 2)] as const;
const [abc, def] = contents;

function library() {
  const room = new Room();
  const parts = new Parts(room);
  const events: LibraryEvent[] = [];
  parts.library.events.subscribe((event) => events.push(event));
  const { library: shelf, disk } = parts;
  const read = (content: Content, chunk: number) => {
    const target = new Uint8Array(lengthOf(content, chunk));
    room.wait(shelf.read(content.contentId, chunk, 0, target));
    return target;
  };
  const types = () => events.splice(0).map(({ type }) => type);
  return { room, parts, shelf, disk, events, types, read };
}

/** A copy that is on the disk and in the repository, but not in the library. */
function fileOf({ parts, disk }: ReturnType<typeof library>, content: Content, path: string): LocalCopy {
  const { mtimeNs } = disk.write(path, content.bytes);
  const copy = { contentId: content.contentId, path, size: content.size, mtimeNs };
  parts.repository.addFetched(copy, content.manifestBytes);
  return copy;
}

describe("a copy", () => {
  test("is offered whole and read as it is", () => {
    const side = library();
    const { shelf, types, read } = side;
    expect(shelf.addCopy(fileOf(side, abc, "/a"))).toBe(true);
    expect(shelf.offer(abc.contentId)).toMatchObject({ size: abc.size, have: { count: 3, size: 3 } });
    for (let chunk = 0; chunk < 3; chunk++) expect(read(abc, chunk)).toEqual(Uint8Array.from(abc.chunk(chunk)));
    expect(shelf.chunkLength(abc.contentId, 2)).toBe(CHUNK - 5);
    expect(shelf.manifestBytes(abc.contentId)).toEqual(Buffer.from(abc.manifestBytes));
    expect(types()).toEqual(["copy_added"]);
  });

  test("whose file changed before it is added is lost from the beginning", () => {
    const side = library();
    const copy = fileOf(side, abc, "/a");
    side.disk.write("/a", def.bytes);
    expect(side.shelf.addCopy(copy)).toBe(false);
    expect(side.events).toMatchObject([{ type: "copy_lost", copy, why: { code: "refused" } }]);
    expect([side.shelf.offer(abc.contentId), side.shelf.contentCount]).toEqual([undefined, 0]);
  });

  test("that is lost is told once, by whatever notices first, and regained once", () => {
    const side = library();
    const { shelf, disk, types, room } = side;
    const copy = fileOf(side, abc, "/a");
    const notices = [
      () => shelf.checkCopy(copy),
      () => expect(() => shelf.chunkLength(abc.contentId, 0)).toThrow(P2pfsError),
      () =>
        expect(room.failure(shelf.read(abc.contentId, 0, 0, new Uint8Array(9)))).toMatchObject({ code: "not_found" }),
    ];
    shelf.addCopy(copy);
    for (const notice of notices) {
      types();
      disk.unmounted.add("/a");
      for (const again of [notice, ...notices]) again();
      expect(types()).toEqual(["copy_lost"]);
      disk.unmounted.clear();
      shelf.checkCopy(copy);
      shelf.checkCopy(copy);
      expect(types()).toEqual(["copy_regained"]);
      expect(shelf.offer(abc.contentId)?.have.isFull).toBe(true);
    }
  });

  test("that another file took the place of does not come back", () => {
    const side = library();
    const copy = fileOf(side, abc, "/a");
    side.shelf.addCopy(copy);
    side.disk.write("/a", abc.bytes);
    for (let look = 0; look < 3; look++) side.shelf.checkCopy(copy);
    expect(side.types()).toEqual(["copy_added", "copy_lost"]);
  });

  test("beside another is read in its place when that one is lost", () => {
    const side = library();
    const { shelf, disk, types, read } = side;
    for (const path of ["/a", "/b"]) shelf.addCopy(fileOf(side, abc, path));
    types();
    disk.unmounted.add("/a");
    expect(read(abc, 1)).toEqual(Uint8Array.from(abc.chunk(1)));
    expect(types()).toEqual(["copy_lost"]);
    expect(shelf.copyOf(abc.contentId)?.path).toBe("/b");
    expect([shelf.copyAt(abc.contentId, "/a"), shelf.offer(abc.contentId)?.have.isFull]).toEqual([undefined, true]);
  });

  test("that is lost gives way to the part file of a running fetch, which has some chunks", () => {
    const side = library();
    const { shelf, disk, parts, room, read } = side;
    shelf.addCopy(fileOf(side, abc, "/a"));
    parts.addPart(abc, [1]);
    disk.unmounted.add("/a");
    expect(read(abc, 1)).toEqual(Uint8Array.from(abc.chunk(1)));
    expect([...shelf.offer(abc.contentId)!.have]).toEqual([1]);
    expect(() => shelf.chunkLength(abc.contentId, 0)).toThrow("no longer");
    expect(room.failure(shelf.read(abc.contentId, 0, 0, new Uint8Array(9)))).toMatchObject({ code: "not_found" });
  });
});

test("a part file is offered from its beginning on, without a chunk; its chunks count as they come", () => {
  const { parts, shelf, room, types } = library();
  const part = parts.addPart(abc);
  const { have } = shelf.offer(abc.contentId)!;
  expect([have.count, have.size]).toEqual([0, 3]);
  parts.gain(abc, part, 2);
  expect([...have]).toEqual([2]);
  shelf.removePart(abc.contentId, part);
  expect([shelf.offer(abc.contentId), shelf.manifestBytes(abc.contentId)]).toEqual([undefined, undefined]);
  room.wait(part.close());
  expect(types()).toEqual(["fetch_began", "gained", "changed"]);
});

test("what is not held has no length, no bytes and no manifest", () => {
  const { shelf, room } = library();
  expect(() => shelf.chunkLength(abc.contentId, 0)).toThrow(P2pfsError);
  expect(room.failure(shelf.read(abc.contentId, 0, 0, new Uint8Array(1)))).toMatchObject({ code: "not_found" });
  expect([shelf.manifest(abc.contentId), shelf.manifestBytes(abc.contentId)]).toEqual([undefined, undefined]);
});

test("a defect of the disk is no lost copy: it is passed on", () => {
  const side = library();
  side.shelf.addCopy(fileOf(side, abc, "/a"));
  side.types();
  side.parts.accessMs = () => {
    throw new TypeError("a defect");
  };
  expect(() => side.room.wait(side.shelf.read(abc.contentId, 0, 0, new Uint8Array(1)))).toThrow(TypeError);
  expect(side.types()).toEqual([]);
});

/** A library as the contract sees it: which files are there, which copies and parts were added. */
class Model {
  readonly offered = new Set<LocalCopy>();
  readonly parts = new Map<Part, Content>();

  chunks(content: Content): number[] {
    if ([...this.offered].some(({ contentId }) => contentId === content.contentId))
      return Array.from({ length: content.chunkCount }, (_, chunk) => chunk);
    for (const [part, of] of this.parts) if (of === content) return [...part.have];
    return [];
  }

  isHeld(content: Content): boolean {
    return this.chunks(content).length > 0 || [...this.parts.values()].includes(content);
  }
}

test("whatever comes and goes in whatever order: what is offered is there, and each change is told once", () => {
  const which = fc.nat({ max: 3 });
  const step = fc.record({
    type: fc.constantFrom("add", "check", "remove", "vanish", "return", "begin", "gain", "end"),
    which,
    chunk: fc.nat({ max: 2 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const side = library();
      const { room, parts, shelf, disk } = side;
      const model = new Model();
      const copies = [0, 1, 2, 3].map((index) => fileOf(side, contents[index % 2]!, `/${index}`));
      const running: (Part | undefined)[] = [];
      const expected: LibraryEvent["type"][] = [];
      for (const { type, which: at, chunk } of steps) {
        const [copy, content] = [copies[at]!, contents[at % 2]!];
        const isThere = !disk.unmounted.has(copy.path);
        const part = running[at];
        if (type === "vanish") disk.unmounted.add(copy.path);
        else if (type === "return") disk.unmounted.delete(copy.path);
        else if (type === "add") {
          if (model.offered.has(copy)) continue;
          expect(shelf.addCopy(copy)).toBe(isThere);
          expected.push(isThere ? "copy_added" : "copy_lost");
          if (isThere) model.offered.add(copy);
        } else if (type === "check") {
          shelf.checkCopy(copy);
          if (model.offered.has(copy) !== isThere) expected.push(isThere ? "copy_regained" : "copy_lost");
          if (isThere) model.offered.add(copy);
          else model.offered.delete(copy);
        } else if (type === "remove") {
          shelf.removeCopy(copy);
          expected.push("changed");
          model.offered.delete(copy);
        } else if (type === "begin" && part === undefined) {
          running[at] = parts.addPart(content, [], `/part${at}`);
          model.parts.set(running[at], content);
          expected.push("fetch_began");
        } else if (type === "gain" && part !== undefined && chunk < content.chunkCount && !part.have.has(chunk)) {
          parts.gain(content, part, chunk);
          expected.push("gained");
        } else if (type === "end" && part !== undefined) {
          shelf.removePart(content.contentId, part);
          room.wait(part.discard());
          running[at] = undefined;
          model.parts.delete(part);
          expected.push("changed");
        }
        for (const each of contents) {
          const offer = shelf.offer(each.contentId);
          expect([...(offer?.have ?? [])]).toEqual(model.chunks(each));
          expect(offer !== undefined).toBe(model.isHeld(each));
        }
        expect(shelf.contentCount).toBe(contents.filter((each) => model.isHeld(each)).length);
        expect([...shelf.offers()].length).toBe(shelf.contentCount);
      }
      expect(side.events.map(({ type }) => type)).toEqual(expected);
    }),
    { numRuns: numRuns / 2 },
  );
});
