/**
 * A connection to another peer. A dialled neighbour is identified by the address that was dialled. An inbound one is
 * identified by its source IP, until it is proven that the same peer listens at the address that it claims. The claim
 * itself decides nothing.
 */
import type { Address } from "../core/address.ts";
import { makeAddress } from "../core/address.ts";
import type { Clock } from "../core/clock.ts";
import type { ContentId } from "../core/manifest.ts";
import { MINUTE_MS, SECOND_MS } from "../core/units.ts";
import type { Conduct } from "../net/admission.ts";
import type { Connection } from "../net/connection.ts";

/** Inbound neighbours; and as many dialled ones. */
export const NEIGHBOURS_MAX = 1024;
/** Idle time of a neighbour without a transfer or swarm so far. */
const NOTHING_MS_MAX = 15 * SECOND_MS;
/** Idle time in no swarm, after a transfer. */
const IDLE_MS_MAX = 2 * MINUTE_MS;
/** Idle time in a swarm. A peer that is still interested reconnects. */
const MEMBER_IDLE_MS_MAX = 10 * MINUTE_MS;
/** A neighbour that reads nothing for this long does not count as having a transfer under way. */
const UNREAD_MS_MAX = 5 * SECOND_MS;
/** A neighbour is a member for this long after a transfer. */
const MEMBER_MS = MINUTE_MS;

export class Neighbour {
  readonly id: string;
  readonly connection: Connection;
  /** Whether the other side dialled. */
  readonly isInbound: boolean;
  /** Contents whose swarm was joined over this connection. */
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

  /** Where the other side is proven to listen; null for an unproven inbound neighbour. */
  get address(): Address | null {
    return this.#address;
  }

  /** Records that an inbound neighbour is proven to listen at this address. */
  prove(address: Address): void {
    this.#address = address;
  }

  /** The proven address, or the remote end of the connection. */
  get end(): Address {
    const { ip, port } = this.connection.remote;
    return this.#address ?? makeAddress(ip, port);
  }

  /** Name for users. */
  get name(): string {
    return this.#address ?? `${this.connection.remote.ip} (inbound)`;
  }

  /** Key for bans and statistics: the proven address, or the source IP, which several inbound peers may share. */
  get origin(): string {
    return this.#address ?? `from ${this.connection.remote.ip}`;
  }

  /** A chunk or manifest was transferred over the connection, or is about to be requested. */
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
