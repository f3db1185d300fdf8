/**
 * What a fetch knows of one source: the chunks that it holds, the requests that it has, how fast it answers. `Source` is
 * what everybody may read; `SourceState` is the same object for its owner, the FetchState, which alone changes it.
 */
import type { DownloadBounds } from "./bounds.ts";
import { type ChunkBits, fullBits, hasBit } from "./chunk-bits.ts";
import { leftMs, reportFlow, wholeMs } from "./flow.ts";
import { startFlow } from "./request.ts";
import type { Request, Source } from "./source.ts";
import type { SourceRecord } from "./source-records.ts";
import type { SourceId } from "./types.ts";

/** Keeps the averages apart from zero where a clock is coarse. */
const INTERVAL_MS_MIN = 0.01;
/** Weight of the newest sample of the time per chunk. */
const INTERVAL_WEIGHT = 0.25;
/** The shortest round trip fades by this factor with each answer, so that a route that got longer is believed. */
const ROUND_TRIP_FADE = 1.01;

export class SourceState implements Source {
  readonly id: SourceId;
  readonly record: SourceRecord;
  held: ChunkBits | undefined;
  /** Chunks that were bad from this source: not asked for again here while another source has them. */
  readonly badChunks = new Set<number>();
  usefulCount = 0;
  readonly requests: Request[] = [];
  openChoices = 0;
  readonly released: Request[] = [];
  receiving: Request | undefined;
  isExactOnly = false;
  quietUntil = 0;

  readonly #bounds: DownloadBounds;
  /** Silences in a row: each makes the next one longer. */
  #silences = 0;
  #duplicates = 0;
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

  /** From "all chunks" to a set, out of which single chunks can be taken. */
  listChunks(chunkCount: number): void {
    this.held = fullBits(chunkCount);
  }

  addRequest(request: Request, now: number): void {
    this.#noteAsked(now);
    this.requests.push(request);
    if (request.isChoice) this.openChoices++;
  }

  /** A waiting request is opened or leaves the list. */
  leaveWaiting(request: Request): void {
    if (request.state === "waiting" && request.isChoice) this.openChoices--;
  }

  removeRequest(request: Request): void {
    this.requests.splice(this.requests.indexOf(request), 1);
  }

  removeReleased(request: Request): void {
    this.released.splice(this.released.indexOf(request), 1);
  }

  /** The answer of the request is here, or is not awaited any more. */
  endReceiving(request: Request): void {
    if (this.receiving === request) this.receiving = undefined;
  }

