/**
 * The uploader's side: which of the waiting requests is answered next, and with which chunk. Requesters take turns,
 * every second of which goes to whoever has least; in the others, scarce chunks go first within bounds, so that they
 * get to those who can pass them on without waiting behind what many have.
 * A request that names many chunks is bound when it is sent, to the chunk that the fewest have: leechers who cannot hear
 * of each other in time would all choose the same scarce chunk, and the uploader's capacity would go into copies that
 * they could have given to one another.
 */
import { type ChunkRanges, clampRanges, onlyChunk } from "../core/bitfield.ts";
import type { ContentId } from "../core/manifest.ts";
import { UPLOAD_BOUNDS, type UploadBounds } from "./bounds.ts";
import { HandOut, type HeldChunks, type Holdings } from "./hand-out.ts";
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

/** A queued request with what its turn depends on, at hand. */
interface Queued {
  readonly request: UploadRequest;
  readonly handOut: HandOut;
  readonly held: HeldChunks;
  /** The only chunk that answers it; undefined where it leaves the choice. */
  readonly chunk: number | undefined;
}

/** What waits of one requester: its requests, oldest first, and how often others were preferred to it. */
interface Waiting {
  readonly requests: Queued[];
  passes: number;
}

/** Requesters whose turn is near enough for their chunks to be compared. */
const COMPARED_MAX = 64;
/** What more have than this is common; it is passed over so often, at most, by what waits for a shorter time. */
const PASSES_MAX = 32;

export class UploadQueue {
  readonly #bounds: UploadBounds;
  readonly #random: () => number;
  /** Requesters in the order of their turns. */
  readonly #waiting = new Map<RequesterId, Waiting>();
  readonly #contents = new Map<ContentId, HandOut>();
  /** What requesters have told since the last choice: nobody needs to know it before the next one. */
  readonly #news: { readonly handOut: HandOut; readonly requester: RequesterId; readonly chunks: ChunkRanges }[] = [];
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
    const handOut = this.#contents.get(contentId);
    if (handOut === undefined) return;
    this.#news.push({ handOut, requester, chunks });
    if (this.#news.length >= this.#bounds.newsMax) this.#takeNews();
  }

  #takeNews(): void {
    for (const { handOut, requester, chunks } of this.#news) handOut.noteHeld(requester, chunks);
    this.#news.length = 0;
  }

