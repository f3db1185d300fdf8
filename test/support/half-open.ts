/** Handshakes of TLS that are begun and not ended, from any IP of this machine. */
import { createConnection, type Socket } from "node:net";
import { type Address, hostOf, portOf } from "../../src/core/address.ts";

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
