/**
 * Making and changing requests: a request for a chunk to one source is in one of three states. Its types are read-only
 * and say which fields a state has (`source.ts`); only the FetchState calls what is here.
 */
import { type ChunkRanges, rangeOfOne } from "../core/bitfield.ts";
import type {
  ChoiceRequest,
  ExactRequest,
  OpenedRequest,
  ReleasedRequest,
  Request,
  RequestFields,
  Source,
} from "./source.ts";
import type { RequestId } from "./types.ts";

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
