/**
 * Membership of swarms, and gossip: members of a swarm send one another HAVE for the chunks they gain, coalesced. A
 * running fetch listens to the swarm of its content; a seeder only answers.
 */
import type { ChunkRanges } from "../core/bitfield.ts";
import type { Clock, Timer } from "../core/clock.ts";
import type { ContentId } from "../core/manifest.ts";
import { Gossip } from "../swarm/gossip.ts";
import { encodeFrame } from "../wire/frame.ts";
import type { Library, LibraryEvent } from "./library.ts";
import { NEIGHBOURS_MAX, type Neighbour } from "./neighbour.ts";

/** As many as this peer can have neighbours, so that admission is the only effective bound. */
const MEMBERS_MAX = 2 * NEIGHBOURS_MAX;

/** Implemented by the fetch of a swarm's content. */
export interface SwarmListener {
  memberJoined(member: Neighbour, chunks: ChunkRanges): void;
  memberHas(member: Neighbour, chunks: ChunkRanges): void;
  /** `gaveUp`: the member sent LEAVE_SWARM; otherwise its connection has closed. */
  memberGone(member: Neighbour, gaveUp: boolean): void;
}

interface Swarm {
  /** The members, with the chunks still to be sent to each. */
  readonly gossip: Gossip<Neighbour>;
  listener: SwarmListener | undefined;
  /** For the next turn of the gossip. */
  timer: Timer | undefined;
}

export interface SwarmsOptions {
  readonly library: Pick<Library, "offer">;
  readonly clock: Clock;
  /** A member has sent that it has these chunks. */
  readonly noteHeld: (member: Neighbour, contentId: ContentId, chunks: ChunkRanges) => void;
}

export class Swarms {
  readonly #options: SwarmsOptions;
  readonly #swarms = new Map<ContentId, Swarm>();

  constructor(options: SwarmsOptions) {
    this.#options = options;
  }

  /** The listener is not called for earlier members: it finds them by its own requests to join. */
  listen(contentId: ContentId, listener: SwarmListener): void {
    this.#swarm(contentId).listener = listener;
  }

  unlisten(contentId: ContentId): void {
    const swarm = this.#swarms.get(contentId);
    if (swarm === undefined) return;
    swarm.listener = undefined;
    this.#forgetIfEmpty(contentId, swarm);
  }

  /** Adds the neighbour, with its chunks, to the swarm; false where the swarm is full. */
  join(contentId: ContentId, neighbour: Neighbour, chunks: ChunkRanges): boolean {
    const swarm = this.#swarm(contentId);
    const isNew = !swarm.gossip.has(neighbour);
    if (isNew && swarm.gossip.size >= MEMBERS_MAX) return false;
    this.#options.noteHeld(neighbour, contentId, chunks);
    if (!isNew) {
      swarm.listener?.memberHas(neighbour, chunks);
      return true;
    }
    swarm.gossip.join(neighbour);
    neighbour.swarms.add(contentId);
    swarm.listener?.memberJoined(neighbour, chunks);
    return true;
  }

  has(contentId: ContentId, neighbour: Neighbour, chunks: ChunkRanges): void {
    const swarm = this.#swarms.get(contentId);
    if (!swarm?.gossip.has(neighbour)) return;
    this.#options.noteHeld(neighbour, contentId, chunks);
    swarm.listener?.memberHas(neighbour, chunks);
  }

  /** The neighbour has sent LEAVE_SWARM. */
  leave(contentId: ContentId, neighbour: Neighbour): void {
    this.#remove(contentId, neighbour, true);
  }

  #remove(contentId: ContentId, neighbour: Neighbour, gaveUp: boolean): void {
    const swarm = this.#swarms.get(contentId);
    neighbour.swarms.delete(contentId);
    if (swarm === undefined || !swarm.gossip.leave(neighbour)) return;
    swarm.listener?.memberGone(neighbour, gaveUp);
    this.#forgetIfEmpty(contentId, swarm);
  }

  /** The neighbour's connection has closed. */
  drop(neighbour: Neighbour): void {
    for (const contentId of [...neighbour.swarms]) this.#remove(contentId, neighbour, false);
  }

  /**
   * Sends HAVE for gained chunks. When the library loses a content, LEAVE_SWARM is sent to the members, which may
   * believe that this peer has every chunk. A later fetch of the content joins them again.
   */
  follow(event: LibraryEvent): void {
    if (event.type === "gained") this.#gain(event.contentId, event.chunk);
    else if (event.type === "changed" || event.type === "copy_lost") {
      if (this.#options.library.offer(event.contentId) === undefined) this.#abandon(event.contentId);
    }
  }

  #abandon(contentId: ContentId): void {
    const swarm = this.#swarms.get(contentId);
    if (swarm === undefined) return;
    swarm.timer?.cancel();
    this.#swarms.delete(contentId);
    for (const { connection, swarms } of swarm.gossip.members()) {
      swarms.delete(contentId);
      connection.send({ type: "LEAVE_SWARM", content_id: contentId });
    }
  }

  /** Queues HAVE for this chunk to all members, in turns. */
  #gain(contentId: ContentId, chunk: number): void {
    const swarm = this.#swarm(contentId);
    swarm.gossip.gain(chunk);
    this.#planTurn(contentId, swarm);
  }

  close(): void {
    for (const swarm of this.#swarms.values()) swarm.timer?.cancel();
    this.#swarms.clear();
  }

  #planTurn(contentId: ContentId, swarm: Swarm): void {
    const due = swarm.timer === undefined ? swarm.gossip.deadline() : undefined;
    if (due === undefined) return;
    const turn = () => {
      swarm.timer = undefined;
      this.#takeTurn(contentId, swarm);
      this.#planTurn(contentId, swarm);
      this.#forgetIfEmpty(contentId, swarm);
    };
    swarm.timer = this.#options.clock.after(Math.max(due - this.#options.clock.now(), 0), turn);
  }

  #takeTurn(contentId: ContentId, swarm: Swarm): void {
    for (const { members, pages } of swarm.gossip.next(this.#options.clock.now())) {
      for (const chunks of pages) {
        const frame = encodeFrame({ type: "HAVE", content_id: contentId, chunks });
        for (const { connection } of members) connection.sendEncoded(frame);
      }
    }
  }

  #swarm(contentId: ContentId): Swarm {
    const swarm = this.#swarms.get(contentId) ?? {
      gossip: new Gossip<Neighbour>(),
      listener: undefined,
      timer: undefined,
    };
    this.#swarms.set(contentId, swarm);
    return swarm;
  }

  #forgetIfEmpty(contentId: ContentId, swarm: Swarm): void {
    if (swarm.gossip.size === 0 && swarm.listener === undefined && swarm.timer === undefined)
      this.#swarms.delete(contentId);
  }
}
