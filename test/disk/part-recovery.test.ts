/** What an earlier process left: how far it is believed, and whose files are never touched. */
import { afterEach, beforeEach, expect, test } from "bun:test";
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
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { CHUNK_SIZE_MIN } from "../../src/core/limits.ts";
import { encodeManifest } from "../../src/core/manifest.ts";
import { MiB } from "../../src/core/units.ts";
import { PartFile } from "../../src/disk/part-file.ts";
import { type PartPaths, partPathsFor } from "../../src/disk/part-paths.ts";
import { type Content, contentOf, needsRoot } from "./fixtures.ts";

const chunkSize = CHUNK_SIZE_MIN;
const content = contentOf(8 * chunkSize + 7);
const RECORD_BYTES = 16;

let folder: string;
let paths: PartPaths;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "p2pfs-recovery-"));
  paths = partPathsFor(join(folder, "file"), content.contentId);
});
afterEach(() => rm(folder, { recursive: true, force: true }));

interface Opened {
  readonly part: PartFile;
  /** Chunks that were read again. */
  readonly rehashed: number;
}

async function reopen(bootId?: string, of: Content = content): Promise<Opened> {
  let rehashed = 0;
  const part = await PartFile.open({
    destination: paths.destination,
    contentId: of.contentId,
    manifest: of.manifest,
    onRehashed: () => rehashed++,
    ...(bootId === undefined ? {} : { bootId }),
  });
  return { part, rehashed };
}

/** Opens, checks what is had and what had to be read again, and closes. */
async function expectHad(chunks: readonly number[], rehashed: number, bootId?: string): Promise<void> {
  const opened = await reopen(bootId);
  expect([...opened.part.have]).toEqual([...chunks]);
  expect(opened.rehashed).toBe(rehashed);
  await opened.part.close();
}

/** A part file with these chunks, left by a process that ended. */
async function leave(chunks: readonly number[], bootId?: string): Promise<void> {
  const { part } = await reopen(bootId);
  for (const chunk of chunks) await part.write(chunk, content.chunk(chunk));
  await part.close();
}

/** Whatever is left: it must become the right file. */
async function expectCompletes(bootId?: string): Promise<void> {
  const { part } = await reopen(bootId);
  for (let chunk = 0; chunk < content.chunkCount; chunk++) await part.write(chunk, content.chunk(chunk));
  await part.finish();
  expect(Buffer.compare(readFileSync(paths.destination), content.bytes)).toBe(0);
  expect(readdirSync(folder)).toEqual(["file"]);
}

function damage(path: string, offset: number): void {
  const bytes = readFileSync(path);
  bytes[offset]! ^= 0xff;
  writeFileSync(path, bytes);
}

const every = Array.from({ length: content.chunkCount }, (_, chunk) => chunk);

test("same boot: the journal is trusted, nothing is read again", async () => {
  await leave([1, 4, 8]);
  await expectHad([1, 4, 8], 0);
  await expectCompletes();
});

test("other boot: each claimed chunk is read again, and one that is not right is missing", async () => {
  await leave([1, 4, 8], "boot-a");
  damage(paths.part, 4 * chunkSize + 5);
  await expectHad([1, 8], 3, "boot-b");
  await expectCompletes("boot-b");
});

test("what was read again counts for the rest of that boot; an older claim that failed is not believed", async () => {
  await leave([1, 4], "boot-a");
  damage(paths.part, 4 * chunkSize);
  await leave([6], "boot-b");
  await expectHad([1, 6], 1, "boot-b");
  await expectHad([1, 6], 3, "boot-c");
});

test("a boot that comes back by its name believes only what was claimed in it last", async () => {
  await leave([1], "boot-a");
  await leave([2], "boot-b");
  await expectHad([1, 2], 2, "boot-a");
});

test("a part file that was copied is another one: its chunks are read again", async () => {
  await leave([1, 4]);
  copyFileSync(paths.part, join(folder, "copy"));
  renameSync(join(folder, "copy"), paths.part);
  damage(paths.part, chunkSize);
  await expectHad([4], 2);
});

test("a part file that was cut or grew is brought to length and read again", async () => {
  await leave([1, 7]);
  truncateSync(paths.part, 3 * chunkSize);
  await expectHad([1], 2);
  appendFileSync(paths.part, "x");
  await expectHad([1], 2);
  await expectCompletes();
});

test("a part file that is gone: nothing is believed", async () => {
  await leave([1, 7]);
  rmSync(paths.part);
  await expectHad([], 0);
  await expectCompletes();
});

test("a record that was cut short at any byte is not believed; those before it are", async () => {
  for (let cut = 1; cut <= RECORD_BYTES; cut++) {
    await leave([1, 4, 8]);
    const length = lstatSync(paths.journal).size;
    truncateSync(paths.journal, length - cut);
    await leave([2]);
    await expectHad([1, 2, 4], 0);
    const { part } = await reopen();
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
    if (!(opened instanceof Object && "part" in opened)) {
      // Too short to be known for ours: refused, and as it was.
      expect(opened).toMatchObject({ code: "refused" });
      expect(readFileSync(paths.part).equals(part)).toBe(true);
      continue;
    }
    const { part: reopened } = opened as Opened;
    expect(reopened.have.has(4)).toBe(false);
    await reopened.close();
  }
});

