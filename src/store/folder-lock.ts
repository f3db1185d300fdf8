/** The lock that gives a data folder to one process at a time, on a file for this purpose. */
import type { Database } from "bun:sqlite";
import { lstatSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { diskError, errnoOf } from "../core/disk-error.ts";
import { P2pfsError } from "../core/errors.ts";
import { createLockFile, isLockedByOther, lockFile, openLockFile } from "./sqlite-lock.ts";

const LOCK_FILE = "lock.sqlite";
const OTHERS_MODE = 0o077;

/** Does not wait. Throws `already_running` while another process has the lock, `disk` if the file cannot be used. */
export function lockFolder(folder: string): Database {
  const path = join(folder, LOCK_FILE);
  try {
    removeIfShared(path);
    createLockFile(path);
    return lockFile(path);
  } catch (cause) {
    if (isLockedByOther(cause))
      throw new P2pfsError("already_running", `the data folder ${folder} is in use by another p2pfs`, { cause });
    if (errnoOf(cause) === "SQLITE_NOTADB")
      throw new P2pfsError("disk", `cannot lock ${path}: it is not the empty file that it should be`, {
        cause,
        hint: "remove the file; it holds nothing, and is made again",
      });
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
  const database = openLockFile(path);
  try {
    database.run("BEGIN");
    database.query("SELECT 1 FROM sqlite_master").get();
    if (lstatSync(path, { throwIfNoEntry: false })?.ino === found.ino) unlinkSync(path);
  } finally {
    database.close();
  }
}
