/**
 * The transfer engine of one fetch: events and the time go in, effects come out, one number says when to call again.
 * It owns no clock, socket or disk, so the same code runs in a peer and in the simulator. STATE.md draws the states of
 * a chunk and of a request. What is asked of whom is decided in scheduler.ts, what is known stands in ledger.ts; here
 * events change the books and the clocks run out.
 */
import type { Bitfield, ChunkRanges } from "../core/bitfield.ts";
import { DOWNLOAD_BOUNDS, type DownloadBounds } from "./bounds.ts";
import { addBit, type ChunkBits, emptyBits, forEachInRanges, hasBit, rangesInclude } from "./chunk-bits.ts";
import { HolderWatch, type LossReason } from "./holder-watch.ts";
import { Ledger } from "./ledger.ts";
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
  /** Chunks that an earlier process says it wrote: not asked for, and not had before the host has checked each. */
  readonly doubtful?: Bitfield;
  /** Numbers from 0 to below 1. */
  readonly random: () => number;
}

type DropReason = Extract<DownloadEffect, { type: "drop" }>["reason"];
type EventOf<Type extends DownloadEvent["type"]> = Extract<DownloadEvent, { type: Type }>;

interface News {
  readonly source: Source;
  readonly chunks: ChunkRanges;
  readonly at: number;
}

export class DownloadManager {
  readonly have: Bitfield;
  readonly #bounds: DownloadBounds;
  readonly #chunkLength: (chunk: number) => number;
  readonly #random: () => number;
  readonly #ledger: Ledger;
  readonly #holders: HolderWatch;
  readonly #proofs: ProofWatch;
  readonly #stalls: StallWatch;
  readonly #scheduler: Scheduler;
  readonly #askedBefore: ChunkBits;
  readonly #counters = { requestsSent: 0, rerequests: 0, chunksRejected: 0, duplicates: 0 };
  #effects: DownloadEffect[] = [];
  #effectIndex = 0;
  #now = Number.NEGATIVE_INFINITY;
  /** What sources have told since the last decision, oldest first, and when it is to be looked at. */
  readonly #news: News[] = [];
  #newsDueAt = Number.POSITIVE_INFINITY;
  /** Something happened since the last scheduling. */
  #isChanged = true;
  #isPaused = false;
  #hasEnded = false;

