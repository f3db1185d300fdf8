/** Files that are served up to a point and then held, so that something can happen while a fetch is under way. */
import type { SharedFile } from "../../src/disk/chunk-reader.ts";
import { FileStore } from "../../src/disk/file-store.ts";

export class GatedStore extends FileStore {
  #bytesLeft = Number.POSITIVE_INFINITY;
  #opened = Promise.withResolvers<void>();

  /** From now on about so many bytes are read from shared files, and no more until `open` is called. */
  holdAfter(bytes: number): void {
    this.#bytesLeft = bytes;
    this.#opened = Promise.withResolvers();
  }

  open(): void {
    this.#bytesLeft = Number.POSITIVE_INFINITY;
    this.#opened.resolve();
  }

  override async read(file: SharedFile, position: number, target: Uint8Array): Promise<void> {
    if (this.#bytesLeft <= 0) await this.#opened.promise;
    this.#bytesLeft -= target.length;
    await super.read(file, position, target);
  }
}
