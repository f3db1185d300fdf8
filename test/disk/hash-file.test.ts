/** Files into manifests: golden ids, every kind of boundary, and what cannot or must not be hashed. */
import { expect, test } from "bun:test";
import { appendFileSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { mkdir, symlink, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { CHUNK_SIZE_MIN, CONTENT_SIZE_MAX } from "../../src/core/limits.ts";
import { chunkCountFor, chunkCountOf, chunkSizeFor, decodeManifest, digestOfChunk } from "../../src/core/manifest.ts";
import { KiB, MiB } from "../../src/core/units.ts";
import { digest } from "../../src/disk/blake3.ts";
import { hashFile } from "../../src/disk/hash-file.ts";
import golden from "../golden/content-ids.json";
import { outputOf } from "../support/child.ts";
import { closeLater, openForAll } from "../support/closing.ts";
import { expectError } from "../support/errors.ts";
import { temporaryFolder } from "../support/folder.ts";
import { needsRoot } from "../support/root.ts";
import { patternBytes } from "./fixtures.ts";

let folder: string;
openForAll(() => {
  folder = temporaryFolder();
});

async function fileOf(name: string, bytes: Uint8Array): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, bytes);
  return path;
}

for (const { what, size, content_id } of golden.ids) {
  test(`the content id of ${what} is the golden one`, async () => {
    const { contentId, stamp } = await hashFile(await fileOf("golden", patternBytes(size)));
    expect<string>(contentId).toBe(content_id);
    expect(stamp.size).toBe(size);
  });
}

const chunk = CHUNK_SIZE_MIN;
const boundarySizes = [0, 1, chunk - 1, chunk, chunk + 1, 2 * chunk, 64 * chunk - 1, 64 * chunk + 1, 192 * chunk + 1];

test.each([...boundarySizes, 200 * chunk, 300 * chunk])(
  "%i bytes: the manifest has each chunk's digest",
  async (size) => {
    const bytes = patternBytes(size);
    const { manifest, manifestBytes, contentId } = await hashFile(await fileOf("boundary", bytes));
    expect(chunkCountOf(manifest)).toBe(chunkCountFor(size));
    for (let index = 0; index < chunkCountFor(size); index++) {
      const expected = digest(bytes.subarray(index * manifest.chunkSize, (index + 1) * manifest.chunkSize));
      expect(digestOfChunk(manifest, index).toHex()).toBe(expected.toHex());
    }
    expect(decodeManifest(manifestBytes)).toEqual(manifest);
    expect<string>(contentId).toBe(digest(manifestBytes).toHex());
  },
);

test("sparse files just above the first steps of the chunk size's table", async () => {
  for (let size = 32 * MiB; chunkSizeFor(size + 1) <= 256 * KiB; size *= 2) {
    const path = await fileOf("sparse", new Uint8Array(0));
    await truncate(path, size + 1);
    const { manifest } = await hashFile(path);
    expect(manifest.chunkSize).toBe(chunkSizeFor(size + 1));
    const zeros = digest(new Uint8Array(manifest.chunkSize)).toHex();
    expect(digestOfChunk(manifest, 0).toHex()).toBe(zeros);
    expect(digestOfChunk(manifest, chunkCountOf(manifest) - 1).toHex()).toBe(digest(new Uint8Array(1)).toHex());
  }
});

test("the same bytes have the same content id, any changed byte another one", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 300 * KiB }),
      fc.nat(),
      fc.integer({ min: 1, max: 255 }),
      async (size, at, flip) => {
        const bytes = patternBytes(size);
        const first = await hashFile(await fileOf("a", bytes));
        const second = await hashFile(await fileOf("b", bytes));
        bytes[at % size]! ^= flip;
        const third = await hashFile(await fileOf("c", bytes));
        expect(second.contentId).toBe(first.contentId);
        expect(third.contentId).not.toBe(first.contentId);
      },
    ),
    { numRuns: 30 },
  );
});

test("progress counts up to the size, and the event loop turns meanwhile", async () => {
  const path = await fileOf("progress", patternBytes(20 * MiB + 1));
  const seen: number[] = [];
  let turns = 0;
  let turning = setImmediate(function turn() {
    turns++;
    turning = setImmediate(turn);
  });
  await hashFile(path, { onProgress: (bytes) => seen.push(bytes) });
  clearImmediate(turning);
  expect(seen).toEqual([4, 8, 12, 16, 20].map((mib) => mib * MiB).concat(20 * MiB + 1));
  expect(turns).toBeGreaterThanOrEqual(seen.length - 1);
});

