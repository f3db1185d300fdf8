/**
 * The part file: the file beside the destination that a fetch writes to until it is whole. Part file and journal are all
 * that is needed to resume after any end of the process, under any data folder. The destination appears at once and whole,
 * or not at all. Nothing is synced. Chunks of an earlier process are doubtful until they were verified, and those that
 * are wrong are fetched again.
 */
import { closeSync, lstatSync, unlinkSync } from "node:fs";
import { dirname } from "node:path";
import { Bitfield } from "../core/bitfield.ts";
import { diskError } from "../core/disk-error.ts";
import { P2pfsError } from "../core/errors.ts";
import { type ContentId, chunkCountOf, encodeManifest, type Manifest } from "../core/manifest.ts";
import { FileLock } from "../store/file-lock.ts";
import { bootId } from "./boot-id.ts";
import { CHUNKS_CHECKED_AT_ONCE, type ChunkChecker } from "./chunk-checker.ts";
import { ContentLayout } from "./content-layout.ts";
import type { CheckEvents, FinishEvents, LeftPart, Part, PartOptions } from "./content-store.ts";
import { type FileStamp, stampOf } from "./file-stamp.ts";
import { readAt, writeAt } from "./io.ts";
import { type PartPaths, partPathsFor } from "./part-paths.ts";
import { leadsTo, leftJournal, type OpenPart, openPart, takeBack } from "./part-recovery.ts";
import { destinationExists, type PlaceOptions, placeWithoutReplacing } from "./place-file.ts";
import { UnderWay } from "./under-way.ts";

export interface PartFileOptions extends PartOptions {
  /** For tests: another boot id than that of the system. */
  readonly bootId?: string;
}

export type FinishOptions = FinishEvents & Pick<PlaceOptions, "link">;

export class PartFile implements Part {
  readonly contentId: ContentId;
  readonly manifest: Manifest;
  /** Canonical. */
  readonly manifestBytes: Uint8Array;
  readonly #paths: PartPaths;
  readonly #open: OpenPart;
  readonly #lock: FileLock;
  readonly #layout: ContentLayout;
  readonly #have: Bitfield;
  readonly #underWay: UnderWay;
  #isPlaced: boolean;

  /**
   * Makes a part file or resumes one. Throws `refused` if the destination exists (R7), another fetch has the part file
   * open, or a file that is not ours has its name; `disk` if the file cannot be made.
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

  /** The part file left for this destination and content; undefined if there is none, or its manifest is damaged. */
  static left(destination: string, contentId: ContentId): LeftPart | undefined {
    try {
      const left = leftJournal(partPathsFor(destination, contentId), contentId, undefined);
      if (left === undefined || left === "blank" || left.manifest === undefined) return undefined;
      const isWhole = !left.damaged && left.claims.size === chunkCountOf(left.manifest);
      return { manifestBytes: encodeManifest(left.manifest), isWhole };
    } catch {
      // Opening the part file will report what is wrong.
      return undefined;
    }
  }

  private constructor(paths: PartPaths, options: PartFileOptions, open: OpenPart, lock: FileLock) {
    this.contentId = options.contentId;
    this.manifest = options.manifest;
    this.manifestBytes = encodeManifest(options.manifest);
    this.#layout = new ContentLayout(options.manifest);
    this.#paths = paths;
    this.#open = open;
    this.#lock = lock;
    this.#have = new Bitfield(open.doubtful.size);
    this.#isPlaced = open.isPlaced;
    this.#underWay = new UnderWay(`the fetch to ${paths.destination}`);
  }

  get destination(): string {
    return this.#paths.destination;
  }

  /** Verified chunks: written by this process, or read again. Live: it changes while the fetch runs. Read only. */
  get have(): Bitfield {
    return this.#have;
  }

  /** Chunks that the journal claims and `check` has not verified yet. Live, read only. */
  get doubtful(): Bitfield {
    return this.#open.doubtful;
  }

  /** Whether every chunk is held or doubtful, so that none has to be fetched now. */
  get isNoneMissing(): boolean {
    return this.#have.count + this.#open.doubtful.count === this.#have.size;
  }

