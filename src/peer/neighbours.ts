/**
 * The other peers that this one is connected with: one long-lived connection per pair, used in both directions, found
 * by the address where the other one listens. Idle ones are closed, and so are those that are silent when asked.
 */
import type { Address } from "../core/address.ts";
import { hostOf } from "../core/address.ts";
import { P2pfsError } from "../core/errors.ts";
import type { ContentId } from "../core/manifest.ts";
import { MINUTE_MS, SECOND_MS } from "../core/units.ts";
import type { Connection, ConnectionHandlers, LocalHello } from "../net/connection.ts";
import { dial } from "../net/endpoint.ts";
import type { PeerEvents } from "./events.ts";

/** A holder that does not take the connection within this time is left out; R5 leaves no room for more. */
export const DIAL_MS_MAX = 1000;
export const NEIGHBOURS_MAX = 1024;
const IDLE_MS_MAX = 2 * MINUTE_MS;
const IDLE_CHECK_MS = 15_000;
/** A neighbour that owes an answer and says nothing for so long is asked whether it is there, and has so long to say. */
const SILENCE_MS_MAX = 3 * SECOND_MS;
const PROBE_MS_MAX = 3 * SECOND_MS;
const SILENCE_CHECK_MS = SECOND_MS;

export class Neighbour {
  readonly id: string;
  /** Where the other side takes connections; null where it takes none. */
  readonly address: Address | null;
  readonly connection: Connection;
  /** Swarms that both sides are in over this connection. */
  readonly swarms = new Set<ContentId>();

  constructor(id: string, address: Address | null, connection: Connection) {
    this.id = id;
    this.address = address;
    this.connection = connection;
  }

  /** How to name it to people. */
  get name(): string {
    return this.address ?? this.connection.remote.ip;
  }
}

export interface NeighboursOptions {
  readonly local: () => LocalHello;
  /** What a neighbour's messages do; called once for each. */
  readonly handlersOf: (neighbour: Neighbour) => ConnectionHandlers;
  readonly events: PeerEvents;
}

export class Neighbours {
  readonly #options: NeighboursOptions;
  readonly #all = new Set<Neighbour>();
  readonly #byAddress = new Map<Address, Neighbour>();
  readonly #dialling = new Map<Address, Promise<Neighbour>>();
  readonly #idleTimer: Timer;
  readonly #silenceTimer: Timer;
  readonly #probed = new Set<Neighbour>();
  #nextId = 1;
  #bytesReceivedBefore = 0;

  constructor(options: NeighboursOptions) {
    this.#options = options;
    this.#idleTimer = setInterval(() => this.#closeIdle(), IDLE_CHECK_MS);
    this.#idleTimer.unref();
    this.#silenceTimer = setInterval(() => this.#probeSilent(), SILENCE_CHECK_MS);
    this.#silenceTimer.unref();
  }

  get bytesReceived(): number {
    let bytes = this.#bytesReceivedBefore;
    for (const neighbour of this.#all) bytes += neighbour.connection.bytesReceived;
    return bytes;
  }

  /** Takes in a connection that another peer opened. */
  adopt(connection: Connection): Neighbour | undefined {
    if (this.#all.size >= NEIGHBOURS_MAX) {
      connection.close(new P2pfsError("busy", "this peer is connected with as many others as it can serve"));
      return undefined;
    }
    // Whoever claims an address on another host could make us ask it for what somebody else is to be blamed for.
    const { address } = connection.hello;
    const proven = address !== null && hostOf(address) === connection.remote.ip ? address : null;
    return this.#add(proven, connection);
  }

  /** The neighbour at this address: the one that is connected, or a new connection to it. Throws `unreachable`. */
  reach(address: Address): Promise<Neighbour> {
    const known = this.#byAddress.get(address);
    if (known?.connection.isOpen) return Promise.resolve(known);
    const dialling = this.#dialling.get(address) ?? this.#dial(address);
    this.#dialling.set(address, dialling);
    return dialling;
  }

  closeAll(): void {
    clearInterval(this.#idleTimer);
    clearInterval(this.#silenceTimer);
    for (const neighbour of [...this.#all]) neighbour.connection.close();
  }

  async #dial(address: Address): Promise<Neighbour> {
    let neighbour: Neighbour | undefined;
    try {
      const connection = await dial(address, {
        local: this.#options.local(),
        timeoutMs: DIAL_MS_MAX,
        onConnection: (ready) => {
          if (ready.hello.role === "peer") neighbour = this.#add(address, ready);
        },
      });
      if (neighbour !== undefined) return neighbour;
      connection.close();
      throw new P2pfsError("unreachable", `${address} is not a peer`);
    } finally {
      this.#dialling.delete(address);
    }
  }

  #add(address: Address | null, connection: Connection): Neighbour {
    const neighbour = new Neighbour(`${address ?? connection.remote.ip}#${this.#nextId++}`, address, connection);
    this.#all.add(neighbour);
    if (address !== null && !this.#byAddress.get(address)?.connection.isOpen) this.#byAddress.set(address, neighbour);
    const { events } = this.#options;
    const handlers = this.#options.handlersOf(neighbour);
    events.emit({ type: "peer_joined", address: neighbour.name });
    connection.serve({
      ...handlers,
      closed: (cause) => {
        this.#all.delete(neighbour);
        this.#bytesReceivedBefore += connection.bytesReceived;
        if (address !== null && this.#byAddress.get(address) === neighbour) this.#byAddress.delete(address);
        handlers.closed?.(cause);
        events.emit({ type: "peer_left", address: neighbour.name });
      },
    });
    return neighbour;
  }

  /** Where a cable was pulled or a process is frozen, nothing ever comes to say so. A busy neighbour answers a probe. */
  #probeSilent(): void {
    const since = performance.now() - SILENCE_MS_MAX;
    for (const neighbour of this.#all) {
      const { connection } = neighbour;
      if (connection.lastReceivedMs > since || !connection.isAwaitingReply || connection.isPaused) continue;
      if (this.#probed.has(neighbour)) continue;
      this.#probed.add(neighbour);
      this.#probe(neighbour).finally(() => this.#probed.delete(neighbour));
    }
  }

  async #probe({ address, connection }: Neighbour): Promise<void> {
    const sentMs = performance.now();
    try {
      await connection.request({ type: "REQUEST_PING_PONG", peer_address: address }, { timeoutMs: PROBE_MS_MAX });
    } catch {
      // Other bytes are as good a sign of life: a frame that has begun may be long.
      if (connection.lastReceivedMs >= sentMs || connection.isPaused) return;
      connection.close(new P2pfsError("unreachable", "this peer does not answer"));
    }
  }

  #closeIdle(): void {
    const now = performance.now();
    for (const { connection, swarms } of this.#all) {
      if (swarms.size === 0 && now - connection.lastReceivedMs > IDLE_MS_MAX) connection.close();
    }
  }
}
