/**
 * The transfer engine of one fetch: events and the time go in, effects come out, one number says when to call again.
 * It owns no clock, socket or disk, so the same code runs in a peer and in the simulator. STATE.md draws the states of
 * a chunk and of a request. Here events and expired clocks change the FetchState; nothing else changes it. The Scheduler
 * decides which source is asked for what.
 */
import type { Bitfield, ChunkRanges } from "../core/bitfield.ts";
import { DOWNLOAD_BOUNDS, type DownloadBounds } from "./bounds.ts";
import { addBit, type ChunkBits, emptyBits, forEachInRanges, hasBit, rangesInclude } from "./chunk-bits.ts";
import { FetchState } from "./fetch-state.ts";
import { HolderWatch, type LossReason } from "./holder-watch.ts";
import { ProofWatch } from "./proof-watch.ts";
import { Scheduler } from "./scheduler.ts";
import type { Request, Source } from "./source.ts";
import { StallWatch } from "./stall-watch.ts";
import type { DownloadCounters, DownloadEffect, DownloadEvent, SourceId } from "./types.ts";

export interface DownloadManagerOptions extends Partial<DownloadBounds> {
  readonly chunkCount: number;
  /** Bytes of a chunk. */
  readonly chunkLength: (chunk: number) => number;
  /** Chunks written already. The manager adds to it as writes return; nobody else does. */
  readonly have: Bitfield;
  /** Chunks that an earlier process says it wrote: neither asked for nor counted as held until the host has checked each. */
  readonly doubtful?: Bitfield;
  /** Numbers from 0 to below 1. */
  readonly random: () => number;
  /** R5: by then the user hears that nobody has a chunk, if that is so since the beginning. */
  readonly noticeAt?: number | undefined;
}

type DropReason = Extract<DownloadEffect, { type: "drop" }>["reason"];
type EventOf<Type extends DownloadEvent["type"]> = Extract<DownloadEvent, { type: Type }>;

/** Chunks that a source has told of. */
interface PendingHave {
  readonly source: Source;
  readonly chunks: ChunkRanges;
  readonly at: number;
}

export class DownloadManager {
  readonly have: Bitfield;
  readonly #bounds: DownloadBounds;
  readonly #chunkLength: (chunk: number) => number;
  readonly #random: () => number;
  readonly #state: FetchState;
  readonly #holders: HolderWatch;
  readonly #proofs: ProofWatch;
  readonly #stalls: StallWatch;
  readonly #scheduler: Scheduler;
  readonly #askedBefore: ChunkBits;
  readonly #counters = { requestsSent: 0, rerequests: 0, chunksRejected: 0, duplicates: 0 };
  #effects: DownloadEffect[] = [];
  #effectIndex = 0;
  #now = Number.NEGATIVE_INFINITY;
  /** Chunks that sources have told of since the last decision, oldest first, and when they are entered at the latest. */
  readonly #pendingHaves: PendingHave[] = [];
  #pendingHavesDueAt = Number.POSITIVE_INFINITY;
  /** Something happened since the last scheduling. */
  #isChanged = true;
  #isPaused = false;
  #hasEnded = false;

