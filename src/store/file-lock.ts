/** The lock on a part file, on an empty file beside it, which disappears with the lock. */
import type { Database } from "bun:sqlite";
import { lstatSync, unlinkSync } from "node:fs";
import { errnoOf } from "../core/disk-error.ts";
import { P2pfsError } from "../core/errors.ts";
import { createLockFile, isLockedByOther, lockFile } from "./sqlite-lock.ts";

/** A holder that releases the lock removes the file, so that an opener may have locked a removed file and tries again. */
const ATTEMPTS_MAX = 8;

export class FileLock {
  readonly #path: string;
  readonly #database: Database;

  /**
   * Takes the lock without waiting; undefined while another holder has it. Throws the system's error if the file cannot
   * be made, `refused` if it is not ours. A file of another user is refused because that user could lock it for ever.
   */
  static tryAcquire(path: string): FileLock | undefined {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const inode = createLockFile(path) ? inodeOf(path) : inodeOf(path, process.geteuid?.());
      if (inode === undefined) continue;
      const database = lockOrReason(path);
      if (database === "gone") continue;
      if (database === "busy") return undefined;
      // The opened file is locked, but it counts only if the path still leads to it.
      if (inodeOf(path) === inode) return new FileLock(path, database);
      database.close();
    }
    return undefined;
  }

  private constructor(path: string, database: Database) {
    this.#path = path;
    this.#database = database;
  }

  /** Removes the file, then releases the lock: the other order could remove a file that the next holder has locked. */
  release(): void {
    try {
      unlinkSync(this.#path);
    } catch {
      // An empty file stays behind; the next holder removes it.
    }
    this.#database.close();
  }
}

/** Undefined if there is no file. Throws if it is not a lock file, or belongs to another user. */
function inodeOf(path: string, user?: number): bigint | undefined {
  const stats = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  if (stats === undefined) return undefined;
  if (!stats.isFile() || stats.size > 0n || (user !== undefined && Number(stats.uid) !== user)) {
    throw new P2pfsError("refused", `${path} is in the way and is no file of p2pfs`, { hint: "move it away" });
  }
  return stats.ino;
}

/** A connection that holds the lock, or why there is none. */
function lockOrReason(path: string): Database | "busy" | "gone" {
  try {
    return lockFile(path);
  } catch (error) {
    if (isLockedByOther(error)) return "busy";
    if (errnoOf(error) === "SQLITE_CANTOPEN" && inodeOf(path) === undefined) return "gone";
    throw error;
  }
}
