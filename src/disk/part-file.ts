/**
 * The file that a fetch writes to, beside its destination, until it is whole. Part and journal alone are enough to go
 * on after any end of the process, under any data folder; the destination appears at once, whole, or not at all.
 * Nothing is synced: what a power cut takes is found missing by its digest and fetched again.
 */
import { closeSync, lstatSync, unlinkSync } from "node:fs";
import { dirname } from "node:path";
import type { Bitfield } from "../core/bitfield.ts";
import { P2pfsError } from "../core/errors.ts";
import { type ContentId, chunkLengthAt, encodeManifest, type Manifest, totalSizeOf } from "../core/manifest.ts";
import { bootId } from "./boot-id.ts";
import { diskError } from "./disk-error.ts";
import { FileLock } from "./file-lock.ts";
import { type FileStamp, sameFile, stampOf } from "./file-stamp.ts";
import { readAt, writeAt } from "./io.ts";
import { type PartPaths, partPathsFor } from "./part-paths.ts";
import { leftJournal, type OpenPart, openPart } from "./part-recovery.ts";
import { destinationExists, type PlaceOptions, placeWithoutReplacing } from "./place-file.ts";

export interface PartFileOptions {
  /** Where the whole file goes; the folder must exist. */
  readonly destination: string;
  readonly contentId: ContentId;
  readonly manifest: Manifest;
  /** Which run of the system this is, if not the present one. */
  readonly bootId?: string;
  /** Ends the reading of what an earlier run of the system left. */
  readonly signal?: AbortSignal;
  /** Called after each chunk that is read again, with its bytes. */
  readonly onRehashed?: (bytes: number) => void;
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
  readonly #underWay = new Set<Promise<unknown>>();
  #isOpen = true;

  /**
   * Makes a part file or goes on with what an earlier process left. Throws `refused` where the destination exists (R7),
   * another fetch has the part file open, or its name is taken by a file that is not ours; `disk` where the folder does
   * not take it; `cancelled` by the signal.
   */
  static async open(options: PartFileOptions): Promise<PartFile> {
    const paths = partPathsFor(options.destination, options.contentId);
    const lock = lockPart(paths);
    try {
      const recovery = { bootId: bootId(), signal: undefined, onRehashed: undefined, ...options };
      return new PartFile(paths, options, await openPart(paths, recovery), lock);
    } catch (error) {
      lock.release();
      throw diskError(`cannot write to ${paths.part}`, error);
    }
  }

  /** Canonical bytes of the manifest in the journal beside this destination; undefined where there is none intact. */
  static savedManifest(destination: string, contentId: ContentId): Uint8Array | undefined {
    try {
      const left = leftJournal(partPathsFor(destination, contentId), contentId, undefined);
      return left === undefined || left === "blank" ? undefined : left.manifest && encodeManifest(left.manifest);
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
  }

  get destination(): string {
    return this.#paths.destination;
  }

  /** Chunks that are written, journalled and proven. Live; not to be changed. */
  get have(): Bitfield {
    return this.#open.have;
  }

  /**
   * Writes a whole chunk, whose digest the caller has checked, and resolves when it counts. Several may be under way.
   * Throws `disk`, and part and journal then stay good for a resume.
   */
  write(chunk: number, bytes: Uint8Array): Promise<void> {
    const { fd, journal, have } = this.#open;
    if (chunk < 0 || chunk >= have.size || bytes.length !== chunkLengthAt(this.#size, this.manifest.chunkSize, chunk)) {
      throw new RangeError(`chunk ${chunk} with ${bytes.length} bytes is none of this content`);
    }
    return this.#run(async () => {
      if (have.has(chunk)) return;
      try {
        await writeAt(fd, bytes, chunk * this.manifest.chunkSize);
        await journal.append({ kind: "chunk", value: BigInt(chunk) });
      } catch (error) {
        throw diskError(`cannot write to ${this.#paths.part}`, error);
      }
      have.add(chunk);
    });
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
    const { fd, journal, have, isPlaced } = this.#open;
    const { part, destination } = this.#paths;
    if (!have.isFull) throw new RangeError(`${have.size - have.count} chunks are missing`);
    const stamp = stampOf(fd);
    const isPartOurs = exists(part) && sameFile(stampOf(part), stamp);
    if (stamp.size !== this.#size || !(isPartOurs || isPlaced)) throw this.#damaged();
    if (!isPlaced) {
      const beforePlaceholder = () => journal.append({ kind: "placing", value: 0n });
      await placeWithoutReplacing(part, destination, { ...options, beforePlaceholder });
    } else if (isPartOurs) removeFile(part);
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
    return new P2pfsError("disk", `${this.#paths.part} was changed or removed by someone else`, {
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
