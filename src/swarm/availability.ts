/**
 * Which source holds which chunk, and which chunks are wanted. Keeps three things in step: the picker, the set of chunks
 * of each source, and the count of wanted chunks in that set. A part of the FetchState, which alone uses it.
 */
import type { ChunkRanges } from "../core/bitfield.ts";
import { addBit, coversAll, emptyBits, forEachBit, hasBit, removeBit } from "./chunk-bits.ts";
import { RarestFirst } from "./picker.ts";
import type { SourceState } from "./source-state.ts";
import type { SourceId } from "./types.ts";

export class Availability {
  readonly picker: RarestFirst;
  readonly sources = new Map<SourceId, SourceState>();
  /** Exactly the sources that have more choices waiting than wanted chunks to choose from. */
  readonly overAsked = new Set<SourceState>();
  readonly #chunkCount: number;

  /** Nothing is wanted at first. */
  constructor(chunkCount: number, random: () => number) {
    this.#chunkCount = chunkCount;
    this.picker = new RarestFirst(chunkCount, random);
  }

  /** Wanted chunks that the source holds. */
  usefulCount(source: SourceState): number {
    return source.held === undefined ? this.picker.wantedCount : source.usefulCount;
  }

  addSource(source: SourceState, chunks: ChunkRanges): void {
    this.sources.set(source.id, source);
    if (coversAll(chunks, this.#chunkCount)) {
      this.picker.addCompleteHolder();
    } else {
      source.held = emptyBits(this.#chunkCount);
      this.addChunks(source, chunks);
    }
  }

  /** The source has no requests any more. Calls `visit` for every chunk that it held. */
  removeSource(source: SourceState, visit: (chunk: number) => void): void {
    this.sources.delete(source.id);
    if (source.held === undefined) {
      this.picker.removeCompleteHolder();
      for (let chunk = 0; chunk < this.#chunkCount; chunk++) visit(chunk);
    } else {
      forEachBit(source.held, (chunk) => {
        this.picker.removeHolder(chunk);
        visit(chunk);
      });
    }
    this.#retryBadChunks();
  }

  /** `gained`: the source holds a chunk that it was not known to hold. */
  addChunks(source: SourceState, chunks: ChunkRanges): "gained" | "nothing_new" {
    if (source.held === undefined) return "nothing_new";
    const { badChunks } = source;
    let hasGained = false;
    for (let i = 0; i < chunks.length; i += 2) {
      const last = Math.min(chunks[i + 1]!, this.#chunkCount - 1);
      for (let chunk = chunks[i]!; chunk <= last; chunk++) {
        if (source.has(chunk) || (badChunks.size > 0 && badChunks.has(chunk))) continue;
        this.#addChunk(source, chunk);
        hasGained = true;
      }
    }
    if (!hasGained) return "nothing_new";
    this.checkChoices(source);
    return "gained";
  }

  /** The source does not have this chunk any more, or is not asked for it. */
  removeChunk(source: SourceState, chunk: number): "removed" | "not_held" {
    if (!source.has(chunk)) {
      // It was bad from there, and now the source has it no longer: there is nothing to come back to.
      source.badChunks.delete(chunk);
      return "not_held";
    }
    if (source.held === undefined) {
      this.picker.removeCompleteHolder();
      source.listChunks(this.#chunkCount);
      source.usefulCount = this.picker.wantedCount;
      for (let each = 0; each < this.#chunkCount; each++) this.picker.addHolder(each);
    }
    removeBit(source.held!, chunk);
    if (this.picker.removeHolder(chunk)) source.usefulCount--;
    this.checkChoices(source);
    if (this.picker.holders(chunk) === 0) this.#retryBadChunks();
    return "removed";
  }

  /** A bad chunk came from the source. `kept`: no other source has the chunk, so this one may be asked for it again. */
  avoidChunk(source: SourceState, chunk: number): "avoided" | "kept" | "not_held" {
    if (!source.has(chunk)) return "not_held";
    if (this.picker.holders(chunk) <= 1) return "kept";
    this.removeChunk(source, chunk);
    source.badChunks.add(chunk);
    return "avoided";
  }

  setWanted(chunk: number, isWanted: boolean): void {
    if (isWanted) this.picker.want(chunk);
    else this.picker.unwant(chunk);
    const change = isWanted ? 1 : -1;
    const { wantedCount } = this.picker;
    for (const source of this.sources.values()) {
      let usefulCount = wantedCount;
      if (source.held !== undefined) {
        if (!hasBit(source.held, chunk)) continue;
        source.usefulCount += change;
        usefulCount = source.usefulCount;
      }
      if (source.openChoices > usefulCount) this.overAsked.add(source);
      else if (this.overAsked.size > 0) this.overAsked.delete(source);
    }
  }

  /** To be called whenever the choices of the source, or its wanted chunks, have become more or fewer. */
  checkChoices(source: SourceState): void {
    if (source.openChoices > this.usefulCount(source)) this.overAsked.add(source);
    else if (this.overAsked.size > 0) this.overAsked.delete(source);
  }

  #addChunk(source: SourceState, chunk: number): void {
    if (source.held !== undefined) addBit(source.held, chunk);
    if (this.picker.addHolder(chunk)) source.usefulCount++;
  }

  /** A chunk that no source holds any more may be asked for again wherever it was bad. */
  #retryBadChunks(): void {
    const isOrphan = (chunk: number) => this.picker.holders(chunk) === 0;
    const retried = [...this.sources.values()].map(
      (source) => [source, [...source.badChunks].filter(isOrphan)] as const,
    );
    for (const [source, chunks] of retried) {
      for (const chunk of chunks) {
        source.badChunks.delete(chunk);
        this.#addChunk(source, chunk);
        this.checkChoices(source);
      }
    }
  }
}
