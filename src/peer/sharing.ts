/**
 * Answers requests of other peers: manifests, joining a swarm, chunks. Chunk requests wait in the upload queue and are
 * bound to a chunk when it is about to be sent; the chunk is read from disk while it is sent.
 */

import { NO_CHUNKS, pagesOf } from "../core/bitfield.ts";
import type { Clock } from "../core/clock.ts";
import { reportableError } from "../core/defects.ts";
import { P2pfsError } from "../core/errors.ts";
import type { FileName } from "../core/file-name.ts";
import type { Log } from "../core/log.ts";
import { type ContentId, digestOfChunk } from "../core/manifest.ts";
import { Allowance } from "../net/allowance.ts";
import type { Connection } from "../net/connection.ts";
import type { ConnectionEvents, NoticeHandlers, Outgoing, RequestHandlers } from "../net/handlers.ts";
import { payloadOf } from "../net/send-queue.ts";
import { SourceAllowances } from "../net/source-allowances.ts";
import type { UploadGrant, UploadQueue } from "../swarm/upload-queue.ts";
import type { Fields } from "../wire/messages.ts";
import type { Library, LibraryEvent } from "./library.ts";
import type { Neighbour } from "./neighbour.ts";
import { inSeries, type RateLimiter } from "./rate-limiter.ts";
import type { Swarms } from "./swarms.ts";

/** Chunks queued on one connection: one being sent, and one to follow without a gap. */
const CHUNKS_AHEAD = 2;
/**
 * Chunks queued on all connections together, blocked ones left out. Chunks sent one after the other arrive sooner on
 * average than all at once, and a late binding of a choice request is a better one.
 */
const CHUNKS_QUEUED_MAX = 2;

/** A member sends HAVE up to a hundred times a second in each of its swarms, and many at once after a pause. */
const HAVES = { perSecond: 1000, burst: 5000 };
/** A long HAVE counts for more: each so many range numbers count as one HAVE. */
const RANGE_NUMBERS_PER_HAVE = 64;
/** The burst allows for a peer that fetches all files of this one at once. */
const JOINS = { perSecond: 50, burst: 512 };

export interface SharingOptions {
  readonly clock: Clock;
  readonly library: Library;
  readonly swarms: Swarms;
  readonly uploads: UploadQueue;
  /** Shared by all chunks that this peer sends. */
  readonly upLimiter: RateLimiter;
  readonly log: Log;
}

/** Without REQUEST_CONFIRM, which concerns connections and is handled in neighbours.ts. */
export interface SharingHandlers extends ConnectionEvents {
  readonly requests: Omit<RequestHandlers<"peer", "peer">, "REQUEST_CONFIRM">;
  readonly notices: NoticeHandlers<"peer", "peer">;
}

interface Requester {
  readonly neighbour: Neighbour;
  /** File names in queued requests, by request id, to be repeated in the replies. */
  readonly filenames: Map<number, FileName>;
  readonly haves: Allowance;
  readonly joins: Allowance;
}

export class Sharing {
  readonly #options: SharingOptions;
  readonly #requesters = new Map<string, Requester>();
  /** Limits on sending single contents, set by fetches while they run. */
  readonly #contentLimiters = new Map<ContentId, Set<RateLimiter>>();
  /** Connections with queued chunks that count towards CHUNKS_QUEUED_MAX. */
  readonly #sending = new Set<Connection>();
  /** Of members, by their peer ids: nobody gets more by connecting again. */
  readonly #haves: SourceAllowances;
  readonly #joins: SourceAllowances;
  #bytesSent = 0;

  constructor(options: SharingOptions) {
    this.#options = options;
    this.#haves = new SourceAllowances(options.clock, HAVES);
    this.#joins = new SourceAllowances(options.clock, JOINS);
  }

  /** Payload bytes of sent chunks. */
  get bytesSent(): number {
    return this.#bytesSent;
  }

