/**
 * A TCP proxy between two real roles that does to their frames what bad lines and bad peers do. It knows where frames
 * begin and end, so that every kind of fault hits where it hurts; which frame is hit by what follows from a seed.
 */
import { connect, createServer, type Server, type Socket } from "node:net";
import { encodeFrame, FRAME_PREFIX_BYTES, FrameDecoder } from "../../src/wire/frame.ts";
import { type Message, messageTable } from "../../src/wire/messages.ts";
import { welcoming } from "../wire/recorder.ts";
import { closeLater } from "./closing.ts";

export const faultKinds = ["reset", "stall", "delay", "truncate", "flip", "wrong chunk"] as const;
export type FaultKind = (typeof faultKinds)[number];

const DELAY_MS_MAX = 400;
/** Of the faults that hit chunks, which are the only frames that it fits. */
const WRONG_CHUNK_SHARE = 0.4;
/** Peers find each other and the tracker proves their addresses by these; faults begin after them. */
const SPARED = new Set<number>([messageTable.HELLO.id, messageTable.REQUEST_PROOF.id, messageTable.REPLY_PROOF.id]);

export interface FaultProxyOptions {
  /** Numbers from 0 to below 1, seeded. */
  readonly random: () => number;
  /** How likely a frame is hit. */
  readonly rate: number;
  readonly kinds?: readonly FaultKind[];
  /** No more than so many faults, over all connections. */
  readonly faultsMax?: number;
  /** Called for each fault. */
  readonly injected: (kind: FaultKind) => void;
}

export class FaultProxy {
  readonly port: number;
  readonly #options: FaultProxyOptions;
  readonly #server: Server;
  readonly #target = Promise.withResolvers<number>();
  readonly #sockets = new Set<Socket>();
  /** Those that nothing gets through any more. */
  readonly #silent = new Set<Socket>();
  #faults = 0;
  #isSilent = false;
  /** Resolves when it is mended; undefined while it is not cut. */
  #cut: PromiseWithResolvers<void> | undefined;

  /** Closed after the test. */
  static async start(options: FaultProxyOptions): Promise<FaultProxy> {
    const { promise, resolve, reject } = Promise.withResolvers<FaultProxy>();
    const server = createServer({ noDelay: true });
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => resolve(new FaultProxy(server, options)));
    return closeLater(await promise, (proxy) => proxy.close());
  }

  /** Without faults of its own, until it falls silent or is closed. */
  static async sound(port?: number): Promise<FaultProxy> {
    const proxy = await FaultProxy.start({ random: () => 1, rate: 0, injected: () => {} });
    if (port !== undefined) proxy.forwardTo(port);
    return proxy;
  }

  private constructor(server: Server, options: FaultProxyOptions) {
    this.#server = server;
    this.#options = options;
    this.port = (server.address() as { port: number }).port;
    server.on("connection", (client) => this.#accept(client));
  }

  /** The port behind the proxy. Connections wait until it is known. */
  forwardTo(port: number): void {
    this.#target.resolve(port);
  }

  /** From now on nothing gets through, and no end is closed: as when a cable is pulled. */
  goSilent(): void {
    this.#isSilent = true;
  }

  /** The same, until it is mended; new connections wait until then. Gives both ends of each old one, still open. */
  cut(): Socket[] {
    const cut = [...this.#sockets];
    for (const socket of cut) this.#silent.add(socket);
    this.#cut ??= Promise.withResolvers();
    return cut;
  }

  /** New connections work again. */
  mend(): void {
    this.#cut?.resolve();
    this.#cut = undefined;
  }

  /** As if the process behind it were gone. */
  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  async #accept(client: Socket): Promise<void> {
    this.#track(client);
    client.pause();
    await this.#cut?.promise;
    if (client.destroyed) return;
    const holder = connect({ host: "127.0.0.1", port: await this.#target.promise, noDelay: true });
    this.#track(holder);
    const breakOff = () => {
      client.resetAndDestroy();
      holder.resetAndDestroy();
    };
    this.#forward(client, holder, breakOff);
    this.#forward(holder, client, breakOff);
  }

  #track(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.#sockets.delete(socket));
  }

  #forward(from: Socket, to: Socket, breakOff: () => void): void {
    const line = new FaultyLine({
      write: (bytes) => {
        if (!to.write(bytes)) from.pause();
      },
      end: () => to.end(),
      breakOff,
      chooseFault: (frame) => this.#chooseFault(frame),
      random: this.#options.random,
    });
    const isSilent = () => this.#isSilent || this.#silent.has(from);
    to.on("drain", () => from.resume());
    from.on("data", (bytes: Buffer) => {
      if (!isSilent()) line.push(bytes);
    });
    from.on("close", () => {
      if (!isSilent()) line.close();
    });
    from.resume();
  }

  #chooseFault(frame: Uint8Array): FaultKind | undefined {
    const { random, rate, kinds = faultKinds, faultsMax = Number.POSITIVE_INFINITY, injected } = this.#options;
    if (SPARED.has(frame[4]!) || this.#faults >= faultsMax || random() >= rate) return undefined;
    const isChunk = frame[4] === messageTable.PEER_REPLY_CHUNK.id;
    const swaps = isChunk && kinds.includes("wrong chunk") && random() < WRONG_CHUNK_SHARE;
    const fitting = kinds.filter((kind) => kind !== "wrong chunk");
    const kind = swaps ? "wrong chunk" : fitting[Math.floor(random() * fitting.length)];
    if (kind === undefined) return undefined;
    this.#faults++;
    injected(kind);
    return kind;
  }
}