test("a symbolic link is followed", async () => {
  const path = await fileOf("target", patternBytes(10));
  await symlink(path, join(folder, "link"));
  expect((await hashFile(join(folder, "link"))).contentId).toBe((await hashFile(path)).contentId);
});

test("hashing is cancelled by its signal", async () => {
  const path = await fileOf("cancelled", patternBytes(20 * MiB));
  const controller = new AbortController();
  const hashing = hashFile(path, { signal: controller.signal, onProgress: () => controller.abort() });
  await expectError("cancelled", hashing);
});

const changes: Record<string, (path: string) => void> = {
  "is appended to": (path) => appendFileSync(path, "x"),
  "is rewritten": (path) => writeFileSync(path, patternBytes(20 * MiB).fill(1)),
  "is truncated": (path) => truncateSync(path, 5),
  "is replaced": (path) => {
    writeFileSync(`${path}.new`, patternBytes(20 * MiB));
    renameSync(`${path}.new`, path);
  },
};
for (const [what, change] of Object.entries(changes)) {
  test(`a file that ${what} while it is hashed is refused`, async () => {
    const path = await fileOf("changing", patternBytes(20 * MiB));
    const onProgress = (bytes: number) => {
      if (bytes === 4 * MiB) change(path);
    };
    expect((await expectError("refused", hashFile(path, { onProgress }))).message).toBe(
      `${path} changed while it was read`,
    );
  });
}

test("what cannot be hashed gives a typed error with the path", async () => {
  const missing = join(folder, "missing");
  expect((await expectError("not_found", hashFile(missing))).message).toBe(`cannot read ${missing}: no such file`);
  const below = join(await fileOf("plain", patternBytes(1)), "below");
  expect((await expectError("disk", hashFile(below))).message).toBe(
    `cannot read ${below}: a part of the path is not a folder`,
  );
  await symlink("loop", join(folder, "loop"));
  await expectError("disk", hashFile(join(folder, "loop")), "too many symbolic links");
  await expectError("disk", hashFile(join(folder, "n".repeat(300))), "too long");
  await mkdir(join(folder, "dir"));
  await expectError("refused", hashFile(join(folder, "dir")));
  await expectError("refused", hashFile("/dev/zero"));
});

const isLinux = process.platform === "linux";
for (const path of ["/proc/version", "/proc/self/status", "/sys/kernel/uevent_seqnum"]) {
  test.skipIf(!isLinux)(`${path}, whose size says nothing of its content, is refused (Linux only)`, async () => {
    expect((await expectError("refused", hashFile(path))).message).toBe(
      `${path} has more or fewer bytes than its size says`,
    );
  });
}

test("a socket is an error that says so", async () => {
  const unix = join(folder, "socket");
  closeLater(Bun.listen({ unix, socket: { data: () => undefined } }), (listener) => listener.stop());
  await expectError("disk", hashFile(unix), `cannot read ${unix}: it is a socket`);
});

test("a pipe is refused at once, although nobody writes to it", async () => {
  const pipe = join(folder, "pipe");
  expect(Bun.spawnSync(["mkfifo", pipe]).exitCode).toBe(0);
  expect((await expectError("refused", hashFile(pipe))).hint).toBe("name a regular file");
});

test("a file beyond the largest content is refused before it is read", async () => {
  const path = await fileOf("huge", new Uint8Array(0));
  await truncate(path, CONTENT_SIZE_MAX + 1);
  await expectError("refused", hashFile(path));
});

test("a vanished file is not found", async () => {
  const path = await fileOf("vanishing", patternBytes(20 * MiB));
  const onProgress = () => rmSync(path, { force: true });
  await expectError("not_found", hashFile(path, { onProgress }));
});

needsRoot("an unreadable file is a disk error that says so", async () => {
  const path = await fileOf("secret", patternBytes(10));
  Bun.spawnSync(["chmod", "600", path]);
  Bun.spawnSync(["chmod", "755", folder]);
  const script = `
    import { hashFile } from "${join(import.meta.dir, "../../src/disk/hash-file.ts")}";
    await hashFile("${path}").catch((error) => console.log(error.code, error.message));
  `;
  expect(outputOf(script, { asUser: "nobody" })).toBe(`disk cannot read ${path}: permission denied`);
});
