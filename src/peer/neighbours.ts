/**
 * The other peers that this one is connected with: one long-lived connection per pair, used in both directions, found
 * by the address where the other one is proven to listen. Idle ones are closed, and so are those that are silent when
 * asked.
 */
import type { Address } from "../core/address.ts";
import type { Clock, Timer } from "../core/clock.ts";
import { P2pfsError } from "../core/errors.ts";
import { SECOND_MS } from "../core/units.ts";
import { Admission, type Conduct } from "../net/admission.ts";
import type { Connection } from "../net/connection.ts";
import { connectionsWithin } from "../net/descriptors.ts";
import type { Endpoint } from "../net/endpoint.ts";
import { CONFIRM_NONCES_MAX, type Fields } from "../wire/messages.ts";
import type { PeerEvents } from "./events.ts";
import { NEIGHBOURS_MAX, Neighbour } from "./neighbour.ts";
import type { SharingHandlers } from "./sharing.ts";

/** A holder that does not take the connection within this time is left out; R5 leaves no room for more. */
export const DIAL_MS_MAX = 1000;
const SHARE_OF_DESCRIPTORS = 0.25;
/** To say whether a connection that came in is the other's. Whoever does not is taken for another. */
const CONFIRM_MS_MAX = 500;
/** A neighbour that owes an answer and says nothing for so long is asked whether it is there, and has so long to say. */
const SILENCE_MS_MAX = 3 * SECOND_MS;
const PROBE_MS_MAX = 3 * SECOND_MS;
const SILENCE_CHECK_MS = SECOND_MS;

export interface NeighboursOptions {
  readonly endpoint: Endpoint;
  /** Where others know this peer to listen; null before its registration. */
  readonly ownAddress: () => Address | null;
  /** What a neighbour's messages do; called once for each. */
  readonly handlersOf: (neighbour: Neighbour) => SharingHandlers;
  readonly events: PeerEvents;
}

/** How many connections of others a peer takes, and how many it opens itself. */
export function neighboursMax(): number {
  return connectionsWithin(NEIGHBOURS_MAX, SHARE_OF_DESCRIPTORS);
}

export class Neighbours {
  readonly #options: NeighboursOptions;
  readonly #clock: Clock;
  readonly #all = new Map<Connection, Neighbour>();
  /** Proven, by either side's dialling, and in use. */
  readonly #byAddress = new Map<Address, Neighbour>();
  /** Whom this side dialled, from HELLO on. */
  readonly #dialled = new Map<Address, Neighbour>();
  readonly #dialling = new Map<Address, Promise<Neighbour>>();
  /** Those that this side can say to have dialled, since the other asked. */
  readonly #confirmed = new WeakSet<Neighbour>();
  /** Of those that were dialled; the listener has its own for those that came in. */
  readonly #places: Admission;
  readonly #silenceTimer: Timer;
  readonly #probed = new Set<Neighbour>();
  /** Those that were told of, under the name that was told. */
  readonly #shown = new Map<Neighbour, string>();
  #nextId = 1;
  #bytesReceivedBefore = 0;

