/**
 * Listens and dials for one role, and sends the role's HELLO on every connection. What a connection is used for, the
 * role decides.
 */
import { type Address, type HostPort, makeAddress } from "../core/address.ts";
import { type Deadline, deadlineIn } from "../core/deadline.ts";
import { P2pfsError } from "../core/errors.ts";
import { listenError } from "../core/listening.ts";
import type { PeerId } from "../core/model.ts";
import type { AdmissionBounds, Conduct } from "./admission.ts";
import type { GreetingRates, GreetingsAtOnce } from "./arrivals.ts";
import { Connection, type LocalHello } from "./connection.ts";
import { Entrance, type Visit } from "./entrance.ts";
import { LOOKUP_MS_MAX, resolveHost, resolveHostPort } from "./host-name.ts";
import { LoopTurns } from "./loop-turns.ts";
import type { Security } from "./security.ts";
import type { System } from "./system.ts";
import type { Transport, TransportEvents } from "./transport.ts";

/** Fits the usual limit on descriptors. */
const CONNECTIONS_MAX = 512;

export interface EndpointOptions {
  readonly system: System;
  /** The HELLO of a new connection; called for each. */
  readonly local: () => LocalHello;
  /** Encrypts and identifies connections, where it gives something. Default: they are plain. */
  readonly security?: () => Security | undefined;
}

export interface ListenOptions extends HostPort {
  /** The command-line option for HOST:PORT, for the hint of an error. */
  readonly flag?: string | undefined;
  /** Open at the same time; must leave descriptors for databases, files and the admin endpoint. */
  readonly connectionsMax?: number | undefined;
  readonly admission?: Partial<AdmissionBounds> | undefined;
  /** Handshakes, or for plain connections greetings, in a second. Default: those of `Entrance`. */
  readonly greetingRates?: GreetingRates | undefined;
  /** Connections before HELLO. Default: as descriptors allow. */
  readonly greetingsAtOnce?: GreetingsAtOnce | undefined;
  /** Conduct of a connection; without this function all are strangers and none is closed as idle. */
  conductOf?(connection: Connection): Conduct | undefined;
  /** All places are taken: from now on a new connection evicts the idlest. */
  full?(connectionsMax: number): void;
  /** This IP connects so often, or has so many connections that say nothing, that some are closed; called once in a while. */
  crowded?(ip: string): void;
  /** Called for every connection whose HELLO arrived; sets its handlers before it returns. */
  onConnection(connection: Connection): void;
}

export interface Listener {
  /** IP as asked for, port as given by the system. */
  readonly address: Address;
  /**
   * Shows the credentials that are new to later connections; open ones stay. Throws as `listen`; then it does not listen
   * any more, until it is called again.
   */
  renew(): void;
  /** Accepts no new connections; open ones stay. */
  stop(): void;
}

export interface DialOptions {
  readonly timeoutMs: number;
  /** Who has to answer there, if connections are encrypted. Default: any member. */
  readonly peerId?: PeerId | undefined;
  /** Called when the other side's HELLO has arrived; sets the handlers before it returns. */
  onConnection?(connection: Connection): void;
}

export class Endpoint {
  readonly #options: EndpointOptions;
  readonly #turns: LoopTurns;
  /** Open ones. */
  readonly #connections = new Set<Connection>();

  constructor(options: EndpointOptions) {
    this.#options = options;
    this.#turns = new LoopTurns(options.system.clock);
  }

  get system(): System {
    return this.#options.system;
  }

  /** Whether connections are encrypted, and both sides prove who they are. */
  get isEncrypted(): boolean {
    return this.#options.security?.() !== undefined;
  }

  /** The IP of a host, where no command sets a deadline. Throws as `resolveHost`. */
  resolve(host: string): Promise<string> {
    const { clock } = this.system;
    return resolveHost(host, deadlineIn(LOOKUP_MS_MAX, clock.now()), this.system);
  }

  /** As `resolve`, with a port and within a deadline. */
  resolveHostPort(named: HostPort, deadline: Deadline): Promise<Address> {
    return resolveHostPort(named, deadline, this.system);
  }

