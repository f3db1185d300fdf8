/**
 * All contents that this peer can serve: local copies, checked against their stamps, and the part files of running
 * fetches. Chunks are served by content id; fnames do not matter here.
 */
import { Bitfield } from "../core/bitfield.ts";
import { Emitter } from "../core/emitter.ts";
import { P2pfsError } from "../core/errors.ts";
import { type ContentId, chunkCountFor, decodeManifest, type Manifest, totalSizeOf } from "../core/manifest.ts";
import { ContentLayout } from "../disk/content-layout.ts";
import type { ContentStore, Part } from "../disk/content-store.ts";
import { sameStamp } from "../disk/file-stamp.ts";
import type { LocalCopy, Repository } from "./repository.ts";

/** Decoded manifests in memory; replies with chunks contain their digests. */
const MANIFESTS_CACHED_MAX = 32;

/** A content that this peer holds chunks of. */
export interface Offer {
  readonly contentId: ContentId;
  /** Bytes of the whole content. */
  readonly size: number;
  readonly have: Bitfield;
}

/** Changes of this peer's holdings. */
export type LibraryEvent =
  /** A fetch has started; the chunks in its part file, perhaps none yet, can be served. */
  | { readonly type: "fetch_began"; readonly contentId: ContentId; readonly size: number }
  /** A running fetch has gained a chunk. */
  | { readonly type: "gained"; readonly contentId: ContentId; readonly size: number; readonly chunk: number }
  /** A copy or part file was removed; another one may still hold the content. */
  | { readonly type: "changed"; readonly contentId: ContentId; readonly size: number }
  | { readonly type: "copy_added"; readonly contentId: ContentId }
  /** A copy's file changed or vanished; the copy is not served any more. */
  | { readonly type: "copy_lost"; readonly contentId: ContentId; readonly copy: LocalCopy; readonly why: P2pfsError }
  /** A lost copy's file is unchanged again, so the copy is served again. */
  | { readonly type: "copy_regained"; readonly contentId: ContentId; readonly copy: LocalCopy };

interface Holding {
  readonly copies: Map<string, LocalCopy>;
  readonly parts: Set<Part>;
}

export class Library {
  readonly #repository: Repository;
  readonly #store: ContentStore;
  /** Followed by announcer, swarms, sharing and the log. */
  readonly events = new Emitter<LibraryEvent>();
  readonly #holdings = new Map<ContentId, Holding>();
  readonly #manifests = new Map<ContentId, Manifest>();

  constructor(repository: Repository, store: ContentStore) {
    this.#repository = repository;
    this.#store = store;
  }

  /** All contents with a copy or part file; a part file may have no chunk yet. */
  *offers(): Generator<Offer> {
    for (const contentId of this.#holdings.keys()) {
      const offer = this.offer(contentId);
      if (offer !== undefined) yield offer;
    }
  }

  get contentCount(): number {
    return this.#holdings.size;
  }

  offer(contentId: ContentId): Offer | undefined {
    const holding = this.#holdings.get(contentId);
    if (holding === undefined) return undefined;
    for (const { size } of holding.copies.values())
      return { contentId, size, have: Bitfield.full(chunkCountFor(size)) };
    for (const part of holding.parts) return { contentId, size: totalSizeOf(part.manifest), have: part.have };
    return undefined;
  }

  /** A local copy of the content, if there is one. */
  copyOf(contentId: ContentId): LocalCopy | undefined {
    return this.#holdings.get(contentId)?.copies.values().next().value;
  }

  /** The copy at this path, if it is served. */
  copyAt(contentId: ContentId, path: string): LocalCopy | undefined {
    return this.#holdings.get(contentId)?.copies.get(path);
  }

  /** Adds a copy and returns true, unless its file has changed. */
  addCopy(copy: LocalCopy): boolean {
    const fault = this.#stampFault(copy);
    if (fault !== undefined) {
      this.events.emit({ type: "copy_lost", contentId: copy.contentId, copy, why: fault });
      return false;
    }
    this.#holding(copy.contentId).copies.set(copy.path, copy);
    this.events.emit({ type: "copy_added", contentId: copy.contentId });
    return true;
  }

  /** Compares a copy's stamp with its file again, and emits `copy_lost` or `copy_regained` on a change. */
  checkCopy(copy: LocalCopy): void {
    // The same file may be known twice, by an old stamp and by the one of a later publish.
    const offered = this.copyAt(copy.contentId, copy.path);
    const fault = this.#stampFault(offered ?? copy);
    if (offered !== undefined && fault !== undefined) return this.#lose(offered, fault);
    if (offered !== undefined || fault !== undefined) return;
    this.#holding(copy.contentId).copies.set(copy.path, copy);
    this.events.emit({ type: "copy_regained", contentId: copy.contentId, copy });
  }

