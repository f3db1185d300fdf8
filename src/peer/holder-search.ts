/** Finds the members of a content's swarm and joins them: at the start of a fetch, when the engine asks, and as it grows. */
import type { Address } from "../core/address.ts";
import { Bitfield, NO_CHUNKS, pagesOf } from "../core/bitfield.ts";
import type { Clock, Timer } from "../core/clock.ts";
import type { ContentId } from "../core/manifest.ts";
import { SECOND_MS } from "../core/units.ts";
import type { Neighbours } from "./neighbours.ts";
import type { Swarms } from "./swarms.ts";

const JOIN_MS_MAX = SECOND_MS;
/** A swarm grows, most of all in its first moments: the tracker is asked for more holders while there are few. */
const REFRESH_FIRST_MS = 250;
const REFRESH_MS_MAX = 8 * SECOND_MS;
const SOURCES_AIM = 30;

export interface HolderSearchOptions {
  readonly clock: Clock;
  readonly contentId: ContentId;
  /** What this peer has of it. */
  readonly have: Bitfield;
  readonly neighbours: Neighbours;
  readonly swarms: Swarms;
  /** Addresses of holders, this peer's own left out; empty where the tracker does not answer. */
  readonly findHolders: () => Promise<Address[]>;
  readonly sourceCount: () => number;
  /** Whether this fetch draws on the holder already, or will not. */
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

  start(holders: readonly Address[]): void {
    this.#reachAll(holders);
    // Those who begin at this moment were not among the holders; the tracker has heard of this peer by now, and of them.
    this.again();
    this.#refreshAfter(REFRESH_FIRST_MS);
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  /** Asks the tracker once more, unless that is under way. */
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

  #reachAll(holders: readonly Address[]): void {
    for (const address of holders) {
      if (this.#isClosed || this.#reaching.has(address) || this.#options.isKnown(address)) continue;
      this.#reaching.add(address);
      // One that cannot be reached now may be named again by the tracker later.
      this.#reach(address)
        .catch(() => {})
        .finally(() => this.#reaching.delete(address));
    }
  }

  async #reach(address: Address): Promise<void> {
    const { neighbours, contentId, have, swarms, isKnown } = this.#options;
    const neighbour = await neighbours.reach(address);
    if (this.#isClosed || isKnown(address)) return;
    const { connection } = neighbour;
    const told = new Bitfield(have.size, have.bytes);
    const [chunks = NO_CHUNKS, ...more] = pagesOf(told.toRanges());
    const reply = await connection.request(
      { type: "REQUEST_JOIN_SWARM", content_id: contentId, chunks },
      { timeoutMs: JOIN_MS_MAX },
    );
    // What was gained meanwhile, the gossip tells to those that were members already.
    const gained = new Bitfield(have.size);
    for (const chunk of have) if (!told.has(chunk)) gained.add(chunk);
    for (const page of [...more, ...pagesOf(gained.toRanges())])
      connection.send({ type: "HAVE", content_id: contentId, chunks: page });
    if (!this.#isClosed && connection.isOpen) swarms.join(contentId, neighbour, reply.chunks);
  }
}
