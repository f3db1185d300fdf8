/**
 * The state of one fetch: of every chunk, every source and every request, and the only operations that change it. An
 * operation keeps all of it consistent and returns what happened; it decides nothing. The DownloadManager calls the
 * operations; everybody else reads a FetchView.
 */
import type { Bitfield, ChunkRanges } from "../core/bitfield.ts";
import { Availability } from "./availability.ts";
import type { DownloadBounds } from "./bounds.ts";
import type { Picker } from "./picker.ts";
import { becomeOpened, becomeReleased, countOvertaken, newChoiceRequest, newExactRequest } from "./request.ts";
import type { Request, Source } from "./source.ts";
import { type BanReason, type SourceRecord, SourceRecords } from "./source-records.ts";
import { SourceState } from "./source-state.ts";
import type { RequestId, SourceId } from "./types.ts";

/**
 * Exactly one per chunk: not here and free to be asked for; claimed by one request; on its way to the disk; here; or
 * doubtful: an earlier process wrote it, and it is still to be checked. A claim is this entry and stands nowhere else.
 */
export type ChunkState = "missing" | Request | "writing" | "held" | "doubtful";

/** What everybody but the DownloadManager sees of the state. */
export type FetchView = Pick<
  FetchState,
  | "answeredSources"
  | "chunkState"
  | "claimOf"
  | "lowestMissing"
  | "moveCost"
  | "overAsked"
  | "picker"
  | "sources"
  | "typicalWaitMs"
  | "unanswered"
  | "unansweredRequests"
  | "usefulCount"
>;

export type BindResult = "bound" | "bound_before" | "not_needed" | "claimed_elsewhere" | "window_full";

/** Only the FetchState makes sources, so each is one that it may change. */
function owned(source: Source): SourceState {
  return source as SourceState;
}

