/** Paths of the files of an unfinished fetch. They follow from destination and content id alone. */
import { basename, dirname, join, resolve } from "node:path";
import type { ContentId } from "../core/manifest.ts";
import { digest } from "./blake3.ts";

const HEX_DIGITS = 16;

/** Absolute paths. */
export interface PartPaths {
  readonly destination: string;
  readonly part: string;
  readonly journal: string;
  /** Exists while a process has the part file open, or was killed with it open. */
  readonly lock: string;
}

/** The file names have a fixed length, so that the destination's name may be as long as the file system allows. */
export function partPathsFor(destination: string, contentId: ContentId): PartPaths {
  const absolute = resolve(destination);
  const nameDigest = digest(new TextEncoder().encode(basename(absolute))).toHex();
  const stem = `.p2pfs-${contentId.slice(0, HEX_DIGITS)}-${nameDigest.slice(0, HEX_DIGITS)}`;
  const beside = (ending: string) => join(dirname(absolute), `${stem}.${ending}`);
  return { destination: absolute, part: beside("part"), journal: beside("journal"), lock: beside("lock") };
}
