/** Keeps names from other machines inside the folder that was chosen for them. */
import { lstatSync, realpathSync } from "node:fs";
import { dirname, join } from "node:path";
import { diskError, errnoOf } from "../core/disk-error.ts";
import { P2pfsError } from "../core/errors.ts";
import type { FileName } from "../core/file-name.ts";

/**
 * The absolute path of this name in the folder; the file need not exist. A FileName has no separators, so only a
 * symbolic link under that name could lead out of the folder: then it throws `refused`. The folder itself may be
 * reached through links, as its owner chose it.
 */
export function resolveInside(folder: string, fname: FileName): string {
  let root: string;
  try {
    root = realpathSync(folder);
  } catch (error) {
    throw diskError(`cannot use the folder ${folder}`, error);
  }
  const path = join(root, fname);
  if (dirname(path) !== root || leadsElsewhere(root, path)) {
    throw new P2pfsError("refused", `${path} leads out of the folder ${root}`, { hint: "choose another destination" });
  }
  return path;
}

function leadsElsewhere(root: string, path: string): boolean {
  try {
    return lstatSync(path).isSymbolicLink() && dirname(realpathSync(path)) !== root;
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw diskError(`cannot use ${path}`, error);
    // Either there is nothing, or a dangling link, through which a write would create its target.
    return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
  }
}
