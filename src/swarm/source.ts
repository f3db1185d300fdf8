/**
 * What a fetch knows of one source: the chunks that it holds, the requests that it has, how fast it answers. Decides
 * nothing about chunks; that is the DownloadManager's.
 */
import type { ChunkRanges } from "../core/bitfield.ts";
import type { DownloadBounds } from "./bounds.ts";
import { addBit, type ChunkBits, emptyBits, hasBit, removeBit } from "./chunk-bits.ts";
import { type Flow, leftMs, wholeMs } from "./flow.ts";
import type { RequestId, SourceId } from "./types.ts";

/** `waiting`: sent, nothing back. `opened`: bytes flow. `released`: given up, a late answer is still welcome. */
export type RequestState = "waiting" | "opened" | "released";

export interface Request {
  readonly id: RequestId;
  readonly source: Source;
  /** Any one of these answers it. */
  readonly chunks: ChunkRanges;
  /** Whether it leaves the choice to the uploader; otherwise it names one chunk, claimed from the start. */
  readonly isChoice: boolean;
  readonly sentAt: number;
  /** Requests of ours that the source had before this one. */
  readonly ahead: number;
  state: RequestState;
  openedAt: number;
  /** The chunk that nobody else is asked for meanwhile. */
  claim: number | undefined;
  /** Later requests of the source that were answered before this one. */
  overtaken: number;
  /** Its answer, once the header is here. */
  flow: Flow | undefined;
}

/** Outlives the connection, so that coming back does not clear a bad name. */
export interface SourceRecord {
  chunks: number;
  bytes: number;
  rejected: number;
  breaches: number;
  /** Why it is not used any more. */
  banned: "integrity" | "protocol" | undefined;
}

export function newRecord(): SourceRecord {
  return { chunks: 0, bytes: 0, rejected: 0, breaches: 0, banned: undefined };
}

/** Nothing came from the source so far. */
export function isBlank({ banned, breaches, chunks, rejected }: SourceRecord): boolean {
  return banned === undefined && breaches + chunks + rejected === 0;
}

/** Keeps the averages apart from zero where a clock is coarse. */
const INTERVAL_MS_MIN = 0.01;
/** Weight of the newest sample of the time per chunk. */
const INTERVAL_WEIGHT = 0.25;
/** The shortest round trip fades by this factor with each answer, so that a route that got longer is believed. */
const ROUND_TRIP_FADE = 1.01;

export class Source {
  readonly id: SourceId;
  readonly record: SourceRecord;
  /** The chunks held; undefined while that is all of them. */
  held: ChunkBits | undefined;
  /** Chunks that were bad from here: not asked for again while anybody else has them. */
  readonly spoiled = new Set<number>();
  /** Wanted chunks that it holds; kept for partial sources only. */
  usefulCount = 0;
  /** Waiting and opened requests, oldest first. */
  readonly requests: Request[] = [];
  /** Waiting requests that leave the choice to the uploader. */
  openChoices = 0;
  /** Released requests that were not answered yet, oldest first. */
  readonly released: Request[] = [];
  /** The request whose answer is coming in, perhaps one that was given up: a connection carries one at a time. */
  receiving: Request | undefined;
  /** Gave us chunks that we had too often when left to choose. */
  exactOnly = false;
  duplicates = 0;
  /** No new requests before this time. */
  quietUntil = 0;
  /** Silences in a row; the next one has to be longer. */
  silences = 0;

  readonly #bounds: DownloadBounds;
  #refusals = 0;
  /** Requests that it takes at a time, learnt from refusals. */
  #depthLimit: number;
  #intervalMs: number | undefined;
  #depth: number | undefined;
  #roundTripMs = 0;
  /** Of the last answer: the time that it took, and that time by requests of ours that it was behind. */
  #waitedMs: number | undefined;
  #paceMs = 0;
  #deliveredAt = Number.NEGATIVE_INFINITY;
  #heardAt: number;
  #stalledAt = Number.NEGATIVE_INFINITY;
  /** The first request since it was heard of; a silence goes on although requests are moved away meanwhile. */
  #askedAt = Number.NEGATIVE_INFINITY;

  constructor(id: SourceId, record: SourceRecord, bounds: DownloadBounds, now: number) {
    this.id = id;
    this.record = record;
    this.#bounds = bounds;
    this.#depthLimit = bounds.windowSize;
    this.#heardAt = now;
  }

  has(chunk: number): boolean {
    return this.held === undefined || hasBit(this.held, chunk);
  }

  addChunk(chunk: number): void {
    if (this.held !== undefined) addBit(this.held, chunk);
  }

  removeChunk(chunk: number): void {
    if (this.held !== undefined) removeBit(this.held, chunk);
  }

