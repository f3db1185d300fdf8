/**
 * The last step of a fetch: the part file gets the name of the destination, and never replaces another file. A rename would
 * replace a file; a hard link does not. On a file system without hard links, an empty file is made at the destination
 * first, which fails if there is one, and the rename replaces that.
 */
import { link, open, rename, stat, unlink } from "node:fs/promises";
import { diskError, errnoOf } from "../core/disk-error.ts";
import { P2pfsError } from "../core/errors.ts";

export interface PlaceOptions {
  /** Called before an empty file is made at the destination, so that it is known as ours after a crash. */
  readonly beforePlaceholder: () => Promise<void>;
  /** Replaces the system's function in tests. */
  readonly link?: (from: string, to: string) => Promise<void>;
}

/** Throws `refused` if the destination exists (R7), `disk` if it cannot be made; the part file then stays. */
export async function placeWithoutReplacing(part: string, destination: string, options: PlaceOptions): Promise<void> {
  try {
    try {
      await (options.link ?? link)(part, destination);
    } catch (error) {
      if (errnoOf(error) === "EEXIST") throw destinationExists(destination);
      // File systems without hard links report different errors. A real error happens again below.
      await options.beforePlaceholder();
      return await renameOverPlaceholder(part, destination);
    }
    await unlink(part);
  } catch (error) {
    throw diskError(`cannot write ${destination}`, error);
  }
}

async function renameOverPlaceholder(part: string, destination: string): Promise<void> {
  const placeholder = await open(destination, "wx").catch((error: unknown) =>
    Promise.reject(errnoOf(error) === "EEXIST" ? destinationExists(destination) : error),
  );
  const { ino } = await placeholder.stat();
  await placeholder.close();
  try {
    const now = await stat(destination);
    if (now.ino !== ino || now.size > 0) throw destinationExists(destination);
    await rename(part, destination);
  } catch (error) {
    const left = await stat(destination).catch(() => undefined);
    if (left?.ino === ino && left.size === 0) await unlink(destination);
    throw error;
  }
}

export function destinationExists(destination: string): P2pfsError {
  return new P2pfsError("refused", `${destination} exists already`, {
    hint: "choose another destination, or move the existing file away; nothing is ever overwritten",
  });
}
