/** Small text files that are read and replaced as a whole, so that a reader never sees a part. */
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  type Stats,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { diskError, errnoOf } from "../core/disk-error.ts";
import { P2pfsError } from "../core/errors.ts";
import { exposureFault, type Fault } from "./other-users.ts";

/** Undefined if there is no such file; throws `disk` if it cannot be read. */
export function readTextFile(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    if (isMissing(cause)) return undefined;
    throw diskError(`cannot read ${path}`, cause);
  }
}

/** As `readTextFile`; throws `disk` also where other users can read the file, or could have made it. */
export function readSecretFile(path: string): string | undefined {
  return readCheckedFile(path, exposureFault);
}

/** As `readTextFile`; throws `disk` also for what the check finds. */
export function readCheckedFile(
  path: string,
  faultOf: (stats: Stats, path: string) => Fault | undefined,
): string | undefined {
  let descriptor: number;
  try {
    // Without blocking, since it might be a pipe.
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (cause) {
    if (isMissing(cause)) return undefined;
    throw diskError(`cannot read ${path}`, cause);
  }
  try {
    const stats = fstatSync(descriptor);
    const fault = stats.isFile() ? faultOf(stats, path) : notAFile;
    if (fault !== undefined) throw new P2pfsError("disk", `${path} is not used: ${fault.what}`, { hint: fault.hint });
    return readFileSync(descriptor, "utf8");
  } catch (cause) {
    throw diskError(`cannot read ${path}`, cause);
  } finally {
    closeSync(descriptor);
  }
}

const notAFile: Fault = { what: "it is no regular file", hint: "move it away" };

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
    if (durable) syncFolder(dirname(path));
  } catch (cause) {
    throw diskError(`cannot write ${path}`, cause);
  }
}

/** So that the new name of a file in it would survive a power cut. */
function syncFolder(folder: string): void {
  const descriptor = openSync(folder, constants.O_RDONLY);
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
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
