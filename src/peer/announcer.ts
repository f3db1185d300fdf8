/**
 * Announces this peer's publications and holdings to the tracker: all of them at the start of a session, then changes.
 * Chunks that a fetch gains are coalesced into ranges. A change without a session is part of the next session's start, and
 * a change during the start is announced at once. So that no older state follows it, each announcement of the start is
 * made when it is sent.
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

/** New chunks are collected for this long before they are announced. */
const REGISTER_MS = 150;
/** Announcements under way at the same time at the start of a session. */
const ANNOUNCEMENTS_AT_ONCE = 64;

/** Requests about one content, in their order. */
type Announcement = readonly Outgoing<"REQUEST_PUBLISH" | "REQUEST_UNPUBLISH" | "REQUEST_CHUNK_REGISTER">[];

export interface AnnouncerOptions {
  readonly clock: Clock;
  readonly library: Library;
  readonly repository: Repository;
  readonly log: Log;
}

export class Announcer {
  readonly #options: AnnouncerOptions;
  readonly #gained = new Map<ContentId, Bitfield>();
  /** The unanswered announcement of each content's last change. */
  readonly #underWay = new Map<ContentId, Promise<void>>();
  #timer: Timer | undefined;
  /** The last one in which everything was or is being announced. */
  #lastSession: TrackerSession | undefined;
  #isClosed = false;

  constructor(options: AnnouncerOptions) {
    this.#options = options;
  }

  /** Announces everything in a new session; the tracker then drops what it has from earlier sessions only. */
  async announceAll(session: TrackerSession): Promise<void> {
    const { repository, library } = this.#options;
    this.#gained.clear();
    this.#lastSession = session;
    const shares = repository.shares();
    const shared = new Set(shares.map(({ contentId }) => contentId));
    const held = Array.from(library.offers()).filter(({ contentId }) => !shared.has(contentId));
    const next = [...shares, ...held].values();
    const announceInTurn = async () => {
      for (const each of next) {
        const announcement =
          "fname" in each ? this.#shareAnnouncement(each, session) : this.#holdingAnnouncement(each.contentId);
        await Promise.all(announcement.map((request) => this.#request(session, request)));
      }
    };
    await Promise.all(Array.from({ length: ANNOUNCEMENTS_AT_ONCE }, announceInTurn));
    await session.request({ type: "REQUEST_ANNOUNCED" });
  }

  /** Announces changes of the library. `copy_added` is left out: publisher and fetches announce their copies. */
  follow(event: LibraryEvent): void {
    if (event.type === "fetch_began") this.#announce(() => this.#began(event.contentId, event.size));
    else if (event.type === "gained") this.#gain(event.contentId, event.size, event.chunk);
    else if (event.type === "changed") this.#announce(() => this.#changed(event.contentId, event.size));
    else if (event.type === "copy_lost") this.#announce(() => this.#lost(event.copy));
    else if (event.type === "copy_regained") this.republish(event.copy);
  }

  /** Announces a copy again, with its publication if it is shared, since the tracker may have removed it. */
  republish(copy: LocalCopy): void {
    this.#announce(() => this.#republish(copy));
  }

  /** Withdraws a publication that the tracker may or may not have. */
  withdraw(share: Share): void {
    this.#announce(() => this.#withdraw(share));
  }

  /** Resolves when the last change of the content's holding is announced, or at the deadline. */
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

  /** Announces the start of a fetch, without chunks too, since the tracker names chunkless leechers to one another. */
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

  /** Announces all chunks of a content that this peer holds, or that it holds none. */
  #changed(contentId: ContentId, size: number): Promise<void> {
    this.#gained.delete(contentId);
    const have = this.#options.library.offer(contentId)?.have ?? new Bitfield(chunkCountFor(size));
    const sending = this.#send(registerRequests({ contentId, size, have }, true)).finally(() => {
      if (this.#underWay.get(contentId) === sending) this.#underWay.delete(contentId);
    });
    this.#underWay.set(contentId, sending);
    return sending;
  }

  /** The copy's file changed or vanished. */
  async #lost(copy: LocalCopy): Promise<void> {
    if (copy.size > 0) return this.#changed(copy.contentId, copy.size);
    // An empty content has no chunks to withdraw, only its publication.
    const share = this.#options.repository.shareAt(copy.path);
    if (share !== undefined) await this.#send([{ type: "REQUEST_UNPUBLISH", fname: share.fname }]);
  }

  async #withdraw({ fname, contentId, size }: Share): Promise<void> {
    const unpublished = this.#session?.request({ type: "REQUEST_UNPUBLISH", fname });
    unpublished?.catch(() => undefined);
    await this.#changed(contentId, size);
  }

  async #republish(copy: LocalCopy): Promise<void> {
    const session = this.#session;
    const share = this.#options.repository.shareAt(copy.path);
    if (session !== undefined && share?.contentId === copy.contentId)
      await this.#send([publishRequest(share, session)]);
    else await this.#changed(copy.contentId, copy.size);
  }

  /**
   * A share whose file is lost stays published until it is unpublished, so that other holders are found by its name.
   * REQUEST_PUBLISH registers all chunks, so the chunks that are really held are registered after it.
   */
  #shareAnnouncement(share: Share, session: TrackerSession): Announcement {
    const { contentId, size } = share;
    const { library } = this.#options;
    if (library.copyOf(contentId) !== undefined) return [publishRequest(share, session)];
    if (size === 0) return [];
    const have = library.offer(contentId)?.have ?? new Bitfield(chunkCountFor(size));
    return [publishRequest(share, session), ...registerRequests({ contentId, size, have }, true)];
  }

  /** None where the content is not held any more: that was announced as a change. */
  #holdingAnnouncement(contentId: ContentId): Announcement {
    const offer = this.#options.library.offer(contentId);
    if (offer === undefined) return [];
    // A fetch without a chunk takes nothing back; of an empty content, having nothing is having all.
    return registerRequests(offer, offer.have.count > 0 || offer.have.isFull);
  }

  get #session(): TrackerSession | undefined {
    return this.#lastSession?.isOpen ? this.#lastSession : undefined;
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
    const session = this.#session;
    if (session === undefined) return;
    const sending = requests.map((request) => this.#request(session, request));
    // The next session begins with announcing everything.
    await Promise.all(sending).catch(() => undefined);
  }

  /** Rejects where the tracker cannot be reached; a refusal is logged. */
  async #request(session: TrackerSession, request: Announcement[number]): Promise<void> {
    try {
      await session.request(request);
    } catch (thrown) {
      const error = asP2pfsError(thrown);
      if (error.code === "unreachable") throw error;
      this.#logRefusal(request, error.message);
    }
  }

  #logRefusal(request: Announcement[number], reason: string): void {
    const { log } = this.#options;
    if (request.type === "REQUEST_CHUNK_REGISTER")
      log("warn", "the tracker refused the chunks of {content_id}: {reason}", {
        content_id: request.content_id,
        reason,
      });
    else log("warn", "the tracker refused {fname}: {reason}", { fname: request.fname, reason });
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

/** One request for each page of ranges, at least one; with `replace`, the first one replaces the holding. */
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
