/**
 * Keeps the tracker's picture of this peer true: everything once per session, then the changes. Chunks that a fetch
 * gains go out as ranges, coalesced; a change that finds no session is part of the next session's announcement.
 */
import { Bitfield, NO_CHUNKS, pagesOf } from "../core/bitfield.ts";
import type { Clock, Timer } from "../core/clock.ts";
import { type Deadline, msLeft } from "../core/deadline.ts";
import { asP2pfsError } from "../core/errors.ts";
import type { Log } from "../core/log.ts";
import { type ContentId, chunkCountFor } from "../core/manifest.ts";
import { publicationKey } from "../core/model.ts";
import type { Outgoing } from "../net/handlers.ts";
import { inBackground } from "./background.ts";
import type { Library, LibraryEvent, Offer } from "./library.ts";
import type { LocalCopy, Repository, Share } from "./repository.ts";
import type { TrackerSession } from "./tracker-link.ts";

/** At most this often one content's new chunks are told. */
const REGISTER_MS = 150;
/** Unanswered requests while everything is announced. */
const ANNOUNCEMENTS_AT_ONCE = 64;

/** Requests that follow one another. */
type Announcement = readonly Outgoing<"REQUEST_PUBLISH" | "REQUEST_UNPUBLISH" | "REQUEST_CHUNK_REGISTER">[];

export interface AnnouncerOptions {
  readonly clock: Clock;
  readonly library: Library;
  readonly repository: Repository;
  /** Undefined while there is none. */
  readonly session: () => TrackerSession | undefined;
  readonly log: Log;
}

export class Announcer {
  readonly #options: AnnouncerOptions;
  readonly #gained = new Map<ContentId, Bitfield>();
  /** Of each content the announcement of its last change, until it is answered. */
  readonly #underWay = new Map<ContentId, Promise<void>>();
  #timer: Timer | undefined;
  #isClosed = false;

  constructor(options: AnnouncerOptions) {
    this.#options = options;
  }

  /** Tells a new session everything; what the tracker still has of an earlier one and is not told again, goes. */
  async announceAll(session: TrackerSession): Promise<void> {
    const { repository, library, log } = this.#options;
    this.#gained.clear();
    const shared = new Set<ContentId>();
    const announcements: Announcement[] = [];
    for (const share of repository.shares()) {
      shared.add(share.contentId);
      announcements.push(this.#shareAnnouncement(share, session));
    }
    for (const offer of library.offers()) {
      if (!shared.has(offer.contentId)) announcements.push(registerRequests(offer, offer.have.count > 0));
    }
    const next = announcements.values();
    const announceInTurn = async () => {
      for (const announcement of next) {
        for (const request of announcement) {
          await session.request(request).catch((thrown) => {
            const error = asP2pfsError(thrown);
            if (error.code === "unreachable") throw error;
            log("warn", `the tracker refused ${describe(request)}: ${error.message}`);
          });
        }
      }
    };
    await Promise.all(Array.from({ length: ANNOUNCEMENTS_AT_ONCE }, announceInTurn));
    await session.request({ type: "REQUEST_ANNOUNCED" });
  }

  /** Follows what this peer holds. A copy that is added is announced by whoever publishes it. */
  follow(event: LibraryEvent): void {
    if (event.type === "fetch_began") this.#announce(() => this.#began(event.contentId, event.size));
    else if (event.type === "gained") this.#gain(event.contentId, event.size, event.chunk);
    else if (event.type === "changed") this.#announce(() => this.#changed(event.contentId, event.size));
    else if (event.type === "copy_lost") this.#announce(() => this.#lost(event.copy));
    else if (event.type === "copy_regained") this.republish(event.copy);
  }

  /** The tracker may not list the copy's publication any more, which is there. */
  republish(copy: LocalCopy): void {
    this.#announce(() => this.#republish(copy));
  }

  /** Nothing is shared under this name, whether the tracker has heard of it or not. */
  withdraw(share: Share): void {
    this.#announce(() => this.#withdraw(share));
  }

  /** Resolves when the last change of what is held of the content is announced, or at the deadline. */
  async settled(contentId: ContentId, deadline: Deadline): Promise<void> {
    const { clock } = this.#options;
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = clock.after(msLeft(deadline, clock.now()), resolve);
    await Promise.race([this.#underWay.get(contentId), late]);
    timer.cancel();
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  #announce(work: () => Promise<void>): void {
    if (!this.#isClosed) inBackground("announcing to the tracker", this.#options.log, work());
  }

  /** A fetch begins; without a chunk yet it is no holder, but those who begin with it are told of one another. */
  async #began(contentId: ContentId, size: number): Promise<void> {
    const offer = this.#options.library.offer(contentId);
    if (offer !== undefined) await this.#send(registerRequests({ contentId, size, have: offer.have }, false));
  }

  /** A chunk of a running fetch is on disk. */
  #gain(contentId: ContentId, size: number, chunk: number): void {
    const chunks = this.#gained.get(contentId) ?? new Bitfield(chunkCountFor(size));
    this.#gained.set(contentId, chunks);
    chunks.add(chunk);
    this.#timer ??= this.#options.clock.after(REGISTER_MS, () => this.#register());
  }

  /** Tells the whole of what this peer has of a content, nothing included. */
  #changed(contentId: ContentId, size: number): Promise<void> {
    this.#gained.delete(contentId);
    const have = this.#options.library.offer(contentId)?.have ?? new Bitfield(chunkCountFor(size));
    const sending = this.#send(registerRequests({ contentId, size, have }, true)).finally(() => {
      if (this.#underWay.get(contentId) === sending) this.#underWay.delete(contentId);
    });
    this.#underWay.set(contentId, sending);
    return sending;
  }

