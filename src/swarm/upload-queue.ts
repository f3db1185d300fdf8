/**
 * The uploader's side: which of the waiting requests is answered next, and with which chunk. Requesters take turns,
 * every second of which goes to whoever has least.
 * A request that names many chunks is bound when it is sent, to the chunk that was handed out least often: leechers
 * who cannot hear of each other in time would all choose the same scarce chunk, and the uploader's capacity would go
 * into copies that they could have given to one another.
 */
import type { ChunkRanges } from "../core/bitfield.ts";
import type { ContentId } from "../core/manifest.ts";
import { UPLOAD_BOUNDS, type UploadBounds } from "./bounds.ts";
import { HandOut, type Holdings } from "./hand-out.ts";
import type { RequestId } from "./types.ts";

/** The other end of a connection, named by whoever hosts the queue. */
export type RequesterId = string;

export interface WaitingRequest {
  readonly requester: RequesterId;
  readonly request: RequestId;
}

export interface UploadRequest extends WaitingRequest {
  readonly contentId: ContentId;
  /** Any one of these. */
  readonly chunks: ChunkRanges;
  readonly now: number;
}

/** A request and the chunk that answers it, to be sent at once. */
export interface UploadGrant extends WaitingRequest {
  readonly contentId: ContentId;
  /** Undefined where none of the chunks is held any more: the request is to be refused. */
  readonly chunk: number | undefined;
}

export interface UploadQueueOptions extends Partial<UploadBounds> {
  /** Numbers from 0 to below 1: uploaders of one content begin at different places. */
  readonly random: () => number;
}

export class UploadQueue {
  readonly #bounds: UploadBounds;
  readonly #random: () => number;
  /** Waiting requests, oldest first; requesters in the order of their turns. */
  readonly #waiting = new Map<RequesterId, Map<RequestId, UploadRequest>>();
  readonly #contents = new Map<ContentId, HandOut>();
  #isTurnOfLast = false;
  #requestCount = 0;
  #rangeNumberCount = 0;

  constructor({ random, ...bounds }: UploadQueueOptions) {
    this.#bounds = { ...UPLOAD_BOUNDS, ...bounds };
    this.#random = random;
  }

  get requestCount(): number {
    return this.#requestCount;
  }

  /** Requesters with something waiting. */
  get requesterCount(): number {
    return this.#waiting.size;
  }

  /** What can be served of a content. Read at every use, so it may grow by itself; before it shrinks, drop it. */
  setHoldings(contentId: ContentId, holdings: Holdings): void {
    const handOut = this.#contents.get(contentId);
    if (handOut === undefined) this.#contents.set(contentId, new HandOut(holdings, this.#random));
    else handOut.holdings = holdings;
  }

  /** The requester has told that it has these chunks: it is not sent them while it asks for others as well. */
  noteHeld(requester: RequesterId, contentId: ContentId, chunks: ChunkRanges): void {
    this.#contents.get(contentId)?.noteHeld(requester, chunks);
  }

  /** `busy`: refuse it, it may be tried again. `not_held`: refuse it, none of its chunks is here. */
  enqueue(request: UploadRequest): "queued" | "busy" | "not_held" {
    if (this.#contents.get(request.contentId)?.canServe(request.chunks) !== true) return "not_held";
    const own = this.#waiting.get(request.requester);
    if (this.#isFullFor(own, request)) return "busy";
    if (own === undefined) this.#waiting.set(request.requester, new Map([[request.request, request]]));
    else own.set(request.request, request);
    this.#requestCount++;
    this.#rangeNumberCount += request.chunks.length;
    return "queued";
  }

  #isFullFor(own: ReadonlyMap<RequestId, UploadRequest> | undefined, request: UploadRequest): boolean {
    if (own === undefined) {
      if (this.#waiting.size >= this.#bounds.requestersMax) return true;
    } else if (own.has(request.request) || own.size >= this.#bounds.requestsPerRequesterMax) {
      return true;
    }
    return (
      this.#requestCount >= this.#bounds.requestsMax ||
      this.#rangeNumberCount + request.chunks.length > this.#bounds.rangeNumbersMax
    );
  }

  /** False where the request does not wait any more: it is answered already or was never queued. */
  cancel(requester: RequesterId, request: RequestId): boolean {
    const waiting = this.#waiting.get(requester)?.get(request);
    if (waiting === undefined) return false;
    this.#remove(waiting);
    return true;
  }

  /** The connection is gone, and its requests with it; returns those that waited. */
  dropRequester(requester: RequesterId): RequestId[] {
    const requests = [...(this.#waiting.get(requester)?.values() ?? [])];
    for (const request of requests) this.#remove(request);
    for (const handOut of this.#contents.values()) handOut.forget(requester);
    return requests.map(({ request }) => request);
  }

  /** The content is not served any more. Returns the requests that are to be refused. */
  dropContent(contentId: ContentId): WaitingRequest[] {
    this.#contents.delete(contentId);
    const refused: WaitingRequest[] = [];
    for (const requests of [...this.#waiting.values()]) {
      for (const request of requests.values()) {
        if (request.contentId !== contentId) continue;
        this.#remove(request);
        refused.push({ requester: request.requester, request: request.request });
      }
    }
    return refused;
  }

  /**
   * Takes the oldest request of the next requester that can be sent to, and binds it; undefined where there is none.
   * Every second turn goes to whoever has least of what the next one asks for: a swarm is done when its last is, and
   * one that uploads much gets little from the others, since it cannot draw on itself.
   */
  next(isReady: (requester: RequesterId) => boolean): UploadGrant | undefined {
    let chosen: UploadRequest | undefined;
    let leastHeld = Number.POSITIVE_INFINITY;
    const isForLast = this.#isTurnOfLast;
    for (const [requester, requests] of this.#waiting) {
      if (!isReady(requester)) continue;
      const request = oldestOf(requests);
      if (chosen !== undefined && request.contentId !== chosen.contentId) continue;
      const held = isForLast ? (this.#contents.get(request.contentId)?.heldCount(requester) ?? 0) : 0;
      if (held >= leastHeld) continue;
      chosen = request;
      leastHeld = held;
      if (!isForLast) break;
    }
    if (chosen === undefined) return undefined;
    this.#isTurnOfLast = !isForLast;
    const { requester, request, contentId, chunks } = chosen;
    const requests = this.#waiting.get(requester)!;
    this.#remove(chosen);
    if (requests.size > 0 && !isForLast) {
      this.#waiting.delete(requester);
      this.#waiting.set(requester, requests);
    }
    const chunk = this.#contents.get(contentId)?.handOut(requester, chunks);
    return { requester, request, contentId, chunk };
  }

  #remove({ requester, request, chunks }: UploadRequest): void {
    const requests = this.#waiting.get(requester)!;
    requests.delete(request);
    if (requests.size === 0) this.#waiting.delete(requester);
    this.#requestCount--;
    this.#rangeNumberCount -= chunks.length;
  }
}

function oldestOf(requests: ReadonlyMap<RequestId, UploadRequest>): UploadRequest {
  const [request] = requests.values();
  if (request === undefined) throw new Error("a requester without requests waits for its turn");
  return request;
}
