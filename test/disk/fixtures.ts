/** What the tests of `disk` share. */
import { test } from "bun:test";
import { mkdirSync } from "node:fs";
import { DIGEST_BYTES } from "../../src/core/limits.ts";
import {
  type ContentId,
  chunkCountFor,
  chunkSizeFor,
  contentIdOf,
  encodeManifest,
  type Manifest,
  manifestOfFile,
} from "../../src/core/manifest.ts";
import { digest } from "../../src/disk/blake3.ts";
import { BufferPool } from "../../src/disk/buffer-pool.ts";
import { ChunkChecker } from "../../src/disk/chunk-checker.ts";
import type { PartFile } from "../../src/disk/part-file.ts";
import { systemClock } from "../../src/net/system.ts";

/** Bytes that count up to 250 and start again: chunks differ from one another, as no chunk size is a multiple of 251. */
export function patternBytes(size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  const period = Uint8Array.from({ length: Math.min(251, size) }, (_, index) => index);
  bytes.set(period);
  for (let filled = 251; filled < size; filled *= 2) bytes.copyWithin(filled, 0, Math.min(filled, size - filled));
  return bytes;
}

export const isRoot = process.platform === "linux" && process.getuid?.() === 0;

/** A test that needs root on Linux: skipped elsewhere, failed where CI would skip it. */
export function needsRoot(name: string, body: () => Promise<void>): void {
  if (isRoot) test(name, body);
  else if (process.env.CI === "true") test(name, () => Promise.reject(new Error("skipped: needs root on Linux")));
  else test.skip(`${name} (skipped: needs root on Linux)`, body);
}

/** Runs a script in a Bun of its own as the user nobody, and gives what it prints. */
export function asNobody(script: string): string {
  const child = Bun.spawnSync(
    ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", process.execPath, "--eval", script],
    { env: { PATH: process.env.PATH ?? "", HOME: "/nonexistent" }, stderr: "inherit" },
  );
  return child.stdout.toString().trim();
}

export interface Content {
  readonly bytes: Uint8Array;
  readonly manifest: Manifest;
  readonly contentId: ContentId;
  readonly chunkCount: number;
  chunk(index: number): Uint8Array;
}

/** A content of this size with its identity, made without a file. */
export function contentOf(size: number): Content {
  const bytes = patternBytes(size);
  const chunkSize = chunkSizeFor(size);
  const chunkCount = chunkCountFor(size);
  const chunk = (index: number) => bytes.subarray(index * chunkSize, (index + 1) * chunkSize);
  const digests = new Uint8Array(chunkCount * DIGEST_BYTES);
  for (let index = 0; index < chunkCount; index++) digests.set(digest(chunk(index)), index * DIGEST_BYTES);
  const manifest = manifestOfFile(size, digests);
  return { bytes, manifest, contentId: contentIdOf(encodeManifest(manifest), digest), chunkCount, chunk };
}

/** A small file system of its own at this path while the body runs; needs root on Linux. */
export async function withMount(path: string, options: string, body: () => Promise<void>): Promise<void> {
  mkdirSync(path);
  const mount = Bun.spawnSync(["mount", "-t", "tmpfs", "-o", options, "p2pfs-test", path]);
  if (!mount.success) throw new Error(`cannot mount: ${mount.stderr}`);
  try {
    await body();
  } finally {
    // Lazily: a database that was closed keeps its file open until its statements are collected.
    Bun.spawnSync(["umount", "--lazy", path]);
  }
}

export interface Checked {
  readonly proven: readonly number[];
  readonly lost: readonly number[];
}

/** Reads again what an earlier process left; the outcome in ascending order. */
export async function checkPart(part: PartFile): Promise<Checked> {
  const proven: number[] = [];
  const lost: number[] = [];
  await part.check(new ChunkChecker(new BufferPool(0), systemClock), {
    proven: (chunk) => void proven.push(chunk),
    lost: (chunk) => void lost.push(chunk),
  });
  const ascending = (a: number, b: number) => a - b;
  return { proven: proven.sort(ascending), lost: lost.sort(ascending) };
}
