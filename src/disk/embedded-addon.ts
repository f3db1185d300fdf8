/**
 * Loads a native addon that is embedded in the executable; scripts/build replaces the addon's own loader by this call.
 * The system loads code from files only, and in a shared temp folder other users could plant a file under an expected
 * name. So a new file is made and unlinked before the first byte is written, and it is loaded through its descriptor:
 * nobody else can open it, and nothing is left behind however the process ends.
 */
import { randomUUID } from "node:crypto";
import { closeSync, openSync, readFileSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * Returns the exports of the addon. Throws the system's error if the temp folder cannot be written, or is mounted such
 * that no code can be loaded from it.
 *
 * @param path of the addon within the executable
 */
export function loadEmbeddedAddon(path: string): unknown {
  const bytes = readFileSync(path);
  const file = join(tmpdir(), `.p2pfs-${randomUUID()}.node`);
  // Exclusively: neither an existing file nor the target of a link.
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
