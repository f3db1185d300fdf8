/**
 * A network in virtual time: streams with latency and bounded buffers, partitions during which nothing arrives, resets,
 * and processes that are frozen or gone. All chance comes from the seed.
 */
import { type Address, hostOf, makeAddress, portOf } from "../../../src/core/address.ts";
import { KiB } from "../../../src/core/units.ts";
import type {
  Accept,
  Credentials,
  Network,
  ShownCertificate,
  Transport,
  TransportEvents,
  TransportListener,
} from "../../../src/net/transport.ts";
import type { VirtualClock } from "../clock.ts";
import { shownBy } from "./members.ts";
import type { Process } from "./process.ts";

/** What the kernels of both sides buffer of one direction. */
const PIPE_BYTES_MAX = 256 * KiB;
const PIECE_BYTES_MAX = 64 * KiB;
const FIRST_FREE_PORT = 40_000;

export interface NetworkOptions {
  readonly clock: VirtualClock;
  readonly random: () => number;
  readonly latencyMs: () => number;
}

interface Listening {
  readonly process: Process;
  readonly accept: Accept;
  readonly credentials: Credentials | undefined;
}

export class SimulatedNetwork {
  readonly #options: NetworkOptions;
  readonly #listening = new Map<Address, Listening>();
  readonly #streams = new Set<Stream>();
  /** Pairs of IPs between which nothing arrives, and until when. */
  readonly #partitions = new Map<string, number>();
  #nextPort = FIRST_FREE_PORT;

  constructor(options: NetworkOptions) {
    this.#options = options;
  }

  of(process: Process): Network {
    return {
      listen: (ip, port, accept, credentials) => this.#listen(process, { ip, port, accept, credentials }),
      connect: (address, accept, credentials) => this.#connect(process, address, accept, credentials),
    };
  }

  /** Nothing arrives between the two for so long; what is sent meanwhile arrives afterwards. */
  partition(one: string, other: string, ms: number): void {
    this.#partitions.set(pairOf(one, other), this.#options.clock.now + ms);
  }

  healAll(): void {
    this.#partitions.clear();
  }

