/**
 * The lock that gives a data folder to one process at a time: an SQLite connection in exclusive locking mode on a file for
 * this purpose. The kernel drops the lock when the process ends, and keeps it while the process is frozen. Nothing else
 * may open the file: when a process closes any descriptor of a file, POSIX drops all locks that the process has on it.
 *
 * Whoever can read a file can take a read lock on it, which prevents an exclusive one. So only its owner can read the file,
 * from before the first lock.
 */
import { Database } from "bun:sqlite";
import { closeSync, lstatSync, openSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { diskError, errnoOf } from "../core/disk-error.ts";
import { P2pfsError } from "../core/errors.ts";

const LOCK_FILE = "lock.sqlite";
const OTHERS_MODE = 0o077;

/** Does not wait. Throws `already_running` while another process has the lock, `disk` if the file cannot be used. */
export function lockFolder(folder: string): Database {
  const path = join(folder, LOCK_FILE);
  try {
    removeIfShared(path);
    createIfMissing(path);
    return takeAlone(path);
  } catch (cause) {
    if (errnoOf(cause)?.startsWith("SQLITE_BUSY"))
      throw new P2pfsError("already_running", `the data folder ${folder} is in use by another p2pfs`, { cause });
    throw diskError(`cannot lock ${path}`, cause);
  }
}

/**
 * Removes a lock file that other users may open, since one of them may hold a read lock on it; a new file takes its place.
 * It stays if a role is running with it: then it cannot even be read, while a read lock of others would not prevent that.
 */
function removeIfShared(path: string): void {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined || (found.mode & OTHERS_MODE) === 0) return;
  const database = openDatabase(path);
  try {
    database.run("BEGIN");
    database.query("SELECT 1 FROM sqlite_master").get();
    if (lstatSync(path, { throwIfNoEntry: false })?.ino === found.ino) unlinkSync(path);
  } finally {
    database.close();
  }
}

function createIfMissing(path: string): void {
  try {
    // Exclusively: closing an existing file could drop this process's own lock, as said above.
    closeSync(openSync(path, "wx", 0o600));
  } catch (error) {
    if (errnoOf(error) !== "EEXIST") throw error;
  }
}

function takeAlone(path: string): Database {
  const database = openDatabase(path);
  try {
    database.run("PRAGMA locking_mode = EXCLUSIVE");
    // In exclusive locking mode the lock stays after the transaction.
    database.run("BEGIN EXCLUSIVE");
    database.run("COMMIT");
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

function openDatabase(path: string): Database {
  const database = new Database(path, { strict: true, readwrite: true, create: false });
  database.run("PRAGMA busy_timeout = 0");
  return database;
}
