/** A bare TCP client that sends given bytes from a given local address. */
import { createConnection, type Socket } from "node:net";
import { type Address, hostOf, portOf } from "../../src/core/address.ts";
import { encodeFrame } from "../../src/wire/frame.ts";
import { PROTOCOL_VERSION } from "../../src/wire/messages.ts";

export const helloFrame = encodeFrame({
  type: "HELLO",
  version: PROTOCOL_VERSION,
  role: "peer",
  agent: "raw",
  address: null,
});

export interface RawClient {
  readonly socket: Socket;
  /** Whether the other side has closed the connection. */
  isClosed(): boolean;
}

/** A connected client that has sent HELLO. The caller has to destroy it. */
export function connectRaw(to: Address, from = "127.0.0.1"): Promise<RawClient> {
  const socket = createConnection({ host: hostOf(to), port: portOf(to), localAddress: from });
  let closed = false;
  socket.on("error", () => undefined);
  socket.on("close", () => {
    closed = true;
  });
  socket.resume();
  return new Promise((resolve) => {
    const connected = () => resolve({ socket, isClosed: () => closed });
    socket.once("connect", () => {
      socket.write(helloFrame);
      connected();
    });
    socket.once("close", connected);
  });
}
