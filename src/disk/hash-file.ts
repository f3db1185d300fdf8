/**
 * Hashes a file into its manifest. The thread pool reads ahead while the main thread hashes one piece in each turn of the
 * event loop, so that the role goes on serving.
 */
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { setImmediate } from "node:timers/promises";
import { diskError, sourceError } from "../core/disk-error.ts";
import { P2pfsError } from "../core/errors.ts";
import { CHUNK_SIZE_MAX, CONTENT_SIZE_MAX, DIGEST_BYTES } from "../core/limits.ts";
import {
  type ContentId,
  chunkCountFor,
  chunkSizeFor,
  contentIdOf,
  encodeManifest,
  type Manifest,
  manifestOfFile,
} from "../core/manifest.ts";
import { digest } from "./blake3.ts";
import { type FileStamp, sameFile, sameStamp, stampOf } from "./file-stamp.ts";
import { readAt } from "./io.ts";

/** A multiple of every chunk size; large enough to keep the disk busy, about a millisecond of hashing. */
const PIECE_BYTES = CHUNK_SIZE_MAX;
/** Pieces in memory: one being hashed, the others being read. */
const PIECES_AHEAD = 3;

export interface HashOptions {
  /** Called after each piece with the bytes hashed so far. */
  readonly onProgress?: (bytes: number) => void;
  readonly signal?: AbortSignal;
}

export interface HashedFile {
  readonly manifest: Manifest;
  /** The manifest's canonical bytes, of which the content id is the digest. */
  readonly manifestBytes: Uint8Array;
  readonly contentId: ContentId;
  /** Stamp of the file when it was hashed. */
  readonly stamp: FileStamp;
}

/**
 * Throws `not_found` if there is no file, `refused` if it is not a regular file, too large, or changes meanwhile, `disk` if
 * it cannot be read, `cancelled` by the signal.
 */
export async function hashFile(path: string, options: HashOptions = {}): Promise<HashedFile> {
  const file = await openRegular(path);
  try {
    const stamp = stampOf(file.fd);
    if (stamp.size > CONTENT_SIZE_MAX) {
      throw new P2pfsError("refused", `${path} has ${stamp.size} bytes; at most ${CONTENT_SIZE_MAX} can be shared`);
    }
    const digests = await hashChunks(file, path, stamp.size, options);
    const hasMore = (await readAt(file.fd, new Uint8Array(1), stamp.size)) > 0;
    expectUnchanged(file, path, stamp);
    if (hasMore) throw sizeIsWrong(path);
    const manifest = manifestOfFile(stamp.size, digests);
    const manifestBytes = encodeManifest(manifest);
    return { manifest, manifestBytes, contentId: contentIdOf(manifestBytes, digest), stamp };
  } finally {
    await file.close();
  }
}

/** Opens the path for reading, without blocking, since it might be a pipe. */
async function openRegular(path: string): Promise<FileHandle> {
  const attempt = `cannot read ${path}`;
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((error: unknown) =>
    Promise.reject(sourceError(attempt, error)),
  );
  try {
    expectRegular(await file.stat(), attempt);
    return file;
  } catch (error) {
    await file.close();
    throw diskError(attempt, error);
  }
}

function expectRegular(stats: { isFile(): boolean; isDirectory(): boolean }, attempt: string): void {
  if (stats.isFile()) return;
  const what = stats.isDirectory() ? "it is a folder; folders cannot be shared yet" : "it is not a regular file";
  throw new P2pfsError("refused", `${attempt}: ${what}`, { hint: "name a regular file" });
}

async function hashChunks(file: FileHandle, path: string, size: number, options: HashOptions): Promise<Uint8Array> {
  const digests = new Uint8Array(chunkCountFor(size) * DIGEST_BYTES);
  const chunkSize = chunkSizeFor(size);
  let digestsEnd = 0;
  let hashed = 0;
  for await (const piece of readPieces(file, path, size)) {
    if (options.signal?.aborted) throw new P2pfsError("cancelled", `hashing ${path} was cancelled`);
    for (let start = 0; start < piece.length; start += chunkSize, digestsEnd += DIGEST_BYTES) {
      digests.set(digest(piece.subarray(start, start + chunkSize)), digestsEnd);
    }
    hashed += piece.length;
    options.onProgress?.(hashed);
    // Without this, reads that have finished already would keep the loop going without a turn of the event loop.
    await setImmediate();
  }
  return digests;
}

/** The file in pieces, in order. A piece is valid until the next one is taken. */
async function* readPieces(file: FileHandle, path: string, size: number): AsyncGenerator<Uint8Array> {
  const pieceBytes = Math.min(PIECE_BYTES, size);
  const reads: Promise<Uint8Array>[] = [];
  let offset = 0;
  const readNext = (buffer: Uint8Array) => {
    const read = readFully(file, path, buffer.subarray(0, Math.min(pieceBytes, size - offset)), offset);
    // The error of a read ahead is reported when its piece is due.
    read.catch(() => undefined);
    reads.push(read);
    offset += pieceBytes;
  };
  try {
    while (reads.length < PIECES_AHEAD && offset < size) readNext(new Uint8Array(pieceBytes));
    while (reads.length > 0) {
      const piece = await reads[0]!;
      yield piece;
      reads.shift();
      if (offset < size) readNext(new Uint8Array(piece.buffer));
    }
  } finally {
    // The caller closes the descriptor next, so no read may be under way.
    await Promise.allSettled(reads);
  }
}

async function readFully(file: FileHandle, path: string, target: Uint8Array, offset: number): Promise<Uint8Array> {
  const filled = await readAt(file.fd, target, offset).catch((error: unknown) =>
    Promise.reject(diskError(`cannot read ${path}`, error)),
  );
  if (filled === target.length) return target;
  throw stampOf(file.fd).size < offset + target.length ? changed(path) : sizeIsWrong(path);
}

/** Throws `refused` if the open file was written to, or if the path does not lead to it any more. */
function expectUnchanged(file: FileHandle, path: string, before: FileStamp): void {
  let atPath: FileStamp;
  try {
    atPath = stampOf(path);
  } catch (error) {
    throw sourceError(`cannot read ${path}`, error);
  }
  if (!sameStamp(before, stampOf(file.fd)) || !sameFile(before, atPath)) throw changed(path);
}

/** Files in /proc and /sys have no size, or one that is not that of their content. */
function sizeIsWrong(path: string): P2pfsError {
  return new P2pfsError("refused", `${path} has more or fewer bytes than its size says`, {
    hint: "copy it to a regular file, and publish that",
  });
}

function changed(path: string): P2pfsError {
  return new P2pfsError("refused", `${path} changed while it was read`, {
    hint: "publish it again when nothing writes to it any more",
  });
}
