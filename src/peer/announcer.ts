/**
 * Keeps the tracker's picture of this peer true: everything once per session, then the changes. Chunks that a fetch
 * gains go out as ranges, coalesced; a change that finds no session is part of the next session's announcement.
 */
import { Bitfield } from "../core/bitfield.ts";
import { asP2pfsError } from "../core/errors.ts";
import { type ContentId, chunkCountFor } from "../core/manifest.ts";
import { publicationKey } from "../core/model.ts";
import type { Outgoing } from "../net/connection.ts";
import type { Library, Offer } from "./library.ts";
import type { Repository, Share } from "./repository.ts";
import { rangePages } from "./swarms.ts";
import type { Log, TrackerSession } from "./tracker-link.ts";

/** At most this often one content's new chunks are told. */
const REGISTER_MS = 150;
/** Unanswered requests while everything is announced. */
const ANNOUNCEMENTS_AT_ONCE = 64;

export interface AnnouncerOptions {
  readonly library: Library;
  readonly repository: Repository;
  /** Undefined while there is none. */
  readonly session: () => TrackerSession | undefined;
  readonly log: Log;
}

export class Announcer {
  readonly #options: AnnouncerOptions;
  readonly #gained = new Map<ContentId, Bitfield>();
  #timer: Timer | undefined;

  constructor(options: AnnouncerOptions) {
    this.#options = options;
  }

  /** Tells a new session everything; what the tracker still has of an earlier one and is not told again, goes. */
  async announceAll(session: TrackerSession): Promise<void> {
    const { repository, library, log } = this.#options;
    this.#gained.clear();
    const shared = new Set<ContentId>();
    const requests: Outgoing<"REQUEST_PUBLISH" | "REQUEST_CHUNK_REGISTER">[] = [];
    for (const share of repository.shares()) {
      if (library.copyAt(share.contentId, share.path) === undefined) continue;
      shared.add(share.contentId);
      requests.push(publishRequest(share, session));
    }
    for (const offer of library.offers()) {
      if (!shared.has(offer.contentId)) requests.push(...registerRequests(offer, offer.have.count > 0));
    }
    const next = requests.values();
    const announceInTurn = async () => {
      for (const request of next) {
        await session.request(request).catch((thrown) => {
          const error = asP2pfsError(thrown);
          if (error.code === "unreachable") throw error;
          log("warn", `the tracker refused ${describe(request)}: ${error.message}`);
        });
      }
    };
    await Promise.all(Array.from({ length: ANNOUNCEMENTS_AT_ONCE }, announceInTurn));
    await session.request({ type: "REQUEST_ANNOUNCED" });
  }

  /** A fetch begins; without a chunk yet it is no holder, but those who begin with it are told of one another. */
  async began(contentId: ContentId, size: number): Promise<void> {
    const offer = this.#options.library.offer(contentId);
    if (offer !== undefined) await this.#send(registerRequests({ contentId, size, have: offer.have }, false));
  }

  /** A chunk of a running fetch is on disk. */
  gained(contentId: ContentId, size: number, chunk: number): void {
    const chunks = this.#gained.get(contentId) ?? new Bitfield(chunkCountFor(size));
    this.#gained.set(contentId, chunks);
    chunks.add(chunk);
    this.#timer ??= setTimeout(() => this.#register(), REGISTER_MS);
  }

  /** Tells the whole of what this peer has of a content, nothing included. */
  async changed(contentId: ContentId, size: number): Promise<void> {
    this.#gained.delete(contentId);
    const have = this.#options.library.offer(contentId)?.have ?? new Bitfield(chunkCountFor(size));
    await this.#send(registerRequests({ contentId, size, have }, true));
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  #register(): void {
    this.#timer = undefined;
    for (const [contentId, have] of this.#gained) {
      const size = this.#options.library.offer(contentId)?.size;
      if (size !== undefined) this.#send(registerRequests({ contentId, size, have }, false));
    }
    this.#gained.clear();
  }

  async #send(requests: readonly Outgoing<"REQUEST_CHUNK_REGISTER">[]): Promise<void> {
    const session = this.#options.session();
    if (session === undefined) return;
    try {
      await Promise.all(requests.map((request) => session.request(request)));
    } catch (thrown) {
      const error = asP2pfsError(thrown);
      if (error.code !== "unreachable") this.#options.log("warn", `the tracker refused chunks: ${error.message}`);
    }
  }
}

export function publishRequest(share: Share, session: TrackerSession): Outgoing<"REQUEST_PUBLISH"> {
  return {
    type: "REQUEST_PUBLISH",
    primary_key: publicationKey(share.fname, session.address),
    fname: share.fname,
    size: share.size,
    total_chunknum: chunkCountFor(share.size),
    author_address: session.address,
    local_file: share.lname,
    content_id: share.contentId,
  };
}

/** The set in as many requests as its ranges need, at least one; the first one may replace what was there. */
function registerRequests({ contentId, size, have }: Offer, replace: boolean): Outgoing<"REQUEST_CHUNK_REGISTER">[] {
  const pages = [...rangePages(have)];
  if (pages.length === 0) pages.push(have.toRanges());
  return pages.map((chunknum, index) => ({
    type: "REQUEST_CHUNK_REGISTER",
    primary_key: null,
    content_id: contentId,
    size,
    chunknum,
    replace: replace && index === 0,
  }));
}

function describe(request: Outgoing<"REQUEST_PUBLISH" | "REQUEST_CHUNK_REGISTER">): string {
  return request.type === "REQUEST_PUBLISH" ? request.fname : `the chunks of ${request.content_id.slice(0, 12)}`;
}
