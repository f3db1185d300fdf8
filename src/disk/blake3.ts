/**
 * BLAKE3 by a native addon, which is loaded at the first digest. The executable needs the temp folder to load it
 * (embedded-addon.ts), which takes time and can fail, and most commands hash nothing.
 */
import { tmpdir } from "node:os";
import { P2pfsError } from "../core/errors.ts";
import { digestOfChunk, type Manifest } from "../core/manifest.ts";

type Blake3 = (bytes: Uint8Array) => Uint8Array;

let loaded: Blake3 | undefined;

/**
 * The 32-byte digest. Uses the addon's one-shot function, which is faster than its streaming hasher at all chunk sizes (by
 * half at 64 KiB); chunks and manifests fit in memory. Throws `disk` if the addon cannot be loaded.
 */
export function digest(bytes: Uint8Array): Uint8Array {
  loaded ??= loadAddon();
  return loaded(bytes);
}

/** Whether the bytes have this chunk's digest. */
export function isChunk(bytes: Uint8Array, manifest: Manifest, chunk: number): boolean {
  return Buffer.compare(digest(bytes), digestOfChunk(manifest, chunk)) === 0;
}

function loadAddon(): Blake3 {
  try {
    // A plain require with a literal name: scripts/build replaces it by the embedded addon, and it runs when called.
    return (require("@napi-rs/blake-hash") as typeof import("@napi-rs/blake-hash")).blake3;
  } catch (error) {
    throw new P2pfsError("disk", `cannot load the BLAKE3 library from the temp folder ${tmpdir()}`, {
      cause: error,
      hint: "set TMPDIR to an existing folder in which files can be written and programs be run",
    });
  }
}
