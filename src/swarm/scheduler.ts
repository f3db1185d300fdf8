/**
 * Decides which source is asked for what. Fills the window of unanswered requests; in a full window it makes room where
 * requests pile up at one source while another is idle, or wait at slow sources while a fast one could do more. One
 * decision looks at every source once and at a bounded number of chunks.
 */
import type { ChunkRanges } from "../core/bitfield.ts";
import { SECOND_MS } from "../core/units.ts";
import type { DownloadBounds } from "./bounds.ts";
import { longestRanges, lowestInWord } from "./chunk-bits.ts";
import type { FetchView } from "./fetch-state.ts";
import type { ChoiceRequest, Request, Source } from "./source.ts";
import { Stealing, type StealingActions } from "./stealing.ts";

/** What the scheduler wants done; the manager changes the state accordingly and emits the effects. */
export interface SchedulerActions extends StealingActions {
  requestChoice(source: Source, chunks: ChunkRanges): void;
  cancel(request: Request): void;
  /** Cancels the request because a faster source gets its place in the window; its source is not asked for a while. */
  displace(request: Request): void;
}

/** Weight of the newest answer in how crowded sources are. */
const CROWDING_WEIGHT = 0.05;

/** Assumed time per chunk of a source that was never asked: it comes after fast sources and before slow ones. */
const UNTRIED_MS = SECOND_MS;

export class Scheduler {
  readonly #state: FetchView;
  readonly #bounds: DownloadBounds;
  readonly #random: () => number;
  readonly #actions: SchedulerActions;
  readonly #stealing: Stealing;
  /** Sources that turned out, in this run, to have no chunk to be asked for. */
  readonly #exhausted = new Set<Source>();
  #shareUnmeasured: number | undefined;
  /** Time per chunk of the fastest source. */
  #fastestMs: number | undefined;
  /** How many requests of others are served before one of ours, on average. */
  #crowding = 0;
  #roomCheckedAt = Number.NEGATIVE_INFINITY;

  constructor(state: FetchView, bounds: DownloadBounds, random: () => number, actions: SchedulerActions) {
    this.#state = state;
    this.#bounds = bounds;
    this.#random = random;
    this.#actions = actions;
    this.#stealing = new Stealing(state, bounds, actions, (source, now) => this.#limitOf(source, now));
  }

  run(now: number): void {
    if (this.#state.overAsked.size > 0) this.#cancelSurplusChoices();
    this.#exhausted.clear();
    this.#shareUnmeasured = undefined;
    this.#fastestMs = undefined;
    for (;;) {
      const source = this.hasRoom ? this.#nextSource(now) : this.#makeRoom(now);
      if (source === undefined) break;
      if (!this.#askSource(source)) this.#exhausted.add(source);
    }
    this.#stealing.run(now, this.#isCrowded);
  }

  /** When to run at the latest. */
  deadline(): number {
    return this.#stealing.deadline();
  }

  /** A source has joined: a full window is searched for room at once. */
  noteJoined(): void {
    this.#roomCheckedAt = Number.NEGATIVE_INFINITY;
  }

  /** A request was answered: estimates how many others were served first, from the wait and the time for its own bytes. */
  noteAnswer(request: Request, now: number): void {
    if (request.state !== "opened" || now <= request.openedAt) return;
    const { ahead, openedAt, sentAt } = request;
    const others = Math.max((openedAt - sentAt) / (now - openedAt) - ahead, 0);
    this.#crowding += CROWDING_WEIGHT * (Math.min(others, this.#bounds.windowSize) - this.#crowding);
  }

  /** Whether the window, which is shorter where sources are crowded, takes another request. */
  get hasRoom(): boolean {
    return this.#state.unanswered < (this.#isCrowded ? this.#bounds.crowdWindowSize : this.#bounds.windowSize);
  }

  /** Only sources that have answered are counted: the others tell nothing about crowding. */
  get #isCrowded(): boolean {
    return this.#crowding >= this.#bounds.crowdedMin && this.#state.answeredSources >= this.#bounds.crowdSourcesMin;
  }

  /** Cancels the choices for which no wanted chunk is left. */
  #cancelSurplusChoices(): void {
    for (const source of this.#state.overAsked) {
      const usefulCount = this.#state.usefulCount(source);
      while (source.openChoices > usefulCount) this.#actions.cancel(newestChoice(source));
    }
  }

