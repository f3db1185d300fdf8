/**
 * The file that a fetch writes to, beside its destination, until it is whole. Part and journal alone are enough to go
 * on after any end of the process, under any data folder; the destination appears at once, whole, or not at all.
 * Nothing is synced, and nothing that an earlier process wrote is believed: it is doubtful until it was read again, and
 * what is not right then is fetched again.
 */
import { closeSync, lstatSync, unlinkSync } from "node:fs";
import { dirname } from "node:path";
import { Bitfield } from "../core/bitfield.ts";
import { diskError } from "../core/disk-error.ts";
import { P2pfsError } from "../core/errors.ts";
import {
  type ContentId,
  chunkCountOf,
  chunkLengthAt,
  encodeManifest,
  type Manifest,
  totalSizeOf,
} from "../core/manifest.ts";
import { bootId } from "./boot-id.ts";
import { CHUNKS_CHECKED_AT_ONCE, type ChunkChecker } from "./chunk-checker.ts";
import { FileLock } from "./file-lock.ts";
import { type FileStamp, stampOf } from "./file-stamp.ts";
import { readAt, writeAt } from "./io.ts";
import { type PartPaths, partPathsFor } from "./part-paths.ts";
import { leadsTo, leftJournal, type OpenPart, openPart, takeBack } from "./part-recovery.ts";
import { destinationExists, type PlaceOptions, placeWithoutReplacing } from "./place-file.ts";

export interface PartFileOptions {
  /** Where the whole file goes; the folder must exist. */
  readonly destination: string;
  readonly contentId: ContentId;
  readonly manifest: Manifest;
  /** Which run of the system this is, if not the present one. */
  readonly bootId?: string;
}

/** What an earlier process left beside a destination. */
export interface LeftPart {
  /** Canonical, and of this content. */
  readonly manifestBytes: Uint8Array;
  /** Whether every chunk is said to be written. */
  readonly isWhole: boolean;
}

export interface CheckEvents {
  /** The chunk is had. */
  proven(chunk: number): void;
  /** The chunk is damaged and has to be fetched again. */
  lost(chunk: number): void;
}

export interface FinishOptions extends Pick<PlaceOptions, "link"> {
  readonly placed?: (stamp: FileStamp) => void;
}

export class PartFile {
  readonly contentId: ContentId;
  readonly manifest: Manifest;
  /** Canonical. */
  readonly manifestBytes: Uint8Array;
  readonly #paths: PartPaths;
  readonly #open: OpenPart;
  readonly #lock: FileLock;
  readonly #size: number;
  readonly #have: Bitfield;
  readonly #underWay = new Set<Promise<unknown>>();
  #isPlaced: boolean;
  #isOpen = true;

  /**
   * Makes a part file or goes on with what an earlier process left. Throws `refused` where the destination exists (R7),
   * another fetch has the part file open, or its name is taken by a file that is not ours; `disk` where the folder does
   * not take it.
   */
  static async open(options: PartFileOptions): Promise<PartFile> {
    const paths = partPathsFor(options.destination, options.contentId);
    const lock = lockPart(paths);
    try {
      return new PartFile(paths, options, await openPart(paths, { bootId: bootId(), ...options }), lock);
    } catch (error) {
      lock.release();
      throw diskError(`cannot write to ${paths.part}`, error);
    }
  }

  /** What lies beside this destination for this content; undefined where nothing does, or its manifest is damaged. */
  static left(destination: string, contentId: ContentId): LeftPart | undefined {
    try {
      const left = leftJournal(partPathsFor(destination, contentId), contentId, undefined);
      if (left === undefined || left === "blank" || left.manifest === undefined) return undefined;
      const isWhole = !left.damaged && left.claims.size === chunkCountOf(left.manifest);
      return { manifestBytes: encodeManifest(left.manifest), isWhole };
    } catch {
      // What is in the way is told when the part file is opened.
      return undefined;
    }
  }

