/**
 * A lock on an empty file, held by one process at a time; the kernel drops it when the process ends. Bun has no flock, so
 * the lock is an SQLite transaction on that file: SQLite uses the kernel's record locks, excludes two holders in one
 * process too, and never writes to the file, which it takes for an empty database.
 *
 * The file must not be opened and closed by other means while it is locked: when a process closes any descriptor of a
 * file, POSIX drops all locks that the process has on it.
 */
import { Database } from "bun:sqlite";
import { closeSync, lstatSync, openSync, unlinkSync } from "node:fs";
import { errnoOf } from "../core/disk-error.ts";
import { P2pfsError } from "../core/errors.ts";

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
      const inode = createIfMissing(path) ? inodeOf(path) : inodeOf(path, process.geteuid?.());
      if (inode === undefined) continue;
      const database = lockDatabase(path);
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

/** Only the owner may read it, since whoever can read it can lock it. False if there is a file already. */
function createIfMissing(path: string): boolean {
  try {
    // Exclusively: closing an existing file could drop this process's own lock, as said above.
    closeSync(openSync(path, "wx", 0o600));
    return true;
  } catch (error) {
    if (errnoOf(error) === "EEXIST") return false;
    throw error;
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
function lockDatabase(path: string): Database | "busy" | "gone" {
  let database: Database | undefined;
  try {
    database = new Database(path, { readwrite: true, create: false });
    // Otherwise SQLite would make a rollback journal beside the file.
    database.run("PRAGMA journal_mode = MEMORY");
    database.run("BEGIN EXCLUSIVE");
    return database;
  } catch (error) {
    database?.close();
    if (errnoOf(error)?.startsWith("SQLITE_BUSY")) return "busy";
    if (errnoOf(error) === "SQLITE_CANTOPEN" && inodeOf(path) === undefined) return "gone";
    throw error;
  }
}
