/** Finds holders of a content and joins the swarm at each: at the start of a fetch, when the engine asks, and later. */
import type { Address } from "../core/address.ts";
import { Bitfield, type ChunkRanges, NO_CHUNKS, pagesOf } from "../core/bitfield.ts";
import type { Clock, Timer } from "../core/clock.ts";
import { reportableError } from "../core/defects.ts";
import type { Log } from "../core/log.ts";
import type { ContentId } from "../core/manifest.ts";
import type { PeerId } from "../core/model.ts";
import { SECOND_MS } from "../core/units.ts";
import { mayDelayRequests } from "../net/backlog.ts";
import type { Connection } from "../net/connection.ts";
import type { Message } from "../wire/messages.ts";
import type { Holder } from "./directory.ts";
import type { Neighbours } from "./neighbours.ts";
import type { Swarms } from "./swarms.ts";

const JOIN_MS_MAX = SECOND_MS;
/** Where request or answer may wait behind a chunk of another fetch, as long as bytes of that keep moving. */
const DELAYED_JOIN_MS_MAX = 30 * SECOND_MS;
const DELAY_CHECK_MS = 500;
/** Bytes move for this long after the last one. A limit that leaves a connection less than 2 KiB/s pauses it for longer. */
const DELAY_SILENCE_MS = 2 * SECOND_MS;
/** While there are few sources, the tracker is asked again, often at first, when a swarm grows fastest. */
const REFRESH_FIRST_MS = 250;
const REFRESH_MS_MAX = 8 * SECOND_MS;
const SOURCES_AIM = 30;

export interface HolderSearchOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly contentId: ContentId;
  /** The chunks of the content that this peer has. */
  readonly have: Bitfield;
  readonly neighbours: Neighbours;
  readonly swarms: Swarms;
  /** Holders, this peer's own left out; empty where the tracker does not answer. */
  readonly findHolders: () => Promise<readonly Holder[]>;
  readonly sourceCount: () => number;
  /** Called from time to time while a holder is there, but has not come to its answer. */
  readonly delayed: () => void;
  /** Whether the holder is a source already or is banned. */
  readonly isKnown: (address: Address) => boolean;
}

export class HolderSearch {
  readonly #options: HolderSearchOptions;
  readonly #reaching = new Set<Address>();
  #timer: Timer | undefined;
  #isAsking = false;
  #isClosed = false;

  constructor(options: HolderSearchOptions) {
    this.#options = options;
  }

  start(holders: readonly Holder[]): void {
    this.#reachAll(holders);
    // By now the tracker has this peer's announcement, and names leechers that started after the first query.
    this.again();
    this.#refreshAfter(REFRESH_FIRST_MS);
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  /** Asks the tracker for holders, unless a query is under way. */
  async again(): Promise<void> {
    if (this.#isAsking || this.#isClosed) return;
    this.#isAsking = true;
    try {
      this.#reachAll(await this.#options.findHolders());
    } finally {
      this.#isAsking = false;
    }
  }

  #refreshAfter(waitMs: number): void {
    this.#timer = this.#options.clock.after(waitMs, () => {
      if (this.#options.sourceCount() < SOURCES_AIM) this.again();
      this.#refreshAfter(Math.min(REFRESH_MS_MAX, 2 * waitMs));
    });
  }

  #reachAll(holders: readonly Holder[]): void {
    for (const { address, peer_id: peerId } of holders) {
      if (this.#isClosed || this.#reaching.has(address) || this.#options.isKnown(address)) continue;
      this.#reaching.add(address);
      // An unreachable holder is tried again when the tracker names it again.
      this.#reach(address, peerId)
        .catch((thrown: unknown) => this.#logFailure(address, thrown))
        .finally(() => this.#reaching.delete(address));
    }
  }

  #logFailure(address: Address, thrown: unknown): void {
    const { log, contentId } = this.#options;
    const reason = reportableError(thrown, "reaching a holder", log).message;
    const fields = { address, content_id: contentId, reason };
    log("debug", "cannot reach the holder {address} of {content_id}: {reason}", fields);
  }

  async #reach(address: Address, peerId: PeerId | undefined): Promise<void> {
    const { neighbours, contentId, have, swarms, isKnown } = this.#options;
    const neighbour = await neighbours.reach(address, peerId);
    if (this.#isClosed || isKnown(address)) return;
    const { connection } = neighbour;
    const announced = new Bitfield(have.size, have.bytes);
    const [chunks = NO_CHUNKS, ...more] = pagesOf(announced.toRanges());
    const reply = await this.#join(connection, chunks);
    // Chunks gained during the request: the gossip announces them to earlier members only.
    const gained = new Bitfield(have.size);
    for (const chunk of have) if (!announced.has(chunk)) gained.add(chunk);
    for (const page of [...more, ...pagesOf(gained.toRanges())])
      connection.send({ type: "HAVE", content_id: contentId, chunks: page });
    if (!this.#isClosed && connection.isOpen) swarms.join(contentId, neighbour, reply.chunks);
  }

  /** A delayed answer is awaited for longer, and the fetch does not end for want of holders meanwhile. */
  async #join(connection: Connection, chunks: ChunkRanges): Promise<Message<"REPLY_JOIN_SWARM">> {
    const { clock, contentId, delayed } = this.#options;
    const message = { type: "REQUEST_JOIN_SWARM", content_id: contentId, chunks } as const;
    if (!mayDelayRequests(connection)) return connection.request(message, { timeoutMs: JOIN_MS_MAX });
    const timer = clock.every(DELAY_CHECK_MS, () => {
      const isReceiving = connection.lastReceivedMs > clock.now() - DELAY_SILENCE_MS;
      if (!this.#isClosed && (isReceiving || connection.payloadFramesQueued > 0)) delayed();
    });
    return connection.request(message, { timeoutMs: DELAYED_JOIN_MS_MAX }).finally(() => timer.cancel());
  }
}
