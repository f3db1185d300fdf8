/**
 * A stamp shows that a file is still the one that was hashed, without reading it. It is no proof: a write within the
 * clock's resolution that keeps the size goes unnoticed. Then the receiver's digest refuses the chunk.
 */
import { type BigIntStats, fstatSync, lstatSync, statSync } from "node:fs";

/** Plain values, so that a stamp can be stored and compared after a restart. */
export interface FileStamp {
  /** Bytes. */
  readonly size: number;
  /** Nanoseconds since 1970, in decimal digits: too large for a number. */
  readonly mtimeNs: string;
  readonly ino: string;
  readonly dev: string;
}

/** The part of a stamp that changes when the content changes. */
export type ContentStamp = Pick<FileStamp, "size" | "mtimeNs">;

/** The stamp of an open file or of what a path leads to. Throws the system's error. */
export function stampOf(file: number | string): FileStamp {
  return stampFrom(typeof file === "number" ? fstatSync(file, { bigint: true }) : statSync(file, { bigint: true }));
}

/** The stamp of what has this path itself, be it a symbolic link; undefined if nothing has it. */
export function stampAt(path: string): FileStamp | undefined {
  const stats = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  return stats && stampFrom(stats);
}

export function stampFrom(stats: BigIntStats): FileStamp {
  return {
    size: Number(stats.size),
    mtimeNs: String(stats.mtimeNs),
    ino: String(stats.ino),
    dev: String(stats.dev),
  };
}

/** Whether size and mtime are equal. Inode and device are left out, since they change when a disk is remounted. */
export function sameStamp(a: ContentStamp, b: ContentStamp): boolean {
  return a.size === b.size && a.mtimeNs === b.mtimeNs;
}

/** Whether both are the same file, under whatever paths, within one boot of the system. */
export function sameFile(a: FileStamp, b: FileStamp): boolean {
  return a.ino === b.ino && a.dev === b.dev;
}
