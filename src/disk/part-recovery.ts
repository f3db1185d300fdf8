/**
 * Opening a part file: a new one, or what an earlier process left. Nothing counts as had without proof: either the
 * journal claims it for this very file in this run of the system, or its digest is the manifest's.
 */
import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  lstatSync,
  openSync,
  readFileSync,
  type Stats,
  unlinkSync,
} from "node:fs";
import { Bitfield } from "../core/bitfield.ts";
import { P2pfsError } from "../core/errors.ts";
import {
  type ContentId,
  chunkCountOf,
  chunkLengthAt,
  encodeManifest,
  type Manifest,
  totalSizeOf,
} from "../core/manifest.ts";
import { isChunk } from "./blake3.ts";
import { sameFile, stampOf } from "./file-stamp.ts";
import { readAt, writeAt } from "./io.ts";
import { decodeJournal, encodeHeader, epochOf, type JournalContent, JournalWriter } from "./journal.ts";
import type { PartPaths } from "./part-paths.ts";
import { destinationExists } from "./place-file.ts";

/** What a part file is made of while it is open. */
export interface OpenPart {
  /** Of the part file, or of the destination where it was placed already. */
  readonly fd: number;
  readonly journalFd: number;
  readonly journal: JournalWriter;
  readonly have: Bitfield;
  /** A process died between placing the file at its destination and removing the journal. */
  readonly isPlaced: boolean;
}

export interface RecoveryOptions {
  readonly contentId: ContentId;
  readonly manifest: Manifest;
  readonly bootId: string;
  readonly signal: AbortSignal | undefined;
  /** Called after each chunk that is read again. */
  readonly onRehashed: ((bytes: number) => void) | undefined;
}

/** A journal of ours, or nothing. */
type Left = JournalContent | "blank" | undefined;

/** The lock is held. Throws `refused` for R7 and for files that are not ours, which are not touched. */
export async function openPart(paths: PartPaths, options: RecoveryOptions): Promise<OpenPart> {
  const left = leftJournal(paths, options.contentId, totalSizeOf(options.manifest));
  const isPlaced = checkDestination(paths, left, options);
  if (!isPlaced && !exists(paths.part)) return await startOver(paths, left, options);
  const fd = openSync(isPlaced ? paths.destination : paths.part, constants.O_RDWR | constants.O_NOFOLLOW);
  const opened: number[] = [fd];
  try {
    const { fd: journalFd, writer: journal } = await reopenJournal(paths, left, options);
    opened.push(journalFd);
    const have = new Bitfield(chunkCountOf(options.manifest));
    await resume({ fd, journal, have }, left, options);
    if (!isPlaced || have.isFull) return { fd, journalFd, journal, have, isPlaced };
    // A power cut took some of it just when it had been placed: back to being a part, which it is by its other name.
    unlinkSync(paths.destination);
    return { fd, journalFd, journal, have, isPlaced: false };
  } catch (error) {
    for (const descriptor of opened) closeSync(descriptor);
    throw error;
  }
}

/**
 * The journal that an earlier process of ours left. Throws `refused` where either name is taken by something else: a
 * part without a journal, a file of another user (who could claim wrong bytes to be right ones), or no plain file.
 */
export function leftJournal(paths: PartPaths, contentId: ContentId, size: number | undefined): Left {
  const part = lstatSync(paths.part, { throwIfNoEntry: false });
  const journal = lstatSync(paths.journal, { throwIfNoEntry: false });
  if (part !== undefined && (!isOurs(part) || journal === undefined)) throw notOurs(paths.part);
  if (journal === undefined) return undefined;
  if (!isOurs(journal)) throw notOurs(paths.journal);
  const content = decodeJournal(readFileSync(paths.journal), contentId);
  if (content === "foreign") throw notOurs(paths.journal);
  if (content !== "blank") return content;
  // A power cut may take the journal's first bytes, written last; the part file's length was set by us before.
  if (part !== undefined && part.size !== size) throw notOurs(paths.part);
  return "blank";
}

function isOurs(stats: Stats): boolean {
  return stats.isFile() && (process.geteuid === undefined || stats.uid === process.geteuid());
}

function notOurs(path: string): P2pfsError {
  return new P2pfsError("refused", `${path} is in the way and was not made by this user's p2pfs for this content`, {
    hint: "move it away, or choose another destination",
  });
}

