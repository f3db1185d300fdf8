/**
 * Listens for connections of other peers and of trackers, on the port of the last start if it is free, and determines
 * the address to announce.
 */
import { type Address, type HostPort, hostOf, isLoopback, makeAddress, portOf } from "../core/address.ts";
import { P2pfsError } from "../core/errors.ts";
import { isForOthers } from "../core/listening.ts";
import type { Log } from "../core/log.ts";
import type { PeerId } from "../core/model.ts";
import type { Conduct } from "../net/admission.ts";
import type { Connection } from "../net/connection.ts";
import type { Endpoint, Listener } from "../net/endpoint.ts";
import { listenOnRemembered, type PeerFolder } from "../store/data-folder.ts";
import { neighboursMax } from "./neighbours.ts";
import { TrackerCalls } from "./tracker-calls.ts";

export interface PeerListenerOptions {
  /** Keeps the port for the next start. */
  readonly dataFolder: PeerFolder | undefined;
  /** Port 0 takes the port of the last start if it is free, else any. */
  readonly listen: HostPort;
  /** Address to announce instead of the one that the tracker sees; port 0 is the listener's port. */
  readonly advertise: HostPort | undefined;
  /** The swarm whose members connect, over TLS; undefined for a peer of none. */
  readonly swarm?: string | undefined;
  /** Whether a peer of no swarm may listen beyond loopback. */
  readonly insecure: boolean;
  /** The peer id for the proof to a tracker that dials back; undefined while no proof is due. */
  readonly idToProve: () => PeerId | undefined;
  /** Inbound connections open at the same time. Default: `neighboursMax`. */
  readonly connectionsMax?: number | undefined;
  /** Conduct of a neighbour. */
  readonly conductOf: (connection: Connection) => Conduct | undefined;
  readonly endpoint: Endpoint;
  readonly onPeer: (connection: Connection) => void;
  readonly log: Log;
}

export class PeerListener {
  readonly #options: PeerListenerOptions;
  readonly #listener: Listener;

  /** Throws `already_running` (port in use), `refused` (beyond loopback without `open`). */
  static async open(options: PeerListenerOptions): Promise<PeerListener> {
    const { dataFolder, listen: asked, swarm, insecure, log } = options;
    const isForOtherMachines = isForOthers(asked.host, {
      isOpen: swarm !== undefined || insecure,
      refusal: `listening on ${asked.host} would open this peer to other machines`,
      hint:
        "join a swarm first (`p2pfs swarm join`), then its members can fetch what is shared here; --insecure lets every " +
        "machine do so, without encryption",
    });
    const listener = await listenOnRemembered(dataFolder, "listen", asked.port, (port) => listenAt(options, port));
    dataFolder?.rememberPort("listen", portOf(listener.address));
    if (isForOtherMachines && swarm === undefined)
      log("warn", "--insecure: nothing is encrypted, and whoever reaches this port can fetch what is shared here", {
        address: listener.address,
      });
    return new PeerListener(options, listener);
  }

  private constructor(options: PeerListenerOptions, listener: Listener) {
    this.#options = options;
    this.#listener = listener;
  }

  get address(): Address {
    return this.#listener.address;
  }

  /** The address for REQUEST_REGISTER: the listener's, or the advertised one. */
  async announced(): Promise<{ address: Address; advertised: boolean }> {
    const { advertise, endpoint } = this.#options;
    if (advertise === undefined) return { address: this.address, advertised: false };
    const port = advertise.port === 0 ? portOf(this.address) : advertise.port;
    return { address: makeAddress(await endpoint.resolve(advertise.host), port), advertised: true };
  }

  /**
   * Logs a warning where other machines cannot connect: the tracker knows a network address but the peer listens on
   * loopback only, or the tracker knows a loopback address, which it names to peers on its own host only.
   */
  warnIfUnreachable(seen: Address): void {
    const [isSeenOnLoopback, isOnLoopback] = [isLoopback(hostOf(seen)), isLoopback(hostOf(this.address))];
    if (isSeenOnLoopback === isOnLoopback) return;
    const why = isSeenOnLoopback
      ? "the tracker knows this peer as {address}; join it by its address in the network: --tracker IP:PORT"
      : "this peer listens on its own machine only (--listen)";
    this.#options.log("warn", `other machines cannot fetch from here: ${why}`, { address: seen });
  }

  /** Later connections are shown the new certificate. */
  renew(): void {
    this.#listener.renew();
  }

  close(): void {
    this.#listener.stop();
  }
}

function listenAt(options: PeerListenerOptions, port: number): Promise<Listener> {
  const { endpoint, idToProve, onPeer, log } = options;
  const calls = new TrackerCalls(idToProve, endpoint.system.clock, log);
  return endpoint.listen({
    host: options.listen.host,
    flag: "--listen HOST:PORT",
    port,
    connectionsMax: options.connectionsMax ?? neighboursMax(),
    conductOf: (connection) => calls.conductOf(connection) ?? options.conductOf(connection),
    crowded: (ip) => log("warn", "{ip} connects too often; some of its connections are closed", { ip }),
    full: (max) =>
      log("warn", "all {connections_max} places for connections are taken; the idlest have to go", {
        connections_max: max,
      }),
    onConnection: (connection) => {
      // It may ask a tracker to let it in, and has nothing to ask a peer.
      if (endpoint.isEncrypted && connection.member === undefined)
        return connection.close(new P2pfsError("unauthorised", "this peer is for the members of its swarm"));
      if (connection.hello.role === "tracker") calls.take(connection);
      else onPeer(connection);
    },
  });
}
