/**
 * A request for a chunk to one source, in one of three states. The types are read-only and say which fields a state
 * has; only the FetchState makes requests and changes them.
 */
import { type ChunkRanges, rangeOfOne } from "../core/bitfield.ts";
import type { Flow } from "./flow.ts";
import type { Source } from "./source.ts";
import type { RequestId } from "./types.ts";

interface RequestFields {
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

/** A request as the functions below see it: one object for life, whatever its state, so that no change allocates. */
type Mutable<T> = { -readonly [Name in keyof T]: T[Name] };
type MutableRequest = Mutable<RequestFields> &
  Mutable<Pick<ExactRequest | ChoiceRequest | OpenedRequest | ReleasedRequest, "isChoice" | "state">> & {
    chunk: number | undefined;
    openedAt: number | undefined;
  };

export function newExactRequest(id: RequestId, source: Source, chunk: number, now: number): Request {
  return newRequest(id, source, rangeOfOne(chunk), chunk, now);
}

export function newChoiceRequest(id: RequestId, source: Source, chunks: ChunkRanges, now: number): Request {
  return newRequest(id, source, chunks, undefined, now);
}

function newRequest(
  id: RequestId,
  source: Source,
  chunks: ChunkRanges,
  chunk: number | undefined,
  now: number,
): Request {
  const request: MutableRequest = {
    id,
    source,
    chunks,
    isChoice: chunk === undefined,
    sentAt: now,
    ahead: source.requests.length,
    state: "waiting",
    openedAt: undefined,
    chunk,
    overtaken: 0,
    flow: undefined,
  };
  return request as Request;
}

export function becomeOpened(request: Request, chunk: number, now: number): void {
  const mutable = request as MutableRequest;
  mutable.state = "opened";
  mutable.chunk = chunk;
  mutable.openedAt = now;
}

export function becomeReleased(request: Request): void {
  const mutable = request as MutableRequest;
  mutable.state = "released";
  mutable.chunk = undefined;
  mutable.openedAt = undefined;
}

/** Another request of its source was answered first. Returns how often that has happened. */
export function countOvertaken(request: Request): number {
  return ++(request as MutableRequest).overtaken;
}

/** The header of its answer is here. A second header changes nothing. */
export function startFlow(request: Request, bytesTotal: number, now: number): void {
  (request as MutableRequest).flow ??= { since: now, bytesTotal, bytes: 0, at: now };
}
