/** Part files and journals of an earlier process: which chunks count, and whose files are never touched. */
import { beforeEach, expect, test } from "bun:test";
import {
  appendFileSync,
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  linkSync,
  lstatSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join, resolve } from "node:path";
import { CHUNK_SIZE_MIN } from "../../src/core/limits.ts";
import { encodeManifest } from "../../src/core/manifest.ts";
import { MiB } from "../../src/core/units.ts";
import { BufferPool } from "../../src/disk/buffer-pool.ts";
import { CHUNKS_CHECKED_AT_ONCE, ChunkChecker } from "../../src/disk/chunk-checker.ts";
import { PartFile } from "../../src/disk/part-file.ts";
import { type PartPaths, partPathsFor } from "../../src/disk/part-paths.ts";
import { systemClock } from "../../src/net/system.ts";
import { expectError } from "../support/errors.ts";
import { expectBytes, temporaryFolder } from "../support/folder.ts";
import { needsRoot } from "../support/root.ts";
import { type Content, checkPart, contentOf } from "./fixtures.ts";

const chunkSize = CHUNK_SIZE_MIN;
const content = contentOf(8 * chunkSize + 7);
const RECORD_BYTES = 16;

let folder: string;
let paths: PartPaths;
beforeEach(() => {
  folder = temporaryFolder();
  paths = partPathsFor(join(folder, "file"), content.contentId);
});

function reopen(bootId?: string, of: Content = content): Promise<PartFile> {
  const { contentId, manifest } = of;
  const boot = bootId === undefined ? {} : { bootId };
  return PartFile.open({ destination: paths.destination, contentId, manifest, ...boot });
}

/** Opens, checks what is doubtful and what of it is right, and closes. */
async function expectLeft(doubtful: readonly number[], right = doubtful, bootId?: string): Promise<void> {
  const part = await reopen(bootId);
  expect([...part.have]).toEqual([]);
  expect([...part.doubtful]).toEqual([...doubtful]);
  const { proven, lost } = await checkPart(part);
  expect(proven).toEqual([...right]);
  expect(lost).toEqual(doubtful.filter((chunk) => !right.includes(chunk)));
  expect([...part.have]).toEqual([...right]);
  expect(part.doubtful.count).toBe(0);
  await part.close();
}

/** A part file with these chunks, left by a process that ended. */
async function leave(chunks: readonly number[], bootId?: string): Promise<void> {
  const part = await reopen(bootId);
  for (const chunk of chunks) await part.write(chunk, content.chunk(chunk));
  await part.close();
}

/** Whatever is left: it must become the right file. */
async function expectCompletes(bootId?: string): Promise<void> {
  const part = await reopen(bootId);
  await checkPart(part);
  for (let chunk = 0; chunk < content.chunkCount; chunk++) await part.write(chunk, content.chunk(chunk));
  await part.finish();
  expectBytes(paths.destination, content.bytes);
  expect(readdirSync(folder)).toEqual(["file"]);
}

function damage(path: string, offset: number): void {
  const bytes = readFileSync(path);
  bytes[offset]! ^= 0xff;
  writeFileSync(path, bytes);
}

function flipBit(offset: number): void {
  const bytes = readFileSync(paths.part);
  bytes[offset]! ^= 1 << (offset % 8);
  writeFileSync(paths.part, bytes);
}

function exchange(one: number, other: number): void {
  const bytes = readFileSync(paths.part);
  bytes.set(content.chunk(one), other * chunkSize);
  bytes.set(content.chunk(other), one * chunkSize);
  writeFileSync(paths.part, bytes);
}

function copyInPlace(): void {
  copyFileSync(paths.part, join(folder, "copy"));
  renameSync(join(folder, "copy"), paths.part);
}

const every = Array.from({ length: content.chunkCount }, (_, chunk) => chunk);

test("written chunks are doubtful in the next process, and proven once they were read again", async () => {
  await leave([1, 4, 8]);
  await expectLeft([1, 4, 8]);
  await expectCompletes();
});

