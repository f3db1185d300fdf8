/** The network as Bun's native TCP sockets, encrypted by TLS 1.3 where there are credentials. */
import type { Socket } from "bun";
import { canonicalIp, hostOf, portOf } from "../core/address.ts";
import { SECOND_MS } from "../core/units.ts";
import type { Accept, Credentials, Network, ShownCertificate, Transport, TransportEvents } from "./transport.ts";

/** As TLS writes its version. Bun would go down to 1.2. */
const TLS_1_3 = 0x0304;
const KEEP_ALIVE_DELAY_MS = 30 * SECOND_MS;

/** `events` is undefined for a socket that `accept` refused. */
interface SocketData {
  events: TransportEvents | undefined;
}

function handlersOf(accept: Accept) {
  return {
    open(socket: Socket<SocketData>) {
      socket.setNoDelay(true);
      socket.setKeepAlive(true, KEEP_ALIVE_DELAY_MS);
      socket.data = { events: accept(transportOf(socket)) };
    },
    data: (socket: Socket<SocketData>, piece: Uint8Array) => socket.data?.events?.data(piece),
    drain: (socket: Socket<SocketData>) => socket.data?.events?.drain(),
    close: (socket: Socket<SocketData>, error?: Error | null) => socket.data?.events?.closed(error),
    error: (socket: Socket<SocketData>) => socket.terminate(),
    /** `isDone` is true for a certificate that is not trusted, too. */
    handshake(socket: Socket<SocketData>, isDone: boolean) {
      if (isDone) return socket.data?.events?.secured?.(shownBy(socket));
      if (isAnswered(socket)) socket.data?.events?.wasted?.();
      socket.terminate();
    },
  };
}

/** The cipher is chosen with the answer to the first message, which is signed. */
function isAnswered(socket: Socket<SocketData>): boolean {
  return Boolean(socket.getCipher()?.name);
}

function shownBy(socket: Socket<SocketData>): ShownCertificate | undefined {
  const certificate = socket.getPeerX509Certificate();
  return certificate && { der: certificate.raw, isTrusted: socket.authorized };
}

/** Others are identified when the handshake is done, so that a reason can be given. */
function tlsOf({ key, certificates, authority, serverName }: Credentials) {
  return {
    key,
    cert: certificates,
    ca: authority,
    serverName,
    requestCert: true,
    rejectUnauthorized: false,
    minVersion: TLS_1_3,
  };
}

function transportOf(socket: Socket<SocketData>): Transport {
  return {
    remote: { ip: canonicalIp(socket.remoteAddress), port: socket.remotePort },
    write: (bytes) => socket.write(bytes),
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
    end: () => void socket.end(),
    terminate: () => void socket.terminate(),
    isAnswered: () => isAnswered(socket),
  };
}

export const bunNetwork: Network = {
  listen(ip, port, accept, credentials) {
    const tls = credentials && { tls: tlsOf(credentials) };
    const listener = Bun.listen<SocketData>({ hostname: ip, port, ...tls, socket: handlersOf(accept) });
    return { port: listener.port, stop: () => listener.stop() };
  },
  async connect(address, accept, credentials) {
    const socket = { ...handlersOf(accept), connectError: () => {} };
    const tls = credentials && { tls: tlsOf(credentials) };
    await Bun.connect<SocketData>({ hostname: hostOf(address), port: portOf(address), ...tls, socket });
  },
};
