/**
 * The last step of a fetch: the part file gets the name of the destination, and never replaces another file. A rename would
 * replace a file; a hard link does not. On a file system without hard links, an empty file is made at the destination
 * first, which fails if there is one, and the rename replaces that.
 */
import { link, lstat, open, rename, unlink } from "node:fs/promises";
import { diskError, errnoOf } from "../core/disk-error.ts";
import { P2pfsError } from "../core/errors.ts";
import { holdFolder } from "./held-folder.ts";
import type { PartPaths } from "./part-paths.ts";

export interface PlaceOptions {
  /** Called before an empty file is made at the destination, so that it is known as ours after a crash. */
  readonly beforePlaceholder: () => Promise<void>;
  /** Replaces the system's function in tests. */
  readonly link?: (from: string, to: string) => Promise<void>;
}

/**
 * `isWhole` is asked whether the file at this path is the one that was verified. Throws `refused` if the destination
 * exists (R7), `disk` if it cannot be made; the part file then stays. False: the part file is another one.
 */
export async function placeWithoutReplacing(
  paths: PartPaths,
  isWhole: (path: string) => boolean,
  options: PlaceOptions,
): Promise<boolean> {
  const { destination } = paths;
  try {
    const { held, release } = holdFolder(paths);
    try {
      if (!isWhole(held.part)) return false;
      await placeIn(held, destination, options);
      // Somebody may have exchanged the part file, or the folder, at the last moment.
      return isWhole(destination);
    } finally {
      release();
    }
  } catch (error) {
    throw diskError(`cannot write ${destination}`, error);
  }
}

async function placeIn(held: PartPaths, shown: string, options: PlaceOptions): Promise<void> {
  try {
    await (options.link ?? link)(held.part, held.destination);
  } catch (error) {
    if (errnoOf(error) === "EEXIST") throw destinationExists(shown);
    // File systems without hard links report different errors. A real error happens again below.
    await options.beforePlaceholder();
    return await renameOverPlaceholder(held, shown);
  }
  await unlink(held.part);
}

async function renameOverPlaceholder({ part, destination }: PartPaths, shown: string): Promise<void> {
  const placeholder = await open(destination, "wx").catch((error: unknown) =>
    Promise.reject(errnoOf(error) === "EEXIST" ? destinationExists(shown) : error),
  );
  const { ino } = await placeholder.stat();
  await placeholder.close();
  try {
    const now = await lstat(destination);
    if (now.ino !== ino || now.size > 0) throw destinationExists(shown);
    await rename(part, destination);
  } catch (error) {
    const left = await lstat(destination).catch(() => undefined);
    if (left?.ino === ino && left.size === 0) await unlink(destination);
    throw error;
  }
}

export function destinationExists(destination: string): P2pfsError {
  return new P2pfsError("refused", `${destination} exists already`, {
    hint: "choose another destination, or move the existing file away; nothing is ever overwritten",
  });
}
