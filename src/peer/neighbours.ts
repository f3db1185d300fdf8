/**
 * This peer's connections to other peers: one long-lived connection per pair, used in both directions, and found by the
 * address where the other peer is proven to listen. Idle connections are closed, and so are those whose peer does not
 * answer a probe.
 */
import { type Address, makeAddress } from "../core/address.ts";
import type { Clock, Timer } from "../core/clock.ts";
import { P2pfsError } from "../core/errors.ts";
import type { Log } from "../core/log.ts";
import type { PeerId } from "../core/model.ts";
import { SECOND_MS } from "../core/units.ts";
import { Admission, type Conduct } from "../net/admission.ts";
import { Allowance } from "../net/allowance.ts";
import type { Connection } from "../net/connection.ts";
import { connectionsWithin } from "../net/descriptors.ts";
import type { Endpoint } from "../net/endpoint.ts";
import { CONFIRM_NONCES_MAX, type Fields } from "../wire/messages.ts";
import type { PeerEvents } from "./events.ts";
import { NEIGHBOURS_MAX, Neighbour } from "./neighbour.ts";
import type { SharingHandlers } from "./sharing.ts";

/** A holder that cannot be dialled within this time is left out; R5 leaves no time for more. */
export const DIAL_MS_MAX = 1000;
const SHARE_OF_DESCRIPTORS = 0.25;
/** Time for REPLY_CONFIRM; without one, the inbound connection counts as another peer's. */
const CONFIRM_MS_MAX = 500;
/**
 * Dials that found no peer, and those under way. A tracker names addresses, and this bounds how far a hostile one can use
 * a peer to knock at them.
 */
const VAIN_DIALS = { perSecond: 10, burst: 200 };
/** A neighbour that owes an answer and has been silent for SILENCE_MS_MAX is probed, and has PROBE_MS_MAX to answer. */
const SILENCE_MS_MAX = 3 * SECOND_MS;
const PROBE_MS_MAX = 3 * SECOND_MS;
const SILENCE_CHECK_MS = SECOND_MS;

export interface NeighboursOptions {
  readonly endpoint: Endpoint;
  /** This peer's address as other peers know it; null before its registration. */
  readonly ownAddress: () => Address | null;
  /** Handlers for a new neighbour's messages; called once for each. */
  readonly handlersOf: (neighbour: Neighbour) => SharingHandlers;
  readonly events: PeerEvents;
  readonly log: Log;
}

/** Bound on inbound connections, and on dialled ones. */
export function neighboursMax(): number {
  return connectionsWithin(NEIGHBOURS_MAX, SHARE_OF_DESCRIPTORS);
}

export class Neighbours {
  readonly #options: NeighboursOptions;
  readonly #clock: Clock;
  readonly #all = new Map<Connection, Neighbour>();
  /** The connection in use with the peer that is proven to listen at the address. */
  readonly #byAddress = new Map<Address, Neighbour>();
  /** Dialled neighbours, from HELLO on. */
  readonly #dialled = new Map<Address, Neighbour>();
  /** By address, and who has to answer there. */
  readonly #dialling = new Map<string, Promise<Neighbour>>();
  /** Dialled neighbours whose connection this side has confirmed, by a REPLY_CONFIRM with its nonce. */
  readonly #confirmed = new WeakSet<Neighbour>();
  /** Admission of dialled connections; the listener has its own for inbound ones. */
  readonly #places: Admission;
  readonly #vainDials: Allowance;
  readonly #silenceTimer: Timer;
  readonly #probed = new Set<Neighbour>();
  /** Neighbours for which `peer_joined` was emitted, with the emitted name. */
  readonly #emittedNames = new Map<Neighbour, string>();
  #nextId = 1;
  #bytesReceivedBefore = 0;
  #isClosed = false;

