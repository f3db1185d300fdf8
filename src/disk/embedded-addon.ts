/**
 * Loads a native addon that the executable carries inside; scripts/build puts the call in the place of the addon's own
 * loader. The system loads code from files only, and where others can write they can plant a file of any name. So the
 * file is made new, its name is taken away before the first byte is written, and it is loaded through the descriptor:
 * nobody else can open it, and nothing is left behind however the process ends.
 */
import { randomUUID } from "node:crypto";
import { closeSync, openSync, readFileSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * The exports of the addon. Throws what the system says where the temp folder cannot be written, or no program be run
 * from there.
 *
 * @param path of the addon within the executable
 */
export function loadEmbeddedAddon(path: string): unknown {
  const bytes = readFileSync(path);
  const file = join(tmpdir(), `.p2pfs-${randomUUID()}.node`);
  // Never a file that exists, nor one that a link leads to.
  const descriptor = openSync(file, "wx", 0o600);
  const isNameNeeded = process.platform !== "linux";
  try {
    if (!isNameNeeded) unlinkSync(file);
    writeFileSync(descriptor, bytes);
    const loaded = { exports: {} };
    process.dlopen(loaded, isNameNeeded ? file : `/proc/self/fd/${descriptor}`);
    return loaded.exports;
  } finally {
    closeSync(descriptor);
    if (isNameNeeded) unlinkSync(file);
  }
}
