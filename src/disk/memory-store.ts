/**
 * Contents in memory, for simulations. A `MemoryDisk` outlives the stores that are opened on it, as a disk outlives
 * processes: what an ended process wrote is doubtful to the next one, and what it had locked is free again.
 */
import { join } from "node:path";
import { Bitfield } from "../core/bitfield.ts";
import type { Clock } from "../core/clock.ts";
import { P2pfsError } from "../core/errors.ts";
import type { FileName } from "../core/file-name.ts";
import { DIGEST_BYTES } from "../core/limits.ts";
import {
  type ContentId,
  chunkCountFor,
  chunkCountOf,
  chunkSizeFor,
  contentIdOf,
  encodeManifest,
  type Manifest,
  manifestOfFile,
  totalSizeOf,
} from "../core/manifest.ts";
import { digest, isChunk } from "./blake3.ts";
import type { ChunkChecker } from "./chunk-checker.ts";
import type { SharedFile } from "./chunk-reader.ts";
import { ContentLayout } from "./content-layout.ts";
import type { CheckEvents, ContentStore, FinishEvents, LeftPart, Part, PartOptions } from "./content-store.ts";
import { type FileStamp, sameStamp } from "./file-stamp.ts";
import type { HashedFile } from "./hash-file.ts";
import { destinationExists } from "./place-file.ts";
import { UnderWay } from "./under-way.ts";

interface MemoryFile {
  readonly bytes: Uint8Array;
  readonly stamp: FileStamp;
}

/** What a part file and its journal are on a real disk. */
interface UnfinishedFile {
  readonly contentId: ContentId;
  readonly manifest: Manifest;
  readonly bytes: Uint8Array;
  readonly written: Set<number>;
  owner: MemoryStore | undefined;
}

export class MemoryDisk {
  readonly #files = new Map<string, MemoryFile>();
  readonly #unfinished = new Map<string, UnfinishedFile>();
  #changes = 0;

  /** Writes a whole file, in place of one that is there. */
  write(path: string, bytes: Uint8Array): FileStamp {
    const number = String(++this.#changes);
    const stamp = { size: bytes.length, mtimeNs: number, ino: number, dev: "memory" };
    this.#files.set(path, { bytes, stamp });
    return stamp;
  }

  /** Undefined if there is no such file. */
  read(path: string): Uint8Array | undefined {
    return this.#files.get(path)?.bytes;
  }

  /** Paths of all whole files. */
  paths(): string[] {
    return [...this.#files.keys()];
  }

  /** The bytes of an unfinished fetch, those of missing chunks included; undefined if there is none. */
  unfinishedBytes(destination: string, contentId: ContentId): Uint8Array | undefined {
    return this.#unfinished.get(keyOf(destination, contentId))?.bytes;
  }

  /** @internal */
  fileAt(path: string): MemoryFile | undefined {
    return this.#files.get(path);
  }

  /** @internal By destination and content. */
  get unfinished(): Map<string, UnfinishedFile> {
    return this.#unfinished;
  }
}

export interface MemoryStoreOptions {
  readonly disk: MemoryDisk;
  readonly clock: Clock;
  /** How long the next read or write takes, in milliseconds. */
  readonly accessMs: () => number;
}

export class MemoryStore implements ContentStore {
  readonly #options: MemoryStoreOptions;

  constructor(options: MemoryStoreOptions) {
    this.#options = options;
  }

  realPath(path: string): string {
    this.#fileAt(path);
    return path;
  }

  async hash(path: string): Promise<HashedFile> {
    await this.access();
    const { bytes, stamp } = this.#fileAt(path);
    const chunkSize = chunkSizeFor(bytes.length);
    const digests = new Uint8Array(chunkCountFor(bytes.length) * DIGEST_BYTES);
    for (let start = 0, index = 0; start < bytes.length; start += chunkSize, index++)
      digests.set(digest(bytes.subarray(start, start + chunkSize)), index * DIGEST_BYTES);
    const manifest = manifestOfFile(bytes.length, digests);
    const manifestBytes = encodeManifest(manifest);
    return { manifest, manifestBytes, contentId: contentIdOf(manifestBytes, digest), stamp };
  }

  stampOf(path: string): FileStamp {
    return this.#fileAt(path).stamp;
  }

  async read(file: SharedFile, position: number, target: Uint8Array): Promise<void> {
    await this.access();
    const { bytes, stamp } = this.#fileAt(file.path);
    if (!sameStamp(stamp, file)) throw new P2pfsError("refused", `${file.path} changed since it was shared`);
    target.set(bytes.subarray(position, position + target.length));
  }

  destinationOf(fname: FileName, named: string | undefined, filesFolder: string): string {
    return named ?? join(filesFolder, fname);
  }

  left(destination: string, contentId: ContentId): LeftPart | undefined {
    const left = this.#options.disk.unfinished.get(keyOf(destination, contentId));
    if (left === undefined) return undefined;
    const { manifest, written } = left;
    return { manifestBytes: encodeManifest(manifest), isWhole: written.size === chunkCountOf(manifest) };
  }

  async openPart({ destination, contentId, manifest }: PartOptions): Promise<Part> {
    const { disk } = this.#options;
    if (disk.fileAt(destination) !== undefined) throw destinationExists(destination);
    const key = keyOf(destination, contentId);
    const left = disk.unfinished.get(key);
    if (left?.owner !== undefined) throw new P2pfsError("refused", `another fetch writes to ${destination}`);
    const bytes = left?.bytes ?? new Uint8Array(totalSizeOf(manifest));
    const file = { contentId, manifest, bytes, written: left?.written ?? new Set<number>(), owner: this };
    disk.unfinished.set(key, file);
    return new MemoryPart(this, disk, destination, file);
  }

  /** As if the process had ended, however it did: its locks are free. */
  close(): void {
    for (const file of this.#options.disk.unfinished.values()) if (file.owner === this) file.owner = undefined;
  }

  /** @internal Resolves when the disk has had its time. */
  access(): Promise<void> {
    const { clock, accessMs } = this.#options;
    return new Promise((resolve) => void clock.after(accessMs(), resolve));
  }

  #fileAt(path: string): MemoryFile {
    const file = this.#options.disk.fileAt(path);
    if (file === undefined) throw new P2pfsError("not_found", `there is no file ${path}`);
    return file;
  }
}

class MemoryPart implements Part {
  readonly manifest: Manifest;
  readonly manifestBytes: Uint8Array;
  readonly have: Bitfield;
  readonly doubtful: Bitfield;
  readonly #store: MemoryStore;
  readonly #disk: MemoryDisk;
  readonly #destination: string;
  readonly #file: UnfinishedFile;
  readonly #layout: ContentLayout;
  readonly #underWay: UnderWay;

  constructor(store: MemoryStore, disk: MemoryDisk, destination: string, file: UnfinishedFile) {
    const count = chunkCountOf(file.manifest);
    this.manifest = file.manifest;
    this.manifestBytes = encodeManifest(file.manifest);
    this.have = new Bitfield(count);
    this.doubtful = new Bitfield(count);
    for (const chunk of file.written) this.doubtful.add(chunk);
    this.#store = store;
    this.#disk = disk;
    this.#destination = destination;
    this.#file = file;
    this.#layout = new ContentLayout(file.manifest);
    this.#underWay = new UnderWay(`the fetch to ${destination}`);
  }

  get isNoneMissing(): boolean {
    return this.have.count + this.doubtful.count === this.have.size;
  }

  write(chunk: number, bytes: Uint8Array): Promise<void> {
    return this.#underWay.run(async () => {
      await this.#store.access();
      if (this.have.has(chunk)) return;
      this.#bytesOf(chunk).set(bytes);
      this.#file.written.add(chunk);
      this.have.add(chunk);
      this.doubtful.remove(chunk);
    });
  }

