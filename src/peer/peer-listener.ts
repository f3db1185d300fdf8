/**
 * The door of a peer: where it takes the connections of other peers, on the port that it had before where that is
 * free, and what the tracker is told of it.
 */
import { type Address, type HostPort, hostOf, isLoopback, makeAddress, portOf } from "../core/address.ts";
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
  /** Remembers the port. */
  readonly dataFolder: PeerFolder | undefined;
  /** Port 0 takes the remembered one if it is free, else any. */
  readonly listen: HostPort;
  /** What to tell others instead of the address that the tracker sees; port 0 is that of the listener. */
  readonly advertise: HostPort | undefined;
  /** Whether it may be beyond loopback. */
  readonly open: boolean;
  /** What a tracker that dials back is to be convinced by; undefined while no proof is due. */
  readonly idToProve: () => PeerId | undefined;
  /** Open at the same time; `neighboursMax` without this. */
  readonly connectionsMax?: number | undefined;
  /** What another peer has done on its connection so far. */
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
    const { dataFolder, listen: asked, open, log } = options;
    const isOpened = isForOthers(asked.host, {
      isOpen: open,
      refusal: `listening on ${asked.host} would open this peer to other machines`,
      hint: "--open allows it: then every machine that reaches this port can fetch what is shared here",
    });
    const listener = await listenOnRemembered(dataFolder, "listen", asked.port, (port) => listenAt(options, port));
    dataFolder?.rememberPort("listen", portOf(listener.address));
    if (isOpened) log("warn", "open to other machines: whoever reaches this port can fetch what is shared here");
    return new PeerListener(options, listener);
  }

  private constructor(options: PeerListenerOptions, listener: Listener) {
    this.#options = options;
    this.#listener = listener;
  }

  get address(): Address {
    return this.#listener.address;
  }

  /** What the tracker is told: the listener's address, or the one to advertise. */
  async announced(): Promise<{ address: Address; advertised: boolean }> {
    const { advertise, endpoint } = this.#options;
    if (advertise === undefined) return { address: this.address, advertised: false };
    const port = advertise.port === 0 ? portOf(this.address) : advertise.port;
    return { address: makeAddress(await endpoint.resolve(advertise.host), port), advertised: true };
  }

  /**
   * Others are told the address that the tracker saw. Nobody can connect to it where only loopback is listened on, and
   * one of loopback, by which a peer on the tracker's own machine may have come, is told to nobody elsewhere.
   */
  warnIfShutFor(seen: Address): void {
    const [isSeenHere, isForHere] = [isLoopback(hostOf(seen)), isLoopback(hostOf(this.address))];
    if (isSeenHere === isForHere) return;
    const why = isSeenHere
      ? `the tracker knows this peer as ${seen}; join it by its address in the network: --tracker IP:PORT`
      : `${seen} takes no connections without --open`;
    this.#options.log("warn", `other machines cannot fetch from here: ${why}`);
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
    full: (max) => log("warn", `all ${max} places for connections are taken; the idlest have to go`),
    onConnection: (connection) => {
      if (connection.hello.role === "tracker") calls.take(connection);
      else onPeer(connection);
    },
  });
}
