/** Reading shared files: the right bytes, nothing from a file that is no longer what was shared, few descriptors. */
import { expect, test } from "bun:test";
import { readdirSync, readlinkSync } from "node:fs";
import { appendFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { ErrorCode } from "../../src/core/errors.ts";
import { MiB } from "../../src/core/units.ts";
import { ChunkReader, ReaderPool, type SharedFile } from "../../src/disk/chunk-reader.ts";
import { stampOf } from "../../src/disk/file-stamp.ts";
import { openForAll } from "../support/closing.ts";
import { expectError } from "../support/errors.ts";
import { temporaryFolder } from "../support/folder.ts";
import { patternBytes } from "./fixtures.ts";

const SIZE = 3 * MiB + 5;
let folder: string;
openForAll(() => {
  folder = temporaryFolder();
});

async function share(name: string, size = SIZE): Promise<SharedFile> {
  const path = join(folder, name);
  await writeFile(path, patternBytes(size));
  return { path, ...stampOf(path) };
}

test("reads any range, also many at once", async () => {
  const file = await share("stretches");
  const pool = new ReaderPool(2);
  const whole = patternBytes(SIZE);
  const stretches = [0, 1, MiB - 1, 2 * MiB, SIZE - 5].map((start) => ({ start, length: Math.min(MiB, SIZE - start) }));
  await Promise.all(
    stretches.map(async ({ start, length }) => {
      const target = new Uint8Array(length);
      await pool.read(file, start, target);
      expect(Buffer.compare(target, whole.subarray(start, start + length))).toBe(0);
    }),
  );
  expect(pool.openCount).toBe(1);
  pool.close();
});

test("reads nothing of an empty file", async () => {
  const reader = ChunkReader.open(await share("empty", 0));
  await reader.read(0, new Uint8Array(0));
  reader.close();
});

const changes: Record<string, { change: (path: string) => Promise<unknown>; code: ErrorCode }> = {
  "appended to": { change: (path) => appendFile(path, "x"), code: "refused" },
  "rewritten in place": { change: (path) => writeFile(path, patternBytes(SIZE).fill(1)), code: "refused" },
  truncated: { change: (path) => writeFile(path, ""), code: "refused" },
  deleted: { change: (path) => rm(path), code: "not_found" },
  "moved away": { change: (path) => rename(path, `${path}.moved`), code: "not_found" },
  "replaced by another of the same size and time": {
    change: async (path) => {
      const { atime, mtime } = await stat(path);
      await writeFile(`${path}.new`, patternBytes(SIZE).fill(2));
      await utimes(`${path}.new`, atime, mtime);
      await rename(`${path}.new`, path);
    },
    code: "refused",
  },
};
for (const [what, { change, code }] of Object.entries(changes)) {
  test(`a file that was ${what} is not served any more`, async () => {
    const file = await share("changing");
    const pool = new ReaderPool(2);
    const target = new Uint8Array(1000);
    await pool.read(file, 0, target);
    await change(file.path);
    await expectError(code, pool.read(file, 0, target));
    expect(pool.openCount).toBe(0);
  });
}

test("a file that had changed before it was opened is refused", async () => {
  const file = await share("before");
  await appendFile(file.path, "x");
  expect(() => ChunkReader.open(file)).toThrow("changed since it was shared");
});

test("a file that is shared again after a change is served as it is now", async () => {
  const before = await share("again");
  const pool = new ReaderPool(2);
  await pool.read(before, 0, new Uint8Array(10));
  await writeFile(before.path, "another content");
  const target = new Uint8Array(7);
  await pool.read({ path: before.path, ...stampOf(before.path) }, 0, target);
  expect(Buffer.from(target).toString()).toBe("another");
  pool.close();
});

function openDescriptors(): number {
  const links = readdirSync("/proc/self/fd").map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return "";
    }
  });
  return links.filter((link) => link.startsWith(folder)).length;
}

test.if(process.platform === "linux")("keeps at most the given number of files open, and none in the end", async () => {
  const files = await Promise.all(Array.from({ length: 6 }, (_, index) => share(`many-${index}`)));
  const pool = new ReaderPool(3);
  const target = () => new Uint8Array(1000);
  await Promise.all(files.flatMap((file) => [pool.read(file, 0, target()), pool.read(file, MiB, target())]));
  expect(pool.openCount).toBe(3);
  expect(openDescriptors()).toBe(3);
  const reading = pool.read(files[5]!, 0, target());
  pool.close();
  await reading;
  expect(pool.openCount).toBe(0);
  expect(openDescriptors()).toBe(0);
});