  constructor({ chunkCount, chunkLength, have, doubtful, random, noticeAt, ...bounds }: DownloadManagerOptions) {
    this.have = have;
    this.#bounds = { ...DOWNLOAD_BOUNDS, ...bounds };
    this.#chunkLength = chunkLength;
    this.#random = random;
    this.#state = new FetchState(chunkCount, have, doubtful, random, this.#bounds);
    this.#holders = new HolderWatch(this.#state.picker, chunkCount, this.#bounds, noticeAt);
    this.#proofs = new ProofWatch(this.#state, this.#bounds);
    this.#scheduler = new Scheduler(this.#state, this.#bounds, random, {
      requestExact: (source, chunk) => this.#requestExact(source, chunk),
      requestChoice: (source, chunks) => this.#requestChoice(source, chunks),
      cancel: (request) => this.#cancel(request),
      cancelToMove: (request) => this.#cancelToMove(request),
      displace: (request) => this.#displace(request),
    });
    this.#stalls = new StallWatch(this.#state, this.#bounds, {
      stall: (source) => this.#state.noteStall(source, this.#now),
      cancel: (request) => this.#cancel(request),
      drop: (source) => this.#drop(source, "stalled"),
    });
    this.#askedBefore = emptyBits(chunkCount);
    if (have.isFull) this.#end({ type: "done" });
  }

  get counters(): DownloadCounters {
    return { ...this.#counters, bySource: this.#state.records };
  }

  /** Requests that wait for an answer or are receiving one; never more than the window. */
  get unanswered(): number {
    return this.#state.unanswered;
  }

  /** When to send a tick at the latest; undefined while nothing is awaited. Before the first event it is overdue. */
  deadline(): number | undefined {
    if (this.#hasEnded) return undefined;
    if (this.#now === Number.NEGATIVE_INFINITY) return this.#now;
    let dueAt = Math.min(this.#holders.deadline(), this.#proofs.deadline());
    if (!this.#isPaused) {
      dueAt = Math.min(dueAt, this.#stalls.deadline(), this.#scheduler.deadline(), this.#pendingHavesDueAt);
    }
    return dueAt === Number.POSITIVE_INFINITY ? undefined : dueAt;
  }

  /** `now` in milliseconds; time that runs backwards counts as standing still. */
  handle(event: DownloadEvent, now: number): void {
    if (event.type === "chunk_written") return this.#handleWritten(event.chunk, now);
    if (this.#hasEnded) return;
    this.#now = Math.max(this.#now, now);
    if (event.type === "source_has") return this.#handleHas(event);
    if (event.type === "chunk_opened") return this.#handleOpened(event);
    if (event.type === "chunk_progress") return this.#handleProgress(event);
    this.#enterPendingHaves();
    this.#isChanged = true;
    if (event.type === "source_joined") this.#handleJoined(event);
    else if (event.type === "source_gone") this.#handleGone(event.source, event.gaveUp);
    else if (event.type === "chunk_arrived") this.#handleArrived(event);
    else if (event.type === "request_refused") this.#handleRefused(event);
    else if (event.type === "chunk_lost") this.#handleLost(event.chunk);
    else if (event.type === "holder_delayed") this.#holders.noteDelay(this.#now);
    else if (event.type === "paused") this.#handlePaused(event.paused);
  }

  /** The next thing to do; call until undefined. Scheduling waits for this call, so events can be handed in together. */
  poll(): DownloadEffect | undefined {
    if (this.#effectIndex === this.#effects.length && this.#isChanged && !this.#hasEnded) {
      this.#isChanged = false;
      this.#advance();
    }
    if (this.#effectIndex < this.#effects.length) return this.#effects[this.#effectIndex++];
    if (this.#effectIndex > 0) {
      this.#effects = [];
      this.#effectIndex = 0;
    }
    return undefined;
  }

  #advance(): void {
    if (this.#now === Number.NEGATIVE_INFINITY) return;
    this.#enterPendingHaves();
    if (!this.#isPaused) this.#stalls.check(this.#now);
    this.#holders.update(this.#now, this.#stalls.isStarved);
    const failure = this.#holders.failure(this.#now);
    if (failure !== undefined) return this.#end({ type: "failed", ...failure });
    this.#proofs.start(this.#now);
    const chunk = this.#proofs.failure(this.#now);
    if (chunk !== undefined) return this.#end({ type: "failed", code: "no_holder", chunk });
    if (this.#holders.shouldFind(this.#now)) this.#effects.push({ type: "find_holders" });
    if (!this.#isPaused) this.#scheduler.run(this.#now);
  }

  #end(effect: DownloadEffect): void {
    this.#hasEnded = true;
    this.#effects.push(effect);
  }

  #requestExact(source: Source, chunk: number): void {
    this.#send(this.#state.requestExact(source, chunk, this.#now));
    this.#countAsked(chunk);
  }

  #requestChoice(source: Source, chunks: ChunkRanges): void {
    this.#send(this.#state.requestChoice(source, chunks, this.#now));
  }

  #send({ chunks, id, source }: Request): void {
    this.#effects.push({ type: "request", source: source.id, request: id, chunks });
    this.#counters.requestsSent++;
    this.#stalls.noteAsked(this.#now);
  }

  /** N2: a chunk is asked for, or an uploader has chosen it. */
  #countAsked(chunk: number): void {
    if (hasBit(this.#askedBefore, chunk)) this.#counters.rerequests++;
    else addBit(this.#askedBefore, chunk);
  }

  #cancel(request: Request): void {
    if (this.#state.release(request) === "released_before") return;
    this.#effects.push({ type: "cancel", source: request.source.id, request: request.id });
  }

  /** A faster source is asked for the chunk instead. */
  #cancelToMove(request: Request): void {
    this.#state.countMove(request);
    this.#cancel(request);
  }

  /** A faster source gets the place of the request in the window. */
  #displace(request: Request): void {
    this.#cancelToMove(request);
    this.#state.noteDisplaced(request.source, this.#now);
    this.#stalls.noteQuiet(request.source);
  }

  #handleJoined({ source: id, chunks }: EventOf<"source_joined">): void {
    const result = this.#state.join(id, chunks, this.#now);
    if (result === "integrity" || result === "protocol") {
      this.#effects.push({ type: "drop", source: id, reason: result });
      return;
    }
    this.#noteKnown(chunks);
    this.#scheduler.noteJoined();
  }

  /**
   * A fetch hears of each chunk from every source, and most of that changes no decision. So what sources tell is kept
   * until the next event that changes what can be asked for, and is then entered together.
   */
  #handleHas({ source: id, chunks }: EventOf<"source_has">): void {
    const source = this.#state.sources.get(id);
    if (source === undefined) return;
    this.#pendingHaves.push({ source, chunks, at: this.#now });
    this.#pendingHavesDueAt = Math.min(this.#pendingHavesDueAt, this.#now + this.#bounds.pendingHavesMs);
    const isWanting = this.#scheduler.hasRoom && source.requests.length < this.#bounds.depthMin;
    if (isWanting || this.#pendingHaves.length >= this.#bounds.pendingHavesMax) this.#enterPendingHaves();
    if (isWanting && this.#scheduler.isAskable(source, this.#now)) this.#isChanged = true;
  }

  #enterPendingHaves(): void {
    if (this.#pendingHaves.length === 0) return;
    for (const { source, chunks, at } of this.#pendingHaves) {
      if (this.#state.addChunks(source, chunks) === "nothing_new" || !this.#holders.isWaiting) continue;
      this.#noteKnown(chunks);
      this.#holders.noteDelay(at);
    }
    this.#pendingHaves.length = 0;
    this.#pendingHavesDueAt = Number.POSITIVE_INFINITY;
  }

  #noteKnown(chunks: ChunkRanges): void {
    forEachInRanges(chunks, this.#state.chunkCount, (chunk) => this.#holders.noteKnown(chunk));
  }

  #handleGone(id: SourceId, gaveUp = false): void {
    const source = this.#state.sources.get(id);
    if (source !== undefined) this.#removeSource(source, gaveUp ? "refused" : "left");
  }

  #removeSource(source: Source, why: LossReason): void {
    this.#state.removeSource(source, (chunk) => this.#holders.noteLost(chunk, why));
  }

  #drop(source: Source, reason: DropReason): void {
    if (reason !== "stalled") this.#state.ban(source, reason);
    this.#effects.push({ type: "drop", source: source.id, reason });
    this.#removeSource(source, reason === "integrity" ? "lied" : "left");
  }

  #requestOf(event: { source: SourceId; request: number }): Request | undefined {
    return this.#state.request(event.request, event.source);
  }

  /** A chunk that was not asked for is rejected when its bytes are here. */
  #handleOpened(event: EventOf<"chunk_opened">): void {
    const request = this.#requestOf(event);
    if (request === undefined || !rangesInclude(request.chunks, event.chunk)) return;
    // No decision is needed where a source that is not stalled begins to send the chunk that it was asked for.
    if (this.#state.claimOf(request) !== event.chunk || request.source.isStalled) this.#isChanged = true;
    this.#state.noteHeader(request, this.#chunkLength(event.chunk), this.#now);
    const rival = this.#state.chunkState(event.chunk);
    let result = this.#state.bind(request, event.chunk, this.#now);
    if (result === "claimed_elsewhere") {
      this.#cancelClaim(event.chunk);
      result = this.#state.bind(request, event.chunk, this.#now);
    }
    if (result === "not_needed" && request.state === "waiting") this.#cancel(request);
    if (result !== "bound" || !request.isChoice) return;
    // The chunk was not asked for again if the request that claimed it before was sent after this one.
    const isRivalLater = typeof rival === "object" && rival.id > request.id;
    if (!isRivalLater) this.#countAsked(event.chunk);
  }

  /** Another request brings this chunk sooner than the one that claims it. */
  #cancelClaim(chunk: number): void {
    const claimant = this.#state.chunkState(chunk);
    if (typeof claimant === "object") this.#cancel(claimant);
  }

  /** Decides nothing at once: the report counts when slow requests are looked for next. */
  #handleProgress(event: EventOf<"chunk_progress">): void {
    const request = this.#requestOf(event);
    if (request === undefined) return;
    if (request.source.isStalled) this.#isChanged = true;
    this.#state.noteProgress(request, event.bytes, this.#now);
  }

  #handleArrived(event: EventOf<"chunk_arrived">): void {
    const { chunk } = event;
    const request = this.#requestOf(event);
    const source = this.#state.sources.get(event.source);
    const isAsked = request !== undefined && rangesInclude(request.chunks, chunk);
    const isGood = isAsked && event.valid && event.bytes === this.#chunkLength(chunk);
    if (isGood) this.#write(request, event);
    else this.#effects.push({ type: "discard", request: event.request, chunk });
    if (request !== undefined) {
      this.#noteAnswer(request);
      this.#state.finish(request);
    }
    if (source === undefined || isGood) return;
    if (isAsked) this.#rejectChunk(source, chunk);
    else if (this.#state.rejectUnrequested(source) === "too_many") this.#drop(source, "protocol");
  }

  /** A good chunk that was asked for is written, unless it is a duplicate. */
  #write(request: Request, { chunk, bytes }: EventOf<"chunk_arrived">): void {
    const wasClaimed = this.#state.claimOf(request) === chunk;
    let result = this.#state.startWriting(request, chunk, bytes);
    if (result === "claimed_elsewhere") {
      this.#cancelClaim(chunk);
      result = this.#state.startWriting(request, chunk, bytes);
    }
    if (result === "duplicate") {
      this.#counters.duplicates++;
      this.#effects.push({ type: "discard", request: request.id, chunk });
      return;
    }
    if (request.isChoice && !wasClaimed) this.#countAsked(chunk);
    this.#noteProof(this.#now);
    this.#effects.push({ type: "write", request: request.id, chunk });
  }

  /** A source answers nearly in the order of asking. A request that it passes over too often is sent elsewhere. */
  #noteAnswer(answered: Request): void {
    const { source } = answered;
    this.#state.noteAnswer(answered, this.#now);
    this.#scheduler.noteAnswer(answered, this.#now);
    if (answered.state === "released" || source.requests[0] === answered) return;
    for (const request of [...source.requests]) {
      if (request === answered) return;
      if (request.state === "waiting" && this.#state.noteOvertaken(request) === "too_often") this.#cancel(request);
    }
  }

  #rejectChunk(source: Source, chunk: number): void {
    this.#counters.chunksRejected++;
    if (this.#state.rejectChunk(source, chunk) === "too_many") this.#drop(source, "integrity");
  }

  #handleRefused(event: EventOf<"request_refused">): void {
    const request = this.#requestOf(event);
    if (request === undefined) return;
    const { source, state } = request;
    this.#state.finish(request);
    if (state === "released") return this.#state.noteAlive(source, this.#now);
    if (event.retryable) {
      this.#state.noteBusy(source, this.#now, this.#random());
      this.#stalls.noteQuiet(source);
      return;
    }
    this.#state.noteHeard(source, this.#now);
    forEachInRanges(request.chunks, this.#state.chunkCount, (chunk) => {
      this.#state.removeChunk(source, chunk);
      this.#holders.noteLost(chunk, "refused");
    });
  }

  #noteProof(now: number): void {
    this.#proofs.noteProof(now);
    this.#holders.noteProof();
  }

  #handleWritten(chunk: number, now: number): void {
    this.#holders.noteKnown(chunk);
    const result = this.#state.markHeld(chunk);
    if (result !== "written") this.#noteProof(Math.max(this.#now, now));
    if (result === "from_elsewhere" || result === "held_before") this.#isChanged = true;
    if (this.have.isFull && !this.#hasEnded) this.#end({ type: "done" });
  }

  #handleLost(chunk: number): void {
    if (this.#state.markDamaged(chunk) === "missing") this.#holders.noteMissing(chunk);
  }

  #handlePaused(isPaused: boolean): void {
    if (isPaused) this.#proofs.pause(this.#now);
    else this.#proofs.resume(this.#now);
    if (this.#isPaused && !isPaused) this.#state.resetSilences(this.#now);
    this.#isPaused = isPaused;
  }
}
