/**
 * A lock on an empty file, held by one process at a time; the kernel drops it when the process ends, and keeps it while
 * the process is frozen. Bun has no flock, so the lock is an SQLite transaction on that file: SQLite uses the kernel's
 * record locks, excludes two holders in one process too, and never writes to the file, which it takes for an empty
 * database.
 *
 * The file must not be opened and closed by other means while it is locked: when a process closes any descriptor of a
 * file, POSIX drops all locks that the process has on it. Whoever can read a file can take a read lock on it, which
 * prevents an exclusive one, so only its owner can read it, from before the first lock.
 */
import { Database } from "bun:sqlite";
import { closeSync, openSync } from "node:fs";
import { errnoOf } from "../core/disk-error.ts";

/** False if there is a file already. */
export function createLockFile(path: string): boolean {
  try {
    // Exclusively: closing an existing file could drop this process's own lock, as said above.
    closeSync(openSync(path, "wx", 0o600));
    return true;
  } catch (error) {
    if (errnoOf(error) === "EEXIST") return false;
    throw error;
  }
}

/** Holds the lock until it is closed. Does not wait. Throws SQLITE_BUSY while another holder has it. */
export function lockFile(path: string): Database {
  const database = openLockFile(path);
  try {
    // Otherwise SQLite would make a rollback journal beside the file.
    database.run("PRAGMA journal_mode = MEMORY");
    database.run("BEGIN EXCLUSIVE");
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

export function openLockFile(path: string): Database {
  const database = new Database(path, { strict: true, readwrite: true, create: false });
  database.run("PRAGMA busy_timeout = 0");
  return database;
}

export function isLockedByOther(error: unknown): boolean {
  return errnoOf(error)?.startsWith("SQLITE_BUSY") ?? false;
}
