/**
 * A folder that is held open. Whoever can write to a folder above may exchange this one for a symbolic link to another
 * between any two system calls. A name in a held folder goes on meaning the same, so that what was looked at is what is
 * linked, renamed or removed. Systems without /proc have no such names; there the path is used.
 */
import { closeSync, constants, openSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { PartPaths } from "./part-paths.ts";

/** Of Linux; Node does not name it. A folder that is opened so need not be readable. */
const O_PATH = 0o10000000;

/** The paths in a folder that is held until `release`. Only for system calls: they mean nothing to a user. */
export function holdFolder(paths: PartPaths): { readonly held: PartPaths; release(): void } {
  if (process.platform !== "linux") return { held: paths, release: () => undefined };
  const fd = openSync(dirname(paths.destination), O_PATH | constants.O_DIRECTORY);
  const within = (path: string) => join(`/proc/self/fd/${fd}`, basename(path));
  const { destination, part, journal, lock } = paths;
  const held = {
    destination: within(destination),
    part: within(part),
    journal: within(journal),
    lock: within(lock),
  };
  return { held, release: () => closeSync(fd) };
}
