/**
 * A room: machines on one network in memory, all in virtual time. A wait of ten minutes takes no time, and each run is
 * the same as the one before. Tests in a room are synchronous: they say how long to run, or what to wait for.
 */
import { drainMicrotasks } from "bun:jsc";
import type { Address } from "../../src/core/address.ts";
import { P2pfsError } from "../../src/core/errors.ts";
import { MINUTE_MS } from "../../src/core/units.ts";
import type { Connection, LocalHello } from "../../src/net/connection.ts";
import { type DialOptions, Endpoint, type Listener, type ListenOptions } from "../../src/net/endpoint.ts";
import type { Transport, TransportEvents } from "../../src/net/transport.ts";
import { encodeFrame } from "../../src/wire/frame.ts";
import { type Message, type MessageName, PROTOCOL_VERSION, type Role } from "../../src/wire/messages.ts";
import { VirtualClock } from "../sim/clock.ts";
import { SimulatedNetwork } from "../sim/system/network.ts";
import { Process } from "../sim/system/process.ts";
import { seededRandom } from "../swarm/support.ts";
import { Recorder } from "../wire/recorder.ts";

/** Waits end with an error after this time, so that a test of something that never comes ends as well. */
const WAIT_MS_MAX = 20 * MINUTE_MS;

export interface RoomOptions {
  readonly seed?: number;
  /** From one machine to another, each time. */
  readonly latencyMs?: (random: () => number) => number;
}

export class Room {
  readonly clock = new VirtualClock();
  readonly random: () => number;
  readonly network: SimulatedNetwork;

  constructor({ seed = 1, latencyMs = () => 1 }: RoomOptions = {}) {
    const { clock } = this;
    const random = seededRandom(seed);
    this.random = random;
    this.network = new SimulatedNetwork({ clock, random, latencyMs: () => latencyMs(random) });
  }

  get now(): number {
    return this.clock.now;
  }

  machine(ip: string): Process {
    return new Process({ ip, clock: this.clock, network: this.network, random: this.random });
  }

  /** Lets so much time pass. */
  run(ms: number): void {
    let isOver = false;
    this.clock.after(ms, () => {
      isOver = true;
    });
    this.until(() => isOver, ms + 1);
  }

  /** Runs until the condition holds; throws where it does not within this time. */
  until(condition: () => boolean, withinMs = WAIT_MS_MAX): void {
    const endMs = this.now + withinMs;
    drainMicrotasks();
    while (!condition()) {
      if (this.now > endMs || !this.clock.step()) throw new Error(`waited in vain for ${condition}`);
      drainMicrotasks();
    }
  }

  /** The promise's value, after as much time as it takes. Throws what the promise rejects with. */
  wait<Value>(promise: Promise<Value>, withinMs = WAIT_MS_MAX): Value {
    let outcome: { readonly value: Value } | { readonly thrown: unknown } | undefined;
    promise.then(
      (value) => {
        outcome = { value };
      },
      (thrown: unknown) => {
        outcome = { thrown };
      },
    );
    this.until(() => outcome !== undefined, withinMs);
    if ("thrown" in outcome!) throw outcome.thrown;
    return outcome!.value;
  }

  /** The error with which the promise rejects. */
  failure(promise: Promise<unknown>, withinMs = WAIT_MS_MAX): P2pfsError {
    try {
      this.wait(promise, withinMs);
    } catch (thrown) {
      if (thrown instanceof P2pfsError) return thrown;
      throw thrown;
    }
    throw new Error("expected an error");
  }

  /** How long the promise takes to settle, either way. */
  duration(promise: Promise<unknown>, withinMs = WAIT_MS_MAX): number {
    const startMs = this.now;
    const settled = promise.then(
      () => undefined,
      () => undefined,
    );
    this.wait(settled, withinMs);
    return this.now - startMs;
  }

  /** Whether nothing is planned any more after so much time, so that no timer was left behind. */
  isQuietAfter(ms: number): boolean {
    const endMs = this.now + ms;
    drainMicrotasks();
    while (this.now <= endMs) {
      if (!this.clock.step()) return true;
      drainMicrotasks();
    }
    return false;
  }

