/**
 * Opens a part file: a new one, or one that an earlier process left. All chunks that its journal claims are doubtful: they
 * are not fetched for now, and are held when their digests were found to be those of the manifest.
 */
import {
  type BigIntStats,
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  lstatSync,
  openSync,
  readFileSync,
  renameSync,
  type Stats,
  unlinkSync,
} from "node:fs";
import { Bitfield } from "../core/bitfield.ts";
import { P2pfsError } from "../core/errors.ts";
import { type ContentId, chunkCountOf, encodeManifest, type Manifest, totalSizeOf } from "../core/manifest.ts";
import { type FileStamp, sameFile, stampAt, stampFrom, stampOf } from "./file-stamp.ts";
import { holdFolder } from "./held-folder.ts";
import { writeAt } from "./io.ts";
import { decodeJournal, encodeHeader, epochOf, type JournalContent, JournalWriter } from "./journal.ts";
import type { PartPaths } from "./part-paths.ts";
import { destinationExists } from "./place-file.ts";

/** The parts of an open part file. */
export interface OpenPart {
  /** Descriptor of the part file, or of the destination if the file was moved there already. */
  readonly fd: number;
  readonly journalFd: number;
  readonly journal: JournalWriter;
  /** Whether the journal was begun anew, so that it does not claim the doubtful chunks. */
  readonly isJournalNew: boolean;
  /** Chunks that an earlier process may have written. */
  readonly doubtful: Bitfield;
  /** Whether a process ended between moving the file to its destination and removing the journal. */
  readonly isPlaced: boolean;
}

export interface RecoveryOptions {
  readonly contentId: ContentId;
  readonly manifest: Manifest;
  readonly bootId: string;
}

/** A journal of ours; undefined if there is none. */
type Left = JournalContent | "blank" | undefined;

/** The caller holds the lock. Throws `refused` for R7 and for files that are not ours, which stay as they are. */
export async function openPart(paths: PartPaths, options: RecoveryOptions): Promise<OpenPart> {
  const left = leftJournal(paths, options.contentId, totalSizeOf(options.manifest));
  const placed = checkDestination(paths, left, options);
  const isAtDestination = placed !== undefined;
  if (!isAtDestination && !exists(paths.part)) return await startOver(paths, left, options);
  const path = isAtDestination ? paths.destination : paths.part;
  const fd = openSync(path, constants.O_RDWR | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  const opened: number[] = [fd];
  try {
    // It may have been exchanged since it was looked at.
    const isExpected = isAtDestination ? sameFile(placed, stampOf(fd)) : isOursAlone(fstatSync(fd));
    if (!isExpected) throw notOurs(path);
    const { fd: journalFd, writer: journal } = await reopenJournal(paths, left, options);
    opened.push(journalFd);
    const epoch = epochOf(options.bootId, stampOf(fd));
    const isJournalNew = !isIntact(left);
    if (isJournalNew || left.epoch !== epoch) await journal.append({ kind: "epoch", value: epoch });
    const isPlaced = bringToLength(fd, paths, isAtDestination, options.manifest);
    return { fd, journalFd, journal, isJournalNew, doubtful: doubtfulOf(left, options.manifest), isPlaced };
  } catch (error) {
    for (const descriptor of opened) closeSync(descriptor);
    throw error;
  }
}

/** Moves a file that turned out to be damaged from the destination back to the name of the part file. */
export function takeBack(paths: PartPaths, file: FileStamp): void {
  const { held, release } = holdFolder(paths);
  try {
    if (!leadsTo(held.destination, file)) return;
    if (leadsTo(held.part, file)) unlinkSync(held.destination);
    else renameSync(held.destination, held.part);
  } finally {
    release();
  }
}

/** Whether the path is a name of this very file, not of a link to it. */
export function leadsTo(path: string, file: FileStamp): boolean {
  const found = stampAt(path);
  return found !== undefined && sameFile(found, file);
}

/**
 * The journal that an earlier process of ours left. Throws `refused` if something else has one of the names: a part file
 * without a journal, a file of another user (who could pass off wrong bytes), something that is not a regular file, or a
 * file that has another name as well, under which its bytes are perhaps needed.
 */
export function leftJournal(paths: PartPaths, contentId: ContentId, size: number | undefined): Left {
  const part = lstatSync(paths.part, { throwIfNoEntry: false });
  const journal = lstatSync(paths.journal, { throwIfNoEntry: false });
  const isPartOurs = part === undefined || isOursAlone(part) || (isOurs(part) && isPlacedAs(paths, part));
  if (!isPartOurs || (part !== undefined && journal === undefined)) throw notOurs(paths.part);
  if (journal === undefined) return undefined;
  const content = decodeJournal(readJournal(paths.journal), contentId);
  if (content === "foreign") throw notOurs(paths.journal);
  if (content !== "blank") return content;
  // A power cut can lose the first bytes of the journal, which are written last. The part file has its length by then.
  if (part !== undefined && part.size !== size) throw notOurs(paths.part);
  return "blank";
}

function readJournal(path: string): Uint8Array {
  if (!isOursAlone(lstatSync(path))) throw notOurs(path);
  const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    if (!isOursAlone(fstatSync(fd))) throw notOurs(path);
    return readFileSync(fd);
  } finally {
    closeSync(fd);
  }
}