  private constructor(paths: PartPaths, options: PartFileOptions, open: OpenPart, lock: FileLock) {
    this.contentId = options.contentId;
    this.manifest = options.manifest;
    this.manifestBytes = encodeManifest(options.manifest);
    this.#size = totalSizeOf(options.manifest);
    this.#paths = paths;
    this.#open = open;
    this.#lock = lock;
    this.#have = new Bitfield(open.doubtful.size);
    this.#isPlaced = open.isPlaced;
  }

  get destination(): string {
    return this.#paths.destination;
  }

  /** Chunks that are proven: written by this process, or read again by it. Live; not to be changed. */
  get have(): Bitfield {
    return this.#have;
  }

  /** Chunks that an earlier process wrote, as its journal says, and that `check` has not come to. Live likewise. */
  get doubtful(): Bitfield {
    return this.#open.doubtful;
  }

  /** Whether no chunk has to be fetched, as far as is known. */
  get isNoneMissing(): boolean {
    return this.#have.count + this.#open.doubtful.count === this.#have.size;
  }

  /**
   * Writes a whole chunk, whose digest the caller has checked, and resolves when it counts. Several may be under way.
   * Throws `disk`, and part and journal then stay good for a resume.
   */
  write(chunk: number, bytes: Uint8Array): Promise<void> {
    const { fd, journal, doubtful } = this.#open;
    if (
      chunk < 0 ||
      chunk >= this.#have.size ||
      bytes.length !== chunkLengthAt(this.#size, this.manifest.chunkSize, chunk)
    ) {
      throw new RangeError(`chunk ${chunk} with ${bytes.length} bytes is none of this content`);
    }
    return this.#run(async () => {
      if (this.#have.has(chunk)) return;
      try {
        await writeAt(fd, bytes, chunk * this.manifest.chunkSize);
        await journal.append({ kind: "chunk", value: BigInt(chunk) });
      } catch (error) {
        throw diskError(`cannot write to ${this.#paths.part}`, error);
      }
      this.#have.add(chunk);
      doubtful.remove(chunk);
    });
  }

  /**
   * Reads the doubtful chunks again and tells of each whether it is had or lost; resolves when none is left, or when the
   * part file is closed. While chunks are missing it leaves most of the time to those who fetch them. Throws `disk`.
   */
  async check(checker: ChunkChecker, events: CheckEvents): Promise<void> {
    const chunks = [...this.#open.doubtful].values();
    const checkInTurn = async () => {
      for (const chunk of chunks) {
        if (!this.#isOpen) return;
        await checker.inTurn(() => this.#checkOne(chunk, checker, events));
      }
    };
    await Promise.all(Array.from({ length: CHUNKS_CHECKED_AT_ONCE }, checkInTurn));
  }

  /** Resolves to the time to rest after it. */
  async #checkOne(chunk: number, checker: ChunkChecker, events: CheckEvents): Promise<number> {
    if (!this.#isOpen) return 0;
    const { fd, journal, doubtful, isJournalNew } = this.#open;
    try {
      return await this.#run(async () => {
        const { isRight, restMs } = await checker.look(fd, this.manifest, chunk);
        if (isRight && isJournalNew) await journal.append({ kind: "chunk", value: BigInt(chunk) });
        // It may have been written meanwhile.
        if (!doubtful.remove(chunk)) return 0;
        if (isRight) this.#have.add(chunk);
        else this.#takeBack();
        if (isRight) events.proven(chunk);
        else events.lost(chunk);
        return this.isNoneMissing ? 0 : restMs;
      });
    } catch (error) {
      throw diskError(`cannot check ${this.#paths.part}`, error);
    }
  }

  /** Nothing that is known to be damaged stays at the destination. */
  #takeBack(): void {
    if (!this.#isPlaced) return;
    this.#isPlaced = false;
    takeBack(this.#paths, stampOf(this.#open.fd));
  }

  /** Fills the target from this position of the content; the caller sees to it that the chunks there are had. */
  read(position: number, target: Uint8Array): Promise<void> {
    return this.#run(async () => {
      const filled = await readAt(this.#open.fd, target, position).catch((error: unknown) =>
        Promise.reject(diskError(`cannot read ${this.#paths.part}`, error)),
      );
      if (filled < target.length) throw this.#damaged();
    });
  }

