/**
 * Moves requests from slow sources to faster ones, by the time that each request still needs. A source that has nothing
 * else to be asked for takes over requests that others would answer much later. In a full window, a source that could
 * work on more takes the place of the request that needs longest. Each check compares every source with the requests of
 * the window.
 */
import type { DownloadBounds } from "./bounds.ts";
import type { FetchView } from "./fetch-state.ts";
import type { Request, Source } from "./source.ts";

/** What is done to move a request to another source. */
export interface StealingActions {
  requestExact(source: Source, chunk: number): void;
  /** Cancels the request because a faster source is asked for its chunk. */
  cancelToMove(request: Request): void;
}

export class Stealing {
  readonly #state: FetchView;
  readonly #bounds: DownloadBounds;
  readonly #actions: StealingActions;
  /** How many requests a source may have at a time. */
  readonly #limitOf: (source: Source, now: number) => number;
  #checkedAt = Number.NEGATIVE_INFINITY;
  /** The last check moved a slow request: there may be more as soon as a source has room again. */
  #isStealing = false;

  constructor(
    state: FetchView,
    bounds: DownloadBounds,
    actions: StealingActions,
    limitOf: (source: Source, now: number) => number,
  ) {
    this.#state = state;
    this.#bounds = bounds;
    this.#actions = actions;
    this.#limitOf = limitOf;
  }

  /** When to check next; never while there is nothing to move, or no source to move it to. */
  deadline(): number {
    const isPossible = this.#state.unanswered > 0 && this.#state.sources.size > 1;
    return isPossible ? this.#checkedAt + this.#bounds.stealCheckMs : Number.POSITIVE_INFINITY;
  }

  /**
   * Gives idle sources the requests that others would answer much later, the fastest source first. Where sources are
   * crowded, a long wait does not mean a slow source, so requests are moved in the endgame only.
   */
  run(now: number, isCrowded: boolean): void {
    const isDue = now >= this.deadline();
    if (!isDue && !this.#isStealing) return;
    if (isDue) this.#checkedAt = now;
    if (isCrowded && !this.#isEndgame) return;
    const unknownMs = this.#unknownMs();
    const idle = [...this.#state.sources.values()].filter((source) => this.#isIdle(source, now));
    if (idle.length === 0) return;
    const byAnswer = idle.map((source) => ({ source, answerMs: source.answerMs(now, unknownMs) }));
    this.#isStealing = false;
    for (const { source, answerMs } of byAnswer.sort((a, b) => a.answerMs - b.answerMs)) {
      if (isDue && this.#isEndgame && source.load === 0) this.#stealWaiting(source, answerMs, now);
      this.#stealSlow(source, now);
    }
  }

  /** The request that needs longest, if its source is so much slower than this one that it should make room. */
  requestToDisplace(source: Source, now: number): Request | undefined {
    return this.#slowest(this.#slowThanMs(source, now), now, (request) => request.source !== source);
  }

  /** Assumed time for an answer of a source of unknown speed: it is hardly faster than the others. */
  #unknownMs(): number {
    return Math.max(this.#state.typicalWaitMs(), this.#bounds.stealCheckMs);
  }

  #isIdle(source: Source, now: number): boolean {
    if (source.isStalled || source.quietUntil > now) return false;
    return this.#state.usefulCount(source) <= source.openChoices && source.load < this.#spareLimit(source, now);
  }

  /** A source of unknown speed gets one request at a time. */
  #spareLimit(source: Source, now: number): number {
    return source.depth === undefined ? 1 : this.#limitOf(source, now);
  }

  /** In the endgame: moves one waiting request. Where bytes flow, `#stealSlow` judges by their rate. */
  #stealWaiting(source: Source, answerMs: number, now: number): void {
    const { stealFactor, stealMsMin } = this.#bounds;
    this.#steal(source, stealMsMin + stealFactor * answerMs, now, (owner) => owner.flowMs === undefined);
  }

  /**
   * Moves as many slow requests as keep the source busy. In the endgame a smaller gain is enough where a rate is known:
   * taking over one of several slow chunks is of use only if all of them are taken over.
   */
  #stealSlow(source: Source, now: number): void {
    const { stealFactor, stealMsMin } = this.#bounds;
    const takeAll = (longerThanMs: number, from?: (owner: Source) => boolean) => {
      while (source.load < this.#spareLimit(source, now) && this.#steal(source, longerThanMs, now, from))
        this.#isStealing = true;
    };
    if (this.#isEndgame) {
      const scratchMs = source.scratchMs(now, this.#unknownMs());
      takeAll(stealMsMin + stealFactor * scratchMs, (owner) => owner.flowMs !== undefined);
    }
    takeAll(this.#slowThanMs(source, now));
  }

  /** A request that needs longer than this is slow in comparison with the source. */
  #slowThanMs(source: Source, now: number): number {
    const { stealEarlyMsMin, stealSlowFactor, stealSlowMsMin } = this.#bounds;
    const leastMs = this.#isEndgame ? stealSlowMsMin : stealEarlyMsMin;
    return leastMs + stealSlowFactor * source.scratchMs(now, this.#unknownMs());
  }

  /** The endgame: every missing chunk is claimed. */
  get #isEndgame(): boolean {
    return this.#state.picker.wantedCount === 0;
  }

  #steal(source: Source, longerThanMs: number, now: number, from = (_owner: Source) => true): boolean {
    const fits = (request: Request) => {
      if (request.source === source) return false;
      const claim = this.#state.claimOf(request);
      return claim !== undefined && source.has(claim) && from(request.source);
    };
    const request = this.#slowest(longerThanMs, now, fits);
    const chunk = request && this.#state.claimOf(request);
    if (request === undefined || chunk === undefined) return false;
    this.#actions.cancelToMove(request);
    this.#actions.requestExact(source, chunk);
    return true;
  }

  /** Of the requests that fit, the one that needs longest; only one that needs longer than `longerThanMs`. */
  #slowest(longerThanMs: number, now: number, fits: (request: Request) => boolean): Request | undefined {
    let slowest: Request | undefined;
    let slowestMs = longerThanMs;
    for (const request of this.#state.unansweredRequests()) {
      if (now < request.sentAt + this.#bounds.stealCheckMs || !fits(request)) continue;
      const remainingMs = request.source.remainingMs(request, now);
      if (remainingMs <= slowestMs || remainingMs <= longerThanMs * this.#state.moveCost(request)) continue;
      slowest = request;
      slowestMs = remainingMs;
    }
    return slowest;
  }
}