  constructor(options: NeighboursOptions) {
    this.#options = options;
    this.#clock = options.endpoint.system.clock;
    this.#places = new Admission(this.#clock, {
      placesMax: neighboursMax(),
      conductOf: (connection) => this.conductOf(connection),
      full: () => {},
    });
    this.#vainDials = new Allowance(this.#clock, VAIN_DIALS);
    this.#silenceTimer = this.#clock.every(SILENCE_CHECK_MS, () => this.#probeSilent(), { isBackground: true });
  }

  get bytesReceived(): number {
    let bytes = this.#bytesReceivedBefore;
    for (const connection of this.#all.keys()) bytes += connection.bytesReceived;
    return bytes;
  }

  get connections(): Iterable<Connection> {
    return this.#all.keys();
  }

  /** Conduct of a neighbour; undefined for other connections. */
  conductOf(connection: Connection): Conduct | undefined {
    return this.#all.get(connection)?.conduct;
  }

  /** Adds an inbound connection. */
  adopt(connection: Connection): void {
    this.#add(connection, null);
  }

  /**
   * The neighbour at this address, which is dialled if it is not connected. Throws `unreachable`, and `busy` where this
   * peer cannot open another connection.
   *
   * @param peerId who has to answer there, in a swarm
   */
  async reach(address: Address, peerId?: PeerId): Promise<Neighbour> {
    const known = this.#byAddress.get(address);
    const neighbour = known?.connection.isOpen ? known : await this.#dialOnce(address, peerId);
    if (peerId !== undefined && neighbour.connection.member?.peerId !== peerId)
      throw new P2pfsError("unreachable", `another member answers at ${address}`);
    neighbour.noteUse();
    return neighbour;
  }

  /**
   * A connection for a single request, to a peer whose other connection brings long frames that an answer would wait
   * behind. The caller closes it. Throws as `reach`.
   */
  async reachApart(address: Address, peerId?: PeerId): Promise<Connection> {
    return (await this.#dialPeer(address, peerId, false)).connection;
  }

  /** Closes all connections, and those that are being made as soon as they are. */
  closeAll(): void {
    this.#isClosed = true;
    this.#places.close();
    this.#silenceTimer.cancel();
    for (const connection of [...this.#all.keys()]) connection.close();
  }

  #dialOnce(address: Address, peerId: PeerId | undefined): Promise<Neighbour> {
    const who = `${address} ${peerId}`;
    const dialling = this.#dialling.get(who) ?? this.#dial(address, peerId).finally(() => this.#dialling.delete(who));
    this.#dialling.set(who, dialling);
    return dialling;
  }

  async #dial(address: Address, peerId: PeerId | undefined): Promise<Neighbour> {
    const dialled = await this.#dialPeer(address, peerId, true);
    const neighbour = await this.#chooseConnection(dialled, address);
    if (!neighbour.connection.isOpen) throw new P2pfsError("unreachable", `${address} closed the connection`);
    this.#byAddress.set(address, neighbour);
    this.#emitJoined(neighbour);
    if (neighbour !== dialled) dialled.connection.close();
    return neighbour;
  }

  /** @param isToKeep whether this may become the connection in use with the peer */
  async #dialPeer(address: Address, peerId: PeerId | undefined, isToKeep: boolean): Promise<Neighbour> {
    if (!this.#places.makeRoom(undefined, this.#dialling.size))
      throw new P2pfsError("busy", "this peer has as many connections as it can open");
    const { endpoint } = this.#options;
    // A tracker names the member that it sends a peer to, so that it cannot make it dial anybody else.
    if (endpoint.isEncrypted && peerId === undefined)
      throw new P2pfsError("unreachable", `the tracker did not say which member is at ${address}`);
    if (!this.#vainDials.take()) throw new P2pfsError("busy", "too many of the addresses that trackers named are dead");
    let dialled: Neighbour | undefined;
    const connection = await endpoint.dial(address, {
      timeoutMs: DIAL_MS_MAX,
      peerId,
      onConnection: (ready) => {
        if (ready.hello.role === "peer" && !this.#isClosed) dialled = this.#add(ready, address, isToKeep);
      },
    });
    if (dialled !== undefined) {
      this.#vainDials.giveBack();
      return dialled;
    }
    connection.close();
    throw new P2pfsError("unreachable", this.#isClosed ? "this peer is ending" : `${address} is not a peer`);
  }

  /**
   * Chooses the connection to keep: the dialled one, or an inbound one that the peer at the dialled address confirms as
   * its own. The inbound one is preferred, since it is in use already. Where both sides dial and confirm at the same
   * moment, the connection dialled from the lesser address is kept.
   */
  async #chooseConnection(dialled: Neighbour, address: Address): Promise<Neighbour> {
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

  /** Unproven inbound neighbours that claim this address, the latest ones. */
  #claimantsOf(address: Address): { readonly neighbour: Neighbour; readonly nonce: string }[] {
    const claimants: { neighbour: Neighbour; nonce: string }[] = [];
    for (const [{ hello, local, isOpen }, neighbour] of this.#all) {
      if (isOpen && neighbour.address === null && hello.address === address && local.nonce !== undefined)
        claimants.push({ neighbour, nonce: local.nonce });
    }
    return claimants.slice(-CONFIRM_NONCES_MAX);
  }

  /** Answers whether one of these nonces belongs to a connection that this peer dialled to the address. */
  #confirm({ address, nonces }: Fields<"REQUEST_CONFIRM">) {
    const dialled = this.#dialled.get(address);
    const dialledNonce = dialled?.connection.isOpen ? dialled.connection.hello.nonce : undefined;
    const nonce = dialledNonce !== undefined && nonces.includes(dialledNonce) ? dialledNonce : null;
    if (dialled !== undefined && nonce !== null) this.#confirmed.add(dialled);
    return { type: "REPLY_CONFIRM", nonce } as const;
  }

  #add(connection: Connection, dialled: Address | null, isToKeep = true): Neighbour {
    const neighbour = new Neighbour(`${connection.remote.ip}#${this.#nextId++}`, connection, dialled, this.#clock);
    this.#all.set(connection, neighbour);
    if (dialled !== null) {
      if (isToKeep) this.#dialled.set(dialled, neighbour);
      this.#places.enter(connection, () => queueMicrotask(() => connection.close()));
    }
    const { handlersOf, log } = this.#options;
    log("debug", "the connection with {address} is open", fieldsOf(neighbour));
    const handlers = handlersOf(neighbour);
    connection.serve<"peer", "peer">({
      ...handlers,
      requests: { ...handlers.requests, REQUEST_CONFIRM: (message) => this.#confirm(message) },
      handled: (name) => {
        if (name !== "REQUEST_CONFIRM") this.#emitJoined(neighbour);
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
        const reason = cause?.message ?? "no reason is known";
        log("debug", "the connection with {address} is closed: {reason}", { ...fieldsOf(neighbour), reason });
        handlers.closed?.(cause);
        this.#emitLeft(neighbour);
      },
    });
    return neighbour;
  }

  /** Not called for a neighbour that sends REQUEST_CONFIRM only, since that one closes again. */
  #emitJoined(neighbour: Neighbour): void {
    if (this.#emittedNames.has(neighbour)) return;
    this.#emittedNames.set(neighbour, neighbour.name);
    this.#options.events.emit({ type: "peer_joined", address: neighbour.name });
  }

  #emitLeft(neighbour: Neighbour): void {
    const name = this.#emittedNames.get(neighbour);
    if (name === undefined) return;
    this.#emittedNames.delete(neighbour);
    this.#options.events.emit({ type: "peer_left", address: name });
  }

  /** A cut line or a frozen process closes no connection, so silent neighbours are probed. A busy one answers. */
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
      // Any bytes are a sign of life: the answer may be queued behind a long frame.
      if (connection.lastReceivedMs >= sentMs || connection.isPaused) return;
      connection.close(new P2pfsError("unreachable", "this peer does not answer"));
    }
  }
}

/** For the log. `remote` stays the same when it is proven where an inbound neighbour listens. */
function fieldsOf({ end, isInbound, connection: { remote } }: Neighbour) {
  return { address: end, remote: makeAddress(remote.ip, remote.port), inbound: isInbound };
}