  /** From "all" to a set of its own, out of which single chunks can be taken. */
  listChunks(chunkCount: number): void {
    this.held = emptyBits(chunkCount);
    for (let chunk = 0; chunk < chunkCount; chunk++) addBit(this.held, chunk);
  }

  get isStalled(): boolean {
    return this.silences > 0;
  }

  /** Expected time per chunk; undefined where nothing recent is known. */
  intervalMs(now: number): number | undefined {
    const stale = this.requests.length === 0 && now - this.#heardAt > this.#bounds.rateFreshMs;
    return stale ? undefined : this.#intervalMs;
  }

  /** Time per chunk by what has come, in whole or in part; undefined while nothing has. */
  provenMs(now: number): number | undefined {
    return this.intervalMs(now) ?? this.flowMs;
  }

  /** Expected time per chunk: by the answers so far, and by how the one that is due now comes in, or does not. */
  chunkMs(now: number): number | undefined {
    const lateMs = this.#lateMs(now);
    const intervalMs = this.intervalMs(now);
    return lateMs === 0 ? intervalMs : Math.max(intervalMs ?? 0, lateMs);
  }

  /** Whether it has shown nothing yet, good or bad. */
  isUntried(now: number): boolean {
    return this.chunkMs(now) === undefined;
  }

  /** Requests that it works on: those that are unanswered, and one that was given up too late. */
  get load(): number {
    return this.requests.length + (this.receiving?.state === "released" ? 1 : 0);
  }

