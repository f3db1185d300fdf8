/**
 * Somebody else who can write to the folder of a destination, or to one above, exchanges files and folders while a fetch
 * runs. Nothing outside is written, renamed or removed, no file is replaced (R7), and what was not verified never ends as
 * the fetched file. The same for files that are shared: nothing is served but what was published.
 */
import { beforeEach, describe, expect, test } from "bun:test";
import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { link as linkFile } from "node:fs/promises";
import { join } from "node:path";
import { CHUNK_SIZE_MIN } from "../../src/core/limits.ts";
import { FileStore } from "../../src/disk/file-store.ts";
import { hashFile } from "../../src/disk/hash-file.ts";
import { PartFile } from "../../src/disk/part-file.ts";
import { type PartPaths, partPathsFor } from "../../src/disk/part-paths.ts";
import { closeLater } from "../support/closing.ts";
import { expectError } from "../support/errors.ts";
import { expectBytes, temporaryFolder } from "../support/folder.ts";
import { checkPart, contentOf } from "./fixtures.ts";

const content = contentOf(3 * CHUNK_SIZE_MIN + 7);
const VICTIM = "what must stay as it is";

/** Where the destination is, and beside it a folder that is none of anybody's business. */
let above: string;
let folder: string;
let outside: string;
let victim: string;
let paths: PartPaths;
beforeEach(() => {
  above = temporaryFolder();
  folder = join(above, "folder");
  outside = join(above, "outside");
  for (const each of [folder, outside]) mkdirSync(each);
  victim = join(outside, "file");
  paths = partPathsFor(join(folder, "file"), content.contentId);
  writeFileSync(victim, VICTIM);
});

function expectOutsideUntouched(names: readonly string[] = ["file"]): void {
  expect(readdirSync(outside)).toEqual([...names]);
  if (names.includes("file")) expect(readFileSync(victim, "utf8")).toBe(VICTIM);
}

async function open(): Promise<PartFile> {
  const { contentId, manifest } = content;
  return closeLater(await PartFile.open({ destination: paths.destination, contentId, manifest }), (part) =>
    part.close(),
  );
}

/** With every chunk written. */
async function openWhole(): Promise<PartFile> {
  const part = await open();
  for (let chunk = 0; chunk < content.chunkCount; chunk++) await part.write(chunk, content.chunk(chunk));
  return part;
}

/** What an earlier process left, with these chunks. */
async function leave(chunks: readonly number[]): Promise<void> {
  const part = await open();
  for (const chunk of chunks) await part.write(chunk, content.chunk(chunk));
  await part.close();
}

const moved = () => join(above, "moved");

function exchangeFolder(): void {
  renameSync(folder, moved());
  symlinkSync("outside", folder);
}

/** The two ways to place a file, each with something that happens at that very moment. */
const waysOfPlacing: Record<string, (meanwhile: () => void) => (from: string, to: string) => Promise<void>> = {
  "with hard links": (meanwhile) => (from, to) => {
    meanwhile();
    return linkFile(from, to);
  },
  "without hard links": (meanwhile) => () => {
    meanwhile();
    return Promise.reject(Object.assign(new Error("no links here"), { code: "EPERM" }));
  },
};

describe("the folder of the destination is exchanged for a link to another", () => {
  for (const names of [["file"], []]) {
    const what = names.length > 0 ? "in which the name is taken" : "in which the name is free";

    test(`${what}, while the fetch runs: an error, and what has arrived is kept`, async () => {
      if (names.length === 0) rmSync(victim);
      const part = await open();
      await part.write(0, content.chunk(0));
      exchangeFolder();
      for (let chunk = 1; chunk < content.chunkCount; chunk++) await part.write(chunk, content.chunk(chunk));
      await expectError("disk", part.finish(), "changed or removed by someone else");
      await part.close();
      expectOutsideUntouched(names);
      rmSync(folder);
      renameSync(moved(), folder);
      const again = await open();
      expect((await checkPart(again)).lost).toEqual([]);
      await again.finish();
      expectBytes(paths.destination, content.bytes);
    });

    for (const [way, placing] of Object.entries(waysOfPlacing)) {
      test(`${what}, at the moment of placing ${way}: nothing is made there`, async () => {
        if (names.length === 0) rmSync(victim);
        const part = await openWhole();
        await expectError("disk", part.finish({ link: placing(exchangeFolder) }), "changed or removed by someone else");
        expectOutsideUntouched(names);
        expectBytes(join(moved(), "file"), content.bytes);
      });
    }
  }

  test("before a placed file is found to be damaged: nothing there is moved or removed", async () => {
    await leave(Array.from({ length: content.chunkCount }, (_, chunk) => chunk));
    renameSync(paths.part, paths.destination);
    const bytes = readFileSync(paths.destination);
    bytes[5]! ^= 1;
    writeFileSync(paths.destination, bytes);
    const part = await open();
    exchangeFolder();
    expect((await checkPart(part)).lost).toEqual([0]);
    expectOutsideUntouched();
  });
});

/** What somebody can put in the place of a file, given one that is not to be touched. */
const replacements: Record<string, (path: string) => void> = {
  "a symbolic link to it": (path) => symlinkSync(victim, path),
  "a hard link to it": (path) => linkSync(victim, path),
  "a pipe": (path) => void Bun.spawnSync(["mkfifo", path]),
  "a folder": (path) => mkdirSync(path),
  "a device": (path) => symlinkSync("/dev/zero", path),
};