/** Meddling with a part file in which chunks 1, 4 and 8 were written, and which of them are right then. */
const damages: Record<string, { meddle: () => void; right: readonly number[] }> = {
  "a bit flipped in the first chunk written": { meddle: () => flipBit(chunkSize), right: [4, 8] },
  "a bit flipped in the middle of a chunk": { meddle: () => flipBit(4 * chunkSize + chunkSize / 2), right: [1, 8] },
  "a bit flipped in the last byte": { meddle: () => flipBit(content.bytes.length - 1), right: [1, 4] },
  "a bit flipped where nothing was written": { meddle: () => flipBit(3), right: [1, 4, 8] },
  "cut within a chunk": { meddle: () => truncateSync(paths.part, 4 * chunkSize + 9), right: [1] },
  "cut to nothing": { meddle: () => truncateSync(paths.part, 0), right: [] },
  "longer than the content": { meddle: () => appendFileSync(paths.part, "x"), right: [1, 4, 8] },
  "filled with zeros": { meddle: () => writeFileSync(paths.part, new Uint8Array(content.bytes.length)), right: [] },
  "two chunks exchanged": { meddle: () => exchange(1, 4), right: [8] },
  "another file in its place, with the same bytes": { meddle: () => copyInPlace(), right: [1, 4, 8] },
};
for (const [what, { meddle, right }] of Object.entries(damages)) {
  for (const bootId of [undefined, "another boot"]) {
    test(`a part file ${bootId === undefined ? "" : "of another boot "}with ${what}`, async () => {
      await leave([1, 4, 8]);
      meddle();
      await expectLeft([1, 4, 8], right, bootId);
      await expectCompletes(bootId);
    });
  }
}

test("a chunk that was lost is still doubtful for the next process", async () => {
  await leave([1, 4]);
  damage(paths.part, 4 * chunkSize);
  await expectLeft([1, 4], [1]);
  await leave([6]);
  await expectLeft([1, 4, 6], [1, 6]);
});

test("a chunk that is written while it is doubtful is held, and not checked", async () => {
  await leave([1, 4]);
  damage(paths.part, 4 * chunkSize);
  const part = await reopen();
  await part.write(4, content.chunk(4));
  expect(await checkPart(part)).toEqual({ proven: [1], lost: [] });
  expect([...part.have]).toEqual([1, 4]);
  await part.close();
});

test("a part file that is gone: nothing is left", async () => {
  await leave([1, 7]);
  rmSync(paths.part);
  await expectLeft([]);
  await expectCompletes();
});

test("a record that was cut at any byte is ignored; those before it count", async () => {
  for (let cut = 1; cut <= RECORD_BYTES; cut++) {
    await leave([1, 4, 8]);
    const length = lstatSync(paths.journal).size;
    truncateSync(paths.journal, length - cut);
    await leave([2]);
    await expectLeft([1, 2, 4]);
    const part = await reopen();
    await part.discard();
  }
});

test("a journal that was cut anywhere never gives a wrong chunk", async () => {
  await leave([1, 4]);
  damage(paths.part, 4 * chunkSize);
  const journal = readFileSync(paths.journal);
  const part = readFileSync(paths.part);
  for (let length = 0; length < journal.length - 2 * RECORD_BYTES; length += 7) {
    writeFileSync(paths.part, part);
    writeFileSync(paths.journal, journal.subarray(0, length));
    const opened = await reopen("another boot").catch((error: unknown) => error);
    if (!(opened instanceof PartFile)) {
      // Too short to be known for ours: refused, and as it was.
      expect(opened).toMatchObject({ code: "refused" });
      expect(readFileSync(paths.part).equals(part)).toBe(true);
      continue;
    }
    expect((await checkPart(opened)).proven).not.toContain(4);
    await opened.close();
  }
});

test("after a damaged record every chunk is doubtful, and the right ones are recorded anew", async () => {
  await leave([1, 4, 8]);
  damage(paths.journal, lstatSync(paths.journal).size - 3 * RECORD_BYTES + 5);
  await expectLeft(every, [1, 4, 8]);
  await expectLeft([1, 4, 8]);
});

test("with a damaged manifest in the journal every chunk is doubtful, under the manifest that is given", async () => {
  await leave([1, 4, 8]);
  damage(paths.journal, 100);
  damage(paths.part, 4 * chunkSize);
  expect(PartFile.left(paths.destination, content.contentId)).toBeUndefined();
  await expectLeft(every, [1, 8]);
  const manifestBytes = encodeManifest(content.manifest);
  expect(PartFile.left(paths.destination, content.contentId)).toEqual({ manifestBytes, isWhole: false });
});

test("an empty journal, or one of zeros, as after a power cut: every chunk is doubtful", async () => {
  for (const bytes of [0, 500]) {
    await leave([1, 4]);
    writeFileSync(paths.journal, new Uint8Array(bytes));
    await expectLeft(every, [1, 4]);
    const part = await reopen();
    await part.discard();
  }
});

