/** Small text files that are read whole and replaced whole: a reader never sees half of one. */
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeSync } from "node:fs";
import { diskError, errnoOf } from "../core/disk-error.ts";

/** Undefined where there is no such file; throws `disk` where it cannot be read. */
export function readTextFile(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    if (isMissing(cause)) return undefined;
    throw diskError(`cannot read ${path}`, cause);
  }
}

/**
 * Puts the text in place of what stood there, with mode 0600. One process at a time may do so for a path.
 * `durable` waits until it would survive a power cut.
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