  async check(checker: ChunkChecker, { proven, lost }: CheckEvents): Promise<void> {
    for (const chunk of [...this.doubtful]) {
      await checker.inTurn(async () => {
        if (!this.#underWay.isOpen) return 0;
        await this.#store.access();
        if (!this.#underWay.isOpen || !this.doubtful.remove(chunk)) return 0;
        if (isChunk(this.#bytesOf(chunk), this.manifest, chunk)) {
          this.have.add(chunk);
          proven(chunk);
        } else {
          this.#file.written.delete(chunk);
          lost(chunk);
        }
        return 0;
      });
    }
  }

  read(position: number, target: Uint8Array): Promise<void> {
    return this.#underWay.run(async () => {
      await this.#store.access();
      target.set(this.#file.bytes.subarray(position, position + target.length));
    });
  }

  async finish({ placed }: FinishEvents = {}): Promise<FileStamp> {
    await this.#underWay.settled();
    if (!this.have.isFull) throw new RangeError(`${this.have.size - this.have.count} chunks are missing`);
    await this.#store.access();
    if (this.#disk.fileAt(this.#destination) !== undefined) throw destinationExists(this.#destination);
    const stamp = this.#disk.write(this.#destination, this.#file.bytes);
    placed?.(stamp);
    await this.discard();
    return stamp;
  }

  async close(): Promise<void> {
    if (await this.#underWay.end()) this.#file.owner = undefined;
  }

  async discard(): Promise<void> {
    if (!this.#underWay.isOpen) return;
    await this.close();
    this.#disk.unfinished.delete(keyOf(this.#destination, this.#file.contentId));
  }

  /** A view. */
  #bytesOf(chunk: number): Uint8Array {
    const { bytes } = this.#file;
    const start = this.#layout.startOf(chunk);
    return bytes.subarray(start, start + this.#layout.lengthOf(chunk));
  }
}

function keyOf(destination: string, contentId: ContentId): string {
  return `${contentId} ${destination}`;
}
