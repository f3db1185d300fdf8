/**
 * D7: watches for missing chunks that no source has. While there are such chunks it has holders looked for, at growing
 * intervals; when the wait is over it ends the fetch. The wait starts anew when a known source gains chunks, because the
 * missing one may reach it next, and while the answer of a holder is delayed. A holder that comes back only stops the clock, and it runs on when the holder leaves
 * again; it is reset when a missing chunk has come. So a holder that leaves again and again cannot put off the end.
 */
import type { DownloadBounds } from "./bounds.ts";
import { addBit, type ChunkBits, emptyBits, hasBit, removeBit } from "./chunk-bits.ts";
import type { Picker } from "./picker.ts";

const FIND_INTERVAL_GROWTH = 1.5;

export interface HolderFailure {
  readonly code: "no_holder" | "integrity";
  readonly chunk: number;
}

export type LossReason = "left" | "lied" | "refused";

export class HolderWatch {
  readonly #picker: Picker;
  readonly #bounds: DownloadBounds;
  readonly #noticeAt: number;
  /** Chunks that a source held at some time, or that were not missing at the start. */
  readonly #known: ChunkBits;
  #unknownCount: number;
  /** Chunks of which a holder left, and chunks of which a holder was dropped for bad data. */
  readonly #left: ChunkBits;
  readonly #lied: ChunkBits;
  #waitMs: number;
  #unknownFailsAt: number | undefined;
  #lostFailsAt: number | undefined;
  /** How much of the wait was left when a holder came back. */
  #lostLeftMs = Number.POSITIVE_INFINITY;
  #findAt = Number.NEGATIVE_INFINITY;
  #findIntervalMs: number;
  #isFinding = false;

  /**
   * The wanted chunks of the picker are those that are missing; nobody is known to hold any.
   *
   * @param noticeAt A wait for a holder that begins before it ends by then (R5).
   */
  constructor(picker: Picker, chunkCount: number, bounds: DownloadBounds, noticeAt = Number.NEGATIVE_INFINITY) {
    this.#picker = picker;
    this.#bounds = bounds;
    this.#noticeAt = noticeAt;
    this.#known = emptyBits(chunkCount);
    this.#left = emptyBits(chunkCount);
    this.#lied = emptyBits(chunkCount);
    for (let chunk = 0; chunk < chunkCount; chunk++) if (!picker.isWanted(chunk)) addBit(this.#known, chunk);
    this.#unknownCount = picker.wantedCount;
    this.#waitMs = bounds.holderLeftMs;
    this.#findIntervalMs = bounds.findHoldersMsMin;
  }

  /** The chunk has a holder, or is here. */
  noteKnown(chunk: number): void {
    if (this.#unknownCount === 0 || hasBit(this.#known, chunk)) return;
    addBit(this.#known, chunk);
    this.#unknownCount--;
  }

  /** A chunk that was not missing is missing now. */
  noteMissing(chunk: number): void {
    if (this.#picker.holders(chunk) > 0 || hasBit(this.#left, chunk) || hasBit(this.#lied, chunk)) return;
    removeBit(this.#known, chunk);
    this.#unknownCount++;
  }

  /** The chunk has lost a holder. The wait is longer for one that left, because it may come back. */
  noteLost(chunk: number, why: LossReason): void {
    addBit(why === "lied" ? this.#lied : this.#left, chunk);
    this.#waitMs = why === "left" ? this.#bounds.holderLeftMs : this.#bounds.noHolderMs;
  }

  /** A chunk that was missing is here: the wait for lost holders is reset. */
  noteProof(): void {
    this.#lostLeftMs = Number.POSITIVE_INFINITY;
  }

  /** Whether some missing chunk has no holder, as of the last update, or never had one. */
  get isWaiting(): boolean {
    return this.#isFinding || this.#unknownCount > 0;
  }

  /** A known source got further chunks, or a holder that is there has yet to say which it has. */
  noteDelay(now: number): void {
    if (this.#unknownFailsAt !== undefined) this.#unknownFailsAt = now + this.#bounds.noHolderMs;
    if (this.#lostFailsAt !== undefined) this.#lostFailsAt = now + this.#bounds.holderLeftMs;
  }

  #waitEndsAt(now: number): number {
    const endsAt = now + this.#bounds.noHolderMs;
    return now < this.#noticeAt ? Math.min(endsAt, this.#noticeAt) : endsAt;
  }

  /** Starts and stops the clocks after a change. `isStarved`: every source has stalled. */
  update(now: number, isStarved: boolean): void {
    const orphanCount = this.#picker.orphanCount;
    if (this.#unknownCount === 0) this.#unknownFailsAt = undefined;
    else this.#unknownFailsAt ??= this.#waitEndsAt(now);
    if (orphanCount > this.#unknownCount) this.#lostFailsAt ??= now + Math.min(this.#waitMs, this.#lostLeftMs);
    else if (this.#lostFailsAt !== undefined) {
      this.#lostLeftMs = this.#lostFailsAt - now;
      this.#lostFailsAt = undefined;
    }
    this.#isFinding = orphanCount > 0 || isStarved;
    if (!this.#isFinding) this.#findIntervalMs = this.#bounds.findHoldersMsMin;
  }

  /** Whether to look for more holders now. */
  shouldFind(now: number): boolean {
    if (!this.#isFinding || now < this.#findAt) return false;
    this.#findAt = now + this.#findIntervalMs;
    this.#findIntervalMs = Math.min(this.#findIntervalMs * FIND_INTERVAL_GROWTH, this.#bounds.findHoldersMsMax);
    return true;
  }

  failure(now: number): HolderFailure | undefined {
    if (this.#unknownFailsAt !== undefined && now >= this.#unknownFailsAt) {
      const chunk = this.#lowestOrphan((orphan) => !hasBit(this.#known, orphan));
      return { code: "no_holder", chunk };
    }
    if (this.#lostFailsAt === undefined || now < this.#lostFailsAt) return undefined;
    const chunk = this.#lowestOrphan((orphan) => hasBit(this.#known, orphan));
    const onlyLiars = hasBit(this.#lied, chunk) && !hasBit(this.#left, chunk);
    return { code: onlyLiars ? "integrity" : "no_holder", chunk };
  }

  deadline(): number {
    const findAt = this.#isFinding ? this.#findAt : Number.POSITIVE_INFINITY;
    return Math.min(
      findAt,
      this.#unknownFailsAt ?? Number.POSITIVE_INFINITY,
      this.#lostFailsAt ?? Number.POSITIVE_INFINITY,
    );
  }

  /** The lowest missing chunk without a holder for which `matches` is true. */
  #lowestOrphan(matches: (chunk: number) => boolean): number {
    let lowest = Number.POSITIVE_INFINITY;
    for (const chunk of this.#picker.orphans()) if (chunk < lowest && matches(chunk)) lowest = chunk;
    return lowest;
  }
}