test("a damaged record in the middle: everything is read again", async () => {
  await leave([1, 4, 8]);
  damage(paths.journal, lstatSync(paths.journal).size - 3 * RECORD_BYTES + 5);
  await expectHad([1, 4, 8], content.chunkCount);
  await expectHad([1, 4, 8], 0);
});

test("a damaged manifest in the journal: everything is read again, with the manifest from elsewhere", async () => {
  await leave([1, 4, 8]);
  damage(paths.journal, 100);
  damage(paths.part, 4 * chunkSize);
  expect(PartFile.savedManifest(paths.destination, content.contentId)).toBeUndefined();
  await expectHad([1, 8], content.chunkCount);
  expect(PartFile.savedManifest(paths.destination, content.contentId)).toEqual(encodeManifest(content.manifest));
});

test("a journal without a beginning, as after a power cut, beside a part file of the right length", async () => {
  for (const bytes of [0, 500]) {
    await leave([1, 4]);
    writeFileSync(paths.journal, new Uint8Array(bytes));
    await expectHad([1, 4], content.chunkCount);
  }
  await expectCompletes();
});

test("the checking of an old part file ends by its signal", async () => {
  await leave([1, 4], "boot-a");
  const opening = PartFile.open({
    destination: paths.destination,
    contentId: content.contentId,
    manifest: content.manifest,
    bootId: "boot-b",
    signal: AbortSignal.abort(),
  });
  await expect(opening).rejects.toMatchObject({ code: "cancelled" });
  await expectHad([1, 4], 2, "boot-b");
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
    await expect(reopen()).rejects.toMatchObject({ code: "refused", hint: expect.stringContaining("move it away") });
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
  await expect(reopen(undefined, other)).rejects.toMatchObject({ code: "refused" });
  expect(readFileSync(otherPaths.part).equals(before)).toBe(true);
});

needsRoot("a journal of another user, who may claim what is not so, is refused", async () => {
  await leave([1]);
  chownSync(paths.journal, 65_534, 65_534);
  chmodSync(paths.journal, 0o666);
  await expect(reopen()).rejects.toMatchObject({ code: "refused" });
  chownSync(paths.journal, 0, 0);
  chownSync(paths.part, 65_534, 65_534);
  await expect(reopen()).rejects.toMatchObject({ code: "refused" });
});

test("killed between placing the file and removing its part: the finish is brought to its end", async () => {
  await leave(every);
  linkSync(paths.part, paths.destination);
  const { part } = await reopen();
  await part.finish();
  expect(Buffer.compare(readFileSync(paths.destination), content.bytes)).toBe(0);
  expect(readdirSync(folder)).toEqual(["file"]);
});

test("killed between removing the part and removing the journal: likewise", async () => {
  await leave(every);
  renameSync(paths.part, paths.destination);
  const { part, rehashed } = await reopen();
  expect(rehashed).toBe(0);
  await part.finish();
  expect(readdirSync(folder)).toEqual(["file"]);
});

test("placed just before a power cut that took some of it: a part again, and nothing under the final name", async () => {
  await leave(every, "boot-a");
  linkSync(paths.part, paths.destination);
  damage(paths.part, 0);
  const { part } = await reopen("boot-b");
  expect(existsSync(paths.destination)).toBe(false);
  expect(part.have.has(0)).toBe(false);
  await part.close();
  await expectCompletes("boot-b");
});

test("R7: another file at the destination is refused however complete the part is", async () => {
  await leave(every);
  writeFileSync(paths.destination, content.bytes);
  await expect(reopen()).rejects.toMatchObject({ code: "refused" });
  unlinkSync(paths.destination);
  writeFileSync(paths.destination, "");
  await expect(reopen()).rejects.toMatchObject({ code: "refused" });
  expect(existsSync(paths.destination)).toBe(true);
});

test("without hard links, killed before the rename: the empty file at the destination is known for ours", async () => {
  const { part } = await reopen();
  for (const chunk of every) await part.write(chunk, content.chunk(chunk));
  const link = () => {
    // The rename of this attempt fails, as its part is out of the way; the intent stands in the journal.
    renameSync(paths.part, `${paths.part}.away`);
    return Promise.reject(new Error("no links here"));
  };
  await expect(part.finish({ link })).rejects.toMatchObject({ code: "disk" });
  expect(existsSync(paths.destination)).toBe(false);
  await part.close();
  renameSync(`${paths.part}.away`, paths.part);
  writeFileSync(paths.destination, "");
  await expectCompletes();
});

const killSeed = Number(process.env.P2PFS_TEST_SEED ?? Date.now() % 100_000);
test(`killed with SIGKILL while it writes (seed ${killSeed}): every chunk that counted is had, and right`, async () => {
  const large = contentOf(16 * MiB);
  paths = partPathsFor(join(folder, "file"), large.contentId);
  let told = -1;
  for (let round = 0; round < 3; round++) {
    const killAfter = told + 1 + ((killSeed * 31 + round * 17) % 40);
    told = await writeUntilKilled(large, killAfter);
    const { part, rehashed } = await reopen(undefined, large);
    expect(rehashed).toBe(0);
    expect(part.have.count).toBeGreaterThan(told);
    const bytes = readFileSync(paths.part);
    for (const chunk of part.have) {
      const start = chunk * large.manifest.chunkSize;
      expect(bytes.subarray(start, start + large.chunk(chunk).length).equals(large.chunk(chunk))).toBe(true);
    }
    expect(existsSync(paths.destination)).toBe(false);
    await part.close();
  }
});

/** Resolves to the last chunk that the child told of when it was killed. */
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
