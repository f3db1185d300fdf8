/**
 * The books of one fetch: the state of every chunk, every source and every request, and the only operations that
 * change them. Each operation keeps picker, counts and claims in step; none decides anything.
 */
import { type Bitfield, type ChunkRanges, rangeOfOne } from "../core/bitfield.ts";
import type { DownloadBounds } from "./bounds.ts";
import { coversAll, emptyBits, forEachBit } from "./chunk-bits.ts";
import { RarestFirst } from "./picker.ts";
import { isBlank, newRecord, type Request, Source, type SourceRecord } from "./source.ts";
import type { RequestId, SourceId } from "./types.ts";

/**
 * Exactly one per chunk: free to be asked for, claimed by one request, on its way to the disk, had, or perhaps had: an
 * earlier process wrote it, and it is still to be checked.
 */
export type ChunkState = "missing" | Request | "writing" | "held" | "doubtful";

export class Ledger {
  readonly chunkCount: number;
  /** D1: to_download. */
  readonly picker: RarestFirst;
  /** D2: file_chunk_info by owner; the picker counts the owners of a chunk. */
  readonly sources = new Map<SourceId, Source>();
  /** Of the sources that there are, and of those that left after they had sent something. */
  readonly records = new Map<SourceId, SourceRecord>();
  /** Sources with more requests that leave them the choice than there are chunks to choose from. */
  readonly overAsked = new Set<Source>();
  /** Of the sources that there are, those that have answered a request. */
  #answeredSources = 0;
  readonly #bounds: DownloadBounds;
  readonly #have: Bitfield;
  readonly #chunks: ChunkState[] = [];
  /** By chunk: how often a request for it was moved to a faster source. */
  readonly #moves: Uint8Array;
  /** D3: pending; released requests that may still be answered are in it as well. */
  readonly #requests = new Map<RequestId, Request>();
  #unanswered = 0;
  #nextRequest = 0;

  constructor(
    chunkCount: number,
    have: Bitfield,
    doubtful: Bitfield | undefined,
    random: () => number,
    bounds: DownloadBounds,
  ) {
    this.chunkCount = chunkCount;
    this.#have = have;
    this.#bounds = bounds;
    this.#moves = new Uint8Array(chunkCount);
    this.picker = new RarestFirst(chunkCount, random);
    for (let chunk = 0; chunk < chunkCount; chunk++) {
      const state = have.has(chunk) ? "held" : doubtful?.has(chunk) ? "doubtful" : "missing";
      this.#chunks.push(state);
      if (state === "missing") this.picker.want(chunk);
    }
  }

  /** Waiting and opened requests: what the window bounds. */
  get unanswered(): number {
    return this.#unanswered;
  }

  get answeredSources(): number {
    return this.#answeredSources;
  }

  state(chunk: number): ChunkState | undefined {
    return this.#chunks[chunk];
  }

  /** The lowest chunk of which no bytes are here. */
  lowestMissing(): number | undefined {
    const chunk = this.#chunks.findIndex((state) => state === "missing" || typeof state === "object");
    return chunk < 0 ? undefined : chunk;
  }

  /** The request under this id, where it was sent to this source and is not answered. */
  request(id: RequestId, source: SourceId): Request | undefined {
    const request = this.#requests.get(id);
    return request?.source.id === source ? request : undefined;
  }

