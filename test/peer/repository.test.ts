/** What a peer remembers: shares, fetched files and unfinished fetches, with their manifests. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { foldFileName } from "../../src/core/file-name.ts";
import { openRepository, type Share } from "../../src/peer/repository.ts";
import { numRuns } from "../core/arbitraries.ts";
import { contentOf, fileName } from "./parts.ts";

const content = contentOf(5);
const { contentId, manifestBytes } = content;

function shareOf(name: string, path: string): Share {
  return { fname: fileName(name), lname: `./${name}`, path, contentId, size: 5, mtimeNs: "1" };
}

describe("shares", () => {
  test("have one name, in any case, and one path each; what cannot be added changes nothing", () => {
    const names = ["a", "A", "b", "ß", "SS"];
    const step = fc.record({
      isAdded: fc.boolean(),
      name: fc.constantFrom(...names),
      path: fc.constantFrom("/1", "/2", "/3"),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
        const repository = openRepository(":memory:");
        const kept: Share[] = [];
        const foldOf = (name: string) => foldFileName(fileName(name));
        for (const { isAdded, name, path } of steps) {
          const share = shareOf(name, path);
          if (isAdded) {
            const clashes = kept.some((each) => each.path === path || foldOf(each.fname) === foldOf(name));
            const add = () => repository.addShare(share, manifestBytes);
            if (clashes) expect(add).toThrow();
            else add();
            if (!clashes) kept.push(share);
          } else {
            repository.removeShare(share.fname);
            const index = kept.findIndex(({ fname }) => fname === share.fname);
            if (index >= 0) kept.splice(index, 1);
          }
          expect(repository.shareCount()).toBe(kept.length);
          expect(repository.shareAt(path)?.path).toBe(kept.find((each) => each.path === path)?.path);
          expect(repository.shareNamed(fileName(name))?.fname).toBe(
            kept.find(({ fname }) => foldOf(fname) === foldOf(name))?.fname,
          );
        }
        repository.close();
      }),
      { numRuns: numRuns / 8 },
    );
  });

  test("are read in pages by path, from the first after one", () => {
    const repository = openRepository(":memory:");
    for (const number of [3, 1, 4, 2, 5]) repository.addShare(shareOf(`f${number}`, `/${number}`), manifestBytes);
    const pathsAfter = (path: string, limit: number) => repository.sharesAfter(path, limit).map((share) => share.path);
    expect(pathsAfter("", 2)).toEqual(["/1", "/2"]);
    expect(pathsAfter("/2", 2)).toEqual(["/3", "/4"]);
    expect(pathsAfter("/4", 2)).toEqual(["/5"]);
    expect(pathsAfter("/5", 2)).toEqual([]);
  });
});

test("a manifest is kept once for all that have its content, and still there when one of them is removed", () => {
  const repository = openRepository(":memory:");
  expect(repository.manifest(contentId)).toBeUndefined();
  repository.addShare(shareOf("a", "/1"), manifestBytes);
  repository.addShare(shareOf("b", "/2"), manifestBytes);
  repository.addFetched({ contentId, path: "/3", size: 5, mtimeNs: "1" }, manifestBytes);
  repository.removeShare(fileName("a"));
  expect(repository.manifest(contentId)).toEqual(Buffer.from(manifestBytes));
});

test("a fetched file of the same path takes the place of the earlier one", () => {
  const repository = openRepository(":memory:");
  const other = contentOf(6, 2);
  repository.addFetched({ contentId, path: "/1", size: 5, mtimeNs: "1" }, manifestBytes);
  repository.addFetched({ contentId: other.contentId, path: "/1", size: 6, mtimeNs: "2" }, other.manifestBytes);
  expect(repository.fetched()).toEqual([{ contentId: other.contentId, path: "/1", size: 6, mtimeNs: "2" }]);
  repository.removeFetched("/1");
  expect([repository.fetched(), repository.fetchedAfter("", 9)]).toEqual([[], []]);
});

test("an unfinished fetch is known by its destination, the latest one", () => {
  const repository = openRepository(":memory:");
  const fetch = { contentId, fname: fileName("a"), destination: "/files/a" };
  repository.addUnfinished(fetch);
  repository.addUnfinished({ ...fetch, contentId: contentOf(6, 2).contentId });
  expect(repository.unfinished()).toEqual([{ ...fetch, contentId: contentOf(6, 2).contentId }]);
  repository.removeUnfinished("/files/other");
  expect(repository.unfinished().length).toBe(1);
  repository.removeUnfinished("/files/a");
  expect(repository.unfinished()).toEqual([]);
});