function exists(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

/** R7, but for what a killed process of ours may have put there. True where that is the part file itself. */
function checkDestination({ destination, part }: PartPaths, left: Left, options: RecoveryOptions): boolean {
  const stats = lstatSync(destination, { throwIfNoEntry: false });
  if (stats === undefined) return false;
  if (left === undefined || left === "blank" || !isOurs(stats)) throw destinationExists(destination);
  const hasPart = exists(part);
  const claimed = left.claims.union(left.earlierClaims).size;
  if (claimed === chunkCountOf(options.manifest)) {
    if (hasPart && sameFile(stampOf(part), stampOf(destination))) return true;
    if (!hasPart && left.epoch === epochOf(options.bootId, stampOf(destination))) return true;
  }
  if (!left.placing || stats.size > 0 || !hasPart) throw destinationExists(destination);
  unlinkSync(destination);
  return false;
}

/** Journal first: a part file without one would be taken for a stranger's. */
async function startOver(paths: PartPaths, left: Left, options: RecoveryOptions): Promise<OpenPart> {
  if (left !== undefined) unlinkSync(paths.journal);
  const opened: number[] = [];
  try {
    const journal = await createJournal(paths, options);
    opened.push(journal.fd);
    const fd = openSync(paths.part, "wx+");
    opened.push(fd);
    ftruncateSync(fd, totalSizeOf(options.manifest));
    await journal.writer.append({ kind: "epoch", value: epochOf(options.bootId, stampOf(fd)) });
    const have = new Bitfield(chunkCountOf(options.manifest));
    return { fd, journalFd: journal.fd, journal: journal.writer, have, isPlaced: false };
  } catch (error) {
    for (const descriptor of opened) closeSync(descriptor);
    if (opened.length === 2) unlinkSync(paths.part);
    if (opened.length > 0) unlinkSync(paths.journal);
    throw error;
  }
}

interface OpenJournal {
  readonly fd: number;
  readonly writer: JournalWriter;
}

async function createJournal(paths: PartPaths, options: RecoveryOptions): Promise<OpenJournal> {
  const fd = openSync(paths.journal, "wx+", 0o600);
  try {
    return await writeHeader(fd, options);
  } catch (error) {
    closeSync(fd);
    unlinkSync(paths.journal);
    throw error;
  }
}

async function writeHeader(fd: number, options: RecoveryOptions): Promise<OpenJournal> {
  const header = encodeHeader(options.contentId, encodeManifest(options.manifest));
  await writeAt(fd, header, 0);
  return { fd, writer: new JournalWriter(fd, header.length) };
}

/** A damaged one is written anew. */
async function reopenJournal(paths: PartPaths, left: Left, options: RecoveryOptions): Promise<OpenJournal> {
  const fd = openSync(paths.journal, constants.O_RDWR | constants.O_NOFOLLOW);
  try {
    if (left === undefined || left === "blank" || left.damaged || left.recordsEnd === undefined) {
      ftruncateSync(fd, 0);
      return await writeHeader(fd, options);
    }
    ftruncateSync(fd, left.recordsEnd);
    return { fd, writer: new JournalWriter(fd, left.recordsEnd) };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

type Resumed = Pick<OpenPart, "fd" | "journal" | "have">;

async function resume(part: Resumed, left: Left, options: RecoveryOptions): Promise<void> {
  const size = totalSizeOf(options.manifest);
  const epoch = epochOf(options.bootId, stampOf(part.fd));
  const isWhole = fstatSync(part.fd).size === size;
  if (!isWhole) ftruncateSync(part.fd, size);
  const isBelieved = left !== undefined && left !== "blank" && !left.damaged;
  const doubtful = new Set<number>(isBelieved ? left.earlierClaims : everyChunk(options.manifest));
  if (isBelieved && isWhole && left.epoch === epoch) {
    for (const chunk of left.claims) part.have.add(chunk);
  } else {
    if (isBelieved) for (const chunk of left.claims) doubtful.add(chunk);
    await part.journal.append({ kind: "epoch", value: epoch });
  }
  await rehash(part, doubtful, options);
}

function everyChunk(manifest: Manifest): Iterable<number> {
  return Array.from({ length: chunkCountOf(manifest) }, (_, chunk) => chunk);
}

/** Takes in the chunks whose bytes are right. */
async function rehash(part: Resumed, chunks: Iterable<number>, options: RecoveryOptions): Promise<void> {
  const { manifest, signal } = options;
  const size = totalSizeOf(manifest);
  const buffer = new Uint8Array(Math.min(manifest.chunkSize, size));
  for (const chunk of chunks) {
    if (signal?.aborted) throw new P2pfsError("cancelled", "the fetch was cancelled while its part file was checked");
    if (chunk >= part.have.size || part.have.has(chunk)) continue;
    const bytes = buffer.subarray(0, chunkLengthAt(size, manifest.chunkSize, chunk));
    const filled = await readAt(part.fd, bytes, chunk * manifest.chunkSize);
    if (filled === bytes.length && isChunk(bytes, manifest, chunk)) {
      part.have.add(chunk);
      await part.journal.append({ kind: "chunk", value: BigInt(chunk) });
    }
    options.onRehashed?.(bytes.length);
  }
}