  /** The window divided among the useful sources: how many requests a source of unknown speed gets at first. */
  #share(): number {
    if (this.#shareUnmeasured === undefined) {
      let usefulSources = 0;
      for (const source of this.#state.sources.values()) if (this.#state.usefulCount(source) > 0) usefulSources++;
      const share = Math.floor(this.#bounds.windowSize / Math.max(usefulSources, 1));
      this.#shareUnmeasured = Math.max(this.#bounds.depthMin, share);
    }
    return this.#shareUnmeasured;
  }

  /** Whether the source has a chunk that can be asked for and would send it soon. */
  isAskable(source: Source, now: number): boolean {
    return (
      source.quietUntil <= now && this.#state.usefulCount(source) > source.openChoices && this.#takesMore(source, now)
    );
  }

  /** Checks what is cheapest first, since every decision asks this of every source. */
  #takesMore(source: Source, now: number): boolean {
    const { load } = source;
    return load === 0 || (load < (source.depth ?? this.#share()) && !this.#isSlow(source, now));
  }

  /** How many requests the source may have at a time: one, if another source is much faster. */
  #limitOf(source: Source, now: number): number {
    return this.#isSlow(source, now) ? 1 : (source.depth ?? this.#share());
  }

  #isSlow(source: Source, now: number): boolean {
    const chunkMs = source.chunkMs(now);
    if (chunkMs === undefined || chunkMs < this.#bounds.slowMsMin) return false;
    if (this.#fastestMs === undefined) {
      this.#fastestMs = Number.POSITIVE_INFINITY;
      for (const each of this.#state.sources.values())
        this.#fastestMs = Math.min(this.#fastestMs, each.provenMs(now) ?? Number.POSITIVE_INFINITY);
    }
    return chunkMs > this.#bounds.slowFactor * this.#fastestMs;
  }

  #canAsk(source: Source, now: number): boolean {
    return this.isAskable(source, now) && (this.#exhausted.size === 0 || !this.#exhausted.has(source));
  }

  /**
   * D1: a source of the rarest chunk, if one can be asked; otherwise any source that can be asked. Of several, the one
   * that is expected to answer soonest; sources of unknown speed come first. Where sources are crowded, the expected time
   * alone decides: there the uploaders' choice favours rare chunks.
   */
  #nextSource(now: number): Source | undefined {
    const rarest = this.#isCrowded ? undefined : this.#state.picker.pick();
    let best: Source | undefined;
    let bestMs = Number.POSITIVE_INFINITY;
    let bestHasRarest = false;
    for (const source of this.#state.sources.values()) {
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

  /** D1: asks for the rarest chunk of the source; or, where only it has that chunk, for any one of its equally rare chunks. */
  #askSource(source: Source): boolean {
    const { picker } = this.#state;
    const held = source.held;
    let chunk = picker.pick(held);
    if (chunk === undefined) return false;
    if (picker.holders(chunk) <= this.#bounds.scarceHoldersMax && !source.isExactOnly) {
      const candidates = this.#equallyRare(source, chunk);
      if (candidates.length > Math.max(source.openChoices, 1)) {
        this.#actions.requestChoice(source, longestRanges(candidates, this.#bounds.requestRangesMax));
        return true;
      }
      if (source.openChoices > 0) chunk = picker.pick(held, this.#bounds.scarceHoldersMax + 1);
      if (chunk === undefined) return false;
    }
    this.#actions.requestExact(source, chunk);
    return true;
  }

  /** Wanted chunks of the source that are as rare as this one, ascending: all, or those among a bounded number from it on. */
  #equallyRare(source: Source, chunk: number): number[] {
    const { picker } = this.#state;
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

  /** The window is full: cancels a request at a source with a pile, for a source that is idle. Returns the idle source. */
  #makeRoom(now: number): Source | undefined {
    if (now < this.#roomCheckedAt + this.#bounds.roomCheckMs) return undefined;
    let idle: Source | undefined;
    for (const source of this.#state.sources.values()) {
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
    this.#actions.cancel(request);
    return idle;
  }

  /** The window is full: gives the place of a request at a slow source to the fastest that could do more; returns that. */
  #displaceSlow(now: number): Source | undefined {
    let fastest: Source | undefined;
    let fastestMs = Number.POSITIVE_INFINITY;
    for (const source of this.#state.sources.values()) {
      const chunkMs = source.chunkMs(now) ?? UNTRIED_MS;
      if (chunkMs >= fastestMs || !this.#canAsk(source, now)) continue;
      if (source.depth === undefined && source.load > 0) continue;
      fastest = source;
      fastestMs = chunkMs;
    }
    const request = fastest && this.#stealing.requestToDisplace(fastest, now);
    if (request === undefined) return undefined;
    this.#actions.displace(request);
    return fastest;
  }

  /**
   * The newest request of the longest pile, that is of the requests beyond those that keep their source busy; for the
   * trial of another source, beyond its share of the window.
   */
  #requestToSpare(isForTrial: boolean): Request | undefined {
    let spare: Request | undefined;
    let pileMax = 0;
    for (const source of this.#state.sources.values()) {
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

function newestChoice(source: Source): ChoiceRequest {
  const isChoice = (request: Request) => request.state === "waiting" && request.isChoice;
  return source.requests.findLast(isChoice) as ChoiceRequest;
}