interface LineHost {
  write(bytes: Uint8Array): void;
  end(): void;
  breakOff(): void;
  chooseFault(frame: Uint8Array): FaultKind | undefined;
  random(): number;
}

/** One direction of one connection. */
class FaultyLine {
  readonly #host: LineHost;
  #received: Uint8Array = new Uint8Array(0);
  /** Frames go out one after the other, delays included. */
  #sent: Promise<void> = Promise.resolve();
  #isDead = false;
  /** The last chunk that passed, to be given in place of another. */
  #lastChunk: { readonly message: Message; readonly payload: Uint8Array } | undefined;

  constructor(host: LineHost) {
    this.#host = host;
  }

  push(bytes: Uint8Array): void {
    this.#received = this.#received.length === 0 ? Uint8Array.from(bytes) : Buffer.concat([this.#received, bytes]);
    for (;;) {
      if (this.#received.length < FRAME_PREFIX_BYTES) return;
      const view = new DataView(this.#received.buffer, this.#received.byteOffset);
      const length = FRAME_PREFIX_BYTES + view.getUint32(0);
      if (this.#received.length < length) return;
      const frame = this.#received.slice(0, length);
      this.#received = this.#received.subarray(length);
      this.#sent = this.#sent.then(() => this.#pass(frame));
    }
  }

  close(): void {
    this.#sent = this.#sent.then(() => this.#host.end());
  }

  async #pass(frame: Uint8Array): Promise<void> {
    if (this.#isDead) return;
    const fault = this.#host.chooseFault(frame);
    if (fault === "reset") return this.#die(() => this.#host.breakOff());
    if (fault === "stall") return this.#die(() => {});
    if (fault === "delay") await Bun.sleep(this.#host.random() * DELAY_MS_MAX);
    if (fault === "truncate")
      return this.#die(() => {
        this.#host.write(frame.subarray(0, Math.floor(this.#host.random() * frame.length)));
        this.#host.end();
      });
    if (fault === "flip")
      frame[Math.floor(this.#host.random() * frame.length)]! ^= 1 << Math.floor(this.#host.random() * 8);
    this.#host.write(fault === "wrong chunk" ? this.#withOtherChunk(frame) : frame);
    if (fault === undefined && frame[4] === messageTable.PEER_REPLY_CHUNK.id) this.#lastChunk = decode(frame);
  }

  #die(last: () => void): void {
    this.#isDead = true;
    last();
  }

  /** The right bytes of a chunk that was not asked for; where none has passed yet, the chunk under a wrong number. */
  #withOtherChunk(frame: Uint8Array): Uint8Array {
    const asked = decode(frame);
    if (asked?.message.type !== "PEER_REPLY_CHUNK") return frame;
    const given = this.#lastChunk?.message.type === "PEER_REPLY_CHUNK" ? this.#lastChunk : asked;
    const message = given.message as Message<"PEER_REPLY_CHUNK">;
    const chunknum = given === asked ? message.chunknum + 1 : message.chunknum;
    const head = encodeFrame({ ...message, chunknum, request: asked.message.request }, given.payload.length);
    return Buffer.concat([head, given.payload]);
  }
}

function decode(frame: Uint8Array): { readonly message: Message; readonly payload: Uint8Array } | undefined {
  let found: { message: Message; payload: Uint8Array } | undefined;
  const decoder = new FrameDecoder({
    ...welcoming,
    openPayload: (_message, bytes) => new Uint8Array(bytes),
    handleMessage: (message, payload = new Uint8Array(0)) => {
      found = { message, payload };
    },
    handleFault: () => {},
  });
  decoder.push(frame);
  return found;
}