  *unansweredRequests(): Generator<Request> {
    for (const request of this.#requests.values()) if (request.state !== "released") yield request;
  }

  /** The average, over the sources that have answered, of what each took for its last answer. */
  typicalWaitMs(): number {
    let count = 0;
    let sumMs = 0;
    for (const { waitedMs } of this.sources.values()) {
      if (waitedMs === undefined) continue;
      count++;
      sumMs += waitedMs;
    }
    return count === 0 ? 0 : sumMs / count;
  }

  /** Wanted chunks that the source holds. */
  usefulCount(source: Source): number {
    return source.held === undefined ? this.picker.wantedCount : source.usefulCount;
  }

  addSource(id: SourceId, chunks: ChunkRanges, now: number): Source {
    const source = new Source(id, this.record(id), this.#bounds, now);
    this.sources.set(id, source);
    if (coversAll(chunks, this.chunkCount)) {
      this.picker.addCompleteHolder();
    } else {
      source.held = emptyBits(this.chunkCount);
      this.growSource(source, chunks);
    }
    return source;
  }

  record(id: SourceId): SourceRecord {
    let record = this.records.get(id);
    if (record === undefined) {
      record = newRecord();
      this.records.set(id, record);
    }
    return record;
  }

  /** Whether the source holds anything that it was not known to hold. */
  growSource(source: Source, chunks: ChunkRanges): boolean {
    if (source.held === undefined) return false;
    let hasGrown = false;
    for (let i = 0; i < chunks.length; i += 2) {
      const last = Math.min(chunks[i + 1]!, this.chunkCount - 1);
      for (let chunk = chunks[i]!; chunk <= last; chunk++) {
        if (source.has(chunk) || (source.spoiled.size > 0 && source.spoiled.has(chunk))) continue;
        this.#addChunk(source, chunk);
        hasGrown = true;
      }
    }
    return hasGrown;
  }

  /** The source is not asked for this chunk any more. */
  disown(source: Source, chunk: number): void {
    if (!source.has(chunk)) return;
    if (source.held === undefined) {
      this.picker.removeCompleteHolder();
      source.listChunks(this.chunkCount);
      source.usefulCount = this.picker.wantedCount;
      for (let each = 0; each < this.chunkCount; each++) this.picker.addHolder(each);
    }
    source.removeChunk(chunk);
    if (this.picker.removeHolder(chunk)) source.usefulCount--;
    if (source.openChoices > source.usefulCount) this.overAsked.add(source);
    if (this.picker.holders(chunk) === 0) this.#restoreSpoiled();
  }

  /** A bad chunk came from the source: others are asked first. Nobody else has it: the source may try again. */
  spoil(source: Source, chunk: number): void {
    if (this.picker.holders(chunk) <= 1 || !source.has(chunk)) return;
    this.disown(source, chunk);
    source.spoiled.add(chunk);
  }

  /** The source has answered this request. */
  noteAnswer(request: Request, now: number): void {
    if (request.source.waitedMs === undefined) this.#answeredSources++;
    request.source.noteAnswer(request, now);
  }

  /** D6: its requests are void, its chunks have one owner less. `visit` sees every chunk not held here that is lost with it. */
  removeSource(source: Source, visit: (chunk: number) => void): void {
    this.sources.delete(source.id);
    if (source.waitedMs !== undefined) this.#answeredSources--;
    if (isBlank(source.record)) this.records.delete(source.id);
    else this.#forgetRecords();
    this.overAsked.delete(source);
    for (const request of [...source.requests, ...source.released]) {
      this.#freeClaim(request);
      this.settle(request);
    }
    const visitOpen = (chunk: number) => {
      if (this.#chunks[chunk] !== "held") visit(chunk);
    };
    if (source.held === undefined) {
      this.picker.removeCompleteHolder();
      for (let chunk = 0; chunk < this.chunkCount; chunk++) visitOpen(chunk);
    } else {
      forEachBit(source.held, (chunk) => {
        this.picker.removeHolder(chunk);
        visitOpen(chunk);
      });
    }
    this.#restoreSpoiled();
  }

  /** Of sources that are gone, the earliest are forgotten. */
  #forgetRecords(): void {
    if (this.records.size <= this.sources.size + this.#bounds.pastRecordsMax) return;
    for (const id of this.records.keys()) if (!this.sources.has(id)) return void this.records.delete(id);
  }

  /** A new request; one for a single chunk claims it. */
  open(source: Source, chunks: ChunkRanges, exactChunk: number | undefined, now: number): Request {
    const request: Request = {
      id: this.#nextRequest++,
      source,
      chunks: exactChunk === undefined ? chunks : rangeOfOne(exactChunk),
      isChoice: exactChunk === undefined,
      sentAt: now,
      ahead: source.requests.length,
      state: "waiting",
      openedAt: now,
      claim: undefined,
      overtaken: 0,
      flow: undefined,
    };
    source.noteAsked(now);
    this.#requests.set(request.id, request);
    source.requests.push(request);
    this.#unanswered++;
    if (exactChunk === undefined) source.openChoices++;
    else this.#claim(request, exactChunk);
    return request;
  }

  /** The uploader has chosen a chunk that is missing: the request claims it and is opened. */
  bind(request: Request, chunk: number, now: number): void {
    this.#leaveWaiting(request);
    if (request.state === "released") {
      request.source.released.splice(request.source.released.indexOf(request), 1);
      request.source.requests.push(request);
      this.#unanswered++;
    }
    request.state = "opened";
    request.openedAt = now;
    if (request.claim !== chunk) this.#claim(request, chunk);
  }

  /** Gives a request up: its chunk is free, a late answer is remembered as asked for. */
  release(request: Request): void {
    if (request.state === "released") return;
    this.#leaveWindow(request);
    request.state = "released";
    this.#freeClaim(request);
    request.source.released.push(request);
    if (request.source.released.length <= this.#bounds.releasedMax) return;
    const forgotten = request.source.released.shift()!;
    this.#requests.delete(forgotten.id);
    if (forgotten.source.receiving === forgotten) forgotten.source.receiving = undefined;
  }

  /** What a move of the request has to gain, as a factor: no liar keeps a chunk going to and fro. */
  moveCost({ claim }: Request): number {
    const moves = claim === undefined ? 0 : this.#moves[claim]!;
    if (moves >= this.#bounds.movesMax) return Number.POSITIVE_INFINITY;
    return 2 ** Math.max(moves - this.#bounds.movesFree, 0);
  }

  /** Gives the request up for a faster source. */
  noteMoved({ claim }: Request): void {
    if (claim !== undefined) this.#moves[claim]!++;
  }

  /** The request was answered: it is gone, and the chunk that it claimed is free unless it is being written. */
  settle(request: Request): void {
    this.#freeClaim(request);
    if (request.source.receiving === request) request.source.receiving = undefined;
    if (request.state === "released") {
      request.source.released.splice(request.source.released.indexOf(request), 1);
    } else {
      this.#leaveWindow(request);
    }
    this.#requests.delete(request.id);
  }

  /** D5: from missing, or claimed by this request, to writing; then the request is to be settled. */
  startWriting(chunk: number, request: Request): void {
    if (request.claim === chunk) request.claim = undefined;
    else this.#setWanted(chunk, false);
    this.#chunks[chunk] = "writing";
  }

  /** The chunk is on disk, from whatever state. */
  hold(chunk: number): void {
    const state = this.#chunks[chunk];
    if (state === undefined || state === "held") return;
    if (typeof state === "object") state.claim = undefined;
    else if (state === "missing") this.#setWanted(chunk, false);
    this.#chunks[chunk] = "held";
    this.#have.add(chunk);
  }

  /** A doubtful chunk is missing after all; false where it was not doubtful. */
  lose(chunk: number): boolean {
    if (this.#chunks[chunk] !== "doubtful") return false;
    this.#chunks[chunk] = "missing";
    this.#setWanted(chunk, true);
    return true;
  }

  #claim(request: Request, chunk: number): void {
    request.claim = chunk;
    this.#chunks[chunk] = request;
    this.#setWanted(chunk, false);
  }

  #freeClaim(request: Request): void {
    if (request.claim === undefined) return;
    this.#chunks[request.claim] = "missing";
    this.#setWanted(request.claim, true);
    request.claim = undefined;
  }

  #leaveWaiting(request: Request): void {
    if (request.state === "waiting" && request.isChoice) request.source.openChoices--;
  }

  #leaveWindow(request: Request): void {
    this.#leaveWaiting(request);
    const { requests } = request.source;
    requests.splice(requests.indexOf(request), 1);
    this.#unanswered--;
  }

  #addChunk(source: Source, chunk: number): void {
    source.addChunk(chunk);
    if (this.picker.addHolder(chunk)) source.usefulCount++;
  }

  #setWanted(chunk: number, isWanted: boolean): void {
    if (isWanted) this.picker.want(chunk);
    else this.picker.unwant(chunk);
    const change = isWanted ? 1 : -1;
    for (const source of this.sources.values()) {
      if (source.held !== undefined) {
        if (!source.has(chunk)) continue;
        source.usefulCount += change;
      }
      if (source.openChoices > this.usefulCount(source)) this.overAsked.add(source);
    }
  }

  /** A chunk whose last other owner is gone may be asked again from those who sent it damaged. */
  #restoreSpoiled(): void {
    for (const source of this.sources.values()) {
      for (const chunk of source.spoiled) {
        if (this.picker.holders(chunk) > 0) continue;
        source.spoiled.delete(chunk);
        this.#addChunk(source, chunk);
      }
    }
  }
}