function isOursAlone(stats: Stats): boolean {
  return isOurs(stats) && stats.nlink <= 1;
}

/** Whether the destination is the part file's other name, and there is no third. */
function isPlacedAs({ part, destination }: PartPaths, { nlink }: Stats): boolean {
  const placed = stampAt(destination);
  return nlink === 2 && placed !== undefined && leadsTo(part, placed);
}

function isOurs(stats: Stats | BigIntStats): boolean {
  return stats.isFile() && (process.geteuid === undefined || Number(stats.uid) === process.geteuid());
}

function notOurs(path: string): P2pfsError {
  return new P2pfsError("refused", `${path} is in the way and was not made by this user's p2pfs for this content`, {
    hint: "move it away, or choose another destination",
  });
}

function exists(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

/** Checks R7, but accepts what a killed process of ours may have put there: gives the part file if it is there itself. */
function checkDestination(paths: PartPaths, left: Left, options: RecoveryOptions): FileStamp | undefined {
  const { held, release } = holdFolder(paths);
  try {
    return checkDestinationIn(held, paths.destination, left, options);
  } finally {
    release();
  }
}

function checkDestinationIn(
  { destination, part }: PartPaths,
  shown: string,
  left: Left,
  options: RecoveryOptions,
): FileStamp | undefined {
  const stats = lstatSync(destination, { bigint: true, throwIfNoEntry: false });
  if (stats === undefined) return undefined;
  if (left === undefined || left === "blank" || !isOurs(stats)) throw destinationExists(shown);
  const placed = stampFrom(stats);
  const hasPart = exists(part);
  if (doubtfulOf(left, options.manifest).isFull) {
    if (hasPart && leadsTo(part, placed)) return placed;
    if (!hasPart && left.epoch === epochOf(options.bootId, placed)) return placed;
  }
  if (!left.placing || stats.size > 0 || !hasPart) throw destinationExists(shown);
  unlinkSync(destination);
  return undefined;
}

/** Makes the journal first: a part file without a journal would be taken for a file that is not ours. */
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
    const doubtful = new Bitfield(chunkCountOf(options.manifest));
    const { fd: journalFd, writer } = journal;
    return { fd, journalFd, journal: writer, isJournalNew: true, doubtful, isPlaced: false };
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

/** Opens the journal again; a damaged one is written anew. */
async function reopenJournal(paths: PartPaths, left: Left, options: RecoveryOptions): Promise<OpenJournal> {
  const fd = openSync(paths.journal, constants.O_RDWR | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    if (!isOursAlone(fstatSync(fd))) throw notOurs(paths.journal);
    if (!isIntact(left)) {
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

/** Whether the claims of the journal can be used. */
function isIntact(left: Left): left is JournalContent & { recordsEnd: number } {
  return left !== undefined && left !== "blank" && !left.damaged && left.recordsEnd !== undefined;
}

/** Without an intact journal, any chunk may have been written. */
function doubtfulOf(left: Left, manifest: Manifest): Bitfield {
  const count = chunkCountOf(manifest);
  if (!isIntact(left)) return Bitfield.full(count);
  const doubtful = new Bitfield(count);
  for (const chunk of left.claims) doubtful.add(chunk);
  return doubtful;
}

/** Gives the file the content's length; one of another length is not whole, so it must not be at the destination. */
function bringToLength(fd: number, paths: PartPaths, isAtDestination: boolean, manifest: Manifest): boolean {
  const size = totalSizeOf(manifest);
  if (fstatSync(fd).size === size) return isAtDestination;
  if (isAtDestination) takeBack(paths, stampOf(fd));
  ftruncateSync(fd, size);
  return false;
}
