/** Small text files that are read and replaced as a whole, so that a reader never sees a part. */
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeSync } from "node:fs";
import { diskError, errnoOf } from "../core/disk-error.ts";

/** Undefined if there is no such file; throws `disk` if it cannot be read. */
export function readTextFile(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    if (isMissing(cause)) return undefined;
    throw diskError(`cannot read ${path}`, cause);
  }
}

/**
 * Replaces the file's text, with mode 0600. Only one process at a time may do so for a path. With `durable` it returns when
 * the text would survive a power cut.
 */
export function replaceFile(path: string, text: string, { durable = false } = {}): void {
  const draft = `${path}.new`;
  try {
    rmSync(draft, { force: true });
    const descriptor = openSync(draft, "wx", 0o600);
    try {
      writeSync(descriptor, text);
      if (durable) fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(draft, path);
  } catch (cause) {
    throw diskError(`cannot write ${path}`, cause);
  }
}

export function removeFile(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch (cause) {
    throw diskError(`cannot remove ${path}`, cause);
  }
}

function isMissing(thrown: unknown): boolean {
  const errno = errnoOf(thrown);
  return errno === "ENOENT" || errno === "ENOTDIR";
}
