/**
 * BLAKE3 by a native addon. It is loaded at the first digest and not before: the compiled binary needs the temp folder
 * for it (embedded-addon.ts), which costs time and can fail, and most commands hash nothing.
 */
import { tmpdir } from "node:os";
import { P2pfsError } from "../core/errors.ts";
import { digestOfChunk, type Manifest } from "../core/manifest.ts";

type Blake3 = (bytes: Uint8Array) => Uint8Array;

let loaded: Blake3 | undefined;

/**
 * The 32-byte digest. The one-shot call of the addon beats its streaming hasher at every chunk size, by half at
 * 64 KiB, and nothing that is hashed here (chunks, manifests) is too long to be in memory at once.
 * Throws `disk` where the addon cannot be loaded.
 */
export function digest(bytes: Uint8Array): Uint8Array {
  loaded ??= loadAddon();
  return loaded(bytes);
}

/** Whether these are the bytes of this chunk. */
export function isChunk(bytes: Uint8Array, manifest: Manifest, chunk: number): boolean {
  return Buffer.compare(digest(bytes), digestOfChunk(manifest, chunk)) === 0;
}

function loadAddon(): Blake3 {
  try {
    // A plain require with a literal name: scripts/build puts the embedded addon here, and it still runs late.
    return (require("@napi-rs/blake-hash") as typeof import("@napi-rs/blake-hash")).blake3;
  } catch (error) {
    throw new P2pfsError("disk", `cannot load the BLAKE3 library from the temp folder ${tmpdir()}`, {
      cause: error,
      hint: "set TMPDIR to an existing folder in which files can be written and programs be run",
    });
  }
}