  countDuplicate(request: Request): void {
    if (request.isChoice && ++this.#duplicates > this.#bounds.duplicatesMax) this.isExactOnly = true;
  }

  get isStalled(): boolean {
    return this.#silences > 0;
  }

  intervalMs(now: number): number | undefined {
    const stale = this.requests.length === 0 && now - this.#heardAt > this.#bounds.rateFreshMs;
    return stale ? undefined : this.#intervalMs;
  }

  provenMs(now: number): number | undefined {
    return this.intervalMs(now) ?? this.flowMs;
  }

  chunkMs(now: number): number | undefined {
    const lateMs = this.#lateMs(now);
    const intervalMs = this.intervalMs(now);
    return lateMs === 0 ? intervalMs : Math.max(intervalMs ?? 0, lateMs);
  }

  isUntried(now: number): boolean {
    return this.chunkMs(now) === undefined;
  }

  get load(): number {
    return this.requests.length + (this.receiving?.state === "released" ? 1 : 0);
  }

  expectedMs(now: number): number {
    const fade = 1 + Math.max(now - this.#deliveredAt, 0) / this.#bounds.paceFadeMs;
    const isUnknown = this.#intervalMs === undefined || this.isStalled;
    const nowMs = isUnknown ? this.#lateMs(now) : (this.flowMs ?? 0);
    return Math.max((this.#paceMs * (this.requests.length + 1)) / fade, nowMs);
  }

  get waitedMs(): number | undefined {
    return this.#waitedMs;
  }

  get depth(): number | undefined {
    return this.isStalled ? 1 : this.#depth;
  }

  answerMs(now: number, unknownMs: number): number {
    const intervalMs = this.intervalMs(now);
    const lateMs = this.#lateMs(now);
    if (intervalMs === undefined) return Math.max(unknownMs, lateMs * (this.load + 1));
    return this.#roundTripMs + (this.load + 1) * Math.max(intervalMs, lateMs);
  }

  scratchMs(now: number, unknownMs: number): number {
    const intervalMs = this.intervalMs(now);
    const lateMs = this.#lateMs(now);
    if (intervalMs === undefined) return Math.max(unknownMs, lateMs);
    return Math.max(this.#roundTripMs + Math.max(intervalMs, lateMs), this.#paceMs);
  }

  remainingMs(request: Request, now: number): number {
    const flowMs = this.flowMs;
    if (flowMs !== undefined) return this.#behindFlowMs(request, flowMs);
    const silentMs = now - Math.max(this.#heardAt, request.sentAt);
    const intervalMs = this.#intervalMs;
    if (intervalMs === undefined) return silentMs;
    const expectedMs = this.#roundTripMs + (this.requests.indexOf(request) + 1) * intervalMs;
    return silentMs > expectedMs ? silentMs : expectedMs - silentMs;
  }

  /** Expected time for a request behind the answer that is coming in. */
  #behindFlowMs(request: Request, flowMs: number): number {
    const restMs = leftMs(this.receiving!.flow!, this.#bounds.judgeMs)!;
    if (request === this.receiving) return restMs;
    const place = this.requests.indexOf(request) + (this.receiving!.state === "released" ? 1 : 0);
    return restMs + Math.max(place, 1) * Math.max(this.#intervalMs ?? 0, flowMs);
  }

  get flowMs(): number | undefined {
    const flow = this.receiving?.flow;
    return flow === undefined ? undefined : wholeMs(flow, this.#bounds.judgeMs);
  }

  /**
   * How long the answer that is due now takes at least; 0 where nothing can be said. A source that never answered does not
   * get better by losing its requests, and one that has stalled takes as long again.
   */
  #lateMs(now: number): number {
    const flowMs = this.flowMs;
    if (flowMs !== undefined) return flowMs;
    const stallMs = this.isStalled ? this.#silenceMs() : 0;
    if (this.requests.length === 0 && (this.#waitedMs !== undefined || this.released.length === 0)) return stallMs;
    const silentMs = now - Math.max(this.#heardAt, this.#askedAt);
    return Math.max(silentMs < this.#bounds.judgeMs ? 0 : silentMs, stallMs);
  }

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

  /** Its silence so far is not counted: the fetch itself stood still. */
  resetSilence(now: number): void {
    this.#heardAt = now;
  }

  /** Measurements that are too old are forgotten when a request is sent: its answer begins new ones. */
  #noteAsked(now: number): void {
    this.#intervalMs = this.intervalMs(now);
    if (this.#intervalMs === undefined && this.#depthLimit === this.#bounds.windowSize) this.#depth = undefined;
    if (this.#askedAt <= this.#heardAt) this.#askedAt = now;
  }

  /** The source is there, which says nothing of whether it sends chunks: it stays stalled. */
  noteAlive(now: number): void {
    this.#heardAt = now;
  }

  /** Something of an answer came from the source: it is not stalled. */
  noteHeard(now: number): void {
    this.#heardAt = now;
    if (this.#silences > 0) this.quietUntil = now;
    this.#silences = 0;
  }

  noteHeader(request: Request, bytesTotal: number, now: number): void {
    startFlow(request, bytesTotal, now);
    this.receiving = request;
    this.noteHeard(now);
  }

  noteProgress({ flow }: Request, bytes: number, now: number): void {
    if (flow !== undefined && reportFlow(flow, bytes, now) === "grown") this.noteHeard(now);
  }

  /** It has stalled: no new requests for a while. */
  noteStall(now: number): void {
    this.#silences++;
    this.#stalledAt = now;
    this.quietUntil = now + this.#silenceMs();
  }

  /** A request was taken from it for a faster source, which goes first for a while. */
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

  /** It is busy: it gets fewer requests at a time, and none for a while. `jitter`, from 0 to 1, keeps requesters apart. */
  noteBusy(now: number, jitter: number): void {
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
    return Math.min(firstMs * 2 ** this.#silences, silenceMsMax);
  }
}
