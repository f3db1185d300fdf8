/**
 * Moves requests from slow sources to faster ones, by the time that each still needs. A source with nothing else to be
 * asked for takes over what another one would answer much later; in a full window, one that could work on more takes the
 * place of what waits the longest. One look compares each source with the requests of the window.
 */
import { NO_CHUNKS } from "../core/bitfield.ts";
import type { DownloadBounds } from "./bounds.ts";
import type { Ledger } from "./ledger.ts";
import type { SchedulerActions } from "./scheduler.ts";
import type { Request, Source } from "./source.ts";

export class Stealing {
  readonly #ledger: Ledger;
  readonly #bounds: DownloadBounds;
  readonly #actions: SchedulerActions;
  /** Requests that a source may have at a time. */
  readonly #limitOf: (source: Source, now: number) => number;
  #checkedAt = Number.NEGATIVE_INFINITY;
  /** The last look moved something slow: there may be more as soon as a source has room again. */
  #isStealing = false;

  constructor(
    ledger: Ledger,
    bounds: DownloadBounds,
    actions: SchedulerActions,
    limitOf: (source: Source, now: number) => number,
  ) {
    this.#ledger = ledger;
    this.#bounds = bounds;
    this.#actions = actions;
    this.#limitOf = limitOf;
  }

  /** When to look next; never while there is nobody to take anything from, or to give it to. */
  deadline(): number {
    const isPossible = this.#ledger.unanswered > 0 && this.#ledger.sources.size > 1;
    return isPossible ? this.#checkedAt + this.#bounds.stealCheckMs : Number.POSITIVE_INFINITY;
  }

  /**
   * Gives the sources that have nothing to do what others would answer much later; the fastest comes first. Where sources
   * are crowded, waiting is no sign of a slow one, so only the last chunks are moved.
   */
  run(now: number, isCrowded: boolean): void {
    const isDue = now >= this.deadline();
    if (!isDue && !this.#isStealing) return;
    if (isDue) this.#checkedAt = now;
    if (isCrowded && !this.#isEndgame) return;
    const unknownMs = this.#unknownMs();
    const idle = [...this.#ledger.sources.values()].filter((source) => this.#isIdle(source, now));
    if (idle.length === 0) return;
    const byAnswer = idle.map((source) => ({ source, answerMs: source.answerMs(now, unknownMs) }));
    this.#isStealing = false;
    for (const { source, answerMs } of byAnswer.sort((a, b) => a.answerMs - b.answerMs)) {
      if (isDue && this.#isEndgame && source.load === 0) this.#stealLast(source, answerMs, now);
      this.#stealSlow(source, now);
    }
  }

  /** The request that should rather make room for one to this source: of one so much slower, wherever that is. */
  requestToDisplace(source: Source, now: number): Request | undefined {
    return this.#slowest(this.#slowThanMs(source, now), now, (request) => request.source !== source);
  }

  /** A source of unknown speed is hardly faster than the others. */
  #unknownMs(): number {
    return Math.max(this.#ledger.typicalWaitMs(), this.#bounds.stealCheckMs);
  }

  #isIdle(source: Source, now: number): boolean {
    if (source.isStalled || source.quietUntil > now) return false;
    return this.#ledger.usefulCount(source) <= source.openChoices && source.load < this.#spareLimit(source, now);
  }

  /** One of unknown speed gets no more than one. */
  #spareLimit(source: Source, now: number): number {
    return source.depth === undefined ? 1 : this.#limitOf(source, now);
  }

  /** At the end, one request that waits; where bytes flow, their rate tells better. */
  #stealLast(source: Source, answerMs: number, now: number): void {
    const { stealFactor, stealMsMin } = this.#bounds;
    this.#steal(source, stealMsMin + stealFactor * answerMs, now, (owner) => owner.flowMs === undefined);
  }

  /** At the end, less is enough where a rate is known: who takes one of several slow chunks has to take them all. */
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

  /** What still needs longer than this is slow beside the source. */
  #slowThanMs(source: Source, now: number): number {
    const { stealEarlyMsMin, stealSlowFactor, stealSlowMsMin } = this.#bounds;
    const leastMs = this.#isEndgame ? stealSlowMsMin : stealEarlyMsMin;
    return leastMs + stealSlowFactor * source.scratchMs(now, this.#unknownMs());
  }

  /** Every chunk is asked for, but not everything has come. */
  get #isEndgame(): boolean {
    return this.#ledger.picker.wantedCount === 0;
  }

  #steal(source: Source, longerThanMs: number, now: number, from = (_owner: Source) => true): boolean {
    const fits = ({ claim, source: owner }: Request) =>
      claim !== undefined && owner !== source && source.has(claim) && from(owner);
    const request = this.#slowest(longerThanMs, now, fits);
    if (request === undefined) return false;
    const chunk = request.claim!;
    this.#ledger.noteMoved(request);
    this.#actions.giveUp(request);
    this.#actions.ask(source, NO_CHUNKS, chunk);
    return true;
  }

  /** Of the requests that fit, the one that still needs the longest, and longer than this. */
  #slowest(longerThanMs: number, now: number, fits: (request: Request) => boolean): Request | undefined {
    let slowest: Request | undefined;
    let slowestMs = longerThanMs;
    for (const request of this.#ledger.unansweredRequests()) {
      if (now < request.sentAt + this.#bounds.stealCheckMs || !fits(request)) continue;
      const remainingMs = request.source.remainingMs(request, now);
      if (remainingMs <= slowestMs || remainingMs <= longerThanMs * this.#ledger.moveCost(request)) continue;
      slowest = request;
      slowestMs = remainingMs;
    }
    return slowest;
  }
}
