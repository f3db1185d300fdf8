/**
 * The journal beside a part file: the content id, the manifest, and which chunks were written. A record is appended after
 * a chunk's write returned; nothing is synced. A claim of the journal means that the chunk need not be fetched, not that
 * it is right: digests show that. The epoch identifies the part file and the boot of the system.
 *
 *   magic (8) · content id (32) · length of the manifest (4) · manifest · records
 *   record: kind (4) · value (8) · CRC-32 of its place, kind and value (4)
 *
 * Numbers are big-endian. A record that was cut short at the end is overwritten by the next one. A wrong record anywhere
 * else means damage; then no claim is used.
 */
import { crc32 } from "node:zlib";
import { DIGEST_BYTES, MANIFEST_BYTES_MAX } from "../core/limits.ts";
import { type ContentId, contentIdOf, decodeManifest, type Manifest } from "../core/manifest.ts";
import { digest } from "./blake3.ts";
import { writeAt } from "./io.ts";

const MAGIC = new TextEncoder().encode("p2pfs/j1");
const LENGTH_OFFSET = MAGIC.length + DIGEST_BYTES;
const HEADER_FIXED_BYTES = LENGTH_OFFSET + 4;
const RECORD_BYTES = 16;
const CHECKED_BYTES = 12;

/** Numbers in the file. */
const kinds = {
  /** The following records are about the part file of this epoch. */
  epoch: 1,
  /** This chunk was written. */
  chunk: 2,
  /** An empty file is about to be put at the destination, to be replaced by the part file. */
  placing: 3,
} as const;

export interface JournalRecord {
  readonly kind: keyof typeof kinds;
  readonly value: bigint;
}

export interface JournalContent {
  /** Undefined if it is damaged. */
  readonly manifest: Manifest | undefined;
  /** Undefined if the manifest is damaged: then nothing can be appended. */
  readonly recordsEnd: number | undefined;
  /** Whether anything but a last record that was cut short is wrong. */
  readonly damaged: boolean;
  /** Of the last epoch; undefined before the first. */
  readonly epoch: bigint | undefined;
  /** Chunks that were written according to the records. */
  readonly claims: ReadonlySet<number>;
  readonly placing: boolean;
}

/** The epoch of a part file in a boot of the system. */
export function epochOf(bootId: string, part: { readonly dev: string; readonly ino: string }): bigint {
  const bytes = digest(new TextEncoder().encode(`${bootId}/${part.dev}/${part.ino}`));
  return new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0);
}

export function encodeHeader(contentId: ContentId, manifestBytes: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(HEADER_FIXED_BYTES + manifestBytes.length);
  bytes.set(MAGIC);
  bytes.set(Uint8Array.fromHex(contentId), MAGIC.length);
  new DataView(bytes.buffer).setUint32(LENGTH_OFFSET, manifestBytes.length);
  bytes.set(manifestBytes, HEADER_FIXED_BYTES);
  return bytes;
}

/** @param place offset in the file; the CRC covers it, so that a record at another place is invalid */
export function encodeRecord(record: JournalRecord, place: number): Uint8Array {
  const bytes = new Uint8Array(RECORD_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, kinds[record.kind]);
  view.setBigUint64(4, record.value);
  view.setUint32(CHECKED_BYTES, crc32(bytes.subarray(0, CHECKED_BYTES), place));
  return bytes;
}

/**
 * Decodes a journal. `foreign`: it is no journal, or one of another content. `blank`: a power cut left it without its
 * beginning.
 */
export function decodeJournal(bytes: Uint8Array, contentId: ContentId): JournalContent | "foreign" | "blank" {
  if (bytes.every((byte) => byte === 0)) return "blank";
  const identity = encodeHeader(contentId, new Uint8Array(0)).subarray(0, LENGTH_OFFSET);
  if (Buffer.compare(bytes.subarray(0, LENGTH_OFFSET), identity) !== 0) return "foreign";
  const manifest = readManifest(bytes, contentId);
  return manifest === undefined ? damagedHeader : readRecords(bytes, manifest.end, manifest.manifest);
}

const damagedHeader: JournalContent = {
  manifest: undefined,
  recordsEnd: undefined,
  damaged: true,
  epoch: undefined,
  claims: new Set(),
  placing: false,
};

/** The manifest proves itself: the content id is its digest. */
function readManifest(bytes: Uint8Array, contentId: ContentId): { manifest: Manifest; end: number } | undefined {
  if (bytes.length < HEADER_FIXED_BYTES) return undefined;
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(LENGTH_OFFSET);
  const end = HEADER_FIXED_BYTES + length;
  if (length > MANIFEST_BYTES_MAX || bytes.length < end) return undefined;
  const manifestBytes = bytes.slice(HEADER_FIXED_BYTES, end);
  if (contentIdOf(manifestBytes, digest) !== contentId) return undefined;
  return { manifest: decodeManifest(manifestBytes), end };
}

function readRecords(bytes: Uint8Array, start: number, manifest: Manifest): JournalContent {
  let epoch: bigint | undefined;
  let placing = false;
  const claims = new Set<number>();
  let place = start;
  for (; place + RECORD_BYTES <= bytes.length; place += RECORD_BYTES) {
    const record = decodeRecord(bytes, place);
    if (record === undefined) break;
    if (record.kind === "epoch") epoch = record.value;
    else if (record.kind === "chunk") claims.add(Number(record.value));
    else placing = true;
  }
  const damaged = bytes.length - place >= 2 * RECORD_BYTES;
  return { manifest, recordsEnd: place, damaged, epoch, claims, placing };
}

function decodeRecord(bytes: Uint8Array, place: number): JournalRecord | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset + place, RECORD_BYTES);
  const kindId = view.getUint32(0);
  for (const kind of Object.keys(kinds) as JournalRecord["kind"][]) {
    if (kinds[kind] !== kindId) continue;
    const record = { kind, value: view.getBigUint64(4) };
    const expected = encodeRecord(record, place);
    return Buffer.compare(bytes.subarray(place, place + RECORD_BYTES), expected) === 0 ? record : undefined;
  }
  return undefined;
}

/** Appends to an open journal. Records that arrive during a write go into the next write together. */
export class JournalWriter {
  readonly #fd: number;
  #end: number;
  #waiting: { readonly record: JournalRecord; readonly settle: PromiseWithResolvers<void> }[] = [];
  #flushing: Promise<void> | undefined;

  constructor(fd: number, recordsEnd: number) {
    this.#fd = fd;
    this.#end = recordsEnd;
  }

  /** Resolves when the record is written. After a failure the next record is written to the same place. */
  append(record: JournalRecord): Promise<void> {
    const settle = Promise.withResolvers<void>();
    this.#waiting.push({ record, settle });
    this.#flushing ??= this.#flush();
    return settle.promise;
  }

  async #flush(): Promise<void> {
    // After a microtask, so that records appended together share one write.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const batch = this.#waiting;
      this.#waiting = [];
      const bytes = new Uint8Array(batch.length * RECORD_BYTES);
      for (const [index, { record }] of batch.entries()) {
        bytes.set(encodeRecord(record, this.#end + index * RECORD_BYTES), index * RECORD_BYTES);
      }
      try {
        await writeAt(this.#fd, bytes, this.#end);
        this.#end += bytes.length;
        for (const { settle } of batch) settle.resolve();
      } catch (error) {
        for (const { settle } of batch) settle.reject(error);
      }
    }
    this.#flushing = undefined;
  }
}
