/**
 * A lock by an empty file, held by one process at a time and gone with it, however it ends. Bun has no flock, so the
 * lock is an SQLite transaction on that file: SQLite takes the kernel's record locks, also between two users of one
 * process, and an empty file is an empty database that it never writes to.
 *
 * Nothing may open and close the file by other means while it is locked: with the first closed descriptor POSIX drops
 * every lock that the process has on it.
 */
import { Database } from "bun:sqlite";
import { closeSync, lstatSync, openSync, unlinkSync } from "node:fs";
import { errnoOf } from "../core/disk-error.ts";
import { P2pfsError } from "../core/errors.ts";

/** A holder that gives the lock free removes its file under a waiting opener; each attempt can meet another holder. */
const ATTEMPTS_MAX = 8;

export class FileLock {
  readonly #path: string;
  readonly #database: Database;

  /**
   * Takes the lock without waiting; undefined while somebody else has it.
   * Throws the system's error where the folder does not take it, `refused` where the file is none of ours. Another
   * user's would be that user's to lock: in a folder that several write to, it would keep our fetch out for ever.
   */
  static tryAcquire(path: string): FileLock | undefined {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const inode = createIfMissing(path) ? inodeOf(path) : inodeOf(path, process.geteuid?.());
      if (inode === undefined) continue;
      const database = lockDatabase(path);
      if (database === "gone") continue;
      if (database === "busy") return undefined;
      // Locked is what was opened; it is the lock only if the path still leads to it.
      if (inodeOf(path) === inode) return new FileLock(path, database);
      database.close();
    }
    return undefined;
  }

  private constructor(path: string, database: Database) {
    this.#path = path;
    this.#database = database;
  }

  /** Removes the file and gives the lock free, in this order, so that no file is removed that another has locked. */
  release(): void {
    try {
      unlinkSync(this.#path);
    } catch {
      // An empty file stays behind; the next holder removes it.
    }
    this.#database.close();
  }
}

/** For nobody else to read, since whoever can read it can lock it. False where there is a file already. */
function createIfMissing(path: string): boolean {
  try {
    // Exclusively, for a file that exists may be locked by this very process: see above.
    closeSync(openSync(path, "wx", 0o600));
    return true;
  } catch (error) {
    if (errnoOf(error) === "EEXIST") return false;
    throw error;
  }
}

/** Undefined where the file is gone. Throws where it is no lock, or another user's than this one's. */
function inodeOf(path: string, user?: number): bigint | undefined {
  const stats = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  if (stats === undefined) return undefined;
  if (!stats.isFile() || stats.size > 0n || (user !== undefined && Number(stats.uid) !== user)) {
    throw new P2pfsError("refused", `${path} is in the way and is no file of p2pfs`, { hint: "move it away" });
  }
  return stats.ino;
}

/** A connection that holds the lock, or what came between. */
function lockDatabase(path: string): Database | "busy" | "gone" {
  let database: Database | undefined;
  try {
    database = new Database(path, { readwrite: true, create: false });
    // Otherwise an exclusive transaction makes a rollback journal beside the file at once.
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
