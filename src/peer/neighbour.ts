/**
 * One other peer that this one is connected with. Who it is comes from who dialled whom: where this side dialled, the
 * other is whoever listens there. One that came in is known by where its connection comes from, until it is proven that
 * it is the one who listens where it says. What it says of itself decides nothing.
 */
import type { Address } from "../core/address.ts";
import { makeAddress } from "../core/address.ts";
import type { Clock } from "../core/clock.ts";
import type { ContentId } from "../core/manifest.ts";
import { MINUTE_MS, SECOND_MS } from "../core/units.ts";
import type { Conduct } from "../net/admission.ts";
import type { Connection } from "../net/connection.ts";

/** That came in, and as many again that this side dialled. */
export const NEIGHBOURS_MAX = 1024;
/** Nothing was moved or joined so far. Whoever dials knows what it wants. */
const NOTHING_MS_MAX = 15 * SECOND_MS;
/** In no swarm, since a chunk or manifest was moved. */
const IDLE_MS_MAX = 2 * MINUTE_MS;
/** In a swarm without asking, answering or being asked. Whoever is still interested comes back. */
const MEMBER_IDLE_MS_MAX = 10 * MINUTE_MS;
/** Whoever reads nothing for so long of what is sent to it has no transfer under way. */
const UNREAD_MS_MAX = 5 * SECOND_MS;
/** For so long a neighbour with which something was moved is not taken for a stranger. */
const MEMBER_MS = MINUTE_MS;

export class Neighbour {
  readonly id: string;
  readonly connection: Connection;
  /** Whether the other side opened the connection. */
  readonly isInbound: boolean;
  /** Swarms that both sides are in over this connection. */
  readonly swarms = new Set<ContentId>();
  #address: Address | null;
  readonly #clock: Clock;
  #usefulMs: number;
  #wasUsed = false;

  constructor(id: string, connection: Connection, dialled: Address | null, clock: Clock) {
    this.#clock = clock;
    this.#usefulMs = clock.now();
    this.id = id;
    this.connection = connection;
    this.isInbound = dialled === null;
    this.#address = dialled;
  }

  /** Where the other side is proven to take connections; null for one that came in and is not proven. */
  get address(): Address | null {
    return this.#address;
  }

  /** It came in, and is the one who listens there. */
  prove(address: Address): void {
    this.#address = address;
  }

  /** `IP:PORT`: its address, or the remote end of a connection that came in. */
  get end(): Address {
    const { ip, port } = this.connection.remote;
    return this.#address ?? makeAddress(ip, port);
  }

  /** How to name it to people. */
  get name(): string {
    return this.#address ?? `${this.connection.remote.ip} (inbound)`;
  }

  /** Who is to blame for what it does: the one at its address, or whoever comes in from its IP. */
  get culprit(): string {
    return this.#address ?? `from ${this.connection.remote.ip}`;
  }

  /** A chunk or a manifest was moved over the connection, or is about to be asked for. */
  noteUse(): void {
    this.#usefulMs = this.#clock.now();
    this.#wasUsed = true;
  }

  get conduct(): Conduct {
    const { connection } = this;
    const now = this.#clock.now();
    const unreadMs = now - (connection.sendBlockedSinceMs ?? now);
    const isSending = connection.payloadFramesQueued > 0 && unreadMs < UNREAD_MS_MAX;
    const isBusy = connection.isAwaitingReply || isSending;
    const usefulMs = isBusy ? now : this.#usefulMs;
    const isMember = this.#wasUsed && now - usefulMs < MEMBER_MS;
    return { standing: isBusy ? "busy" : isMember ? "member" : "stranger", usefulMs, patienceMs: this.#patienceMs };
  }

  get #patienceMs(): number {
    if (this.swarms.size > 0) return MEMBER_IDLE_MS_MAX;
    return this.#wasUsed ? IDLE_MS_MAX : NOTHING_MS_MAX;
  }
}
