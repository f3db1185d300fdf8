/** The other end of a connection without a Connection: says HELLO, and after that sends the bytes that a test gives. */
import { createConnection, createServer, type Socket } from "node:net";
import { type Address, type HostPort, hostOf, makeAddress, portOf } from "../../src/core/address.ts";
import { encodeFrame } from "../../src/wire/frame.ts";
import { type Message, type MessageName, PROTOCOL_VERSION } from "../../src/wire/messages.ts";
import { Recorder } from "../wire/recorder.ts";
import { closeLater } from "./closing.ts";
import { helloOf } from "./protocol-peer.ts";
import { until } from "./until.ts";

export interface RawDialOptions {
  /** The local IP. */
  readonly from?: string | undefined;
  /** The first bytes; HELLO of a peer without this. */
  readonly hello?: Uint8Array;
}

export function helloFrame(...hello: Parameters<typeof helloOf>): Uint8Array {
  return encodeFrame({ type: "HELLO", version: PROTOCOL_VERSION, ...helloOf(...hello) });
}

/** An address where connections are accepted and no byte is ever sent. */
export function listenMute(): HostPort {
  const listener = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: () => undefined } });
  closeLater(listener, () => listener.stop(true));
  return { host: "127.0.0.1", port: listener.port };
}

export class RawPeer {
  /** Whether the other side has closed the connection. */
  isClosed = false;
  readonly closed: Promise<void>;
  readonly #socket: Socket;
  readonly #recorder = new Recorder();

  private constructor(socket: Socket, hello: Uint8Array) {
    this.#socket = socket;
    this.closed = new Promise((resolve) => socket.once("close", resolve));
    this.closed.then(() => {
      this.isClosed = true;
    });
    // Its end is seen by `close`.
    socket.on("error", () => undefined);
    socket.on("data", (bytes: Buffer) => this.#recorder.decoder.push(bytes));
    void this.send(hello);
  }

  /** Connected, or closed already where the other side takes nobody. */
  static async dial(
    to: Address,
    { from = "127.0.0.1", hello = helloFrame("peer") }: RawDialOptions = {},
  ): Promise<RawPeer> {
    const socket = createConnection({ host: hostOf(to), port: portOf(to), localAddress: from, noDelay: true });
    const peer = closeLater(new RawPeer(socket, hello), (peer) => peer.close());
    await Promise.race([peer.closed, new Promise<void>((resolve) => socket.once("connect", resolve))]);
    return peer;
  }

  /** Waits at an address for one connection. */
  static async listen(hello: Uint8Array): Promise<{ readonly address: Address; readonly accepted: Promise<RawPeer> }> {
    const { promise: accepted, resolve } = Promise.withResolvers<RawPeer>();
    let peer: RawPeer | undefined;
    const server = createServer({ noDelay: true }, (socket) => {
      peer = new RawPeer(socket, hello);
      resolve(peer);
    });
    closeLater(server, () => {
      server.close();
      peer?.close();
    });
    await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
    return { address: makeAddress("127.0.0.1", (server.address() as { port: number }).port), accepted };
  }

  /** All messages received so far. */
  get messages(): Message[] {
    return this.#recorder.messages.map(({ message }) => message);
  }

  /** Resolves when the kernel has taken the bytes, or the connection is closed. */
  send(...pieces: readonly Uint8Array[]): Promise<void> {
    return new Promise((resolve) => this.#socket.write(Buffer.concat(pieces), () => resolve()));
  }

  /** Resolves when so many messages of this type have been received. */
  received(name: MessageName, times = 1): Promise<void> {
    const count = () => this.messages.filter(({ type }) => type === name).length;
    return until(`${times} × ${name}`, () => count() >= times);
  }

  /** Does not read any more. */
  pause(): void {
    this.#socket.pause();
  }

  close(): void {
    this.#socket.destroy();
  }
}
