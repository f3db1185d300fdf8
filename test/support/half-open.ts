/** Handshakes of TLS that are begun and not ended, from any IP of this machine. */
import { createConnection, type Socket } from "node:net";
import { connect } from "node:tls";
import { type Address, hostOf, portOf } from "../../src/core/address.ts";

/** The first message of a handshake, as a new member sends it. */
export function clientHello(): Promise<Uint8Array> {
  const { promise, resolve } = Promise.withResolvers<Uint8Array>();
  const listener = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      data(socket, bytes) {
        resolve(bytes.slice());
        socket.end();
        listener.stop();
      },
    },
  });
  const client = connect({ host: "127.0.0.1", port: listener.port, servername: "member.p2pfs", minVersion: "TLSv1.3" });
  client.on("error", () => undefined);
  return promise;
}

export interface HalfOpen {
  readonly socket: Socket;
  /** Whether the other side has done its part; without it, it has closed the connection. */
  readonly isAnswered: boolean;
}

/** Sends this and waits for the answer, or for the end of the connection. */
export function beginHandshake(to: Address, hello: Uint8Array, from = "127.0.0.1"): Promise<HalfOpen> {
  const { promise, resolve } = Promise.withResolvers<HalfOpen>();
  const socket = createConnection({ host: hostOf(to), port: portOf(to), localAddress: from, noDelay: true });
  socket.on("error", () => undefined);
  socket.once("data", () => resolve({ socket, isAnswered: true }));
  socket.once("close", () => resolve({ socket, isAnswered: false }));
  socket.write(hello);
  return promise;
}