  listen(machine: Process, options: Partial<ListenOptions> & { readonly role?: Role } = {}): Listener {
    const { role = "peer", ...others } = options;
    const listening = endpointAt(machine, role).listen({
      host: machine.ip,
      port: 7000,
      onConnection: () => {},
      ...others,
    });
    return this.wait(listening);
  }

  dial(machine: Process, to: Address, options: Partial<DialOptions> & { readonly role?: Role } = {}): Connection {
    const { role = "peer", ...others } = options;
    return this.wait(endpointAt(machine, role).dial(to, { timeoutMs: 5000, ...others }));
  }

  /** Connects without a word. */
  dialRaw(machine: Process, to: Address): RawEnd {
    let end: RawEnd | undefined;
    const accept = (transport: Transport) => {
      end = new RawEnd(transport);
      return end.events;
    };
    this.wait(machine.system.network.connect(to, accept));
    return end ?? RawEnd.refused();
  }

  /** Takes connections and says nothing. */
  listenRaw(machine: Process, port = 7000): { readonly address: Address; readonly ends: RawEnd[] } {
    const ends: RawEnd[] = [];
    machine.system.network.listen(machine.ip, port, (transport) => {
      const end = new RawEnd(transport);
      ends.push(end);
      return end.events;
    });
    return { address: `${machine.ip}:${port}` as Address, ends };
  }
}

export function endpointAt(machine: Process, role: Role = "peer", hello: Partial<LocalHello> = {}): Endpoint {
  const { system } = machine;
  return new Endpoint({ system, local: () => ({ role, agent: "test", address: null, ...hello }) });
}

/** One end of a stream without a Connection: what the test does not write is not sent. */
export class RawEnd {
  readonly transport: Transport;
  readonly events: TransportEvents;
  readonly #recorder = new Recorder();
  #isClosed = false;
  #unsent: Uint8Array[] = [];

  constructor(transport: Transport) {
    this.transport = transport;
    this.events = {
      data: (piece) => void this.#recorder.decoder.push(piece),
      drain: () => this.#flush(),
      closed: () => {
        this.#isClosed = true;
      },
    };
  }

  /** One that the other side closed on its arrival: this network never opens such a stream. */
  static refused(): RawEnd {
    const nothing = () => {};
    const remote = { ip: "0.0.0.0", port: 1 };
    const transport = { remote, write: () => -1, pause: nothing, resume: nothing, end: nothing, terminate: nothing };
    const end = new RawEnd(transport);
    end.#isClosed = true;
    return end;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Each call is a piece of its own on the way. */
  write(bytes: Uint8Array): void {
    this.#unsent.push(bytes);
    this.#flush();
  }

  send(message: Message, payload: Uint8Array = new Uint8Array(0)): void {
    this.write(encodeFrame(message, payload.length));
    if (payload.length > 0) this.write(payload);
  }

  hello(role: Role = "peer"): void {
    this.send({ type: "HELLO", version: PROTOCOL_VERSION, role, agent: "raw", address: null });
  }

  /** Names of all received messages. */
  get types(): MessageName[] {
    return this.#recorder.messages.map(({ message }) => message.type);
  }

  /** The received messages of this type. */
  all<Name extends MessageName>(type: Name): Message<Name>[] {
    const messages = this.#recorder.messages.map(({ message }) => message);
    return messages.filter((message) => message.type === type) as unknown as Message<Name>[];
  }

  get payloads(): Uint8Array[] {
    return this.#recorder.messages.flatMap(({ payload }) => payload ?? []);
  }

  #flush(): void {
    while (this.#unsent.length > 0) {
      const [bytes] = this.#unsent as [Uint8Array];
      const taken = Math.max(0, this.transport.write(bytes));
      if (taken < bytes.length) {
        this.#unsent[0] = bytes.subarray(taken);
        return;
      }
      this.#unsent.shift();
    }
  }
}
