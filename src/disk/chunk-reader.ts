/**
 * Reads bytes of shared files. Every read checks that the path still leads to the unchanged file that was shared; a
 * changed, replaced or deleted file is refused.
 */
import { closeSync, constants, fstatSync, openSync, readlinkSync, realpathSync } from "node:fs";
import { diskError, sourceError } from "../core/disk-error.ts";
import { P2pfsError } from "../core/errors.ts";
import { type ContentStamp, type FileStamp, sameFile, sameStamp, stampOf } from "./file-stamp.ts";
import { readAt } from "./io.ts";

/** A file with its stamp from when it was hashed. */
export interface SharedFile extends ContentStamp {
  /**
   * Without symbolic links: one that is in the path later was put there instead of what was shared, by somebody who may
   * not be allowed to read where it leads.
   */
  readonly path: string;
}

/** One open file. */
export class ChunkReader {
  readonly file: SharedFile;
  readonly #fd: number;
  readonly #opened: FileStamp;
  #reads = 0;
  #closing = false;

  /** Throws `not_found`, `refused` (changed, no regular file) or `disk`. */
  static open(file: SharedFile): ChunkReader {
    const attempt = `cannot read ${file.path}`;
    let fd: number;
    try {
      fd = openSync(file.path, constants.O_RDONLY | constants.O_NONBLOCK);
    } catch (error) {
      throw sourceError(attempt, error);
    }
    try {
      const isItself = fstatSync(fd).isFile() && realPathOf(fd, file.path) === file.path;
      if (!isItself || !sameStamp(file, stampOf(fd))) throw changed(file.path);
      return new ChunkReader(file, fd, stampOf(fd));
    } catch (error) {
      closeSync(fd);
      throw diskError(attempt, error);
    }
  }

  private constructor(file: SharedFile, fd: number, opened: FileStamp) {
    this.file = file;
    this.#fd = fd;
    this.#opened = opened;
  }

  get isReading(): boolean {
    return this.#reads > 0;
  }

  /** Fills the target from this position of the file, or throws as `open` does. */
  async read(position: number, target: Uint8Array): Promise<void> {
    this.#reads++;
    try {
      const filled = await readAt(this.#fd, target, position);
      // Checked after the read, so that a change before or during it is noticed.
      this.#expectUnchanged();
      if (filled < target.length) throw changed(this.file.path);
    } catch (error) {
      throw sourceError(`cannot read ${this.file.path}`, error);
    } finally {
      this.#reads--;
      this.#closeWhenIdle();
    }
  }

  /** Closes the file as soon as no read is under way. No read may be started afterwards. */
  close(): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#closeWhenIdle();
  }

  #closeWhenIdle(): void {
    if (this.#closing && this.#reads === 0) closeSync(this.#fd);
  }

  #expectUnchanged(): void {
    const now = stampOf(this.file.path);
    if (!sameFile(now, this.#opened) || !sameStamp(now, this.file)) throw changed(this.file.path);
  }
}

/** Readers kept open between reads, the least recently used closed first. */
export class ReaderPool {
  readonly #openMax: number;
  /** By path; insertion order is order of use. */
  readonly #readers = new Map<string, ChunkReader>();

  constructor(openMax: number) {
    this.#openMax = openMax;
  }

  get openCount(): number {
    return this.#readers.size;
  }

  /** Fills the target from this position of the file. Throws as `ChunkReader.open` does. */
  async read(file: SharedFile, position: number, target: Uint8Array): Promise<void> {
    const reader = this.#readerOf(file);
    try {
      await reader.read(position, target);
    } catch (error) {
      this.#drop(reader);
      throw error;
    }
  }

  /** Closes every file as soon as no read is under way on it. */
  close(): void {
    for (const reader of [...this.#readers.values()]) this.#drop(reader);
  }

  #readerOf(file: SharedFile): ChunkReader {
    const known = this.#readers.get(file.path);
    if (known !== undefined && sameStamp(known.file, file)) {
      this.#readers.delete(file.path);
      this.#readers.set(file.path, known);
      return known;
    }
    if (known !== undefined) this.#drop(known);
    if (this.#readers.size >= this.#openMax) this.#drop(this.#leastUsed());
    const reader = ChunkReader.open(file);
    this.#readers.set(file.path, reader);
    return reader;
  }

  /** The least recently used; an idle one if possible, since closing one that reads frees nothing yet. */
  #leastUsed(): ChunkReader {
    let oldest: ChunkReader | undefined;
    for (const reader of this.#readers.values()) {
      if (!reader.isReading) return reader;
      oldest ??= reader;
    }
    return oldest!;
  }

  #drop(reader: ChunkReader): void {
    if (this.#readers.get(reader.file.path) === reader) this.#readers.delete(reader.file.path);
    reader.close();
  }
}

/** Of an open file. Where the system does not tell, that of what the path leads to now. */
function realPathOf(fd: number, path: string): string {
  return process.platform === "linux" ? readlinkSync(`/proc/self/fd/${fd}`) : realpathSync(path);
}

function changed(path: string): P2pfsError {
  return new P2pfsError("refused", `${path} changed since it was shared`, {
    hint: "publish it again to share it as it is now",
  });
}