  /**
   * Writes a whole chunk, whose digest the caller has checked, and resolves when the chunk is held. Several writes may be
   * under way. Throws `disk`; part file and journal can still be resumed then.
   */
  write(chunk: number, bytes: Uint8Array): Promise<void> {
    const { fd, journal, doubtful } = this.#open;
    if (chunk < 0 || chunk >= this.#have.size || bytes.length !== this.#layout.lengthOf(chunk))
      throw new RangeError(`chunk ${chunk} with ${bytes.length} bytes is none of this content`);
    return this.#underWay.run(async () => {
      if (this.#have.has(chunk)) return;
      try {
        await writeAt(fd, bytes, this.#layout.startOf(chunk));
        await journal.append({ kind: "chunk", value: BigInt(chunk) });
      } catch (error) {
        throw diskError(`cannot write to ${this.#paths.part}`, error);
      }
      this.#have.add(chunk);
      doubtful.remove(chunk);
    });
  }

  /**
   * Verifies the doubtful chunks and reports each as proven or lost. Resolves when none is left, or when the part file is
   * closed. While chunks are missing it leaves most of the main thread to the transfer. Throws `disk`.
   */
  async check(checker: ChunkChecker, events: CheckEvents): Promise<void> {
    const chunks = [...this.#open.doubtful].values();
    const checkInTurn = async () => {
      for (const chunk of chunks) {
        if (!this.#underWay.isOpen) return;
        await checker.inTurn(() => this.#checkOne(chunk, checker, events));
      }
    };
    await Promise.all(Array.from({ length: CHUNKS_CHECKED_AT_ONCE }, checkInTurn));
  }

  /** Resolves to the pause after it. */
  async #checkOne(chunk: number, checker: ChunkChecker, events: CheckEvents): Promise<number> {
    if (!this.#underWay.isOpen) return 0;
    const { fd, journal, doubtful, isJournalNew } = this.#open;
    try {
      return await this.#underWay.run(async () => {
        const { isRight, restMs } = await checker.look(fd, this.manifest, this.#layout, chunk);
        if (isRight && isJournalNew) await journal.append({ kind: "chunk", value: BigInt(chunk) });
        // The chunk may have been written meanwhile.
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

  /** A file that is known to be damaged does not stay at the destination. */
  #takeBack(): void {
    if (!this.#isPlaced) return;
    this.#isPlaced = false;
    takeBack(this.#paths, stampOf(this.#open.fd));
  }

  /** Fills the target from this position of the content; the chunks there must be held. */
  read(position: number, target: Uint8Array): Promise<void> {
    return this.#underWay.run(async () => {
      const filled = await readAt(this.#open.fd, target, position).catch((error: unknown) =>
        Promise.reject(diskError(`cannot read ${this.#paths.part}`, error)),
      );
      if (filled < target.length) throw this.#damaged();
    });
  }

  /**
   * Moves the whole file to its destination and removes the journal. Throws `refused` if the destination exists by now
   * (R7), `disk` if it cannot be made; the part file then stays open. `placed` is called at the moment from which the
   * file is to be read at its destination instead of here.
   */
  async finish({ placed, ...options }: FinishOptions = {}): Promise<FileStamp> {
    await this.#underWay.settled();
    const stamp = await this.#underWay.run(() => this.#place(options));
    placed?.(stamp);
    await this.close();
    return stamp;
  }

  /** Closes the files and keeps them for a resume. */
  async close(): Promise<void> {
    if (await this.#stop()) this.#lock.release();
  }

  /** Closes and deletes part file and journal. */
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
    if (stamp.size !== this.#layout.size || (this.#isPlaced && !leadsTo(destination, stamp))) throw this.#damaged();
    if (!this.#isPlaced) {
      const beforePlaceholder = () => journal.append({ kind: "placing", value: 0n });
      const isWhole = (path: string) => leadsTo(path, stamp);
      if (!(await placeWithoutReplacing(this.#paths, isWhole, { ...options, beforePlaceholder })))
        throw this.#damaged();
    } else if (leadsTo(part, stamp)) removeFile(part);
    removeFile(this.#paths.journal);
    return stamp;
  }

  /** Waits for operations under way, then closes the files; false if they were closed already. */
  async #stop(): Promise<boolean> {
    if (!(await this.#underWay.end())) return false;
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
}

/** Checks R7 before it makes the lock, so that no file appears beside an existing destination, not even briefly. */
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

/** Ignores errors: a file that cannot be removed must not turn a finished fetch into a failed one. */
function removeFile(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Most likely the file is gone already.
  }
}