  /** Port 0 asks for any free port. Throws `already_running`, `refused`, `usage` as `listenError`. */
  async listen(options: ListenOptions): Promise<Listener> {
    const { host, port, onConnection, connectionsMax = CONNECTIONS_MAX } = options;
    const ip = await this.resolve(host);
    const entrance = new Entrance({
      clock: this.system.clock,
      isEncrypted: this.isEncrypted,
      rates: options.greetingRates,
      greetingsAtOnce: options.greetingsAtOnce,
      crowded: (source) => options.crowded?.(source),
      admission: {
        ...options.admission,
        placesMax: connectionsMax,
        conductOf: (connection) => options.conductOf?.(connection),
        full: (placesMax) => options.full?.(placesMax),
      },
    });
    const accept = (transport: Transport): TransportEvents | undefined => {
      if (!entrance.lets(transport.remote.ip)) {
        transport.terminate();
        return undefined;
      }
      const connection = this.#connect(transport, (ready) => {
        const refusal = visit.greeted();
        if (refusal === undefined) onConnection(ready);
        else ready.close(refusal);
      });
      const visit: Visit = entrance.enter(connection, transport);
      const { secured, ...events } = this.#eventsOf(connection, () => visit.closed());
      return {
        ...events,
        wasted: () => visit.shookHands(),
        secured: (shown) => {
          visit.shookHands();
          secured?.(shown);
        },
      };
    };
    const listenAt = (at: number) =>
      this.system.network.listen(ip, at, accept, this.#options.security?.()?.credentials());
    try {
      let listener = listenAt(port);
      const renew = () => {
        listener.stop();
        listener = listenAt(listener.port);
      };
      const stop = () => {
        entrance.close();
        listener.stop();
      };
      return { address: makeAddress(ip, listener.port), renew, stop };
    } catch (cause) {
      entrance.close();
      throw cause instanceof P2pfsError ? cause : listenError({ host, port }, options.flag, cause);
    }
  }

  /** Connects and exchanges HELLO within the timeout. Throws `unreachable`, or the other side's ERROR. */
  dial(address: Address, { timeoutMs, peerId, onConnection }: DialOptions): Promise<Connection> {
    const { clock, network } = this.system;
    const { promise, resolve, reject } = Promise.withResolvers<Connection>();
    let connection: Connection | undefined;
    let settled = false;
    const fail = (error: P2pfsError) => {
      if (settled) return;
      settled = true;
      timer.cancel();
      reject(error);
    };
    const timer = clock.after(timeoutMs, () => {
      fail(new P2pfsError("unreachable", `${address} does not answer`));
      connection?.close();
    });
    const greeted = (ready: Connection) => {
      if (settled) return;
      if (peerId !== undefined && ready.member?.peerId !== peerId) {
        fail(new P2pfsError("unreachable", `another member answers at ${address}`));
        return ready.close();
      }
      settled = true;
      timer.cancel();
      onConnection?.(ready);
      resolve(ready);
    };
    const accept = (transport: Transport): TransportEvents | undefined => {
      if (settled) {
        transport.terminate();
        return undefined;
      }
      const dialled = this.#connect(transport, greeted);
      connection = dialled;
      return this.#eventsOf(dialled, () => fail(dialled.closeCause ?? this.#notGreeted(address)));
    };
    network.connect(address, accept, this.#options.security?.()?.credentials()).catch((cause) => {
      const isTyped = cause instanceof P2pfsError;
      fail(isTyped ? cause : new P2pfsError("unreachable", `nobody answers at ${address}`, { cause }));
    });
    return promise;
  }

  /** The other side has closed before it said who it is, as one does that encrypts if this one does not. */
  #notGreeted(address: Address): P2pfsError {
    const hint =
      this.#options.security?.() === undefined
        ? "if it is of a private swarm, `p2pfs swarm join` lets this machine in"
        : "if it is of no swarm, use a data folder that is of none (--data)";
    return new P2pfsError("unreachable", `${address} closed the connection`, { hint });
  }

  /** Closes connections with those that are no members any more. */
  closeLapsed(): void {
    for (const connection of this.#connections) connection.closeIfLapsed();
  }

  #connect(transport: Transport, greeted: (connection: Connection) => void): Connection {
    const { system, local } = this.#options;
    const { clock } = system;
    const security = this.#options.security?.();
    return new Connection({
      transport,
      local: local(),
      security,
      greeted,
      clock,
      turns: this.#turns,
    });
  }

  #eventsOf(connection: Connection, closed: () => void): TransportEvents {
    this.#connections.add(connection);
    return {
      secured: (shown) => connection.handleSecured(shown),
      data: (piece) => connection.handleData(piece),
      drain: () => connection.handleDrain(),
      closed: (error) => {
        connection.handleClosed(error);
        this.#connections.delete(connection);
        closed();
      },
    };
  }
}