  /** `busy`: refuse it, it may be tried again. `not_held`: refuse it, none of its chunks is here. */
  enqueue(asked: UploadRequest): "queued" | "busy" | "not_held" {
    const handOut = this.#contents.get(asked.contentId);
    if (handOut === undefined) return "not_held";
    // What is beyond the content costs nothing: ranges come from strangers.
    const request = { ...asked, chunks: clampRanges(asked.chunks, handOut.holdings.size) };
    if (!handOut.canServe(request.chunks)) return "not_held";
    const own = this.#waiting.get(request.requester);
    if (this.#isFullFor(own?.requests, request)) return "busy";
    const queued = { request, handOut, held: handOut.heldBy(request.requester), chunk: onlyChunk(request.chunks) };
    if (own !== undefined) own.requests.push(queued);
    else this.#waiting.set(request.requester, { requests: [queued], passes: 0 });
    this.#requestCount++;
    this.#rangeNumberCount += request.chunks.length;
    return "queued";
  }

  #isFullFor(own: readonly Queued[] | undefined, request: UploadRequest): boolean {
    if (own === undefined) {
      if (this.#waiting.size >= this.#bounds.requestersMax) return true;
    } else if (own.length >= this.#bounds.requestsPerRequesterMax || find(own, request.request) !== undefined) {
      return true;
    }
    return (
      this.#requestCount >= this.#bounds.requestsMax ||
      this.#rangeNumberCount + request.chunks.length > this.#bounds.rangeNumbersMax
    );
  }

  /** False where the request does not wait any more: it is answered already or was never queued. */
  cancel(requester: RequesterId, request: RequestId): boolean {
    const queued = find(this.#waiting.get(requester)?.requests ?? [], request);
    if (queued === undefined) return false;
    this.#remove(queued.request);
    return true;
  }

  /** The connection is gone, and its requests with it; returns those that waited. */
  dropRequester(requester: RequesterId): RequestId[] {
    this.#takeNews();
    const requests = [...(this.#waiting.get(requester)?.requests ?? [])];
    for (const { request } of requests) this.#remove(request);
    for (const handOut of this.#contents.values()) handOut.forget(requester);
    return requests.map(({ request }) => request.request);
  }

  /** The content is not served any more. Returns the requests that are to be refused. */
  dropContent(contentId: ContentId): WaitingRequest[] {
    this.#contents.delete(contentId);
    const refused: WaitingRequest[] = [];
    for (const { requests } of [...this.#waiting.values()]) {
      for (const { request } of [...requests]) {
        if (request.contentId !== contentId) continue;
        this.#remove(request);
        refused.push({ requester: request.requester, request: request.request });
      }
    }
    return refused;
  }

  /**
   * Takes the oldest request of the requester whose turn it is, and binds it; undefined where none can be sent to. Every
   * second turn goes to whoever has least of what the next one asks for: a swarm is done when its last is, and one that
   * uploads much gets little from the others, since it cannot draw on itself.
   */
  next(isReady: (requester: RequesterId) => boolean): UploadGrant | undefined {
    if (this.#requestCount === 0) return undefined;
    this.#takeNews();
    const isForLast = this.#isTurnOfLast;
    const queued = (isForLast ? this.#ofLast(isReady) : undefined) ?? this.#scarcest(isReady);
    if (queued === undefined) return undefined;
    this.#isTurnOfLast = !isForLast;
    const { handOut, request } = queued;
    const { requester, contentId, chunks } = request;
    const own = this.#waiting.get(requester)!;
    this.#remove(request);
    if (own.requests.length > 0 && !isForLast) {
      own.passes = 0;
      this.#waiting.delete(requester);
      this.#waiting.set(requester, own);
    }
    return { requester, request: request.request, contentId, chunk: handOut.handOut(requester, chunks) };
  }

  #ofLast(isReady: (requester: RequesterId) => boolean): Queued | undefined {
    let chosen: Queued | undefined;
    for (const [requester, { requests }] of this.#waiting) {
      if (!isReady(requester)) continue;
      const queued = requests[0]!;
      const isLess =
        chosen === undefined || (queued.handOut === chosen.handOut && queued.held.count < chosen.held.count);
      if (isLess && !queued.handOut.hoards(queued.held)) chosen = queued;
    }
    return chosen;
  }

  /** Turn by turn, but what fewer have goes first; to be passed over once counts like one holder less. */
  #scarcest(isReady: (requester: RequesterId) => boolean): Queued | undefined {
    let chosen: Queued | undefined;
    let rankMin = Number.POSITIVE_INFINITY;
    let compared = 0;
    for (const [requester, waiting] of this.#waiting) {
      if (!isReady(requester)) continue;
      const queued = waiting.requests[0]!;
      const rank = this.#commonness(queued) - waiting.passes++;
      if (rank < rankMin) {
        chosen = queued;
        rankMin = rank;
      }
      if (++compared === COMPARED_MAX) break;
    }
    return chosen;
  }

  /** What a requester that hoards leaves to be chosen is nothing scarce. */
  #commonness({ chunk, handOut, held }: Queued): number {
    if (chunk === undefined && handOut.hoards(held)) return PASSES_MAX;
    return Math.min(handOut.commonness(chunk), PASSES_MAX);
  }

  #remove({ requester, request, chunks }: UploadRequest): void {
    const { requests } = this.#waiting.get(requester)!;
    requests.splice(
      requests.findIndex((queued) => queued.request.request === request),
      1,
    );
    if (requests.length === 0) this.#waiting.delete(requester);
    this.#requestCount--;
    this.#rangeNumberCount -= chunks.length;
  }
}

function find(requests: readonly Queued[], id: RequestId): Queued | undefined {
  return requests.find(({ request }) => request.request === id);
}
