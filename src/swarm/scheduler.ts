/**
 * Which source is asked for what: fills the window, and makes room in it where requests pile up at one source while
 * another is idle, or wait at slow ones while a fast one could do more. One decision looks at every source once and at
 * a bounded number of chunks.
 */
import { type ChunkRanges, NO_CHUNKS } from "../core/bitfield.ts";
import { SECOND_MS } from "../core/units.ts";
import type { DownloadBounds } from "./bounds.ts";
import { longestRanges, lowestInWord } from "./chunk-bits.ts";
import type { Ledger } from "./ledger.ts";
import type { Request, Source } from "./source.ts";
import { Stealing } from "./stealing.ts";

/** What the scheduler does to the world; the manager turns it into effects. */
export interface SchedulerActions {
  ask(source: Source, chunks: ChunkRanges, exactChunk: number | undefined): void;
  giveUp(request: Request): void;
  /** The source is not to be asked for a while. */
  noteQuiet(source: Source): void;
}

/** Weight of the newest answer in how crowded sources are. */
const CROWDING_WEIGHT = 0.05;

/** Time per chunk of a source that was never asked: it has its turn before the slow ones, after the fast ones. */
const UNTRIED_MS = SECOND_MS;

export class Scheduler {
  readonly #ledger: Ledger;
  readonly #bounds: DownloadBounds;
  readonly #random: () => number;
  readonly #actions: SchedulerActions;
  readonly #stealing: Stealing;
  /** Sources found to have nothing to be asked for in this round. */
  readonly #spent = new Set<Source>();
  #shareUnmeasured: number | undefined;
  /** What the fastest source takes for a chunk. */
  #fastestMs: number | undefined;
  /** Requests of others that are served before one of ours, on average. */
  #crowding = 0;
  #roomCheckedAt = Number.NEGATIVE_INFINITY;

  constructor(ledger: Ledger, bounds: DownloadBounds, random: () => number, actions: SchedulerActions) {
    this.#ledger = ledger;
    this.#bounds = bounds;
    this.#random = random;
    this.#actions = actions;
    this.#stealing = new Stealing(ledger, bounds, actions, (source, now) => this.#limitOf(source, now));
  }

  run(now: number): void {
    if (this.#ledger.overAsked.size > 0) this.#takeBackChoices();
    this.#spent.clear();
    this.#shareUnmeasured = undefined;
    this.#fastestMs = undefined;
    for (;;) {
      const source = this.hasRoom ? this.#nextSource(now) : this.#makeRoom(now);
      if (source === undefined) break;
      if (!this.#askSource(source)) this.#spent.add(source);
    }
    this.#stealing.run(now, this.#isCrowded);
  }

  /** When to run at the latest. */
  deadline(): number {
    return this.#stealing.deadline();
  }

  /** There is another source: a full window is searched for room at once. */
  noteJoined(): void {
    this.#roomCheckedAt = Number.NEGATIVE_INFINITY;
  }

  /** A request was answered: in terms of the time that its own bytes took, how many of others came first? */
  noteAnswer({ ahead, openedAt, sentAt, state }: Request, now: number): void {
    if (state !== "opened" || now <= openedAt) return;
    const others = Math.max((openedAt - sentAt) / (now - openedAt) - ahead, 0);
    this.#crowding += CROWDING_WEIGHT * (Math.min(others, this.#bounds.windowSize) - this.#crowding);
  }

  /** Whether the window, which is shorter where sources are crowded, takes another request. */
  get hasRoom(): boolean {
    return this.#ledger.unanswered < (this.#isCrowded ? this.#bounds.crowdWindowSize : this.#bounds.windowSize);
  }

  /** Sources that never answered make no crowd. */
  get #isCrowded(): boolean {
    return this.#crowding >= this.#bounds.crowdedMin && this.#ledger.answeredSources >= this.#bounds.crowdSourcesMin;
  }

  /** Requests for which nothing is left to choose. */
  #takeBackChoices(): void {
    for (const source of this.#ledger.overAsked) {
      const usefulCount = this.#ledger.usefulCount(source);
      while (source.openChoices > usefulCount) this.#actions.giveUp(newestChoice(source));
    }
    this.#ledger.overAsked.clear();
  }

