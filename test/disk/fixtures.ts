/** What the tests of `disk` share. */
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
