/**
 * Where the bytes of a content are: its entries, read as one stream in the order of the manifest, are cut into chunks.
 * Whatever turns a chunk into a position and a length asks here.
 */
import type { Bitfield } from "../core/bitfield.ts";
import { chunkLengthAt, type Manifest, totalSizeOf } from "../core/manifest.ts";

export class ContentLayout {
  readonly #chunkSize: number;
  /** Bytes of all entries. */
  readonly size: number;

  constructor(manifest: Pick<Manifest, "entries" | "chunkSize">) {
    this.#chunkSize = manifest.chunkSize;
    this.size = totalSizeOf(manifest);
  }

  /** Position of the chunk's first byte in the content. */
  startOf(chunk: number): number {
    return chunk * this.#chunkSize;
  }

  /** Bytes of the chunk. */
  lengthOf(chunk: number): number {
    return chunkLengthAt(this.size, this.#chunkSize, chunk);
  }

  /** Bytes of all these chunks. */
  bytesOf(chunks: Bitfield): number {
    const last = chunks.size - 1;
    const lackOfLast = chunks.has(last) ? this.#chunkSize - this.lengthOf(last) : 0;
    return chunks.count * this.#chunkSize - lackOfLast;
  }
}
