/**
 * Who is in which swarm, and the gossip between them: members of a swarm tell each other which chunks they have, the
 * new ones coalesced. A running fetch listens to the swarm of its content; a seeder only answers.
 */
import { Bitfield, type ChunkRanges } from "../core/bitfield.ts";
import { CHUNK_RANGES_MAX } from "../core/limits.ts";
import type { ContentId } from "../core/manifest.ts";
import { encodeFrame } from "../wire/frame.ts";
import type { Neighbour } from "./neighbours.ts";

/** A chunk gained after a pause is told at once; what is gained within this time after it goes out in one HAVE. */
const GOSSIP_MS = 100;
/** A member's chunks are remembered for a fetch that begins later, up to this many members. */
const MEMBERS_MAX = 1024;

/** The fetch of a content, as its swarm sees it. */
export interface SwarmListener {
  memberJoined(member: Neighbour, chunks: ChunkRanges): void;
  memberHas(member: Neighbour, chunks: ChunkRanges): void;
  /** `gaveUp`: it has told so; without that, its connection is gone. */
  memberGone(member: Neighbour, gaveUp: boolean): void;
}

interface Swarm {
  readonly members: Set<Neighbour>;
  listener: SwarmListener | undefined;
  gained: number[];
  timer: Timer | undefined;
}

export interface SwarmsOptions {
  /** A member told that it has these chunks. */
  readonly noteHeld: (member: Neighbour, contentId: ContentId, chunks: ChunkRanges) => void;
}

export class Swarms {
  readonly #options: SwarmsOptions;
  readonly #swarms = new Map<ContentId, Swarm>();

  constructor(options: SwarmsOptions) {
    this.#options = options;
  }

  /** The members so far, none of which the listener has heard of, are up to the listener's own requests to join. */
  listen(contentId: ContentId, listener: SwarmListener): void {
    this.#swarm(contentId).listener = listener;
  }

  unlisten(contentId: ContentId): void {
    const swarm = this.#swarms.get(contentId);
    if (swarm === undefined) return;
    swarm.listener = undefined;
    this.#forgetIfEmpty(contentId, swarm);
  }

  /** The neighbour is in the swarm and has these chunks; false where the swarm is full. */
  join(contentId: ContentId, neighbour: Neighbour, chunks: ChunkRanges): boolean {
    const swarm = this.#swarm(contentId);
    const isNew = !swarm.members.has(neighbour);
    if (isNew && swarm.members.size >= MEMBERS_MAX) return false;
    this.#options.noteHeld(neighbour, contentId, chunks);
    if (!isNew) {
      swarm.listener?.memberHas(neighbour, chunks);
      return true;
    }
    swarm.members.add(neighbour);
    neighbour.swarms.add(contentId);
    swarm.listener?.memberJoined(neighbour, chunks);
    return true;
  }

  has(contentId: ContentId, neighbour: Neighbour, chunks: ChunkRanges): void {
    const swarm = this.#swarms.get(contentId);
    if (!swarm?.members.has(neighbour)) return;
    this.#options.noteHeld(neighbour, contentId, chunks);
    swarm.listener?.memberHas(neighbour, chunks);
  }

  /** The neighbour has told that it gave the content up. */
  leave(contentId: ContentId, neighbour: Neighbour): void {
    this.#remove(contentId, neighbour, true);
  }

  #remove(contentId: ContentId, neighbour: Neighbour, gaveUp: boolean): void {
    const swarm = this.#swarms.get(contentId);
    neighbour.swarms.delete(contentId);
    if (swarm === undefined || !swarm.members.delete(neighbour)) return;
    swarm.listener?.memberGone(neighbour, gaveUp);
    this.#forgetIfEmpty(contentId, swarm);
  }

  /** The neighbour's connection is gone. */
  drop(neighbour: Neighbour): void {
    for (const contentId of [...neighbour.swarms]) this.#remove(contentId, neighbour, false);
  }

  /** This peer gives up the content: tells the members and forgets them. */
  abandon(contentId: ContentId): void {
    const swarm = this.#swarms.get(contentId);
    if (swarm === undefined) return;
    clearTimeout(swarm.timer);
    this.#swarms.delete(contentId);
    for (const { connection, swarms } of swarm.members) {
      swarms.delete(contentId);
      connection.send({ type: "LEAVE_SWARM", content_id: contentId });
    }
  }

  /** Tells the members of a chunk that this peer has now; soon after another, together with those of the same moment. */
  gain(contentId: ContentId, chunk: number, chunkCount: number): void {
    const swarm = this.#swarm(contentId);
    swarm.gained.push(chunk);
    if (swarm.timer === undefined) this.#gossip(contentId, swarm, chunkCount);
  }

  close(): void {
    for (const swarm of this.#swarms.values()) clearTimeout(swarm.timer);
    this.#swarms.clear();
  }

  #gossip(contentId: ContentId, swarm: Swarm, chunkCount: number): void {
    const gained = new Bitfield(chunkCount);
    for (const chunk of swarm.gained) gained.add(chunk);
    swarm.gained = [];
    for (const chunks of rangePages(gained)) {
      const frame = encodeFrame({ type: "HAVE", content_id: contentId, chunks });
      for (const { connection } of swarm.members) connection.sendEncoded(frame);
    }
    swarm.timer = setTimeout(() => {
      swarm.timer = undefined;
      if (swarm.gained.length > 0) this.#gossip(contentId, swarm, chunkCount);
      else this.#forgetIfEmpty(contentId, swarm);
    }, GOSSIP_MS);
  }

  #swarm(contentId: ContentId): Swarm {
    const swarm = this.#swarms.get(contentId) ?? {
      members: new Set(),
      listener: undefined,
      gained: [],
      timer: undefined,
    };
    this.#swarms.set(contentId, swarm);
    return swarm;
  }

  #forgetIfEmpty(contentId: ContentId, swarm: Swarm): void {
    if (swarm.members.size === 0 && swarm.listener === undefined && swarm.timer === undefined)
      this.#swarms.delete(contentId);
  }
}

/** The set in as many messages as its ranges need; none for an empty set. */
export function* rangePages(chunks: Bitfield): Generator<ChunkRanges> {
  let page = chunks.toRanges(CHUNK_RANGES_MAX);
  while (page.length > 0) {
    yield page;
    page = chunks.toRanges(CHUNK_RANGES_MAX, page.at(-1)! + 1);
  }
}