test("closing ends the check", async () => {
  await leave(every);
  const part = await reopen();
  const checking = checkPart(part);
  await part.close();
  const { proven } = await checking;
  expect(proven.length).toBeLessThanOrEqual(CHUNKS_CHECKED_AT_ONCE);
  await expectLeft(every);
});

test("checks of many part files hold few chunks in memory, and take turns", async () => {
  const buffers = new BufferPool(0);
  const checker = new ChunkChecker(buffers, systemClock);
  const order: number[] = [];
  let bytesMax = 0;
  const parts: PartFile[] = [];
  for (let file = 0; file < 4; file++) {
    paths = partPathsFor(join(folder, `file-${file}`), content.contentId);
    await leave(every);
    parts.push(await reopen());
  }
  const checkOf = (part: PartFile, file: number) =>
    part.check(checker, {
      proven: () => {
        order.push(file);
        bytesMax = Math.max(bytesMax, buffers.takenBytes);
      },
      lost: () => expect.unreachable(),
    });
  await Promise.all(parts.map(checkOf));
  expect(order).toHaveLength(4 * content.chunkCount);
  expect(bytesMax).toBeLessThanOrEqual(CHUNKS_CHECKED_AT_ONCE * chunkSize);
  // Nobody has all of its turns before another has its first ones.
  expect(new Set(order.slice(0, 2 * content.chunkCount)).size).toBe(4);
});

/** Puts something at the part's or journal's name; opening is refused and everything stays as it was. */
const strangers: Record<string, (at: PartPaths) => void> = {
  "a file at the part's name": ({ part }) => writeFileSync(part, "a letter to my aunt"),
  "an empty file at the part's name": ({ part }) => writeFileSync(part, ""),
  "a file of the right length at the part's name": ({ part }) => writeFileSync(part, content.bytes),
  "a link at the part's name": ({ part }) => {
    writeFileSync(join(folder, "mine"), "mine");
    symlinkSync("mine", part);
  },
  "a file at the journal's name": ({ journal }) => writeFileSync(journal, "a letter to my uncle"),
  "files at both names": ({ part, journal }) => {
    writeFileSync(part, "a letter to my aunt");
    writeFileSync(journal, "a letter to my uncle");
  },
  "a file at the part's name, an empty one at the journal's": ({ part, journal }) => {
    writeFileSync(part, "a letter to my aunt");
    writeFileSync(journal, "");
  },
  "a file at the lock's name": ({ lock }) => writeFileSync(lock, "a letter"),
};
for (const [what, put] of Object.entries(strangers)) {
  test(`${what} is never touched`, async () => {
    put(paths);
    const look = () =>
      readdirSync(folder)
        .toSorted()
        .map((name) => `${name}: ${lstatSync(join(folder, name)).ino} ${readFileSync(join(folder, name), "hex")}`);
    const before = look();
    expect((await expectError("refused", reopen())).hint).toContain("move it away");
    expect(look()).toEqual(before);
  });
}

test("part and journal of another content under this one's names are never touched", async () => {
  const other = contentOf(content.bytes.length - 1);
  await leave([1]);
  const otherPaths = partPathsFor(paths.destination, other.contentId);
  renameSync(paths.part, otherPaths.part);
  renameSync(paths.journal, otherPaths.journal);
  const before = readFileSync(otherPaths.part);
  await expectError("refused", reopen(undefined, other));
  expect(readFileSync(otherPaths.part).equals(before)).toBe(true);
});

needsRoot("a journal that belongs to another user is refused", async () => {
  await leave([1]);
  chownSync(paths.journal, 65_534, 65_534);
  chmodSync(paths.journal, 0o666);
  await expectError("refused", reopen());
  chownSync(paths.journal, 0, 0);
  chownSync(paths.part, 65_534, 65_534);
  await expectError("refused", reopen());
});

needsRoot("a lock file that belongs to another user is refused and not touched", async () => {
  writeFileSync(paths.lock, "", { mode: 0o666 });
  chownSync(paths.lock, 65_534, 65_534);
  await expectError("refused", reopen(), paths.lock);
  expect(lstatSync(paths.lock).uid).toBe(65_534);
  expect(readdirSync(folder)).toHaveLength(1);
});

