/**
 * The identity of content. A manifest lists the entries of a content, its chunk size and the BLAKE3 digest of every
 * chunk of the entries read as one byte stream; the content id is the BLAKE3 digest of the manifest's canonical bytes
 * (format in wire/README.md). With the id one can verify the manifest, and with the manifest every chunk.
 */
import * as v from "valibot";
import { P2pfsError } from "./errors.ts";
import {
  CHUNK_COUNT_AIM,
  CHUNK_SIZE_MAX,
  CHUNK_SIZE_MIN,
  CONTENT_SIZE_MAX,
  DIGEST_BYTES,
  MANIFEST_BYTES_MAX,
} from "./limits.ts";

/** 64 hexadecimal digits, lower case. */
export const ContentIdSchema = v.pipe(
  v.string(),
  v.regex(/^[0-9a-f]{64}$/, "expected 64 hex digits"),
  v.brand("ContentId"),
);
export type ContentId = v.InferOutput<typeof ContentIdSchema>;

/** BLAKE3 with its default output of 32 bytes; passed as an argument, since core is pure. */
export type DigestFunction = (bytes: Uint8Array) => Uint8Array;

export interface ManifestEntry {
  /** Empty for a plain file, so that the id depends on its bytes alone. */
  readonly path: string;
  /** Bytes. */
  readonly size: number;
}

export interface Manifest {
  readonly entries: readonly ManifestEntry[];
  /** Bytes of every chunk but the last; follows from the total size (`chunkSizeFor`). */
  readonly chunkSize: number;
  /** DIGEST_BYTES for each chunk, in order. */
  readonly digests: Uint8Array;
}

/** The smallest power of two from CHUNK_SIZE_MIN to CHUNK_SIZE_MAX that gives at most CHUNK_COUNT_AIM chunks. */
export function chunkSizeFor(totalSize: number): number {
  let chunkSize = CHUNK_SIZE_MIN;
  while (chunkSize < CHUNK_SIZE_MAX && totalSize > chunkSize * CHUNK_COUNT_AIM) chunkSize *= 2;
  return chunkSize;
}

export function chunkCountFor(totalSize: number): number {
  return Math.ceil(totalSize / chunkSizeFor(totalSize));
}

export function totalSizeOf(manifest: Pick<Manifest, "entries">): number {
  return manifest.entries.reduce((sum, entry) => sum + entry.size, 0);
}

export function chunkCountOf(manifest: Manifest): number {
  return manifest.digests.length / DIGEST_BYTES;
}

export function digestOfChunk(manifest: Manifest, chunk: number): Uint8Array {
  return manifest.digests.subarray(chunk * DIGEST_BYTES, (chunk + 1) * DIGEST_BYTES);
}

/** Bytes of this chunk: the chunk size, or less for the last one. */
export function chunkLengthAt(totalSize: number, chunkSize: number, chunk: number): number {
  return Math.min(chunkSize, totalSize - chunk * chunkSize);
}

export function manifestOfFile(size: number, digests: Uint8Array): Manifest {
  return { entries: [{ path: "", size }], chunkSize: chunkSizeFor(size), digests };
}

const MAGIC = new TextEncoder().encode("p2pfs/m1");
const PREFIX_BYTES = MAGIC.length + 8;
const ENTRY_FIXED_BYTES = 10;

/** The canonical bytes: equal manifests have equal bytes, and no other bytes can be decoded. */
export function encodeManifest(manifest: Manifest): Uint8Array {
  const paths = manifest.entries.map((entry) => new TextEncoder().encode(entry.path));
  const entriesBytes = paths.reduce((sum, path) => sum + ENTRY_FIXED_BYTES + path.length, 0);
  const bytes = new Uint8Array(PREFIX_BYTES + entriesBytes + manifest.digests.length);
  const view = new DataView(bytes.buffer);
  bytes.set(MAGIC);
  view.setUint32(MAGIC.length, manifest.chunkSize);
  view.setUint32(MAGIC.length + 4, manifest.entries.length);
  let offset = PREFIX_BYTES;
  for (const [index, entry] of manifest.entries.entries()) {
    const path = paths[index]!;
    view.setBigUint64(offset, BigInt(entry.size));
    view.setUint16(offset + 8, path.length);
    bytes.set(path, offset + ENTRY_FIXED_BYTES);
    offset += ENTRY_FIXED_BYTES + path.length;
  }
  bytes.set(manifest.digests, offset);
  return bytes;
}

/** The inverse of `encodeManifest`. Version 1 knows plain files only. Throws `integrity` on anything else. */
export function decodeManifest(bytes: Uint8Array): Manifest {
  const fault = (what: string) => new P2pfsError("integrity", `the manifest is damaged: ${what}`);
  if (bytes.length > MANIFEST_BYTES_MAX) throw fault("too long");
  const expectedBytes = PREFIX_BYTES + ENTRY_FIXED_BYTES;
  if (bytes.length < expectedBytes) throw fault("too short");
  if (MAGIC.some((byte, index) => bytes[index] !== byte)) throw fault("not a manifest of version 1");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const chunkSize = view.getUint32(MAGIC.length);
  if (view.getUint32(MAGIC.length + 4) !== 1) throw fault("expected one entry");
  const size = Number(view.getBigUint64(PREFIX_BYTES));
  if (size > CONTENT_SIZE_MAX) throw fault("the content is too large");
  if (view.getUint16(PREFIX_BYTES + 8) !== 0) throw fault("expected an empty path");
  if (chunkSize !== chunkSizeFor(size)) throw fault("the chunk size does not fit the content's size");
  if (bytes.length !== expectedBytes + chunkCountFor(size) * DIGEST_BYTES) throw fault("wrong number of digests");
  return { entries: [{ path: "", size }], chunkSize, digests: bytes.slice(expectedBytes) };
}

export function contentIdOf(manifestBytes: Uint8Array, digest: DigestFunction): ContentId {
  return v.parse(ContentIdSchema, digest(manifestBytes).toHex());
}
