/**
 * Watches for sources that are silent while they owe an answer. The requests of a stalled source are reassigned where
 * others can answer them; a source that stays silent is dropped. Also knows when a source that was busy or stalled may
 * be asked again.
 */
import type { DownloadBounds } from "./bounds.ts";
import type { FetchView } from "./fetch-state.ts";
import type { Request, Source } from "./source.ts";

/** What the watch wants done; the manager changes the state accordingly and emits the effects. */
export interface StallActions {
  /** The source counts as stalled: it is not asked for a while. */
  stall(source: Source): void;
  cancel(request: Request): void;
  drop(source: Source): void;
}

export class StallWatch {
  readonly #state: FetchView;
  readonly #bounds: DownloadBounds;
  readonly #actions: StallActions;
  /** No source can count as stalled before this time. */
  #silencesDueAt = Number.POSITIVE_INFINITY;
  /** When the next source that may not be asked now may be asked again. */
  #retryAt = Number.POSITIVE_INFINITY;

  constructor(state: FetchView, bounds: DownloadBounds, actions: StallActions) {
    this.#state = state;
    this.#bounds = bounds;
    this.#actions = actions;
  }

  deadline(): number {
    return Math.min(this.#silencesDueAt, this.#retryAt);
  }

  /** A request was sent: its answer is awaited from now on. */
  noteAsked(now: number): void {
    const { silenceFirstMs, silenceMsMax, silenceMsMin } = this.#bounds;
    this.#silencesDueAt = Math.min(this.#silencesDueAt, now + Math.min(silenceFirstMs, silenceMsMin, silenceMsMax));
  }

  /** The source may not be asked before its `quietUntil`. */
  noteQuiet(source: Source): void {
    this.#retryAt = Math.min(this.#retryAt, source.quietUntil);
  }

  /** Whether there are sources and all of them have stalled. */
  get isStarved(): boolean {
    for (const source of this.#state.sources.values()) if (!source.isStalled) return false;
    return this.#state.sources.size > 0;
  }

  check(now: number): void {
    if (now >= this.#silencesDueAt) this.#checkSilences(now);
    if (now >= this.#retryAt) this.#findNextRetry(now);
  }

  #checkSilences(now: number): void {
    this.#silencesDueAt = Number.POSITIVE_INFINITY;
    const typicalWaitMs = this.#state.typicalWaitMs();
    for (const source of [...this.#state.sources.values()]) {
      if (now >= source.dropsAt()) this.#actions.drop(source);
      else if (now >= source.stallsAt(typicalWaitMs)) this.#reassign(source);
      this.#silencesDueAt = Math.min(this.#silencesDueAt, source.stallsAt(typicalWaitMs), source.dropsAt());
    }
  }

  #findNextRetry(now: number): void {
    this.#retryAt = Number.POSITIVE_INFINITY;
    for (const source of this.#state.sources.values()) if (source.quietUntil > now) this.noteQuiet(source);
  }

  /** The source has stalled. It keeps the requests that only it can answer; the others are sent to other sources. */
  #reassign(stalled: Source): void {
    this.#actions.stall(stalled);
    this.noteQuiet(stalled);
    for (const request of [...stalled.requests]) {
      const chunk = this.#state.claimOf(request);
      if (chunk === undefined) continue;
      for (const other of this.#state.sources.values()) {
        if (other.isStalled || !other.has(chunk)) continue;
        this.#actions.cancel(request);
        break;
      }
    }
  }
}