  /** The window divided among the useful sources: what one of unknown speed is asked for at first. */
  #share(): number {
    if (this.#shareUnmeasured === undefined) {
      let usefulSources = 0;
      for (const source of this.#ledger.sources.values()) if (this.#ledger.usefulCount(source) > 0) usefulSources++;
      const share = Math.floor(this.#bounds.windowSize / Math.max(usefulSources, 1));
      this.#shareUnmeasured = Math.max(this.#bounds.depthMin, share);
    }
    return this.#shareUnmeasured;
  }

  /** Whether the source has something for us and would work on it soon. */
  isAskable(source: Source, now: number): boolean {
    return (
      source.quietUntil <= now && this.#ledger.usefulCount(source) > source.openChoices && this.#takesMore(source, now)
    );
  }

  /** Looks at what costs least first: this is asked of every source at each decision. */
  #takesMore(source: Source, now: number): boolean {
    const { load } = source;
    return load === 0 || (load < (source.depth ?? this.#share()) && !this.#isSlow(source, now));
  }

  /** Requests that a source may have at a time: one, where another is so much faster. */
  #limitOf(source: Source, now: number): number {
    return this.#isSlow(source, now) ? 1 : (source.depth ?? this.#share());
  }

  #isSlow(source: Source, now: number): boolean {
    const chunkMs = source.chunkMs(now);
    if (chunkMs === undefined || chunkMs < this.#bounds.slowMsMin) return false;
    if (this.#fastestMs === undefined) {
      this.#fastestMs = Number.POSITIVE_INFINITY;
      for (const each of this.#ledger.sources.values())
        this.#fastestMs = Math.min(this.#fastestMs, each.provenMs(now) ?? Number.POSITIVE_INFINITY);
    }
    return chunkMs > this.#bounds.slowFactor * this.#fastestMs;
  }

  #canAsk(source: Source, now: number): boolean {
    return this.isAskable(source, now) && (this.#spent.size === 0 || !this.#spent.has(source));
  }

  /**
   * D1: a source for the rarest chunk of all, where one can be asked for it; otherwise any that can be asked. Of several,
   * the one that is expected to answer soonest; one of unknown speed gets its chance first. Where sources are crowded,
   * time goes before rarity: there, uploaders see to it that scarce chunks get on.
   */
  #nextSource(now: number): Source | undefined {
    const rarest = this.#isCrowded ? undefined : this.#ledger.picker.pick();
    let best: Source | undefined;
    let bestMs = Number.POSITIVE_INFINITY;
    let bestHasRarest = false;
    for (const source of this.#ledger.sources.values()) {
      if (!this.#canAsk(source, now)) continue;
      const hasRarest = rarest !== undefined && source.has(rarest);
      if (bestHasRarest && !hasRarest) continue;
      const jitter = this.#random();
      const expectedMs = source.expectedMs(now) * (1 + jitter) + jitter;
      if (hasRarest === bestHasRarest && expectedMs >= bestMs) continue;
      best = source;
      bestMs = expectedMs;
      bestHasRarest = hasRarest;
    }
    return best;
  }

  /** D1: the rarest of what the source has; or, where only it has that, its choice among all that are so rare. */
  #askSource(source: Source): boolean {
    const { picker } = this.#ledger;
    const held = source.held;
    let chunk = picker.pick(held);
    if (chunk === undefined) return false;
    if (picker.holders(chunk) <= this.#bounds.scarceHoldersMax && !source.exactOnly) {
      const candidates = this.#scarceChunks(source, chunk);
      if (candidates.length > Math.max(source.openChoices, 1)) {
        this.#actions.ask(source, longestRanges(candidates, this.#bounds.requestRangesMax), undefined);
        return true;
      }
      if (source.openChoices > 0) chunk = picker.pick(held, this.#bounds.scarceHoldersMax + 1);
      if (chunk === undefined) return false;
    }
    this.#actions.ask(source, NO_CHUNKS, chunk);
    return true;
  }

  /** Wanted chunks of the source as scarce as this one, ascending: all, or those among a bounded number from it on. */
  #scarceChunks(source: Source, chunk: number): number[] {
    const { picker } = this.#ledger;
    const holders = picker.holders(chunk);
    const lookMax = this.#bounds.requestCandidatesMax;
    const found: number[] = [];
    let looked = 0;
    for (let index = picker.wantedCount <= lookMax ? 0 : chunk >>> 5; index < picker.wanted.length; index++) {
      let word = picker.wanted[index]! & (source.held === undefined ? ~0 : source.held[index]!);
      for (; word !== 0; word &= word - 1) {
        const each = lowestInWord(index, word);
        if (picker.holders(each) === holders) found.push(each);
        looked++;
      }
      if (looked >= lookMax) break;
    }
    return found;
  }

  /** The window is full: takes a request back from a source with a pile, for another that would be idle; that one. */
  #makeRoom(now: number): Source | undefined {
    if (now < this.#roomCheckedAt + this.#bounds.roomCheckMs) return undefined;
    let idle: Source | undefined;
    for (const source of this.#ledger.sources.values()) {
      const isKnown = source.intervalMs(now) !== undefined;
      if (source.requests.length > 0 || !this.#canAsk(source, now) || !(isKnown || source.isUntried(now))) continue;
      idle = source;
      if (!isKnown) break;
    }
    const request = idle && this.#requestToSpare(idle.isUntried(now));
    if (idle === undefined || request === undefined) {
      const faster = this.#isCrowded ? undefined : this.#displaceSlow(now);
      if (faster === undefined) this.#roomCheckedAt = now;
      return faster;
    }
    this.#actions.giveUp(request);
    return idle;
  }

  /** The window is full: takes a place in it from what waits at a slow source, for the fastest that could do more. */
  #displaceSlow(now: number): Source | undefined {
    let fastest: Source | undefined;
    let fastestMs = Number.POSITIVE_INFINITY;
    for (const source of this.#ledger.sources.values()) {
      const chunkMs = source.chunkMs(now) ?? UNTRIED_MS;
      if (chunkMs >= fastestMs || !this.#canAsk(source, now)) continue;
      if (source.depth === undefined && source.load > 0) continue;
      fastest = source;
      fastestMs = chunkMs;
    }
    const request = fastest && this.#stealing.requestToDisplace(fastest, now);
    if (request === undefined) return undefined;
    this.#ledger.noteMoved(request);
    this.#actions.giveUp(request);
    request.source.noteDisplaced(now);
    this.#actions.noteQuiet(request.source);
    return fastest;
  }

  /** The newest request of the longest pile: more than keep its source busy, or, to try another source, than its share. */
  #requestToSpare(isForTrial: boolean): Request | undefined {
    let spare: Request | undefined;
    let pileMax = 0;
    for (const source of this.#ledger.sources.values()) {
      const depth = source.depth ?? this.#share();
      const pile = source.requests.length - (isForTrial ? Math.min(depth, this.#share()) : depth);
      const request = pile > pileMax ? newestWaiting(source) : undefined;
      if (request === undefined || (!request.isChoice && pile < this.#bounds.pileMin)) continue;
      spare = request;
      pileMax = pile;
    }
    return spare;
  }
}

function newestWaiting(source: Source): Request | undefined {
  return source.requests.findLast((request) => request.state === "waiting");
}

function newestChoice(source: Source): Request {
  return source.requests.findLast((request) => request.state === "waiting" && request.isChoice)!;
}