  constructor(options: NeighboursOptions) {
    this.#options = options;
    this.#clock = options.endpoint.system.clock;
    this.#places = new Admission(this.#clock, {
      placesMax: neighboursMax(),
      conductOf: (connection) => this.conductOf(connection),
      full: () => {},
    });
    this.#silenceTimer = this.#clock.every(SILENCE_CHECK_MS, () => this.#probeSilent(), { isBackground: true });
  }

  get bytesReceived(): number {
    let bytes = this.#bytesReceivedBefore;
    for (const connection of this.#all.keys()) bytes += connection.bytesReceived;
    return bytes;
  }

  /** What a neighbour has done so far; undefined for a connection of anybody else. */
  conductOf(connection: Connection): Conduct | undefined {
    return this.#all.get(connection)?.conduct;
  }

  /** Takes in a connection that another peer opened. */
  adopt(connection: Connection): void {
    this.#add(connection, null);
  }

  /**
   * The neighbour at this address: the one that is connected, or a new connection to it. Throws `unreachable`, and
   * `busy` where this side has as many connections as it can open.
   */
  async reach(address: Address): Promise<Neighbour> {
    const known = this.#byAddress.get(address);
    const neighbour = known?.connection.isOpen ? known : await this.#dialOnce(address);
    neighbour.noteUse();
    return neighbour;
  }

  closeAll(): void {
    this.#places.close();
    this.#silenceTimer.cancel();
    for (const connection of [...this.#all.keys()]) connection.close();
  }

  #dialOnce(address: Address): Promise<Neighbour> {
    const dialling =
      this.#dialling.get(address) ?? this.#dial(address).finally(() => void this.#dialling.delete(address));
    this.#dialling.set(address, dialling);
    return dialling;
  }

  async #dial(address: Address): Promise<Neighbour> {
    if (!this.#places.makeRoom(this.#dialling.size))
      throw new P2pfsError("busy", "this peer has as many connections as it can open");
    let dialled: Neighbour | undefined;
    const connection = await this.#options.endpoint.dial(address, {
      timeoutMs: DIAL_MS_MAX,
      onConnection: (ready) => {
        if (ready.hello.role === "peer") dialled = this.#add(ready, address);
      },
    });
    if (dialled === undefined) {
      connection.close();
      throw new P2pfsError("unreachable", `${address} is not a peer`);
    }
    const neighbour = await this.#oneOfTwo(dialled, address);
    this.#byAddress.set(address, neighbour);
    this.#show(neighbour);
    if (neighbour !== dialled) connection.close();
    return neighbour;
  }

  /**
   * The connection to go on with: the one just dialled, or one that came in before and that the other side says, here
   * where it listens, to have dialled. One that came in is used already, so it is the one to keep. Where both sides ask
   * each other at the same moment, that of the side with the lesser address is kept.
   */
  async #oneOfTwo(dialled: Neighbour, address: Address): Promise<Neighbour> {
    const own = this.#options.ownAddress();
    const claimants = own === null ? [] : this.#claimantsOf(address);
    if (own === null || claimants.length === 0) return dialled;
    const nonces = claimants.map(({ nonce }) => nonce);
    const reply = await dialled.connection
      .request({ type: "REQUEST_CONFIRM", address: own, nonces }, { timeoutMs: CONFIRM_MS_MAX })
      .catch(() => undefined);
    const proven = claimants.find(({ nonce }) => nonce === reply?.nonce)?.neighbour;
    if (proven?.connection.isOpen !== true) return dialled;
    if (this.#confirmed.has(dialled) && own < address) return dialled;
    proven.prove(address);
    return proven;
  }

  /** Those that came in and say that they listen at this address, the latest ones. */
  #claimantsOf(address: Address): { readonly neighbour: Neighbour; readonly nonce: string }[] {
    const claimants: { neighbour: Neighbour; nonce: string }[] = [];
    for (const [{ hello, local, isOpen }, neighbour] of this.#all) {
      if (isOpen && neighbour.address === null && hello.address === address && local.nonce !== undefined)
        claimants.push({ neighbour, nonce: local.nonce });
    }
    return claimants.slice(-CONFIRM_NONCES_MAX);
  }

  /** Somebody asks whether a connection that it has from somebody is this peer's. */
  #confirm({ address, nonces }: Fields<"REQUEST_CONFIRM">) {
    const dialled = this.#dialled.get(address);
    const heard = dialled?.connection.isOpen ? dialled.connection.hello.nonce : undefined;
    const nonce = heard !== undefined && nonces.includes(heard) ? heard : null;
    if (dialled !== undefined && nonce !== null) this.#confirmed.add(dialled);
    return { type: "REPLY_CONFIRM", nonce } as const;
  }

  #add(connection: Connection, dialled: Address | null): Neighbour {
    const neighbour = new Neighbour(`${connection.remote.ip}#${this.#nextId++}`, connection, dialled, this.#clock);
    this.#all.set(connection, neighbour);
    if (dialled !== null) {
      this.#dialled.set(dialled, neighbour);
      this.#places.enter(connection, () => queueMicrotask(() => connection.close()));
    }
    const handlers = this.#options.handlersOf(neighbour);
    connection.serve<"peer", "peer">({
      ...handlers,
      requests: { ...handlers.requests, REQUEST_CONFIRM: (message) => this.#confirm(message) },
      handled: (name) => {
        if (name !== "REQUEST_CONFIRM") this.#show(neighbour);
      },
      closed: (cause) => {
        this.#all.delete(connection);
        this.#bytesReceivedBefore += connection.bytesReceived;
        const { address } = neighbour;
        if (address !== null && this.#byAddress.get(address) === neighbour) this.#byAddress.delete(address);
        if (dialled !== null) {
          if (this.#dialled.get(dialled) === neighbour) this.#dialled.delete(dialled);
          this.#places.leave(connection);
        }
        handlers.closed?.(cause);
        this.#hide(neighbour);
      },
    });
    return neighbour;
  }

  /** One that only asks who this peer is, and closes, is nobody to tell of. */
  #show(neighbour: Neighbour): void {
    if (this.#shown.has(neighbour)) return;
    this.#shown.set(neighbour, neighbour.name);
    this.#options.events.emit({ type: "peer_joined", address: neighbour.name });
  }

  #hide(neighbour: Neighbour): void {
    const name = this.#shown.get(neighbour);
    if (name === undefined) return;
    this.#shown.delete(neighbour);
    this.#options.events.emit({ type: "peer_left", address: name });
  }

  /** Where a cable was pulled or a process is frozen, nothing ever comes to say so. A busy neighbour answers a probe. */
  #probeSilent(): void {
    const since = this.#clock.now() - SILENCE_MS_MAX;
    for (const [connection, neighbour] of this.#all) {
      if (connection.lastReceivedMs > since || !connection.isAwaitingReply || connection.isPaused) continue;
      if (this.#probed.has(neighbour)) continue;
      this.#probed.add(neighbour);
      this.#probe(neighbour).finally(() => this.#probed.delete(neighbour));
    }
  }

  async #probe({ address, connection }: Neighbour): Promise<void> {
    const sentMs = this.#clock.now();
    try {
      await connection.request({ type: "REQUEST_PING_PONG", peer_address: address }, { timeoutMs: PROBE_MS_MAX });
    } catch {
      // Other bytes are as good a sign of life: a frame that has begun may be long.
      if (connection.lastReceivedMs >= sentMs || connection.isPaused) return;
      connection.close(new P2pfsError("unreachable", "this peer does not answer"));
    }
  }
}
