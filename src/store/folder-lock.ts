/**
 * The lock that gives a data folder to one process at a time: an SQLite connection in exclusive locking mode on a file
 * of its own. The kernel drops it with the process, however that ends, and keeps it while the process is frozen. Nothing
 * else may open the file: closing any other descriptor of it in the same process would drop the lock, as POSIX has it.
 *
 * Whoever can open a file for reading can lock it for reading, which keeps everybody from having it alone. So the file
 * is its user's only, from before its first lock.
 */
import { Database } from "bun:sqlite";
import { closeSync, lstatSync, openSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { diskError, errnoOf } from "../core/disk-error.ts";
import { P2pfsError } from "../core/errors.ts";

const LOCK_FILE = "lock.sqlite";
const OTHERS_MODE = 0o077;

/** Without ever waiting. Throws `already_running` while another process has it, `disk` where it cannot be had. */
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
 * A file that others may open, they may have open: a new one takes its place, unless a role is running by it. That role
 * has the file alone, so that it cannot even be read; a reader's lock, which is all that others can have, stops nobody
 * from reading.
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
    // Exclusively, for a file that exists may be locked by this very process: see above.
    closeSync(openSync(path, "wx", 0o600));
  } catch (error) {
    if (errnoOf(error) !== "EEXIST") throw error;
  }
}

function takeAlone(path: string): Database {
  const database = openDatabase(path);
  try {
    database.run("PRAGMA locking_mode = EXCLUSIVE");
    // In exclusive locking mode the lock taken here outlives the transaction.
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