function replace(path: string, put: (path: string) => void): void {
  if (existsSync(path)) renameSync(path, `${path}.away`);
  put(path);
}

describe("instead of the part file, or of its journal, there is", () => {
  for (const [what, put] of Object.entries(replacements)) {
    for (const name of ["part", "journal"] as const) {
      test(`${what}, where a fetch is to be resumed: refused and untouched (${name})`, async () => {
        await leave([0]);
        replace(paths[name], put);
        const { ino } = lstatSync(paths[name]);
        await expectError("refused", open(), "is in the way");
        expect(lstatSync(paths[name]).ino).toBe(ino);
        expectOutsideUntouched();
      });
    }

    test(`${what}, when the fetch ends: an error, and no destination`, async () => {
      const part = await openWhole();
      replace(paths.part, put);
      await expectError("disk", part.finish(), "changed or removed by someone else");
      expect(existsSync(paths.destination)).toBe(false);
      expectOutsideUntouched();
    });

    test(`${what} instead of the journal when the fetch ends: the file is right`, async () => {
      const part = await openWhole();
      replace(paths.journal, put);
      await part.finish();
      expectBytes(paths.destination, content.bytes);
      expectOutsideUntouched();
    });
  }

  test("a symbolic link to the part file itself, which was moved: no destination is a link", async () => {
    const part = await openWhole();
    renameSync(paths.part, join(above, "elsewhere"));
    symlinkSync(join(above, "elsewhere"), paths.part);
    await expectError("disk", part.finish(), "changed or removed by someone else");
    expect(readdirSync(folder)).not.toContain("file");
  });

  for (const [way, placing] of Object.entries(waysOfPlacing)) {
    test(`another file at the moment of placing ${way}: an error`, async () => {
      const part = await openWhole();
      const exchange = () => replace(paths.part, (path) => writeFileSync(path, "not what was verified"));
      await expectError("disk", part.finish({ link: placing(exchange) }), "changed or removed by someone else");
    });
  }

  test("a second name of what an earlier process left, as in a copy by hard links: refused and untouched", async () => {
    await leave([0, 1]);
    linkSync(paths.part, join(outside, "copy"));
    const before = readFileSync(paths.part);
    await expectError("refused", open(), "is in the way");
    expect(readFileSync(join(outside, "copy")).equals(before)).toBe(true);
    rmSync(join(outside, "copy"));
    expect([...(await open()).doubtful]).toEqual([0, 1]);
  });
});

describe("R7: at the destination there is", () => {
  const all = {
    ...replacements,
    "a dangling link": (path: string) => symlinkSync(join(outside, "new"), path),
    "a socket": (path: string) => void closeLater(Bun.listen({ unix: path, socket: { data() {} } }), (s) => s.stop()),
  };
  for (const [what, put] of Object.entries(all)) {
    test(`${what}, from the start: refused and untouched`, async () => {
      put(paths.destination);
      const { ino } = lstatSync(paths.destination);
      await expectError("refused", open(), "exists already");
      expect(lstatSync(paths.destination).ino).toBe(ino);
      expect(readdirSync(folder)).toEqual(["file"]);
      expectOutsideUntouched();
    });

    for (const [way, placing] of Object.entries(waysOfPlacing)) {
      test(`${what}, since the moment of placing ${way}: refused and untouched`, async () => {
        const part = await openWhole();
        await expectError("refused", part.finish({ link: placing(() => put(paths.destination)) }), "exists already");
        expectOutsideUntouched();
        if (what.includes("link")) return;
        expect(lstatSync(paths.destination).isFile()).toBe(false);
      });
    }
  }
});

describe("a file that is shared", () => {
  let store: FileStore;
  let shared: { path: string; size: number; mtimeNs: string };
  const secret = new Uint8Array(1000).fill(7);

  beforeEach(async () => {
    store = closeLater(new FileStore(), (store) => store.close());
    const path = join(folder, "file");
    writeFileSync(path, new Uint8Array(secret.length).fill(1));
    // The secret looks the same from outside: whoever wants it has chosen size and time of what is published.
    writeFileSync(victim, secret);
    for (const each of [path, victim]) utimesSync(each, 1_700_000_000, 1_700_000_000);
    const { stamp } = await hashFile(path);
    shared = { path, size: stamp.size, mtimeNs: stamp.mtimeNs };
  });

  const exchanges: Record<string, () => void> = {
    "for a symbolic link to a secret": () => replace(shared.path, (path) => symlinkSync(victim, path)),
    "with its folder, for a link to the folder of a secret": exchangeFolder,
  };
  for (const [what, exchange] of Object.entries(exchanges)) {
    test(`and exchanged ${what}: nothing of it is read`, async () => {
      exchange();
      const target = new Uint8Array(secret.length);
      await expectError("refused", store.read(shared, 0, target), "changed since it was shared");
      expect(target.includes(7)).toBe(false);
      expectError("refused", () => store.stampOf(shared.path), "symbolic link");
    });

    test(`and exchanged ${what} while it is open: nothing of it is read`, async () => {
      await store.read(shared, 0, new Uint8Array(10));
      exchange();
      const target = new Uint8Array(secret.length);
      await expectError("refused", store.read(shared, 0, target), "changed since it was shared");
      expect(target.includes(7)).toBe(false);
    });
  }

  test("canary: the exchange shows neither by size nor by time", () => {
    replace(shared.path, (path) => symlinkSync(victim, path));
    expect(readlinkSync(shared.path)).toBe(victim);
    expect(readFileSync(shared.path).includes(7)).toBe(true);
  });
});
