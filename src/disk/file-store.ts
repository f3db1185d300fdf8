/** Contents in files: part files beside their destinations, shares wherever they are. */
import { realpathSync } from "node:fs";
import { sourceError } from "../core/disk-error.ts";
import { P2pfsError } from "../core/errors.ts";
import type { FileName } from "../core/file-name.ts";
import type { ContentId } from "../core/manifest.ts";
import { ReaderPool, type SharedFile } from "./chunk-reader.ts";
import type { ContentStore, LeftPart, PartOptions } from "./content-store.ts";
import { destinationOf } from "./destination.ts";
import { type FileStamp, stampOf } from "./file-stamp.ts";
import { type HashedFile, type HashOptions, hashFile } from "./hash-file.ts";
import { PartFile } from "./part-file.ts";

/** Shared files kept open for reading. */
const READERS_MAX = 128;

export class FileStore implements ContentStore {
  readonly #readers = new ReaderPool(READERS_MAX);

  realPath(path: string): string {
    try {
      return realpathSync(path);
    } catch (error) {
      throw sourceError(`cannot read ${path}`, error);
    }
  }

  hash(path: string, options: HashOptions): Promise<HashedFile> {
    return hashFile(path, options);
  }

  stampOf(path: string): FileStamp {
    const stamp = stampOf(path);
    if (realpathSync(path) === path) return stamp;
    throw new P2pfsError("refused", `there is a symbolic link in ${path} now`);
  }

  read(file: SharedFile, position: number, target: Uint8Array): Promise<void> {
    return this.#readers.read(file, position, target);
  }

  destinationOf(fname: FileName, named: string | undefined, filesFolder: string): string {
    return destinationOf(fname, named, filesFolder);
  }

  left(destination: string, contentId: ContentId): LeftPart | undefined {
    return PartFile.left(destination, contentId);
  }

  openPart(options: PartOptions): Promise<PartFile> {
    return PartFile.open(options);
  }

  close(): void {
    this.#readers.close();
  }
}