export class FetchState {
  readonly chunkCount: number;
  /** D1: to_download. Wanted are the missing chunks and no others. */
  readonly picker: Picker;
  /** D2: file_chunk_info by owner; the picker counts the owners of a chunk. */
  readonly sources: ReadonlyMap<SourceId, Source>;
  /** Sources that have more choices waiting than wanted chunks to choose from. */
  readonly overAsked: ReadonlySet<Source>;
  /** Of the sources that there are, and of those that left after they had sent something. */
  readonly records: ReadonlyMap<SourceId, SourceRecord>;
  readonly #availability: Availability;
  readonly #records: SourceRecords;
  /** Of the sources that there are, those that have answered a request. */
  #answeredSources = 0;
  readonly #bounds: DownloadBounds;
  readonly #have: Bitfield;
  readonly #chunks: ChunkState[] = [];
  /** By chunk: how often a request for it was moved to a faster source. */
  readonly #moves: Uint8Array;
  /** D3: pending. Released requests that may still be answered are in it as well. */
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
    this.#records = new SourceRecords(bounds);
    this.#availability = new Availability(chunkCount, random);
    this.picker = this.#availability.picker;
    this.sources = this.#availability.sources;
    this.overAsked = this.#availability.overAsked;
    this.records = this.#records.byId;
    for (let chunk = 0; chunk < chunkCount; chunk++) {
      const state = have.has(chunk) ? "held" : doubtful?.has(chunk) ? "doubtful" : "missing";
      this.#chunks.push(state);
      if (state === "missing") this.#availability.setWanted(chunk, true);
    }
  }

  /** Waiting and opened requests: the window bounds them. */
  get unanswered(): number {
    return this.#unanswered;
  }

  get answeredSources(): number {
    return this.#answeredSources;
  }

  chunkState(chunk: number): ChunkState | undefined {
    return this.#chunks[chunk];
  }

  /** The lowest chunk of which no bytes are here. */
  lowestMissing(): number | undefined {
    const chunk = this.#chunks.findIndex((state) => state === "missing" || typeof state === "object");
    return chunk < 0 ? undefined : chunk;
  }

  /** The chunk that the request claims: no other source is asked for it meanwhile. */
  claimOf(request: Request): number | undefined {
    const { chunk } = request;
    return chunk !== undefined && this.#chunks[chunk] === request ? chunk : undefined;
  }

  /** The request under this id, if it was sent to this source and is not answered. */
  request(id: RequestId, source: SourceId): Request | undefined {
    const request = this.#requests.get(id);
    return request?.source.id === source ? request : undefined;
  }

  *unansweredRequests(): Generator<Request> {
    for (const request of this.#requests.values()) if (request.state !== "released") yield request;
  }

  /** What each source took for its last answer, on average over those that have answered. */
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

  /** What a move of the request has to gain, as a factor, so that slow sources cannot keep a chunk moving for ever. */
  moveCost(request: Request): number {
    const claim = this.claimOf(request);
    const moves = claim === undefined ? 0 : this.#moves[claim]!;
    if (moves >= this.#bounds.movesMax) return Number.POSITIVE_INFINITY;
    return 2 ** Math.max(moves - this.#bounds.movesFree, 0);
  }

  /** A source can be asked from now on, or one that could be before tells what it has. A banned one gets no entry. */
  join(id: SourceId, chunks: ChunkRanges, now: number): "joined" | "joined_before" | BanReason {
    const record = this.#records.of(id);
    if (record.banned !== undefined) return record.banned;
    const known = this.#availability.sources.get(id);
    if (known !== undefined) {
      this.#availability.addChunks(known, chunks);
      return "joined_before";
    }
    this.#availability.addSource(new SourceState(id, record, this.#bounds, now), chunks);
    return "joined";
  }

  /** The source has told that it has these chunks as well. */
  addChunks(source: Source, chunks: ChunkRanges): "gained" | "nothing_new" {
    return this.#availability.addChunks(owned(source), chunks);
  }

  /** The source has told that it has this chunk no longer. */
  removeChunk(source: Source, chunk: number): "removed" | "not_held" {
    return this.#availability.removeChunk(owned(source), chunk);
  }

  /** D6: its requests are void, its chunks have one owner less. `visit` sees every chunk of the source that is not held here. */
  removeSource(source: Source, visit: (chunk: number) => void): void {
    for (const request of [...source.requests, ...source.released]) this.finish(request);
    if (source.waitedMs !== undefined) this.#answeredSources--;
    this.#availability.removeSource(owned(source), (chunk) => {
      if (this.#chunks[chunk] !== "held") visit(chunk);
    });
    this.#records.noteGone(source.id, this.sources);
  }

  ban({ record }: Source, reason: BanReason): void {
    this.#records.ban(record, reason);
  }

  /** The bytes of a chunk from this source were bad. `avoided`: from now on other sources are asked for the chunk. */
  rejectChunk(source: Source, chunk: number): "avoided" | "kept" | "not_held" | "too_many" {
    if (this.#records.countBad(source.record) === "too_many") return "too_many";
    return this.#availability.avoidChunk(owned(source), chunk);
  }

  /** A chunk came from this source that it was not asked for. */
  rejectUnrequested({ record }: Source): "tolerated" | "too_many" {
    return this.#records.countUnrequested(record);
  }

  /** A new request for a missing chunk, which it claims. */
  requestExact(source: Source, chunk: number, now: number): Request {
    if (this.#chunks[chunk] !== "missing") throw new RangeError(`chunk ${chunk} is not missing`);
    const request = newExactRequest(this.#nextRequest++, source, chunk, now);
    this.#addRequest(request, now);
    this.#claim(request, chunk);
    return request;
  }

  /** A new request for any one of these chunks. */
  requestChoice(source: Source, chunks: ChunkRanges, now: number): Request {
    const request = newChoiceRequest(this.#nextRequest++, source, chunks, now);
    this.#addRequest(request, now);
    this.#availability.checkChoices(owned(source));
    return request;
  }

  /** The header of the answer is here. */
  noteHeader(request: Request, bytesTotal: number, now: number): void {
    owned(request.source).noteHeader(request, bytesTotal, now);
  }

  /** So many bytes of the answer are here. */
  noteProgress(request: Request, bytes: number, now: number): void {
    owned(request.source).noteProgress(request, bytes, now);
  }

  /**
   * The answer brings this chunk, one of those asked for. `bound`: the request is opened and claims the chunk.
   * `claimed_elsewhere`: a request that waits claims the chunk; when that one is released, this one can be bound.
   */
  bind(request: Request, chunk: number, now: number): BindResult {
    if (request.state === "opened") return "bound_before";
    const state = this.#chunks[chunk];
    if (state !== "missing" && typeof state !== "object") return "not_needed";
    if (typeof state === "object" && state !== request)
      return state.state === "opened" ? "not_needed" : "claimed_elsewhere";
    if (request.state === "released" && this.#unanswered >= this.#bounds.windowSize) return "window_full";
    const source = owned(request.source);
    if (request.state === "released") {
      source.removeReleased(request);
      source.requests.push(request);
      this.#unanswered++;
    } else {
      source.leaveWaiting(request);
    }
    becomeOpened(request, chunk, now);
    if (state !== request) this.#claim(request, chunk);
    this.#availability.checkChoices(source);
    return "bound";
  }

  /** Cancels a request: its chunk is free. A late answer is still known as asked for, within a bound. */
  release(request: Request): "released" | "released_before" {
    if (request.state === "released") return "released_before";
    this.#leaveWindow(request);
    this.#freeClaim(request);
    becomeReleased(request);
    const source = owned(request.source);
    source.released.push(request);
    if (source.released.length > this.#bounds.releasedMax) {
      // Not the one whose answer is coming in: it may be bound next.
      const forgotten = source.released.find((each) => each !== source.receiving)!;
      this.#requests.delete(forgotten.id);
      source.removeReleased(forgotten);
    }
    return "released";
  }

  /** The request was cancelled so that a faster source can be asked for its chunk. To be called before `release`. */
  countMove(request: Request): void {
    const claim = this.claimOf(request);
    if (claim !== undefined) this.#moves[claim]!++;
  }

  /** D5: a good chunk is here for this request. `duplicate`: it was here before. `claimed_elsewhere`: as of `bind`. */
  startWriting(request: Request, chunk: number, bytes: number): "writing" | "duplicate" | "claimed_elsewhere" {
    const state = this.#chunks[chunk];
    if (state === "held" || state === "writing") {
      owned(request.source).countDuplicate(request);
      return "duplicate";
    }
    if (typeof state === "object" && state !== request) return "claimed_elsewhere";
    if (state === "missing") this.#availability.setWanted(chunk, false);
    this.#chunks[chunk] = "writing";
    this.#records.countGood(request.source.record, bytes);
    return "writing";
  }

  /** The request was answered with a chunk: what that tells of the speed of its source. */
  noteAnswer(request: Request, now: number): void {
    if (request.source.waitedMs === undefined) this.#answeredSources++;
    owned(request.source).noteAnswer(request, now);
  }

  /** A later request to the same source was answered before this one. */
  noteOvertaken(request: Request): "tolerated" | "too_often" {
    return countOvertaken(request) > this.#bounds.overtakenMax ? "too_often" : "tolerated";
  }

  /** The request was answered or refused: it is removed, and the chunk that it claims, if any, is missing again. */
  finish(request: Request): void {
    this.#freeClaim(request);
    owned(request.source).endReceiving(request);
    if (request.state === "released") owned(request.source).removeReleased(request);
    else this.#leaveWindow(request);
    this.#requests.delete(request.id);
  }

  /**
   * The chunk is on disk. `written`: as asked for. `checked`: it was doubtful. `from_elsewhere`: the host had it from
   * somewhere else. `held_before`: nothing is new.
   */
  markHeld(chunk: number): "written" | "checked" | "from_elsewhere" | "held_before" {
    const state = this.#chunks[chunk];
    if (state === undefined || state === "held") return "held_before";
    if (state === "missing") this.#availability.setWanted(chunk, false);
    this.#chunks[chunk] = "held";
    this.#have.add(chunk);
    if (state === "writing") return "written";
    return state === "doubtful" ? "checked" : "from_elsewhere";
  }

  /** A doubtful chunk was found damaged. */
  markDamaged(chunk: number): "missing" | "not_doubtful" {
    if (this.#chunks[chunk] !== "doubtful") return "not_doubtful";
    this.#chunks[chunk] = "missing";
    this.#availability.setWanted(chunk, true);
    return "missing";
  }

  /** The source has answered a request that is released: it is there, but it has delivered nothing. */
  noteAlive(source: Source, now: number): void {
    owned(source).noteAlive(now);
  }

  noteHeard(source: Source, now: number): void {
    owned(source).noteHeard(now);
  }

  /** The source has refused a request because it is busy. `jitter`: from 0 to 1. */
  noteBusy(source: Source, now: number, jitter: number): void {
    owned(source).noteBusy(now, jitter);
  }

  noteStall(source: Source, now: number): void {
    owned(source).noteStall(now);
  }

  /** A request was taken from the source for a faster one. */
  noteDisplaced(source: Source, now: number): void {
    owned(source).noteDisplaced(now);
  }

  /** The fetch itself stood still: the silence of its sources is counted from now on. */
  resetSilences(now: number): void {
    for (const source of this.#availability.sources.values()) source.resetSilence(now);
  }

  #addRequest(request: Request, now: number): void {
    this.#requests.set(request.id, request);
    owned(request.source).addRequest(request, now);
    this.#unanswered++;
  }

  #claim(request: Request, chunk: number): void {
    this.#chunks[chunk] = request;
    this.#availability.setWanted(chunk, false);
  }

  #freeClaim(request: Request): void {
    const claim = this.claimOf(request);
    if (claim === undefined) return;
    this.#chunks[claim] = "missing";
    this.#availability.setWanted(claim, true);
  }

  #leaveWindow(request: Request): void {
    const source = owned(request.source);
    source.leaveWaiting(request);
    source.removeRequest(request);
    this.#availability.checkChoices(source);
    this.#unanswered--;
  }
}