/** Moments of a kill between placing the file and removing the journal. */
const placings: Record<string, () => void> = {
  "before its part is removed": () => linkSync(paths.part, paths.destination),
  "before the journal is removed": () => renameSync(paths.part, paths.destination),
};
for (const [when, place] of Object.entries(placings)) {
  test(`placed, and killed ${when}: the finish is completed once every chunk was read again`, async () => {
    await leave(every);
    place();
    const part = await reopen();
    await expect(part.finish()).rejects.toThrow("chunks are missing");
    expect((await checkPart(part)).lost).toEqual([]);
    expect(existsSync(paths.destination)).toBe(true);
    await part.finish();
    expectBytes(paths.destination, content.bytes);
    expect(readdirSync(folder)).toEqual(["file"]);
  });

  test(`placed, killed ${when} and damaged: a part file again, and nothing under the final name until it is right`, async () => {
    await leave(every);
    place();
    damage(paths.destination, 3 * chunkSize + 1);
    damage(paths.destination, 5 * chunkSize + 1);
    const part = await reopen();
    expect((await checkPart(part)).lost).toEqual([3, 5]);
    expect(existsSync(paths.destination)).toBe(false);
    await part.close();
    await expectLeft(every, [0, 1, 2, 4, 6, 7, 8]);
    await expectCompletes();
  });

  test(`placed, killed ${when} and cut or longer: a part file again at once`, async () => {
    for (const change of [() => truncateSync(paths.destination, 7), () => appendFileSync(paths.destination, "x")]) {
      await leave(every);
      place();
      change();
      const part = await reopen();
      expect(existsSync(paths.destination)).toBe(false);
      expect(lstatSync(paths.part).size).toBe(content.bytes.length);
      await part.discard();
    }
  });
}

test("a placed file that is removed while it is checked is a disk error", async () => {
  await leave(every);
  renameSync(paths.part, paths.destination);
  const part = await reopen();
  await checkPart(part);
  unlinkSync(paths.destination);
  await expectError("disk", part.finish(), "removed");
  await part.discard();
});

test("R7: another file at the destination is refused however complete the part is", async () => {
  await leave(every);
  writeFileSync(paths.destination, content.bytes);
  await expectError("refused", reopen());
  unlinkSync(paths.destination);
  writeFileSync(paths.destination, "");
  await expectError("refused", reopen());
  expect(existsSync(paths.destination)).toBe(true);
});

test("without hard links, killed before the rename: the empty file at the destination is recognised as ours", async () => {
  const part = await reopen();
  for (const chunk of every) await part.write(chunk, content.chunk(chunk));
  const link = () => {
    // The rename of this attempt fails, as its part is out of the way; the intent stands in the journal.
    renameSync(paths.part, `${paths.part}.away`);
    return Promise.reject(new Error("no links here"));
  };
  await expectError("disk", part.finish({ link }));
  expect(existsSync(paths.destination)).toBe(false);
  await part.close();
  renameSync(`${paths.part}.away`, paths.part);
  writeFileSync(paths.destination, "");
  await expectCompletes();
});

const killSeed = Number(process.env.P2PFS_TEST_SEED ?? Date.now() % 100_000);
test(`killed with SIGKILL while it writes (seed ${killSeed}): every chunk that was reported is there, and right`, async () => {
  const large = contentOf(16 * MiB);
  paths = partPathsFor(join(folder, "file"), large.contentId);
  let reported = -1;
  for (let round = 0; round < 3; round++) {
    // The child may be far ahead by the time that it is killed; it reports no more chunks than there are.
    const killAfter = Math.min(reported + 1 + ((killSeed * 31 + round * 17) % 40), large.chunkCount - 1);
    reported = await writeUntilKilled(large, killAfter);
    const part = await reopen(undefined, large);
    expect(part.doubtful.count).toBeGreaterThan(reported);
    expect((await checkPart(part)).lost).toEqual([]);
    const bytes = readFileSync(paths.part);
    for (const chunk of part.have) {
      const start = chunk * large.manifest.chunkSize;
      expect(bytes.subarray(start, start + large.chunk(chunk).length).equals(large.chunk(chunk))).toBe(true);
    }
    expect(existsSync(paths.destination)).toBe(false);
    await part.close();
  }
});

/** Resolves to the last chunk that the child had reported when it was killed. */
async function writeUntilKilled(of: Content, killAfter: number): Promise<number> {
  const command = [process.execPath, resolve(import.meta.dir, "writer-child.ts"), paths.destination];
  const child = Bun.spawn([...command, String(of.bytes.length)], { stdout: "pipe" });
  let output = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    output += text;
    if (output.trimEnd().split("\n").length > killAfter) child.kill("SIGKILL");
  }
  await child.exited;
  expect(child.signalCode).toBe("SIGKILL");
  return Number(output.slice(0, output.lastIndexOf("\n")).split("\n").at(-1));
}
