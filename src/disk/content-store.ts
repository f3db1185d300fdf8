/**
 * Where contents are: what a fetch writes to, a publish hashes, and a share is read from. Files are one implementation
 * (`file-store.ts`), memory is another (`memory-store.ts`), so that a whole peer can run in a simulation. Paths are
 * absolute, and mean to the one what they mean to the other.
 */
import type { Bitfield } from "../core/bitfield.ts";
import type { FileName } from "../core/file-name.ts";
import type { ContentId, Manifest } from "../core/manifest.ts";
import type { ChunkChecker } from "./chunk-checker.ts";
import type { SharedFile } from "./chunk-reader.ts";
import type { FileStamp } from "./file-stamp.ts";
import type { HashedFile, HashOptions } from "./hash-file.ts";

export interface PartOptions {
  /** Where the whole file goes; the folder must exist. */
  readonly destination: string;
  readonly contentId: ContentId;
  readonly manifest: Manifest;
}

/** What an earlier process left for a destination. */
export interface LeftPart {
  /** Canonical, and of this content. */
  readonly manifestBytes: Uint8Array;
  /** Whether the journal says that every chunk was written. */
  readonly isWhole: boolean;
}

export interface CheckEvents {
  /** The chunk is right and is held now. */
  proven(chunk: number): void;
  /** The chunk is damaged and has to be fetched again. */
  lost(chunk: number): void;
}

export interface FinishEvents {
  /** Called when the file has its final name, and is still read from here until this returns. */
  readonly placed?: (stamp: FileStamp) => void;
}

/** A content that is being fetched, until it is whole. */
export interface Part {
  readonly manifest: Manifest;
  /** Canonical. */
  readonly manifestBytes: Uint8Array;
  /** Chunks that this process wrote or verified. Live; not to be changed. */
  readonly have: Bitfield;
  /** Chunks that an earlier process claims to have written, and that `check` has not come to. Live; not to be changed. */
  readonly doubtful: Bitfield;
  /** Whether no chunk has to be fetched, as far as is known. */
  readonly isNoneMissing: boolean;
  /**
   * Writes a whole chunk, whose digest the caller has checked, and resolves when it is held. Several may be under way.
   * Throws `disk`; a resume then starts from what was written before.
   */
  write(chunk: number, bytes: Uint8Array): Promise<void>;
  /** Verifies the doubtful chunks; resolves when none is left, or when the part is closed. Throws `disk`. */
  check(checker: ChunkChecker, events: CheckEvents): Promise<void>;
  /** Fills the target from this position of the content; the caller makes sure that the chunks there are held. */
  read(position: number, target: Uint8Array): Promise<void>;
  /**
   * Gives the whole content its final name. Throws `refused` if something has that name by now (R7), `disk` if it cannot
   * be made; the part stays open then.
   */
  finish(events?: FinishEvents): Promise<FileStamp>;
  /** Keeps what was written for another time. */
  close(): Promise<void>;
  /** Deletes what was written. */
  discard(): Promise<void>;
}

export interface ContentStore {
  /** One path for a file, whatever links lead to it. Throws `not_found`, `disk`. */
  realPath(path: string): string;
  /** Throws `not_found`, `refused`, `disk`, and `cancelled` by the signal. */
  hash(path: string, options: HashOptions): Promise<HashedFile>;
  /** Of a real path. Throws the system's error if nothing is there, `refused` where a link in the path leads elsewhere now. */
  stampOf(path: string): FileStamp;
  /** Fills the target from this position of a file that is as it was shared. Throws `not_found`, `refused`, `disk`. */
  read(file: SharedFile, position: number, target: Uint8Array): Promise<void>;
  /**
   * The path of the finished file: as named, or under its own name in the folder that is named or, without one, in the
   * repository folder. Throws `disk`, `refused`.
   */
  destinationOf(fname: FileName, named: string | undefined, filesFolder: string): string;
  /** What an earlier process left there; undefined if nothing, or nothing that can be used. */
  left(destination: string, contentId: ContentId): LeftPart | undefined;
  /** Throws `refused` if the destination exists (R7) or another fetch writes to it, `disk`. */
  openPart(options: PartOptions): Promise<Part>;
  close(): void;
}
