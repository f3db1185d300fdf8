/**
 * What a fetch remembers of a source when its connection is gone: so a source that sent bad chunks cannot clear its
 * record by connecting again. A bounded number of sources that are gone is remembered.
 */
import type { DownloadBounds } from "./bounds.ts";
import type { SourceId } from "./types.ts";

export type BanReason = "integrity" | "protocol";

export interface SourceRecord {
  /** Good chunks, and their bytes. */
  readonly chunks: number;
  readonly bytes: number;
  /** Chunks whose bytes were bad. */
  readonly rejected: number;
  /** Chunks that were not asked for. */
  readonly unrequested: number;
  /** Why the source is not used any more. */
  readonly banned: BanReason | undefined;
}

type MutableRecord = { -readonly [Name in keyof SourceRecord]: SourceRecord[Name] };

export class SourceRecords {
  readonly byId: ReadonlyMap<SourceId, SourceRecord>;
  readonly #bounds: DownloadBounds;
  readonly #records = new Map<SourceId, MutableRecord>();

  constructor(bounds: DownloadBounds) {
    this.#bounds = bounds;
    this.byId = this.#records;
  }

  /** The record of the source; a new one where nothing is known of it. */
  of(id: SourceId): SourceRecord {
    let record = this.#records.get(id);
    if (record === undefined) {
      record = { chunks: 0, bytes: 0, rejected: 0, unrequested: 0, banned: undefined };
      this.#records.set(id, record);
    }
    return record;
  }

  countGood(record: SourceRecord, bytes: number): void {
    const mutable: MutableRecord = record;
    mutable.chunks++;
    mutable.bytes += bytes;
  }

  /** The more good chunks came from a source, the more bad ones are put down to its line. */
  countBad(record: SourceRecord): "tolerated" | "too_many" {
    const mutable: MutableRecord = record;
    mutable.rejected++;
    const allowance = this.#bounds.badChunksMax + record.chunks / this.#bounds.goodChunksPerBad;
    return record.rejected >= allowance ? "too_many" : "tolerated";
  }

  countUnrequested(record: SourceRecord): "tolerated" | "too_many" {
    const mutable: MutableRecord = record;
    mutable.unrequested++;
    return record.unrequested >= this.#bounds.unrequestedMax ? "too_many" : "tolerated";
  }

  ban(record: SourceRecord, reason: BanReason): void {
    const mutable: MutableRecord = record;
    mutable.banned = reason;
  }

  /** The source is gone. Its record is kept if anything came from it; of those kept, the oldest beyond the bound goes. */
  noteGone(id: SourceId, online: ReadonlyMap<SourceId, unknown>): void {
    const record = this.#records.get(id);
    if (record !== undefined && isBlank(record)) return void this.#records.delete(id);
    if (this.#records.size <= online.size + this.#bounds.pastRecordsMax) return;
    for (const each of this.#records.keys()) if (!online.has(each)) return void this.#records.delete(each);
  }
}

/** Nothing came from the source so far, good or bad. */
function isBlank({ banned, chunks, rejected, unrequested }: SourceRecord): boolean {
  return banned === undefined && chunks + rejected + unrequested === 0;
}
