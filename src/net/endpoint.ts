/**
 * A role's end of the network, one for each role: it listens for connections, dials others, and says HELLO on all of
 * them in the role's name. What the connections are for is the role's business.
 */
import { type Address, type HostPort, makeAddress } from "../core/address.ts";
import { type Deadline, deadlineIn } from "../core/deadline.ts";
import { P2pfsError } from "../core/errors.ts";
import { isForOthers, type ListeningPolicy, listenError } from "../core/listening.ts";
import { Admission, type AdmissionBounds, type Conduct } from "./admission.ts";
import { Connection, type LocalHello } from "./connection.ts";
import { LOOKUP_MS_MAX, resolveHost, resolveHostPort } from "./host-name.ts";
import { LoopTurns } from "./loop-turns.ts";
import type { System } from "./system.ts";
import type { Transport, TransportEvents } from "./transport.ts";

/** Fit the usual limit on descriptors. */
const CONNECTIONS_MAX = 512;

export interface EndpointOptions {
  readonly system: System;
  /** What this side says of itself, on each connection anew. */
  readonly local: () => LocalHello;
}

export interface ListenOptions extends HostPort {
  /** How a user names another place to listen. */
  readonly flag?: string | undefined;
  /** Without it any address will do, as it does for a host that was checked before. */
  readonly policy?: ListeningPolicy | undefined;
  /** Open at the same time. Databases, files and the admin endpoint need descriptors as well. */
  readonly connectionsMax?: number | undefined;
  readonly admission?: Partial<AdmissionBounds> | undefined;
  /** What a connection that was handed out has done so far; without it, all are alike and none grows idle. */
  conductOf?(connection: Connection): Conduct | undefined;
  /** So many connections are open that from now on the idlest have to go. */
  full?(connectionsMax: number): void;
  /** Called for every connection whose HELLO arrived; sets its handlers before it returns. */
  onConnection(connection: Connection): void;
}

export interface Listener {
  /** Where it listens; the host as asked for, the port as given by the system. */
  readonly address: Address;
  /** Takes no new connections; those that are open stay. */
  stop(): void;
}

export interface DialOptions {
  readonly timeoutMs: number;
  /** Called when the HELLO of the other side is here; sets the handlers before it returns. */
  onConnection?(connection: Connection): void;
}

export class Endpoint {
  readonly #options: EndpointOptions;
  readonly #turns: LoopTurns;

  constructor(options: EndpointOptions) {
    this.#options = options;
    this.#turns = new LoopTurns(options.system.clock);
  }

  get system(): System {
    return this.#options.system;
  }

  /** The IP of a host name that no command waits for. Throws as `resolveHost`. */
  resolve(host: string): Promise<string> {
    const { clock } = this.system;
    return resolveHost(host, deadlineIn(LOOKUP_MS_MAX, clock.now()), this.system);
  }

  /** As `resolve`, with a port, until a deadline. */
  resolveHostPort(named: HostPort, deadline: Deadline): Promise<Address> {
    return resolveHostPort(named, deadline, this.system);
  }

  /** Port 0 asks for any free port. Throws `already_running` where the port is taken, `refused` by the policy. */
  async listen(options: ListenOptions): Promise<Listener> {
    const { host, port, policy, onConnection, connectionsMax = CONNECTIONS_MAX } = options;
    const ip = await this.resolve(host);
    if (policy !== undefined) isForOthers(ip, policy);
    const admission = new Admission(this.system.clock, {
      ...options.admission,
      placesMax: connectionsMax,
      conductOf: (connection) => options.conductOf?.(connection),
      full: (placesMax) => options.full?.(placesMax),
    });
    const accept = (transport: Transport): TransportEvents | undefined => {
      if (!admission.makeRoom()) {
        transport.terminate();
        return undefined;
      }
      const connection = this.#connect(transport, onConnection);
      // What it is sent at the end goes out before.
      admission.enter(connection, () => queueMicrotask(() => transport.terminate()));
      return eventsOf(connection, () => admission.leave(connection));
    };
    try {
      const listener = this.system.network.listen(ip, port, accept);
      const stop = () => {
        admission.close();
        listener.stop();
      };
      return { address: makeAddress(ip, listener.port), stop };
    } catch (cause) {
      admission.close();
      throw listenError({ host, port }, options.flag ?? "HOST PORT", cause);
    }
  }

  /** Connects and exchanges HELLO, all within the timeout. Throws `unreachable` or what the other side refused with. */
  dial(address: Address, { timeoutMs, onConnection }: DialOptions): Promise<Connection> {
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
      return eventsOf(dialled, () =>
        fail(dialled.closeCause ?? new P2pfsError("unreachable", `${address} closed the connection`)),
      );
    };
    network
      .connect(address, accept)
      .catch((cause) => fail(new P2pfsError("unreachable", `nobody answers at ${address}`, { cause })));
    return promise;
  }

  #connect(transport: Transport, greeted: (connection: Connection) => void): Connection {
    const { system, local } = this.#options;
    return new Connection({ transport, local: local(), greeted, clock: system.clock, turns: this.#turns });
  }
}

function eventsOf(connection: Connection, closed: () => void): TransportEvents {
  return {
    data: (piece) => connection.handleData(piece),
    drain: () => connection.handleDrain(),
    closed: (error) => {
      connection.handleClosed(error);
      closed();
    },
  };
}