  removeCopy({ contentId, path, size }: LocalCopy): void {
    this.#dropCopy(contentId, path);
    this.events.emit({ type: "changed", contentId, size });
  }

  addPart(contentId: ContentId, part: Part): void {
    this.#holding(contentId).parts.add(part);
    this.events.emit({ type: "fetch_began", contentId, size: totalSizeOf(part.manifest) });
  }

  /** Emits that an added part has gained a chunk. */
  gain(contentId: ContentId, part: Part, chunk: number): void {
    this.events.emit({ type: "gained", contentId, size: totalSizeOf(part.manifest), chunk });
  }

  removePart(contentId: ContentId, part: Part): void {
    this.#holdings.get(contentId)?.parts.delete(part);
    this.#forgetIfEmpty(contentId);
    this.events.emit({ type: "changed", contentId, size: totalSizeOf(part.manifest) });
  }

  /** Canonical bytes of the manifest of a served content. */
  manifestBytes(contentId: ContentId): Uint8Array | undefined {
    for (const part of this.#holdings.get(contentId)?.parts ?? []) return part.manifestBytes;
    return this.#holdings.has(contentId) ? this.#repository.manifest(contentId) : undefined;
  }

  manifest(contentId: ContentId): Manifest | undefined {
    const cached = this.#manifests.get(contentId);
    if (cached !== undefined) return cached;
    const bytes = this.manifestBytes(contentId);
    if (bytes === undefined) return undefined;
    const manifest = decodeManifest(bytes);
    if (this.#manifests.size >= MANIFESTS_CACHED_MAX) this.#manifests.delete(this.#manifests.keys().next().value!);
    this.#manifests.set(contentId, manifest);
    return manifest;
  }

  /** Reads bytes of a chunk from a copy or part file. Throws `not_found` where no copy is intact and no part has it. */
  async read(contentId: ContentId, chunk: number, offset: number, target: Uint8Array): Promise<void> {
    const holding = this.#holdings.get(contentId);
    const manifest = this.manifest(contentId);
    if (holding === undefined || manifest === undefined) throw gone(contentId);
    const position = new ContentLayout(manifest).startOf(chunk) + offset;
    for (const copy of holding.copies.values()) {
      try {
        return await this.#store.read(copy, position, target);
      } catch (thrown) {
        if (!(thrown instanceof P2pfsError)) throw thrown;
        this.#lose(copy, thrown);
      }
    }
    for (const part of holding.parts) {
      if (part.have.has(chunk)) return await part.read(position, target);
    }
    throw gone(contentId);
  }

  /**
   * Length of a chunk that can be served now. A changed copy is detected here, before the reply's frame begins, since a
   * frame that has begun can be ended only by closing the connection. Throws `not_found`.
   */
  chunkLength(contentId: ContentId, chunk: number): number {
    for (const copy of this.#holdings.get(contentId)?.copies.values() ?? []) {
      const fault = this.#stampFault(copy);
      if (fault === undefined) break;
      this.#lose(copy, fault);
    }
    const manifest = this.manifest(contentId);
    if (!this.offer(contentId)?.have.has(chunk) || manifest === undefined) throw gone(contentId);
    return new ContentLayout(manifest).lengthOf(chunk);
  }

  #stampFault(copy: LocalCopy): P2pfsError | undefined {
    try {
      if (sameStamp(this.#store.stampOf(copy.path), copy)) return undefined;
      return new P2pfsError("refused", `${copy.path} changed since it was shared`);
    } catch (cause) {
      return new P2pfsError("disk", `${copy.path} cannot be read any more`, { cause });
    }
  }

  #dropCopy(contentId: ContentId, path: string): void {
    this.#holdings.get(contentId)?.copies.delete(path);
    this.#forgetIfEmpty(contentId);
  }

  #lose(copy: LocalCopy, why: P2pfsError): void {
    this.#dropCopy(copy.contentId, copy.path);
    this.events.emit({ type: "copy_lost", contentId: copy.contentId, copy, why });
  }

  #holding(contentId: ContentId): Holding {
    const holding = this.#holdings.get(contentId) ?? { copies: new Map(), parts: new Set() };
    this.#holdings.set(contentId, holding);
    return holding;
  }

  #forgetIfEmpty(contentId: ContentId): void {
    const holding = this.#holdings.get(contentId);
    if (holding === undefined || holding.copies.size > 0 || holding.parts.size > 0) return;
    this.#holdings.delete(contentId);
    this.#manifests.delete(contentId);
  }
}

function gone(contentId: ContentId): P2pfsError {
  return new P2pfsError("not_found", `this peer holds the content ${contentId.slice(0, 12)} no longer`);
}
