/**
 * The uploader's side: which of the waiting requests is answered next, and with which chunk. Turns alternate: one goes
 * to the requester with the fewest chunks; the next goes by order of requesters, rare chunks first within bounds, so
 * that a rare chunk soon reaches those who can upload it.
 *
 * A request that names many chunks is bound to one when its answer is sent: to the chunk that the fewest requesters
 * have. Leechers that choose by themselves, before they hear of each other's chunks, choose the same rare chunk, and the
 * uploader sends copies of it that they could have given to one another.
 */
import { type ChunkRanges, clampRanges, onlyChunk } from "../core/bitfield.ts";
import type { ContentId } from "../core/manifest.ts";
import { UPLOAD_BOUNDS, type UploadBounds } from "./bounds.ts";
import { ChunkSelector, type Holdings, type RequesterChunks } from "./chunk-selector.ts";
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

/** A queued request together with what decides its turn. */
interface Queued {
  readonly request: UploadRequest;
  readonly selector: ChunkSelector;
  readonly held: RequesterChunks;
  /** The only chunk that answers the request; undefined where the uploader chooses. */
  readonly chunk: number | undefined;
}

/** The requests of one requester, oldest first, and how often others were preferred to it. */
interface Waiting {
  readonly requests: Queued[];
  passes: number;
}

/** Chunks that a requester has announced. */
interface PendingHave {
  readonly selector: ChunkSelector;
  readonly requester: RequesterId;
  readonly chunks: ChunkRanges;
}

/** How many requesters, in the order of their turns, are compared by the rarity of their chunks. */
const COMPARED_MAX = 64;
/** The most that the availability of a chunk counts: so a request is passed over at most this often. */
const PASSES_MAX = 32;

export class UploadQueue {
  readonly #bounds: UploadBounds;
  readonly #random: () => number;
  /** Requesters in the order of their turns. */
  readonly #waiting = new Map<RequesterId, Waiting>();
  readonly #contents = new Map<ContentId, ChunkSelector>();
  /** Chunks announced since the last turn; they are entered before the next one. */
  readonly #pendingHaves: PendingHave[] = [];
  /** Whether the next turn is that of the requester with the fewest chunks. */
  #isTurnOfFewest = false;
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

  /** The chunks of a content that can be served. They are read at every use and may grow; before they shrink, drop the content. */
  setHoldings(contentId: ContentId, holdings: Holdings): void {
    const selector = this.#contents.get(contentId);
    if (selector === undefined) this.#contents.set(contentId, new ChunkSelector(holdings, this.#random));
    else selector.holdings = holdings;
  }

  /** The requester has announced these chunks: it is not sent them while it asks for others as well. */
  noteHeld(requester: RequesterId, contentId: ContentId, chunks: ChunkRanges): void {
    const selector = this.#contents.get(contentId);
    if (selector === undefined) return;
    this.#pendingHaves.push({ selector, requester, chunks });
    if (this.#pendingHaves.length >= this.#bounds.pendingHavesMax) this.#enterPendingHaves();
  }

  #enterPendingHaves(): void {
    for (const { selector, requester, chunks } of this.#pendingHaves) selector.noteHeld(requester, chunks);
    this.#pendingHaves.length = 0;
  }

  /** `busy`: refuse it, it may be tried again. `not_held`: refuse it, none of its chunks is here. */
  enqueue(asked: UploadRequest): "queued" | "busy" | "not_held" {
    const selector = this.#contents.get(asked.contentId);
    if (selector === undefined) return "not_held";
    // Ranges come from strangers: chunks beyond the content must cost nothing.
    const request = { ...asked, chunks: clampRanges(asked.chunks, selector.holdings.size) };
    if (!selector.canServe(request.chunks)) return "not_held";
    const own = this.#waiting.get(request.requester);
    if (this.#isFullFor(own?.requests, request)) return "busy";
    const queued = { request, selector, held: selector.heldBy(request.requester), chunk: onlyChunk(request.chunks) };
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
    this.#enterPendingHaves();
    const requests = [...(this.#waiting.get(requester)?.requests ?? [])];
    for (const { request } of requests) this.#remove(request);
    for (const selector of this.#contents.values()) selector.forget(requester);
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
   * Takes the oldest request of the requester whose turn it is, and binds it to a chunk; undefined where no requester
   * can be sent to. Every second turn goes to the requester with the fewest chunks, because a swarm is done when its
   * slowest leecher is.
   */
  next(isReady: (requester: RequesterId) => boolean): UploadGrant | undefined {
    if (this.#requestCount === 0) return undefined;
    this.#enterPendingHaves();
    const isForFewest = this.#isTurnOfFewest;
    const queued = (isForFewest ? this.#withFewestChunks(isReady) : undefined) ?? this.#withRarestChunk(isReady);
    if (queued === undefined) return undefined;
    this.#isTurnOfFewest = !isForFewest;
    const { selector, request } = queued;
    const { requester, contentId, chunks } = request;
    const own = this.#waiting.get(requester)!;
    this.#remove(request);
    if (own.requests.length > 0 && !isForFewest) {
      own.passes = 0;
      this.#waiting.delete(requester);
      this.#waiting.set(requester, own);
    }
    return { requester, request: request.request, contentId, chunk: selector.select(requester, chunks) };
  }

  /** Compared with the first in turn: only requesters of the same content can be compared. */
  #withFewestChunks(isReady: (requester: RequesterId) => boolean): Queued | undefined {
    let chosen: Queued | undefined;
    for (const [requester, { requests }] of this.#waiting) {
      if (!isReady(requester)) continue;
      const queued = requests[0]!;
      const hasFewer =
        chosen === undefined || (queued.selector === chosen.selector && queued.held.count < chosen.held.count);
      if (hasFewer && !queued.selector.isFreeRider(queued.held)) chosen = queued;
    }
    return chosen;
  }

  /** In the order of turns, but rarer chunks first: each time that a requester is passed over counts like one holder less. */
  #withRarestChunk(isReady: (requester: RequesterId) => boolean): Queued | undefined {
    let chosen: Queued | undefined;
    let rankMin = Number.POSITIVE_INFINITY;
    let compared = 0;
    for (const [requester, waiting] of this.#waiting) {
      if (!isReady(requester)) continue;
      const queued = waiting.requests[0]!;
      const rank = this.#availability(queued) - waiting.passes++;
      if (rank < rankMin) {
        chosen = queued;
        rankMin = rank;
      }
      if (++compared === COMPARED_MAX) break;
    }
    return chosen;
  }

  /** A choice stands for the rarest chunk; that of a free-rider for a common one. */
  #availability({ chunk, selector, held }: Queued): number {
    if (chunk === undefined && selector.isFreeRider(held)) return PASSES_MAX;
    return Math.min(selector.availability(chunk), PASSES_MAX);
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
