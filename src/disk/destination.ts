/** Where a fetch puts its file: from what the user said to one path. */
import { mkdirSync, type Stats, statSync } from "node:fs";
import { dirname } from "node:path";
import { diskError, errnoOf } from "../core/disk-error.ts";
import { P2pfsError } from "../core/errors.ts";
import type { FileName } from "../core/file-name.ts";
import { resolveInside } from "./confine.ts";

/**
 * The absolute path of the file: as named, or under its own name in the folder that is named, or in the repository
 * folder. R7 is the part file's to check; here it is only settled which path is meant. Throws `disk` or `refused`.
 */
export function destinationOf(fname: FileName, named: string | undefined, filesFolder: string): string {
  if (named === undefined) return resolveInside(made(filesFolder), fname);
  if (statsOf(named)?.isDirectory()) return resolveInside(named, fname);
  if (!statsOf(dirname(named))?.isDirectory())
    throw new P2pfsError("disk", `there is no folder ${dirname(named)}`, { hint: "make it first" });
  return named;
}

function made(filesFolder: string): string {
  try {
    mkdirSync(filesFolder, { recursive: true });
  } catch (error) {
    throw diskError(`cannot make the repository folder ${filesFolder}`, error);
  }
  return filesFolder;
}

/** Undefined where the path leads nowhere. */
function statsOf(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "ENOENT" || errno === "ENOTDIR") return undefined;
    throw diskError(`cannot write to ${path}`, error);
  }
}