  /** Expected time that one more request takes, by the last answer; the older that is, the less is expected. */
  expectedMs(now: number): number {
    const fade = 1 + Math.max(now - this.#deliveredAt, 0) / this.#bounds.paceFadeMs;
    const nowMs = this.#intervalMs === undefined ? this.#lateMs(now) : (this.flowMs ?? 0);
    return Math.max((this.#paceMs * (this.requests.length + 1)) / fade, nowMs);
  }

  get waitedMs(): number | undefined {
    return this.#waitedMs;
  }

  /** How many requests keep it busy without a pile that others could work on; undefined while nothing is measured. */
  get depth(): number | undefined {
    return this.isStalled ? 1 : this.#depth;
  }

  /** Expected time until a request sent now is answered. */
  answerMs(now: number, unknownMs: number): number {
    const intervalMs = this.intervalMs(now);
    const lateMs = this.#lateMs(now);
    if (intervalMs === undefined) return Math.max(unknownMs, lateMs * (this.load + 1));
    return this.#roundTripMs + (this.load + 1) * Math.max(intervalMs, lateMs);
  }

  /** Expected time for one chunk, were it asked for nothing else. */
  scratchMs(now: number, unknownMs: number): number {
    const intervalMs = this.intervalMs(now);
    const lateMs = this.#lateMs(now);
    if (intervalMs === undefined) return Math.max(unknownMs, lateMs);
    return Math.max(this.#roundTripMs + Math.max(intervalMs, lateMs), this.#paceMs);
  }

  /** Expected time until this request is answered; the longer a source was silent, the longer it is expected to be. */
  remainingMs(request: Request, now: number): number {
    const flowMs = this.flowMs;
    if (flowMs !== undefined) return this.#behindFlowMs(request, flowMs);
    const silentMs = now - Math.max(this.#heardAt, request.sentAt);
    const intervalMs = this.#intervalMs;
    if (intervalMs === undefined) return silentMs;
    const expectedMs = this.#roundTripMs + (this.requests.indexOf(request) + 1) * intervalMs;
    return silentMs > expectedMs ? silentMs : expectedMs - silentMs;
  }

  /** What is coming in has to be here first; then one after the other. */
  #behindFlowMs(request: Request, flowMs: number): number {
    const restMs = leftMs(this.receiving!.flow!, this.#bounds.judgeMs)!;
    if (request === this.receiving) return restMs;
    const place = this.requests.indexOf(request) + (this.receiving!.state === "released" ? 1 : 0);
    return restMs + Math.max(place, 1) * Math.max(this.#intervalMs ?? 0, flowMs);
  }

  /** Time per chunk at the rate of what is coming in; undefined where nothing is, or it is too early to tell. */
  get flowMs(): number | undefined {
    const flow = this.receiving?.flow;
    return flow === undefined ? undefined : wholeMs(flow, this.#bounds.judgeMs);
  }

  /**
   * What the answer that is due now takes at least; 0 where that tells nothing. One that never answered anything does not
   * become better by losing its requests.
   */
  #lateMs(now: number): number {
    const flowMs = this.flowMs;
    if (flowMs !== undefined) return flowMs;
    if (this.requests.length === 0 && (this.#waitedMs !== undefined || this.released.length === 0)) return 0;
    const silentMs = now - Math.max(this.#heardAt, this.#askedAt);
    return silentMs < this.#bounds.judgeMs ? 0 : silentMs;
  }

  /** When its silence counts as a stall, where sources take that long for an answer; never while it owes nothing. */
  stallsAt(typicalWaitMs: number): number {
    if (this.requests.length === 0) return Number.POSITIVE_INFINITY;
    const { silenceMsMax, silenceWaitFactor } = this.#bounds;
    const usualMs = Math.min(silenceWaitFactor * typicalWaitMs, silenceMsMax);
    return Math.max(this.#heardAt, this.#askedAt, this.#stalledAt) + Math.max(this.#silenceMs(), usualMs);
  }

  dropsAt(): number {
    if (this.requests.length === 0) return Number.POSITIVE_INFINITY;
    return Math.max(this.#heardAt, this.#askedAt) + this.#bounds.silenceDropMs;
  }

  /** The fetch itself stood still: that is no silence of the source. */
  excuse(now: number): void {
    this.#heardAt = now;
  }

  /** A request goes out. What was measured long ago is forgotten, so that both ends of a comparison are of today. */
  noteAsked(now: number): void {
    this.#intervalMs = this.intervalMs(now);
    if (this.#intervalMs === undefined && this.#depthLimit === this.#bounds.windowSize) this.#depth = undefined;
    if (this.#askedAt <= this.#heardAt) this.#askedAt = now;
  }

  noteHeard(now: number): void {
    this.#heardAt = now;
    if (this.silences > 0) this.quietUntil = now;
    this.silences = 0;
  }

  /** The header of an answer is here. */
  noteOpened(request: Request, bytesTotal: number, now: number): void {
    request.flow ??= { since: now, bytesTotal, bytes: 0, at: now };
    this.receiving = request;
    this.noteHeard(now);
  }

  /** So many bytes of the answer are here. */
  noteProgress({ flow }: Request, bytes: number, now: number): void {
    if (flow === undefined) return;
    if (bytes > flow.bytes) this.noteHeard(now);
    flow.bytes = Math.min(Math.max(bytes, flow.bytes), flow.bytesTotal);
    flow.at = now;
  }

  /** It stalled: it keeps what it has and is tried with something new after a while only. */
  noteSilence(now: number): void {
    this.silences++;
    this.#stalledAt = now;
    this.quietUntil = now + this.#silenceMs();
  }

  /** A request was taken from it for a faster one: that has its turn first for a while. */
  noteDisplaced(now: number): void {
    this.quietUntil = Math.max(this.quietUntil, now + this.#bounds.displacedMs);
  }

  noteAnswer(request: Request, now: number): void {
    const sampleMs = Math.max(now - Math.max(this.#deliveredAt, request.sentAt), INTERVAL_MS_MIN);
    const waitedMs = now - request.sentAt;
    this.#roundTripMs =
      this.#intervalMs === undefined ? waitedMs : Math.min(waitedMs, this.#roundTripMs * ROUND_TRIP_FADE);
    this.#intervalMs =
      this.#intervalMs === undefined ? sampleMs : this.#intervalMs + INTERVAL_WEIGHT * (sampleMs - this.#intervalMs);
    this.#waitedMs = waitedMs;
    this.#paceMs = waitedMs / (request.ahead + 1);
    this.#deliveredAt = now;
    this.#refusals = 0;
    this.#depthLimit = Math.min(this.#depthLimit + 1, this.#bounds.windowSize);
    const ahead = Math.ceil((this.#roundTripMs + this.#bounds.queueAheadMs) / this.#intervalMs) + 1;
    this.#depth = Math.min(Math.max(ahead, this.#bounds.depthMin), this.#depthLimit);
    this.noteHeard(now);
  }

  /** A retryable refusal: fewer at a time, and not at once again. `jitter` from 0 to 1 keeps requesters apart. */
  noteRefusal(now: number, jitter: number): void {
    const waitMs = Math.min(this.#bounds.backoffMsMin * 2 ** this.#refusals, this.#bounds.backoffMsMax);
    this.quietUntil = now + waitMs * (1 + jitter);
    if (waitMs < this.#bounds.backoffMsMax) this.#refusals++;
    this.#depthLimit = Math.max(1, this.requests.length);
    this.#depth = Math.min(this.#depth ?? this.#depthLimit, this.#depthLimit);
    this.noteHeard(now);
  }

  #silenceMs(): number {
    const { silenceFactor, silenceFirstMs, silenceMsMax, silenceMsMin } = this.#bounds;
    const expectedMs = this.#intervalMs === undefined ? silenceFirstMs : silenceFactor * this.#intervalMs;
    const firstMs = Math.min(Math.max(expectedMs, silenceMsMin), silenceMsMax);
    return Math.min(firstMs * 2 ** this.silences, silenceMsMax);
  }
}
