/** A part file: written, closed, resumed, placed, deleted; and what it must never touch. */
import { beforeEach, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { rm, symlink } from "node:fs/promises";
import { join, resolve } from "node:path";
import fc from "fast-check";
import { CHUNK_SIZE_MIN } from "../../src/core/limits.ts";
import { encodeManifest } from "../../src/core/manifest.ts";
import { MiB } from "../../src/core/units.ts";
import { PartFile } from "../../src/disk/part-file.ts";
import { partPathsFor } from "../../src/disk/part-paths.ts";
import { outputOf } from "../support/child.ts";
import { expectError } from "../support/errors.ts";
import { expectBytes, fetchFilesIn, temporaryFolder } from "../support/folder.ts";
import { mountTmpfs, needsRoot, remountTmpfs } from "../support/root.ts";
import { type Content, checkPart, contentOf } from "./fixtures.ts";

let folder: string;
let destination: string;
beforeEach(() => {
  folder = temporaryFolder();
  destination = join(folder, "file");
});

const openPart = (content: Content, to = destination) =>
  PartFile.open({ destination: to, contentId: content.contentId, manifest: content.manifest });

async function writeAll(part: PartFile, content: Content): Promise<void> {
  const missing = Array.from({ length: content.chunkCount }, (_, chunk) => chunk).filter((c) => !part.have.has(c));
  await Promise.all(missing.map((chunk) => part.write(chunk, content.chunk(chunk))));
}

const small = contentOf(5 * CHUNK_SIZE_MIN + 7);

const chunk = CHUNK_SIZE_MIN;
test.each([0, 1, chunk - 1, chunk, chunk + 1, 100 * chunk, 100 * chunk + 1, 200 * chunk])(
  "%i bytes: written, placed, nothing left beside",
  async (size) => {
    const content = contentOf(size);
    const part = await openPart(content);
    expect(part.have.size).toBe(content.chunkCount);
    await writeAll(part, content);
    expect(existsSync(destination)).toBe(false);
    const stamp = await part.finish();
    expectBytes(destination, content.bytes);
    expect(stamp).toMatchObject({ size, mtimeNs: String(statSync(destination, { bigint: true }).mtimeNs) });
    expect(readdirSync(folder)).toEqual(["file"]);
  },
);

test("random orders, with closing and opening again at random moments", async () => {
  const order = fc.shuffledSubarray(
    Array.from({ length: small.chunkCount }, (_, index) => index),
    { minLength: small.chunkCount },
  );
  await fc.assert(
    fc.asyncProperty(order, fc.array(fc.boolean(), { minLength: 6, maxLength: 6 }), async (chunks, reopen) => {
      const to = join(folder, crypto.randomUUID());
      let part = await openPart(small, to);
      const written: number[] = [];
      for (const [step, index] of chunks.entries()) {
        await part.write(index, small.chunk(index));
        written.push(index);
        if (!reopen[step]) continue;
        await part.close();
        part = await openPart(small, to);
        expect([...part.doubtful]).toEqual(written.toSorted());
        await checkPart(part);
        expect([...part.have]).toEqual(written.toSorted());
      }
      await part.finish();
      expectBytes(to, small.bytes);
    }),
    { numRuns: 25 },
  );
  expect(fetchFilesIn(folder)).toEqual([]);
});

test("a chunk that is written twice at once is held once", async () => {
  const part = await openPart(small);
  await Promise.all([part.write(2, small.chunk(2)), part.write(2, small.chunk(2))]);
  await part.write(2, small.chunk(2));
  expect([...part.have]).toEqual([2]);
  await part.close();
});

test("a chunk of the wrong number or length throws a RangeError", async () => {
  const part = await openPart(small);
  expect(() => part.write(6, small.chunk(0))).toThrow(RangeError);
  expect(() => part.write(0, small.chunk(5))).toThrow(RangeError);
  expect(() => part.write(5, small.chunk(0))).toThrow(RangeError);
  await expect(part.finish()).rejects.toThrow("6 chunks are missing");
  await part.close();
});

test("F19: held chunks can be read while others are missing", async () => {
  const part = await openPart(small);
  await part.write(3, small.chunk(3));
  const target = new Uint8Array(1000);
  await part.read(3 * chunk + 17, target);
  expect(target).toEqual(small.chunk(3).slice(17, 1017));
  await part.close();
  await expectError("cancelled", part.read(3 * chunk, target));
  await expectError("cancelled", part.write(0, small.chunk(0)));
});

test("closing waits for what is under way", async () => {
  const part = await openPart(small);
  const writes = [0, 1, 2].map((index) => part.write(index, small.chunk(index)));
  await part.close();
  await Promise.all(writes);
  const again = await openPart(small);
  expect([...again.doubtful]).toEqual([0, 1, 2]);
  await again.close();
});

test("a destination with a name of 255 bytes is placed", async () => {
  const to = join(folder, "n".repeat(255));
  const part = await openPart(small, to);
  await writeAll(part, small);
  await part.finish();
  expect(readdirSync(folder)).toEqual(["n".repeat(255)]);
});

test("part file and journal are beside the destination under the names of the contract", async () => {
  const part = await openPart(small);
  await part.close();
  const stem = `\\.p2pfs-${small.contentId.slice(0, 16)}-[0-9a-f]{16}`;
  expect(readdirSync(folder).toSorted()).toEqual([
    expect.stringMatching(new RegExp(`^${stem}\\.journal$`)),
    expect.stringMatching(new RegExp(`^${stem}\\.part$`)),
  ]);
  const { part: path } = partPathsFor(destination, small.contentId);
  expect(partPathsFor(join(folder, "other"), small.contentId).part).not.toBe(path);
  expect(partPathsFor(destination, contentOf(1).contentId).part).not.toBe(path);
});

test("discard deletes part file and journal; closing after it has no effect", async () => {
  const part = await openPart(small);
  await part.write(0, small.chunk(0));
  await part.discard();
  await part.close();
  expect(readdirSync(folder)).toEqual([]);
});

test("`left` gives the manifest of the journal, and whether all chunks were written", async () => {
  const left = () => PartFile.left(destination, small.contentId);
  const manifestBytes = encodeManifest(small.manifest);
  expect(left()).toBeUndefined();
  const part = await openPart(small);
  await part.close();
  expect(left()).toEqual({ manifestBytes, isWhole: false });
  const again = await openPart(small);
  await writeAll(again, small);
  await again.close();
  expect(left()).toEqual({ manifestBytes, isWhole: true });
  const { journal } = partPathsFor(destination, small.contentId);
  const bytes = readFileSync(journal);
  bytes[100]! ^= 1;
  writeFileSync(journal, bytes);
  expect(left()).toBeUndefined();
});

test("R7: an existing destination is refused, and nothing appears beside it", async () => {
  writeFileSync(destination, "mine");
  await expectError("refused", openPart(small), `${destination} exists already`);
  await rm(destination);
  await symlink("/nowhere/at/all", destination);
  await expectError("refused", openPart(small), "exists already");
  expect(readdirSync(folder)).toEqual(["file"]);
});

const noLinks = () => Promise.reject(Object.assign(new Error("no links here"), { code: "EPERM" }));
for (const [what, link] of Object.entries({ "hard links": undefined, "no hard links": noLinks })) {
  const how = link === undefined ? {} : { link };

  test(`with ${what}: the file is placed`, async () => {
    const part = await openPart(small);
    await writeAll(part, small);
    await part.finish(how);
    expectBytes(destination, small.bytes);
    expect(readdirSync(folder)).toEqual(["file"]);
  });

  test(`with ${what}: R7, a destination that exists by now is not replaced`, async () => {
    const part = await openPart(small);
    await writeAll(part, small);
    writeFileSync(destination, "mine");
    await expectError("refused", part.finish(how), "exists already");
    expect(readFileSync(destination, "utf8")).toBe("mine");
    await part.close();
    await rm(destination);
    const again = await openPart(small);
    expect(again.isNoneMissing).toBe(true);
    await checkPart(again);
    await again.finish(how);
    expectBytes(destination, small.bytes);
  });
}

test("another fetch of the same part is refused, in this process as in another", async () => {
  const part = await openPart(small);
  await part.write(0, small.chunk(0));
  await expectError("refused", openPart(small), "another fetch");
  const script = `
    import { PartFile } from "${resolve(import.meta.dir, "../../src/disk/part-file.ts")}";
    import { contentOf } from "${resolve(import.meta.dir, "fixtures.ts")}";
    const { manifest, contentId } = contentOf(${small.bytes.length});
    await PartFile.open({ destination: "${destination}", manifest, contentId })
      .then((part) => { console.log("opened", part.doubtful.count); return part.close(); })
      .catch((error) => console.log(error.code));
  `;
  const elsewhere = () => outputOf(script);
  expect(elsewhere()).toBe("refused");
  // The refusals must not have shaken the lock.
  expect(elsewhere()).toBe("refused");
  await part.close();
  expect(elsewhere()).toBe("opened 1");
});

test("a part file that was removed or replaced does not become the destination", async () => {
  const { part: path } = partPathsFor(destination, small.contentId);
  for (const meddle of [() => rm(path), () => rm(path).then(() => writeFileSync(path, small.bytes))]) {
    const part = await openPart(small);
    await writeAll(part, small);
    await meddle();
    await expectError("disk", part.finish());
    expect(existsSync(destination)).toBe(false);
    await part.discard();
  }
});

test("a folder that is missing or no folder is a disk error that names it", async () => {
  const missing = join(folder, "missing");
  expect((await expectError("disk", openPart(small, join(missing, "file")))).message).toBe(
    `cannot write to the folder ${missing}: no such file or folder`,
  );
  writeFileSync(missing, "");
  expect((await expectError("disk", openPart(small, join(missing, "file")))).message).toBe(
    `cannot write to the folder ${missing}: a part of the path is not a folder`,
  );
});

needsRoot("no space left: a disk error with a hint, and the fetch goes on when there is some", async () => {
  const tiny = join(folder, "tiny");
  mountTmpfs(tiny, "size=1m");
  const content = contentOf(MiB);
  const to = join(tiny, "file");
  const filler = join(tiny, "filler");
  writeFileSync(filler, new Uint8Array(MiB / 2));
  const part = await openPart(content, to);
  const failed: unknown[] = [];
  for (let index = 0; index < content.chunkCount; index++) {
    await part.write(index, content.chunk(index)).catch((error: unknown) => failed.push(error));
  }
  expect(failed[0]).toMatchObject({
    code: "disk",
    message: expect.stringContaining("no space is left on the device"),
    hint: expect.stringContaining("what has arrived is kept"),
  });
  const before = [...part.have];
  expect(before.length).toBeGreaterThan(0);
  expect(before.length).toBeLessThan(content.chunkCount);
  await part.close();
  expect(existsSync(to)).toBe(false);

  await rm(filler);
  remountTmpfs(tiny, "size=4m");
  const again = await openPart(content, to);
  await checkPart(again);
  expect([...again.have]).toEqual(before);
  await writeAll(again, content);
  await again.finish();
  expectBytes(to, content.bytes);
});

needsRoot("no space for the journal: a disk error, and nothing is left", async () => {
  const full = join(folder, "full");
  mountTmpfs(full, "size=64k");
  writeFileSync(join(full, "filler"), new Uint8Array(64 * 1024));
  await expectError("disk", openPart(small, join(full, "file")));
  expect(readdirSync(full)).toEqual(["filler"]);
});

needsRoot("a read-only file system and a folder of another user are disk errors that say so", async () => {
  const readOnly = join(folder, "ro");
  mountTmpfs(readOnly, "ro");
  await expectError("disk", openPart(small, join(readOnly, "file")), "the file system is read-only");
  const script = `
    import { PartFile } from "${resolve(import.meta.dir, "../../src/disk/part-file.ts")}";
    import { contentOf } from "${resolve(import.meta.dir, "fixtures.ts")}";
    const { manifest, contentId } = contentOf(10);
    await PartFile.open({ destination: "${destination}", manifest, contentId })
      .catch((error) => console.log(error.code, error.message));
  `;
  Bun.spawnSync(["chmod", "755", folder]);
  const shown = outputOf(script, { asUser: "nobody" });
  expect(shown).toBe(`disk cannot write to the folder ${folder}: permission denied`);
});
