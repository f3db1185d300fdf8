/**
 * What everybody may read of a source and of the requests that it has. Both stand here because each refers to the other;
 * `source-state.ts` and `request.ts` have what changes them, which only the FetchState calls.
 */
import type { ChunkRanges } from "../core/bitfield.ts";
import type { ReadonlyChunkBits } from "./chunk-bits.ts";
import type { Flow } from "./flow.ts";
import type { SourceRecord } from "./source-records.ts";
import type { RequestId, SourceId } from "./types.ts";

export interface Source {
  readonly id: SourceId;
  readonly record: SourceRecord;
  /** The chunks held; undefined while that is all of them. */
  readonly held: ReadonlyChunkBits | undefined;
  /** Wanted chunks that it holds; kept only while `held` is a set. */
  readonly usefulCount: number;
  /** Waiting and opened requests, oldest first. */
  readonly requests: readonly Request[];
  /** Released requests that were not answered yet, oldest first. */
  readonly released: readonly Request[];
  /** Waiting requests that leave the choice to the uploader. */
  readonly openChoices: number;
  /** The request whose answer is coming in; it may be a released one. A connection carries one answer at a time. */
  readonly receiving: Request | undefined;
  /** It sent too many duplicates when left the choice: it is asked for single chunks only. */
  readonly isExactOnly: boolean;
  /** No new requests before this time. */
  readonly quietUntil: number;
  /** Silent for too long while it owed an answer; in BitTorrent's word, snubbing us. */
  readonly isStalled: boolean;
  /** Requests that the source works on: the unanswered ones, and a released one whose answer is coming in. */
  readonly load: number;
  /** How many requests keep it busy, and no more than others could work on; undefined while nothing is measured. */
  readonly depth: number | undefined;
  /** Time from request to answer, for the last answer; undefined before the first. */
  readonly waitedMs: number | undefined;
  /** Time per chunk at the rate of the answer that is coming in; undefined where it is too early to tell. */
  readonly flowMs: number | undefined;
  has(chunk: number): boolean;
  /** Expected time per chunk; undefined where nothing recent is known. */
  intervalMs(now: number): number | undefined;
  /** Time per chunk by what has come, in whole or in part; undefined while nothing has. */
  provenMs(now: number): number | undefined;
  /** Expected time per chunk, by the answers so far and by how long the next one has been due. */
  chunkMs(now: number): number | undefined;
  /** Whether nothing can be said of its speed yet. */
  isUntried(now: number): boolean;
  /** Expected time until one more request is answered, by the last answer; the older that is, the less is expected. */
  expectedMs(now: number): number;
  /** Expected time until a request sent now is answered. `unknownMs` stands for a source of unknown speed. */
  answerMs(now: number, unknownMs: number): number;
  /** Expected time for one chunk if the source were asked for nothing else. */
  scratchMs(now: number, unknownMs: number): number;
  /** Expected time until this request is answered; the longer the source has been silent, the longer. */
  remainingMs(request: Request, now: number): number;
  /** When its silence counts as a stall, if sources take `typicalWaitMs` for an answer; never while it owes nothing. */
  stallsAt(typicalWaitMs: number): number;
  /** When it is dropped if it stays silent; never while it owes nothing. */
  dropsAt(): number;
}

/** What a request has in every state. */
export interface RequestFields {
  readonly id: RequestId;
  readonly source: Source;
  /** Any one of these chunks answers the request. */
  readonly chunks: ChunkRanges;
  readonly sentAt: number;
  /** Our requests that the source had before this one. */
  readonly ahead: number;
  /** Later requests to the same source that were answered before this one. */
  readonly overtaken: number;
  /** How the answer comes in, once its header is here. */
  readonly flow: Flow | undefined;
}

/** Sent, for one chunk, which it claims. */
export interface ExactRequest extends RequestFields {
  readonly state: "waiting";
  readonly isChoice: false;
  readonly chunk: number;
  readonly openedAt: undefined;
}

/** Sent, for any one of several chunks: the uploader chooses. Claims no chunk. */
export interface ChoiceRequest extends RequestFields {
  readonly state: "waiting";
  readonly isChoice: true;
  readonly chunk: undefined;
  readonly openedAt: undefined;
}

/** The header of the answer is here: it brings this chunk, which the request claims. */
export interface OpenedRequest extends RequestFields {
  readonly state: "opened";
  readonly isChoice: boolean;
  readonly chunk: number;
  readonly openedAt: number;
}

/** Cancelled: claims no chunk, but a late answer is still used. */
export interface ReleasedRequest extends RequestFields {
  readonly state: "released";
  readonly isChoice: boolean;
  readonly chunk: undefined;
  readonly openedAt: undefined;
}

/**
 * Where the state says that a request claims a chunk, it is the one in `chunk`, unless the host has meanwhile written
 * that chunk from elsewhere: `FetchState.claimOf` knows.
 */
export type Request = ExactRequest | ChoiceRequest | OpenedRequest | ReleasedRequest;