  /** Resets some open stream, if there is one. */
  resetSome(): void {
    const streams = [...this.#streams];
    streams[Math.floor(this.#options.random() * streams.length)]?.reset();
  }

  /** The system of the process tells the other sides, as far as they can be reached. */
  dropProcess(process: Process): void {
    for (const [address, listening] of this.#listening)
      if (listening.process === process) this.#listening.delete(address);
    for (const stream of [...this.#streams]) stream.dropProcess(process);
  }

  /** Calls when the partition between the two is over and the latency has passed. */
  arrive(one: string, other: string, notBefore: number, action: () => void): number {
    const { clock, latencyMs } = this.#options;
    const at = Math.max(notBefore, clock.now + latencyMs());
    const tryAt = (time: number) =>
      clock.at(time, () => {
        const healsAt = this.#partitions.get(pairOf(one, other)) ?? 0;
        if (healsAt > clock.now) tryAt(healsAt);
        else action();
      });
    tryAt(at);
    return at;
  }

  forget(stream: Stream): void {
    this.#streams.delete(stream);
  }

  #listen(
    process: Process,
    { ip, port, ...how }: { readonly ip: string; readonly port: number } & Omit<Listening, "process">,
  ): TransportListener {
    const given = port === 0 ? this.#nextPort++ : port;
    const address = makeAddress(ip, given);
    if (this.#listening.has(address)) throw Object.assign(new Error("in use"), { code: "EADDRINUSE" });
    this.#listening.set(address, { process, ...how });
    return { port: given, stop: () => void this.#listening.delete(address) };
  }

  #connect(process: Process, address: Address, accept: Accept, credentials?: Credentials): Promise<void> {
    const ip = hostOf(address);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.arrive(process.ip, ip, 0, () => {
      const listening = this.#listening.get(address);
      if (listening === undefined) {
        this.arrive(ip, process.ip, 0, () => process.run(() => reject(new Error("connection refused"))));
        return;
      }
      const stream = new Stream(this, [process, listening.process], [this.#nextPort++, portOf(address)]);
      this.#streams.add(stream);
      // The kernel accepts at once, the process when it runs.
      listening.process.run(() => stream.open(1, listening.accept, listening.credentials));
      this.arrive(ip, process.ip, 0, () =>
        process.run(() => {
          stream.open(0, accept, credentials);
          resolve();
        }),
      );
    });
    return promise;
  }
}

type Side = 0 | 1;

interface Handshake {
  readonly shown: ShownCertificate | undefined;
}

/** One direction. */
interface Pipe {
  /** Written and not yet handed to the reader. */
  bytes: number;
  readonly arrived: (Uint8Array | Handshake)[];
  lastArrivalMs: number;
  isPaused: boolean;
  isReading: boolean;
  isWriterBlocked: boolean;
  hasEnded: boolean;
}

class Stream {
  readonly #network: SimulatedNetwork;
  readonly #processes: readonly [Process, Process];
  readonly #ports: readonly [number, number];
  readonly #events: [TransportEvents | undefined, TransportEvents | undefined] = [undefined, undefined];
  readonly #isOpened: [boolean, boolean] = [false, false];
  /** Whether a side waits for the other one's part of the handshake. */
  readonly #isShaking: [boolean, boolean] = [false, false];
  readonly #isClosed: [boolean, boolean] = [false, false];
  /** By who reads. */
  readonly #pipes: readonly [Pipe, Pipe] = [newPipe(), newPipe()];

  constructor(network: SimulatedNetwork, processes: readonly [Process, Process], ports: readonly [number, number]) {
    this.#network = network;
    this.#processes = processes;
    this.#ports = ports;
  }

  open(side: Side, accept: Accept, credentials: Credentials | undefined): void {
    if (this.#isClosed[side]) return;
    this.#isOpened[side] = true;
    this.#isShaking[side] = credentials !== undefined;
    if (credentials !== undefined) this.#shakeHands(side, credentials);
    this.#events[side] = accept(this.#transportOf(side));
    this.#deliver(side);
  }

  /** In one message instead of three. */
  #shakeHands(side: Side, { certificates }: Credentials): void {
    const reader = other(side);
    this.#arriveInOrder(side, () => {
      this.#pipes[reader].arrived.push({ shown: shownBy(certificates) });
      this.#processes[reader].run(() => this.#deliver(reader));
    });
  }

  /** Both sides see it break. */
  reset(): void {
    for (const side of [0, 1] as const) this.#close(side, new Error("connection reset"));
  }

  dropProcess(process: Process): void {
    for (const side of [0, 1] as const) {
      if (this.#processes[side] !== process) continue;
      this.#isClosed[side] = true;
      this.#notify(other(side), new Error("connection reset"));
    }
  }

  #transportOf(side: Side): Transport {
    const remote = other(side);
    const incoming = this.#pipes[side];
    return {
      remote: { ip: this.#processes[remote].ip, port: this.#ports[remote] },
      write: (bytes) => this.#write(side, bytes),
      pause: () => {
        incoming.isPaused = true;
      },
      resume: () => {
        incoming.isPaused = false;
        this.#processes[side].soon(() => this.#deliver(side));
      },
      end: () => this.#end(side),
      terminate: () => {
        if (this.#isClosed[side]) return;
        this.#notify(remote, new Error("connection reset"));
        this.#processes[side].soon(() => this.#close(side));
      },
    };
  }

  #write(side: Side, bytes: Uint8Array): number {
    const reader = other(side);
    const pipe = this.#pipes[reader];
    if (this.#isClosed[side] || pipe.hasEnded) return -1;
    if (this.#isShaking[side]) return 0;
    const accepted = Math.min(bytes.length, PIPE_BYTES_MAX - pipe.bytes);
    pipe.bytes += accepted;
    pipe.isWriterBlocked = accepted < bytes.length;
    for (let start = 0; start < accepted; start += PIECE_BYTES_MAX) {
      const piece = bytes.slice(start, Math.min(accepted, start + PIECE_BYTES_MAX));
      this.#arriveInOrder(side, () => {
        pipe.arrived.push(piece);
        this.#processes[reader].run(() => this.#deliver(reader));
      });
    }
    return accepted;
  }

  #end(side: Side): void {
    const pipe = this.#pipes[other(side)];
    if (pipe.hasEnded) return;
    pipe.hasEnded = true;
    this.#arriveInOrder(side, () => this.#processes[other(side)].run(() => this.#finish(other(side))));
    this.#arriveInOrder(side, () => this.#processes[side].run(() => this.#close(side)));
  }

  #arriveInOrder(from: Side, action: () => void): void {
    const pipe = this.#pipes[other(from)];
    const [one, two] = [this.#processes[from].ip, this.#processes[other(from)].ip];
    pipe.lastArrivalMs = this.#network.arrive(one, two, pipe.lastArrivalMs, action);
  }

  #deliver(side: Side): void {
    const pipe = this.#pipes[side];
    if (pipe.isReading || !this.#isOpened[side]) return;
    pipe.isReading = true;
    while (pipe.arrived.length > 0 && !pipe.isPaused && !this.#isClosed[side]) {
      const piece = pipe.arrived.shift()!;
      if ("shown" in piece !== this.#isShaking[side]) {
        // One side encrypts and the other one does not.
        pipe.isReading = false;
        return this.reset();
      }
      if ("shown" in piece) {
        this.#isShaking[side] = false;
        this.#events[side]?.secured?.(piece.shown);
        if (!this.#isClosed[side]) this.#events[side]?.drain();
        continue;
      }
      pipe.bytes -= piece.length;
      this.#events[side]?.data(piece);
      if (!pipe.isWriterBlocked) continue;
      pipe.isWriterBlocked = false;
      const writer = other(side);
      this.#network.arrive(this.#processes[side].ip, this.#processes[writer].ip, 0, () =>
        this.#processes[writer].run(() => {
          if (!this.#isClosed[writer]) this.#events[writer]?.drain();
        }),
      );
    }
    pipe.isReading = false;
  }

  /** The other side has ended; what came before is read first. */
  #finish(side: Side): void {
    const pipe = this.#pipes[side];
    if (pipe.arrived.length > 0 && !this.#isClosed[side] && this.#isOpened[side]) {
      this.#deliver(side);
      if (pipe.arrived.length > 0) {
        this.#processes[side].later(10, () => this.#finish(side));
        return;
      }
    }
    this.#close(side);
  }

  #notify(side: Side, error: Error): void {
    const [from, to] = [this.#processes[other(side)].ip, this.#processes[side].ip];
    this.#network.arrive(from, to, 0, () => this.#processes[side].run(() => this.#close(side, error)));
  }

  #close(side: Side, error?: Error): void {
    if (this.#isClosed[side]) return;
    this.#isClosed[side] = true;
    this.#events[side]?.closed(error);
    if (this.#isClosed[other(side)]) this.#network.forget(this);
    else if (error === undefined) this.#notify(other(side), new Error("connection reset"));
  }
}

function newPipe(): Pipe {
  return {
    bytes: 0,
    arrived: [],
    lastArrivalMs: 0,
    isPaused: false,
    isReading: false,
    isWriterBlocked: false,
    hasEnded: false,
  };
}

function other(side: Side): Side {
  return side === 0 ? 1 : 0;
}

function pairOf(one: string, other: string): string {
  return one < other ? `${one} ${other}` : `${other} ${one}`;
}