  /**
   * Puts the whole file at its destination and removes the journal. Throws `refused` where the destination has come to
   * exist (R7) and `disk` where it cannot be made; the part file then stays open. `placed` is called between the two
   * states: from then on the file is read under its own name, and until then from here.
   */
  async finish({ placed, ...options }: FinishOptions = {}): Promise<FileStamp> {
    await Promise.allSettled(this.#underWay);
    const stamp = await this.#run(() => this.#place(options));
    placed?.(stamp);
    await this.close();
    return stamp;
  }

  /** Leaves part and journal for another time. */
  async close(): Promise<void> {
    if (await this.#stop()) this.#lock.release();
  }

  /** Deletes part and journal. */
  async discard(): Promise<void> {
    if (!(await this.#stop())) return;
    removeFile(this.#paths.part);
    removeFile(this.#paths.journal);
    this.#lock.release();
  }

  async #place(options: Pick<PlaceOptions, "link">): Promise<FileStamp> {
    const { fd, journal } = this.#open;
    const { part, destination } = this.#paths;
    if (!this.#have.isFull) throw new RangeError(`${this.#have.size - this.#have.count} chunks are missing`);
    const stamp = stampOf(fd);
    if (stamp.size !== this.#size || !leadsTo(this.#isPlaced ? destination : part, stamp)) throw this.#damaged();
    if (!this.#isPlaced) {
      const beforePlaceholder = () => journal.append({ kind: "placing", value: 0n });
      await placeWithoutReplacing(part, destination, { ...options, beforePlaceholder });
    } else if (leadsTo(part, stamp)) removeFile(part);
    removeFile(this.#paths.journal);
    return stamp;
  }

  /** Waits for what is under way, then closes the files; false where that was done before. */
  async #stop(): Promise<boolean> {
    if (!this.#isOpen) return false;
    this.#isOpen = false;
    await Promise.allSettled(this.#underWay);
    closeSync(this.#open.fd);
    closeSync(this.#open.journalFd);
    return true;
  }

  #damaged(): P2pfsError {
    const { destination, part } = this.#paths;
    return new P2pfsError("disk", `${this.#isPlaced ? destination : part} was changed or removed by someone else`, {
      hint: "fetch again",
    });
  }

  /** No file is closed while this runs on it. */
  async #run<Result>(operation: () => Promise<Result>): Promise<Result> {
    if (!this.#isOpen) throw new P2pfsError("cancelled", `the fetch to ${this.destination} has ended`);
    const running = operation();
    this.#underWay.add(running);
    try {
      return await running;
    } finally {
      this.#underWay.delete(running);
    }
  }
}

/** R7 is looked at first, so that nothing appears beside an existing destination, not even for a moment. */
function lockPart(paths: PartPaths): FileLock {
  let lock: FileLock | undefined;
  try {
    if (exists(paths.destination) && !exists(paths.journal)) throw destinationExists(paths.destination);
    lock = FileLock.tryAcquire(paths.lock);
  } catch (error) {
    throw diskError(`cannot write to the folder ${dirname(paths.destination)}`, error);
  }
  if (lock !== undefined) return lock;
  throw new P2pfsError("refused", `another fetch of the same content writes to ${paths.destination}`, {
    hint: "wait for it, end it, or choose another destination",
  });
}

function exists(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

/** What cannot be removed stays behind; that must not turn a finished fetch into a failed one. */
function removeFile(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Most likely it is gone already.
  }
}
