/**
 * What goes into the engine and what comes out of it. All of it is plain values, so that the same machines run over
 * sockets and in the simulator. Times are milliseconds on any monotonic clock, handed in with every event.
 */
import type { ChunkRanges } from "../core/bitfield.ts";

/** The other end of a connection, named by whoever hosts the engine. */
export type SourceId = string;
/** Unique within one fetch. */
export type RequestId = number;

export type DownloadEvent =
  /** A holder can be asked from now on; it has these chunks. */
  | { readonly type: "source_joined"; readonly source: SourceId; readonly chunks: ChunkRanges }
  /** The source has these chunks as well (HAVE). */
  | { readonly type: "source_has"; readonly source: SourceId; readonly chunks: ChunkRanges }
  /**
   * D6: the connection is closed, or the source has told that it does not serve the content any more (`gaveUp`). Its
   * pending requests go to other sources.
   */
  | { readonly type: "source_gone"; readonly source: SourceId; readonly gaveUp?: boolean }
  /** The header of a reply is here: the uploader has bound the request to this chunk, its bytes follow. */
  | { readonly type: "chunk_opened"; readonly source: SourceId; readonly request: RequestId; readonly chunk: number }
  /**
   * So many bytes of the chunk are here. Sent about ten times a second for each opened chunk, also when no more bytes
   * have come: the rate tells how long the rest will take.
   */
  | {
      readonly type: "chunk_progress";
      readonly source: SourceId;
      readonly request: RequestId;
      readonly bytes: number;
    }
  /**
   * All bytes are here and their digest was compared with the manifest's. Answered by exactly one write or discard of
   * this request (after which a drop of the source may follow), unless the fetch has ended.
   */
  | {
      readonly type: "chunk_arrived";
      readonly source: SourceId;
      readonly request: RequestId;
      readonly chunk: number;
      readonly bytes: number;
      readonly valid: boolean;
    }
  /** The source answered with an ERROR. A retryable one (busy) may be asked again later. */
  | {
      readonly type: "request_refused";
      readonly source: SourceId;
      readonly request: RequestId;
      readonly retryable: boolean;
    }
  /** The write of this chunk returned, or a doubtful chunk was checked and is right: from now on it counts as held. */
  | { readonly type: "chunk_written"; readonly chunk: number }
  /** A doubtful chunk was checked and is damaged: it is missing. */
  | { readonly type: "chunk_lost"; readonly chunk: number }
  /** D7: a holder is there, but its chunks are not known yet, as its answer waits behind a chunk of another fetch. */
  | { readonly type: "holder_delayed" }
  /** Whether the disk is behind: no new requests while it is. */
  | { readonly type: "paused"; readonly paused: boolean }
  /** Time passed; sent when `deadline()` has come. */
  | { readonly type: "tick" };

export type DownloadEffect =
  /** Ask the source for any one of these chunks. */
  | { readonly type: "request"; readonly source: SourceId; readonly request: RequestId; readonly chunks: ChunkRanges }
  | { readonly type: "cancel"; readonly source: SourceId; readonly request: RequestId }
  /**
   * Close the connection to this source. It is out of the fetch; no source_gone is needed. A source that was only stalled
   * may join again; any other is banned for this fetch.
   */
  | { readonly type: "drop"; readonly source: SourceId; readonly reason: "integrity" | "protocol" | "stalled" }
  /** Write the bytes that arrived for this request. */
  | { readonly type: "write"; readonly request: RequestId; readonly chunk: number }
  /** Forget the bytes that arrived for this request: they are a duplicate, bad, or were not asked for. */
  | { readonly type: "discard"; readonly request: RequestId; readonly chunk: number }
  /** Some chunk has no holder, or all sources have stalled: find more holders now. Repeated at bounded intervals. */
  | { readonly type: "find_holders" }
  /** Every chunk is written. Terminal. */
  | { readonly type: "done" }
  /** D7: this chunk cannot be had. Terminal. */
  | { readonly type: "failed"; readonly code: "no_holder" | "integrity"; readonly chunk: number };

/** What the engine did so far; the receipt of a fetch shows it. */
export interface DownloadCounters {
  readonly requestsSent: number;
  /** N2: requests for a chunk that had been asked for before. */
  readonly rerequests: number;
  readonly chunksRejected: number;
  readonly duplicates: number;
  readonly bySource: ReadonlyMap<
    SourceId,
    { readonly chunks: number; readonly bytes: number; readonly rejected: number }
  >;
}