  handlersOf(neighbour: Neighbour): SharingHandlers {
    const { clock } = this.#options;
    const member = neighbour.connection.member?.peerId;
    const requester: Requester = {
      neighbour,
      filenames: new Map(),
      haves: member === undefined ? new Allowance(clock, HAVES) : this.#haves.of(member),
      joins: member === undefined ? new Allowance(clock, JOINS) : this.#joins.of(member),
    };
    this.#requesters.set(neighbour.id, requester);
    return {
      requests: {
        REQUEST_MANIFEST: (message) => this.#sendManifest(neighbour, message),
        REQUEST_JOIN_SWARM: (message) => this.#join(requester, message),
        PEER_REQUEST_CHUNK: (message) => this.#enqueue(neighbour, message),
      },
      notices: {
        HAVE: (message) => this.#handleHave(requester, message),
        LEAVE_SWARM: ({ content_id }) => this.#options.swarms.leave(content_id, neighbour),
        CANCEL: ({ request }) => this.#cancel(requester, request),
      },
      reportableError: (thrown, during) => reportableError(thrown, during, this.#options.log),
      sent: () => this.#pump(),
      blocked: () => {
        if (this.#sending.size > 0) this.#pump();
      },
      closed: () => {
        this.#requesters.delete(neighbour.id);
        this.#sending.delete(neighbour.connection);
        this.#options.uploads.dropRequester(neighbour.id);
        this.#options.swarms.drop(neighbour);
        this.#pump();
      },
    };
  }

  /** Updates the upload queue after a change of the library, or refuses queued requests where the content is gone. */
  follow({ type, contentId }: LibraryEvent): void {
    if (type === "gained") return;
    const offer = this.#options.library.offer(contentId);
    if (offer !== undefined) this.#options.uploads.setHoldings(contentId, offer.have);
    else this.#dropContent(contentId);
  }

  /** Adds a limit on sending one content, beside the others. Returns a function that removes it. */
  limitContent(contentId: ContentId, limiter: RateLimiter): () => void {
    const limiters = this.#contentLimiters.get(contentId) ?? new Set();
    this.#contentLimiters.set(contentId, limiters.add(limiter));
    return () => {
      limiters.delete(limiter);
      if (limiters.size === 0 && this.#contentLimiters.get(contentId) === limiters)
        this.#contentLimiters.delete(contentId);
    };
  }

  #handleHave({ neighbour, haves }: Requester, { content_id, chunks }: Fields<"HAVE">): void {
    this.#options.swarms.has(content_id, neighbour, chunks);
    haves.holdBack(neighbour.connection, 1 + chunks.length / RANGE_NUMBERS_PER_HAVE);
  }

  #cancel({ neighbour, filenames }: Requester, request: number): void {
    if (!this.#options.uploads.cancel(neighbour.id, request)) return;
    filenames.delete(request);
    neighbour.connection.refuse(request, new P2pfsError("cancelled", "cancelled as asked"));
  }

  #sendManifest(neighbour: Neighbour, { request, content_id }: Fields<"REQUEST_MANIFEST">): undefined {
    const bytes = this.#options.library.manifestBytes(content_id);
    if (bytes === undefined) throw notHeld(content_id);
    if (neighbour.connection.payloadFramesQueued > CHUNKS_AHEAD) throw new P2pfsError("busy", "one manifest at a time");
    neighbour.noteUse();
    neighbour.connection.replyWithPayload(request, { type: "REPLY_MANIFEST", content_id }, payloadOf(bytes));
  }

  #join(
    { neighbour, joins }: Requester,
    { content_id, chunks }: Fields<"REQUEST_JOIN_SWARM">,
  ): Outgoing<"REPLY_JOIN_SWARM"> {
    if (!joins.take()) throw new P2pfsError("busy", "this connection joins too often");
    const offer = this.#options.library.offer(content_id);
    if (offer === undefined) throw notHeld(content_id);
    this.#options.uploads.setHoldings(content_id, offer.have);
    if (!this.#options.swarms.join(content_id, neighbour, chunks))
      throw new P2pfsError("busy", "this peer has as many members in that swarm as it can serve");
    const [first = NO_CHUNKS, ...more] = pagesOf(offer.have.toRanges());
    for (const page of more) neighbour.connection.send({ type: "HAVE", content_id, chunks: page });
    return { type: "REPLY_JOIN_SWARM", content_id, chunks: first };
  }

  #enqueue(neighbour: Neighbour, message: Fields<"PEER_REQUEST_CHUNK">): undefined {
    const { request, content_id, chunknum, filename } = message;
    if (!neighbour.swarms.has(content_id)) throw notHeld(content_id);
    const result = this.#options.uploads.enqueue({
      requester: neighbour.id,
      request,
      contentId: content_id,
      chunks: chunknum,
    });
    if (result === "not_held") throw notHeld(content_id);
    if (result === "busy") throw new P2pfsError("busy", "this peer has as many requests queued as it takes");
    this.#requesters.get(neighbour.id)?.filenames.set(request, filename);
    this.#pump();
  }

  /** Queues chunks on connections with room for them, in the fair order of the upload queue. */
  #pump(): void {
    const { uploads } = this.#options;
    const isReady = (requester: string) => {
      const connection = this.#requesters.get(requester)?.neighbour.connection;
      return connection?.isOpen === true && connection.payloadFramesQueued < CHUNKS_AHEAD;
    };
    while (this.#maySendMore()) {
      const upload = uploads.next(isReady);
      if (upload === undefined) return;
      this.#send(upload);
    }
  }

  #maySendMore(): boolean {
    let queued = 0;
    for (const connection of this.#sending) {
      if (connection.payloadFramesQueued === 0) this.#sending.delete(connection);
      else if (connection.sendBlockedSinceMs === undefined) queued += connection.payloadFramesQueued;
    }
    return queued < CHUNKS_QUEUED_MAX;
  }

  #send({ requester: id, request, contentId: content_id, chunk }: UploadGrant): void {
    const requester = this.#requesters.get(id);
    const filename = requester?.filenames.get(request);
    if (requester === undefined || filename === undefined) return;
    requester.filenames.delete(request);
    const { connection } = requester.neighbour;
    const { library, upLimiter } = this.#options;
    const contentLimiters = this.#contentLimiters.get(content_id);
    try {
      if (chunk === undefined) throw notHeld(content_id);
      const bytes = library.chunkLength(content_id, chunk);
      const manifest = library.manifest(content_id);
      if (manifest === undefined) throw notHeld(content_id);
      const digest = digestOfChunk(manifest, chunk);
      connection.replyWithPayload(
        request,
        { type: "PEER_REPLY_CHUNK", filename, content_id, chunknum: chunk, digest },
        { bytes, read: (offset, target) => library.read(content_id, chunk, offset, target) },
        {
          throttle: inSeries(upLimiter, ...(contentLimiters ?? [])),
          sent: () => {
            this.#bytesSent += bytes;
            requester.neighbour.noteUse();
          },
        },
      );
      if (contentLimiters === undefined) this.#sending.add(connection);
    } catch (thrown) {
      if (!(thrown instanceof P2pfsError)) throw thrown;
      connection.refuse(request, thrown);
    }
  }

  #dropContent(contentId: ContentId): void {
    for (const { requester, request } of this.#options.uploads.dropContent(contentId)) {
      this.#requesters.get(requester)?.filenames.delete(request);
      this.#requesters.get(requester)?.neighbour.connection.refuse(request, notHeld(contentId));
    }
  }
}

function notHeld(contentId: ContentId): P2pfsError {
  return new P2pfsError("not_found", `this peer does not hold the content ${contentId.slice(0, 12)}`);
}