  /** A file changed or vanished. */
  async #lost(copy: LocalCopy): Promise<void> {
    if (copy.size > 0) return this.#changed(copy.contentId, copy.size);
    // Of a content without chunks nobody holds none: only its name can go.
    const share = this.#options.repository.shareAt(copy.path);
    if (share !== undefined) await this.#send([{ type: "REQUEST_UNPUBLISH", fname: share.fname }]);
  }

  async #withdraw({ fname, contentId, size }: Share): Promise<void> {
    const unpublished = this.#options.session()?.request({ type: "REQUEST_UNPUBLISH", fname });
    unpublished?.catch(() => undefined);
    await this.#changed(contentId, size);
  }

  async #republish(copy: LocalCopy): Promise<void> {
    const session = this.#options.session();
    const share = this.#options.repository.shareAt(copy.path);
    if (session !== undefined && share?.contentId === copy.contentId)
      await this.#send([publishRequest(share, session)]);
    else await this.#changed(copy.contentId, copy.size);
  }

  /**
   * A share whose file is lost stays a publication as long as nobody takes it back: others who hold its content can be
   * fetched from under its name. Publishing says that all chunks are here, which then is corrected.
   */
  #shareAnnouncement(share: Share, session: TrackerSession): Announcement {
    const { contentId, size } = share;
    const { library } = this.#options;
    if (library.copyOf(contentId) !== undefined) return [publishRequest(share, session)];
    if (size === 0) return [];
    const have = library.offer(contentId)?.have ?? new Bitfield(chunkCountFor(size));
    return [publishRequest(share, session), ...registerRequests({ contentId, size, have }, true)];
  }

  #register(): void {
    this.#timer = undefined;
    for (const [contentId, have] of this.#gained) {
      const size = this.#options.library.offer(contentId)?.size;
      if (size !== undefined) this.#send(registerRequests({ contentId, size, have }, false));
    }
    this.#gained.clear();
  }

  async #send(requests: Announcement): Promise<void> {
    const session = this.#options.session();
    if (session === undefined) return;
    try {
      await Promise.all(requests.map((request) => session.request(request)));
    } catch (thrown) {
      const error = asP2pfsError(thrown);
      if (error.code !== "unreachable")
        this.#options.log("warn", `the tracker refused ${requests.map(describe)}: ${error.message}`);
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
  const pages = pagesOf(have.toRanges());
  if (pages.length === 0) pages.push(NO_CHUNKS);
  return pages.map((chunknum, index) => ({
    type: "REQUEST_CHUNK_REGISTER",
    primary_key: null,
    content_id: contentId,
    size,
    chunknum,
    replace: replace && index === 0,
  }));
}

function describe(request: Announcement[number]): string {
  return request.type === "REQUEST_CHUNK_REGISTER" ? `the chunks of ${request.content_id.slice(0, 12)}` : request.fname;
}
