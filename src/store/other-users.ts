/**
 * What other users of the machine could have put in the place of our files, or could read of them. The rules are those of
 * OpenSSH: what others can write to is not used, nor is a key that they can read. Where a system knows no such users,
 * there is nothing to check.
 */
import { lstatSync, realpathSync, type Stats } from "node:fs";
import { dirname } from "node:path";

const OTHERS_WRITE = 0o022;
const OTHERS_ANYTHING = 0o077;
/** In such a folder nobody but its owner can rename or remove what others have made there. */
const STICKY = 0o1000;
const ROOT = 0;

/** Undefined where the system has no users in this sense. */
function ownUser(): number | undefined {
  return process.geteuid?.();
}

/** Why a file or folder may be the work of another user, and what to do about it; undefined where it is not. */
export function plantingFault(stats: Stats, path: string): Fault | undefined {
  const user = ownUser();
  if (user === undefined) return undefined;
  if (stats.uid !== user && stats.uid !== ROOT)
    return { what: "it belongs to another user", hint: `make it your own: chown ${user} ${path}` };
  if ((stats.mode & OTHERS_WRITE) === 0) return undefined;
  return { what: "other users can write to it", hint: `if its content is yours: chmod go-w ${path}` };
}

/** As `plantingFault`, for a file with a secret, which others must not read either. */
export function exposureFault(stats: Stats, path: string): Fault | undefined {
  const fault = plantingFault(stats, path);
  if (fault !== undefined || stats.uid !== ownUser() || (stats.mode & OTHERS_ANYTHING) === 0) return fault;
  return {
    what: "other users can read the secret in it",
    hint: `chmod 600 ${path}; if somebody may have read it, make a new one: leave the swarm and join again`,
  };
}

export interface Fault {
  /** As in "cannot use PATH: it belongs to another user". */
  readonly what: string;
  readonly hint: string;
}

/**
 * The lowest folder above this one whose owner, or whoever can write there, could put another one in its place; undefined
 * if there is none.
 */
export function replaceableAt(path: string): string | undefined {
  const user = ownUser();
  if (user === undefined) return undefined;
  for (let folder = dirname(realpathSync(path)); ; folder = dirname(folder)) {
    const { uid, mode } = lstatSync(folder);
    const isOthers = uid !== user && uid !== ROOT;
    if (isOthers || ((mode & OTHERS_WRITE) !== 0 && (mode & STICKY) === 0)) return folder;
    if (folder === dirname(folder)) return undefined;
  }
}
