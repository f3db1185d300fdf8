/**
 * Watches for sources that are silent while they owe an answer: a stalled one loses what others can answer, one that
 * stays silent is dropped. Also knows when a source that refused or stalled may be asked again.
 */
import type { DownloadBounds } from "./bounds.ts";
import type { Ledger } from "./ledger.ts";
import type { Request, Source } from "./source.ts";

/** What the watch does to the world; the manager turns it into effects. */
export interface StallActions {
  giveUp(request: Request): void;
  drop(source: Source): void;
}

export class StallWatch {
  readonly #ledger: Ledger;
  readonly #bounds: DownloadBounds;
  readonly #actions: StallActions;
  /** No source can have been silent for too long before this time. */
  #silencesDueAt = Number.POSITIVE_INFINITY;
  /** When the next of the sources that are not to be asked now may be asked again. */
  #retryAt = Number.POSITIVE_INFINITY;

  constructor(ledger: Ledger, bounds: DownloadBounds, actions: StallActions) {
    this.#ledger = ledger;
    this.#bounds = bounds;
    this.#actions = actions;
  }

  deadline(): number {
    return Math.min(this.#silencesDueAt, this.#retryAt);
  }

  /** A request went out: its answer is awaited from now on. */
  noteAsked(now: number): void {
    const { silenceFirstMs, silenceMsMax, silenceMsMin } = this.#bounds;
    this.#silencesDueAt = Math.min(this.#silencesDueAt, now + Math.min(silenceFirstMs, silenceMsMin, silenceMsMax));
  }

  /** The source is not to be asked for a while. */
  noteQuiet(source: Source): void {
    this.#retryAt = Math.min(this.#retryAt, source.quietUntil);
  }

  /** Chunks are missing and everybody who could be asked is silent. */
  get isStarved(): boolean {
    for (const source of this.#ledger.sources.values()) if (!source.isStalled) return false;
    return this.#ledger.sources.size > 0;
  }

  check(now: number): void {
    if (now >= this.#silencesDueAt) this.#checkSilences(now);
    if (now >= this.#retryAt) this.#findNextRetry(now);
  }

  #checkSilences(now: number): void {
    this.#silencesDueAt = Number.POSITIVE_INFINITY;
    const typicalWaitMs = this.#ledger.typicalWaitMs();
    for (const source of [...this.#ledger.sources.values()]) {
      if (now >= source.dropsAt()) this.#actions.drop(source);
      else if (now >= source.stallsAt(typicalWaitMs)) this.#relieve(source, now);
      this.#silencesDueAt = Math.min(this.#silencesDueAt, source.stallsAt(typicalWaitMs), source.dropsAt());
    }
  }

  #findNextRetry(now: number): void {
    this.#retryAt = Number.POSITIVE_INFINITY;
    for (const source of this.#ledger.sources.values()) if (source.quietUntil > now) this.noteQuiet(source);
  }

  /** A stalled source keeps what only it can answer; the rest goes to others. */
  #relieve(stalled: Source, now: number): void {
    stalled.noteSilence(now);
    this.noteQuiet(stalled);
    for (const request of [...stalled.requests]) {
      const chunk = request.claim;
      if (chunk === undefined) continue;
      for (const other of this.#ledger.sources.values()) {
        if (other.isStalled || !other.has(chunk)) continue;
        this.#actions.giveUp(request);
        break;
      }
    }
  }
}
