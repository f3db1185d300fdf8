/** Opening connections: listening for them, and dialling within a deadline. Resolving host names on the way. */
import type { Socket, TCPSocketListener } from "bun";
import {
  type Address,
  canonicalIp,
  formatHostPort,
  type HostPort,
  hostOf,
  makeAddress,
  portOf,
} from "../core/address.ts";
import { P2pfsError } from "../core/errors.ts";
import { Admission, type AdmissionBounds, type Conduct } from "./admission.ts";
import { Connection, type LocalHello } from "./connection.ts";
import { lookUpDeadline, resolveHost } from "./host-name.ts";

/** Fit the usual limit on descriptors. */
const CONNECTIONS_MAX = 512;

export interface ListenOptions extends HostPort {
  readonly local: () => LocalHello;
  /** Open at the same time. Databases, files and the endpoint need descriptors as well. */
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

/** Each socket's connection; undefined for one that was turned away at once. */
interface SocketData {
  connection: Connection | undefined;
}

/** Port 0 asks for any free port. Throws `already_running` where the port is taken. */
export async function listen(options: ListenOptions): Promise<Listener> {
  const { host, port, local, onConnection, connectionsMax = CONNECTIONS_MAX } = options;
  const ip = await resolveHost(host, lookUpDeadline());
  let listener: TCPSocketListener<SocketData>;
  const admission = new Admission({
    ...options.admission,
    placesMax: connectionsMax,
    conductOf: (connection) => options.conductOf?.(connection),
    full: (placesMax) => options.full?.(placesMax),
  });
  try {
    listener = Bun.listen<SocketData>({
      hostname: ip,
      port,
      socket: {
        open(socket) {
          if (!admission.makeRoom()) {
            socket.terminate();
            return;
          }
          const connection = adopt(socket, local(), onConnection);
          socket.data = { connection };
          // What it is told at the end goes out before.
          admission.enter(connection, () => queueMicrotask(() => socket.terminate()));
        },
        data: (socket, piece) => socket.data?.connection?.handleData(piece),
        drain: (socket) => socket.data?.connection?.handleDrain(),
        close(socket, error) {
          const connection = socket.data?.connection;
          if (connection === undefined) return;
          admission.leave(connection);
          connection.handleClosed(error);
        },
        error: (socket) => socket.terminate(),
      },
    });
  } catch (cause) {
    admission.close();
    throw listenError(formatHostPort({ host, port }), cause);
  }
  const stop = () => {
    admission.close();
    listener.stop();
  };
  return { address: makeAddress(ip, listener.port), stop };
}

export interface DialOptions {
  readonly local: LocalHello;
  readonly timeoutMs: number;
  /** Called when the HELLO of the other side is here; sets the handlers before it returns. */
  onConnection?(connection: Connection): void;
}

/** Connects and exchanges HELLO, all within the timeout. Throws `unreachable` or what the other side refused with. */
export function dial(address: Address, { local, timeoutMs, onConnection }: DialOptions): Promise<Connection> {
  const { promise, resolve, reject } = Promise.withResolvers<Connection>();
  let connection: Connection | undefined;
  let settled = false;
  const fail = (error: P2pfsError) => {
    settled = true;
    clearTimeout(timer);
    reject(error);
  };
  const timer = setTimeout(() => {
    fail(new P2pfsError("unreachable", `${address} does not answer`));
    connection?.close();
  }, timeoutMs);
  const greeted = (ready: Connection) => {
    if (settled) return;
    settled = true;
    clearTimeout(timer);
    onConnection?.(ready);
    resolve(ready);
  };
  Bun.connect({
    hostname: hostOf(address),
    port: portOf(address),
    socket: {
      open(socket) {
        if (settled) socket.terminate();
        else connection = adopt(socket, local, greeted);
      },
      data: (_socket, piece) => connection?.handleData(piece),
      drain: () => connection?.handleDrain(),
      close(_socket, error) {
        connection?.handleClosed(error);
        if (!settled) fail(connection?.closeCause ?? new P2pfsError("unreachable", `${address} closed the connection`));
      },
      error: (socket) => socket.terminate(),
      connectError: () => {},
    },
  }).catch((cause) => {
    if (!settled) fail(new P2pfsError("unreachable", `nobody answers at ${address}`, { cause }));
  });
  return promise;
}

function adopt(socket: Socket<unknown>, local: LocalHello, greeted: (connection: Connection) => void): Connection {
  socket.setNoDelay(true);
  socket.setKeepAlive(true, KEEP_ALIVE_DELAY_MS);
  const remote = { ip: canonicalIp(socket.remoteAddress), port: socket.remotePort };
  return new Connection(socket, remote, local, greeted);
}

const KEEP_ALIVE_DELAY_MS = 30_000;

function listenError(where: string, cause: unknown): P2pfsError {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  if (code === "EADDRINUSE") return new P2pfsError("already_running", `${where} is in use already`, { cause });
  if (code === "EACCES")
    return new P2pfsError("refused", `no permission to listen on ${where}`, { cause, hint: "take a port above 1023" });
  const hint = "take an address of this machine, such as 127.0.0.1, or 0.0.0.0 for all of them";
  return new P2pfsError("usage", `cannot listen on ${where}: ${cause instanceof Error ? cause.message : cause}`, {
    cause,
    hint,
  });
}