  constructor({ chunkCount, chunkLength, have, doubtful, random, ...bounds }: DownloadManagerOptions) {
    this.have = have;
    this.#bounds = { ...DOWNLOAD_BOUNDS, ...bounds };
    this.#chunkLength = chunkLength;
    this.#random = random;
    this.#ledger = new Ledger(chunkCount, have, doubtful, random, this.#bounds);
    this.#holders = new HolderWatch(this.#ledger.picker, chunkCount, this.#bounds);
    this.#proofs = new ProofWatch(this.#ledger, this.#bounds);
    this.#scheduler = new Scheduler(this.#ledger, this.#bounds, random, {
      ask: (source, chunks, exactChunk) => this.#ask(source, chunks, exactChunk),
      giveUp: (request) => this.#giveUp(request),
      noteQuiet: (source) => this.#stalls.noteQuiet(source),
    });
    this.#stalls = new StallWatch(this.#ledger, this.#bounds, {
      giveUp: (request) => this.#giveUp(request),
      drop: (source) => this.#drop(source, "stalled"),
    });
    this.#askedBefore = emptyBits(chunkCount);
    if (have.isFull) this.#end({ type: "done" });
  }

  get counters(): DownloadCounters {
    return { ...this.#counters, bySource: this.#ledger.records };
  }

  /** Requests that wait for an answer or are receiving one; never more than the window. */
  get unanswered(): number {
    return this.#ledger.unanswered;
  }

  /** When to send a tick at the latest; undefined while nothing is awaited. Before the first event it is overdue. */
  deadline(): number | undefined {
    if (this.#hasEnded) return undefined;
    if (this.#now === Number.NEGATIVE_INFINITY) return this.#now;
    let dueAt = Math.min(this.#holders.deadline(), this.#proofs.deadline());
    if (!this.#isPaused) {
      dueAt = Math.min(dueAt, this.#stalls.deadline(), this.#scheduler.deadline(), this.#newsDueAt);
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
    this.#takeNews();
    this.#isChanged = true;
    if (event.type === "source_joined") this.#handleJoined(event);
    else if (event.type === "source_gone") this.#handleGone(event.source, event.gaveUp);
    else if (event.type === "chunk_arrived") this.#handleArrived(event);
    else if (event.type === "request_refused") this.#handleRefused(event);
    else if (event.type === "chunk_lost") this.#handleLost(event.chunk);
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
    this.#takeNews();
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

  #ask(source: Source, chunks: ChunkRanges, exactChunk: number | undefined): void {
    const request = this.#ledger.open(source, chunks, exactChunk, this.#now);
    this.#effects.push({ type: "request", source: source.id, request: request.id, chunks: request.chunks });
    this.#counters.requestsSent++;
    this.#stalls.noteAsked(this.#now);
    if (exactChunk !== undefined) this.#countAsked(exactChunk);
  }

  #countAsked(chunk: number): void {
    if (hasBit(this.#askedBefore, chunk)) this.#counters.rerequests++;
    else addBit(this.#askedBefore, chunk);
  }

  #giveUp(request: Request): void {
    this.#effects.push({ type: "cancel", source: request.source.id, request: request.id });
    this.#ledger.release(request);
  }

  #handleJoined({ source: id, chunks }: EventOf<"source_joined">): void {
    const { banned } = this.#ledger.record(id);
    if (banned !== undefined) {
      this.#effects.push({ type: "drop", source: id, reason: banned });
      return;
    }
    const known = this.#ledger.sources.get(id);
    if (known === undefined) this.#ledger.addSource(id, chunks, this.#now);
    else this.#ledger.growSource(known, chunks);
    this.#noteKnown(chunks);
    this.#scheduler.noteJoined();
  }

  /**
   * Most of what sources tell is that busy ones have even more to offer, and a fetch hears of each chunk from every
   * source. So news wait for the next event that changes what can be asked, and are entered together.
   */
  #handleHas({ source: id, chunks }: EventOf<"source_has">): void {
    const source = this.#ledger.sources.get(id);
    if (source === undefined) return;
    this.#news.push({ source, chunks, at: this.#now });
    this.#newsDueAt = Math.min(this.#newsDueAt, this.#now + this.#bounds.newsMs);
    const isWanting = this.#scheduler.hasRoom && source.requests.length < this.#bounds.depthMin;
    if (isWanting || this.#news.length >= this.#bounds.newsMax) this.#takeNews();
    if (isWanting && this.#scheduler.isAskable(source, this.#now)) this.#isChanged = true;
  }

  #takeNews(): void {
    if (this.#news.length === 0) return;
    for (const { source, chunks, at } of this.#news) {
      if (!this.#ledger.growSource(source, chunks) || !this.#holders.isWaiting) continue;
      this.#noteKnown(chunks);
      this.#holders.noteGrowth(at);
    }
    this.#news.length = 0;
    this.#newsDueAt = Number.POSITIVE_INFINITY;
  }

  #noteKnown(chunks: ChunkRanges): void {
    forEachInRanges(chunks, this.#ledger.chunkCount, (chunk) => this.#holders.noteKnown(chunk));
  }

  #handleGone(id: SourceId, gaveUp = false): void {
    const source = this.#ledger.sources.get(id);
    if (source !== undefined) this.#removeSource(source, gaveUp ? "refused" : "left");
  }

  #removeSource(source: Source, why: LossReason): void {
    this.#ledger.removeSource(source, (chunk) => this.#holders.noteLost(chunk, why));
  }

  #drop(source: Source, reason: DropReason): void {
    if (reason !== "stalled") source.record.banned = reason;
    this.#effects.push({ type: "drop", source: source.id, reason });
    this.#removeSource(source, reason === "integrity" ? "lied" : "left");
  }

  #requestOf(event: { source: SourceId; request: number }): Request | undefined {
    return this.#ledger.request(event.request, event.source);
  }

  /** A chunk that was not asked for is judged when its bytes are here. */
  #handleOpened(event: EventOf<"chunk_opened">): void {
    const request = this.#requestOf(event);
    if (request === undefined || !rangesInclude(request.chunks, event.chunk)) return;
    // Nothing is to be decided where a usable source begins to send what it was asked for.
    if (request.claim !== event.chunk || request.source.isStalled) this.#isChanged = true;
    request.source.noteOpened(request, this.#chunkLength(event.chunk), this.#now);
    if (request.state === "opened") return;
    const state = this.#ledger.state(event.chunk);
    const rival = typeof state === "object" && state !== request ? state : undefined;
    if (state === "held" || state === "writing" || rival?.state === "opened") {
      if (request.state === "waiting") this.#giveUp(request);
      return;
    }
    if (rival !== undefined) this.#giveUp(rival);
    if (request.state === "released" && this.#ledger.unanswered >= this.#bounds.windowSize) return;
    // An exact request that was sent after the choice gives way to it: nothing had to be asked for again.
    if (request.isChoice && !(rival !== undefined && rival.id > request.id)) this.#countAsked(event.chunk);
    this.#ledger.bind(request, event.chunk, this.#now);
  }

  /** Nothing is decided at once: what this tells counts at the next look at slow requests. */
  #handleProgress(event: EventOf<"chunk_progress">): void {
    const request = this.#requestOf(event);
    if (request === undefined) return;
    if (request.source.isStalled) this.#isChanged = true;
    request.source.noteProgress(request, event.bytes, this.#now);
  }

  #handleArrived(event: EventOf<"chunk_arrived">): void {
    const { chunk } = event;
    const request = this.#requestOf(event);
    const source = this.#ledger.sources.get(event.source);
    const isAsked = request !== undefined && rangesInclude(request.chunks, chunk);
    const isGood = isAsked && event.valid && event.bytes === this.#chunkLength(chunk);
    if (isGood) this.#take(request, event);
    else this.#effects.push({ type: "discard", request: event.request, chunk });
    if (request !== undefined) {
      this.#noteAnswered(request);
      this.#ledger.settle(request);
    }
    if (source === undefined || isGood) return;
    if (isAsked) this.#punishBadChunk(source, chunk);
    else if (++source.record.breaches >= this.#bounds.breachesMax) this.#drop(source, "protocol");
  }

  /** A good chunk that was asked for: to be written, unless it is here already. */
  #take(request: Request, { chunk, bytes }: EventOf<"chunk_arrived">): void {
    const { source } = request;
    const state = this.#ledger.state(chunk);
    if (state === "held" || state === "writing") {
      this.#counters.duplicates++;
      if (request.isChoice && ++source.duplicates > this.#bounds.duplicatesMax) source.exactOnly = true;
      this.#effects.push({ type: "discard", request: request.id, chunk });
      return;
    }
    if (typeof state === "object" && state !== request) this.#giveUp(state);
    if (request.isChoice && request.claim !== chunk) this.#countAsked(chunk);
    this.#ledger.startWriting(chunk, request);
    this.#noteProof(this.#now);
    source.record.chunks++;
    source.record.bytes += bytes;
    this.#effects.push({ type: "write", request: request.id, chunk });
  }

  /** A source answers in the order of asking, nearly; what it passes over again and again is asked elsewhere. */
  #noteAnswered(answered: Request): void {
    const { source } = answered;
    this.#ledger.noteAnswer(answered, this.#now);
    this.#scheduler.noteAnswer(answered, this.#now);
    if (answered.state === "released" || source.requests[0] === answered) return;
    for (const request of [...source.requests]) {
      if (request === answered) return;
      if (request.state === "waiting" && ++request.overtaken > this.#bounds.overtakenMax) this.#giveUp(request);
    }
  }

  #punishBadChunk(source: Source, chunk: number): void {
    this.#counters.chunksRejected++;
    const { record } = source;
    record.rejected++;
    const allowance = this.#bounds.badChunksMax + record.chunks / this.#bounds.goodChunksPerBad;
    if (record.rejected >= allowance) this.#drop(source, "integrity");
    else this.#ledger.spoil(source, chunk);
  }

  #handleRefused(event: EventOf<"request_refused">): void {
    const request = this.#requestOf(event);
    if (request === undefined) return;
    const { source, state } = request;
    this.#ledger.settle(request);
    if (state === "released") return source.noteHeard(this.#now);
    if (event.retryable) {
      source.noteRefusal(this.#now, this.#random());
      this.#stalls.noteQuiet(source);
      return;
    }
    source.noteHeard(this.#now);
    forEachInRanges(request.chunks, this.#ledger.chunkCount, (chunk) => {
      this.#ledger.disown(source, chunk);
      this.#holders.noteLost(chunk, "refused");
    });
  }

  #noteProof(now: number): void {
    this.#proofs.noteProof(now);
    this.#holders.noteProof();
  }

  #handleWritten(chunk: number, now: number): void {
    this.#holders.noteKnown(chunk);
    const state = this.#ledger.state(chunk);
    if (state !== "writing") {
      this.#noteProof(Math.max(this.#now, now));
      if (state !== "doubtful") this.#isChanged = true;
    }
    this.#ledger.hold(chunk);
    if (this.have.isFull && !this.#hasEnded) this.#end({ type: "done" });
  }

  #handleLost(chunk: number): void {
    if (this.#ledger.lose(chunk)) this.#holders.noteMissing(chunk);
  }

  #handlePaused(isPaused: boolean): void {
    if (isPaused) this.#proofs.hold(this.#now);
    else this.#proofs.goOn(this.#now);
    if (this.#isPaused && !isPaused) for (const source of this.#ledger.sources.values()) source.excuse(this.#now);
    this.#isPaused = isPaused;
  }
}
