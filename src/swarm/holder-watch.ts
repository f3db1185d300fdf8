/**
 * D7: watches for chunks that no source owns. Calls for more holders at growing intervals while there are such chunks,
 * and ends the fetch when waiting is over. While a source that was known before gets further chunks, the swarm is
 * alive and may yet bring the missing one, so the wait starts anew; a swarm at rest gets no such grace. A holder that
 * comes back only stops the clock: the wait starts anew when something was proven, so that one who leaves again and again
 * does not put the end off.
 */
import type { DownloadBounds } from "./bounds.ts";
import { addBit, type ChunkBits, emptyBits, hasBit, removeBit } from "./chunk-bits.ts";
import type { RarestFirst } from "./picker.ts";

const FIND_INTERVAL_GROWTH = 1.5;

export interface HolderFailure {
  readonly code: "no_holder" | "integrity";
  readonly chunk: number;
}

export type LossReason = "left" | "lied" | "refused";

export class HolderWatch {
  readonly #picker: RarestFirst;
  readonly #bounds: DownloadBounds;
  /** Chunks that a source held at some time, or that need none. */
  readonly #known: ChunkBits;
  #unknownCount: number;
  /** Chunks of which a holder went away, and those of which one was found lying. */
  readonly #left: ChunkBits;
  readonly #lied: ChunkBits;
  #waitMs: number;
  #unknownFailsAt: number | undefined;
  #lostFailsAt: number | undefined;
  /** What was left of the wait when the last holder came back. */
  #lostLeftMs = Number.POSITIVE_INFINITY;
  #findAt = Number.NEGATIVE_INFINITY;
  #findIntervalMs: number;
  #isCalling = false;

  /** The wanted chunks of the picker are those that are missing; nobody is known to hold any. */
  constructor(picker: RarestFirst, chunkCount: number, bounds: DownloadBounds) {
    this.#picker = picker;
    this.#bounds = bounds;
    this.#known = emptyBits(chunkCount);
    this.#left = emptyBits(chunkCount);
    this.#lied = emptyBits(chunkCount);
    for (let chunk = 0; chunk < chunkCount; chunk++) if (!picker.isWanted(chunk)) addBit(this.#known, chunk);
    this.#unknownCount = picker.wantedCount;
    this.#waitMs = bounds.holderLeftMs;
    this.#findIntervalMs = bounds.findHoldersMsMin;
  }

  /** A missing chunk has a holder, or has come from elsewhere. */
  noteKnown(chunk: number): void {
    if (this.#unknownCount === 0 || hasBit(this.#known, chunk)) return;
    addBit(this.#known, chunk);
    this.#unknownCount--;
  }

  /** A chunk that needed no holder is missing now. */
  noteMissing(chunk: number): void {
    if (this.#picker.holders(chunk) > 0 || hasBit(this.#left, chunk) || hasBit(this.#lied, chunk)) return;
    removeBit(this.#known, chunk);
    this.#unknownCount++;
  }

  /** A holder that left may come back; one that lied or says that it has the chunk no longer will not. */
  noteLost(chunk: number, why: LossReason): void {
    addBit(why === "lied" ? this.#lied : this.#left, chunk);
    this.#waitMs = why === "left" ? this.#bounds.holderLeftMs : this.#bounds.noHolderMs;
  }

  /** A chunk that was missing is here: holders that left before are forgiven. */
  noteProof(): void {
    this.#lostLeftMs = Number.POSITIVE_INFINITY;
  }

  /** Whether some chunk has no holder, as of the last update, or had none yet. */
  get isWaiting(): boolean {
    return this.#isCalling || this.#unknownCount > 0;
  }

  /** A known source got further chunks. */
  noteGrowth(now: number): void {
    if (this.#unknownFailsAt !== undefined) this.#unknownFailsAt = now + this.#bounds.noHolderMs;
    if (this.#lostFailsAt !== undefined) this.#lostFailsAt = now + this.#bounds.holderLeftMs;
  }

  /** Starts and stops the clocks after a change. `isStarved`: no source can be asked although chunks are missing. */
  update(now: number, isStarved: boolean): void {
    const orphanCount = this.#picker.orphanCount;
    if (this.#unknownCount === 0) this.#unknownFailsAt = undefined;
    else this.#unknownFailsAt ??= now + this.#bounds.noHolderMs;
    if (orphanCount > this.#unknownCount) this.#lostFailsAt ??= now + Math.min(this.#waitMs, this.#lostLeftMs);
    else if (this.#lostFailsAt !== undefined) {
      this.#lostLeftMs = this.#lostFailsAt - now;
      this.#lostFailsAt = undefined;
    }
    this.#isCalling = orphanCount > 0 || isStarved;
    if (!this.#isCalling) this.#findIntervalMs = this.#bounds.findHoldersMsMin;
  }

  /** Whether to call for more holders now. */
  shouldFind(now: number): boolean {
    if (!this.#isCalling || now < this.#findAt) return false;
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
    const findAt = this.#isCalling ? this.#findAt : Number.POSITIVE_INFINITY;
    return Math.min(
      findAt,
      this.#unknownFailsAt ?? Number.POSITIVE_INFINITY,
      this.#lostFailsAt ?? Number.POSITIVE_INFINITY,
    );
  }

  #lowestOrphan(matches: (chunk: number) => boolean): number {
    return this.#picker.orphans().reduce((low, chunk) => (chunk < low && matches(chunk) ? chunk : low), Infinity);
  }
}
