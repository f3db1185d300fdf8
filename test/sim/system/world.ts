/**
 * A whole system in virtual time: real trackers on one registry and real peers over the simulated network, with contents
 * in memory and SQLite in memory. A world is made of its seed: the same seed gives the same run, to the event.
 */
import { drainMicrotasks } from "bun:jsc";
import type { HostPort } from "../../../src/core/address.ts";
import type { Random } from "../../../src/core/clock.ts";
import { P2pfsError } from "../../../src/core/errors.ts";
import { LEASE_MS } from "../../../src/core/limits.ts";
import { textOf } from "../../../src/core/log.ts";
import type { PeerSecret } from "../../../src/core/model.ts";
import { MemoryDisk, MemoryStore } from "../../../src/disk/memory-store.ts";
import { publicKeyOf } from "../../../src/identity/keys.ts";
import { sleep } from "../../../src/net/system.ts";
import { Peer } from "../../../src/peer/peer.ts";
import type { Repository } from "../../../src/peer/repository.ts";
import { type PeerFolder, randomPeerSecret } from "../../../src/store/data-folder.ts";
import { MembershipFiles } from "../../../src/store/membership-files.ts";
import type { Registry } from "../../../src/tracker/registry.ts";
import { Tracker } from "../../../src/tracker/tracker.ts";
import { seededRandom } from "../../swarm/support.ts";
import { VirtualClock } from "../clock.ts";
import { Databases } from "./databases.ts";
import { peerMember, trackerMember } from "./members.ts";
import { SimulatedNetwork } from "./network.ts";
import { Process } from "./process.ts";

const TRACKER_IPS = "10.0.1.";
const PEER_IPS = "10.0.0.";
const TRACKER_PORT = 7700;
const PEER_PORT = 7000;
/**
 * How long a peer with another id may be refused its own address: until the lease of its former session has run out, at
 * each tracker that took it over from one that had gone. In the end it has to be there all the same.
 */
const OTHER_ID_MS_MAX = 5 * LEASE_MS;
/** Of one process, dialled ones included. */
export const CONNECTIONS_MAX = 256;
/** Longer than a connection that is closed may take. */
const LINGER_MS = 1200;
export const FILES_FOLDER = "/files";

/** One machine with a tracker on it, which may be down. */
export class TrackerHost {
  readonly ip: string;
  readonly #world: World;
  readonly #index: number;
  process: Process | undefined;
  /** Defined while it listens. */
  tracker: Tracker | undefined;

  constructor(world: World, index: number) {
    this.#world = world;
    this.#index = index;
    this.ip = `${TRACKER_IPS}${index + 1}`;
  }

  get listen(): HostPort {
    return { host: this.ip, port: TRACKER_PORT };
  }

  get isAnswering(): boolean {
    return this.tracker !== undefined && this.process?.isFrozen === false;
  }

  async start(): Promise<void> {
    if (this.process !== undefined) return;
    const process = this.#world.newProcess(this.ip);
    this.process = process;
    const tracker = await Tracker.open({
      dataFolder: { path: "", databasePath: ":memory:" },
      registry: kept(this.#world.registry),
      insecure: !this.#world.isPrivate,
      swarm: this.#world.isPrivate ? trackerMember(this.#index) : undefined,
      connectionsMax: CONNECTIONS_MAX,
      system: process.system,
      log: (level, ...entry) => this.#world.log(`${this.ip} ${level}: ${textOf(...entry)}`),
    });
    await tracker.start(this.listen);
    if (this.process === process) this.tracker = tracker;
  }

  kill(): void {
    this.process?.kill();
    this.process = undefined;
    this.tracker = undefined;
  }
}

/** One machine with a peer on it, which may be down. */
export class PeerHost {
  readonly ip: string;
  /** Where its peer is registered, or is to be at its next start. */
  home: TrackerHost;
  readonly disk = new MemoryDisk();
  readonly #world: World;
  readonly #index: number;
  process: Process | undefined;
  peer: Peer | undefined;
  #store: MemoryStore | undefined;
  /** What a data folder keeps over restarts; undefined for a peer without one. */
  readonly #kept: KeptFolder | undefined;
  #starts = 0;
  /** Until then it may be refused its address. */
  #otherIdUntilMs = 0;
  /** Whether it was removed from the swarm. */
  isRevoked = false;
  /** Since when it runs without being frozen or cut off, in virtual time; undefined while it does not. */
  upSinceMs: number | undefined;

  constructor(world: World, index: number, home: TrackerHost, hasFolder: boolean) {
    this.#world = world;
    this.#index = index;
    const ip = `${PEER_IPS}${index + 1}`;
    this.ip = ip;
    this.home = home;
    this.#kept = hasFolder ? keptFolder(ip, world.databases.newRepository()) : undefined;
  }

  get address(): string {
    return `${this.ip}:${PEER_PORT}`;
  }

  async start(): Promise<void> {
    if (this.process !== undefined) return;
    const process = this.#world.newProcess(this.ip);
    const { system } = process;
    const { random } = this.#world;
    const store = new MemoryStore({ disk: this.disk, clock: system.clock, accessMs: () => random() * 4 });
    this.process = process;
    this.#store = store;
    const peer = await Peer.open({
      dataFolder: this.#kept?.folder,
      repository: kept(this.#kept?.repository ?? this.#world.databases.newRepository()),
      filesFolder: FILES_FOLDER,
      listen: { host: this.ip, port: PEER_PORT },
      advertise: undefined,
      tracker: this.home.listen,
      membership: this.#world.isPrivate ? peerMember(this.#index) : undefined,
      insecure: !this.#world.isPrivate,
      connectionsMax: CONNECTIONS_MAX / 2,
      system,
      store,
      log: (level, ...entry) => this.#world.log(`${this.ip} ${level}: ${textOf(...entry)}`),
    });
    if (this.process !== process) return;
    this.peer = peer;
    // Without a folder it has another id than before.
    if (this.#kept === undefined && this.#starts++ > 0) this.takeOtherId();
    if (!this.isRevoked) this.upSinceMs = Math.max(this.#world.clock.now, this.#otherIdUntilMs);
  }

  /** From now on its tracker knows it by another id, unless that is of its certificate. */
  takeOtherId(): void {
    if (this.#world.isPrivate && this.#kept !== undefined) return;
    this.#otherIdUntilMs = this.#world.clock.now + OTHER_ID_MS_MAX;
    if (this.upSinceMs !== undefined) this.upSinceMs = Math.max(this.upSinceMs, this.#otherIdUntilMs);
  }

  /** Removes it from the swarm at this tracker. Rejects where that is not there any more. */
  async revokeAt({ membership }: Tracker): Promise<void> {
    const { peerId, key, certificate } = peerMember(this.#index);
    this.isRevoked = true;
    this.upSinceMs = undefined;
    const { members } = this.#world.registry;
    await members.add({ peerId, key: publicKeyOf(key), name: this.ip, role: "peer" });
    await members.certified(peerId, Date.parse(certificate.validTo));
    await membership.revoke(peerId);
  }

  kill(): void {
    this.process?.kill();
    this.#store?.close();
    this.#forget();
  }

  async close(): Promise<void> {
    const { peer, process } = this;
    const store = this.#store;
    this.#forget();
    await peer?.close();
    // Connections may still send what was queued.
    if (process !== undefined) await sleep(process.system.clock, LINGER_MS);
    if (peer !== undefined && peer.backlog.bufferBytesTaken > 0)
      this.#world.violated(`${this.ip} ended with ${peer.backlog.bufferBytesTaken} bytes of buffers in use`);
    process?.kill();
    store?.close();
  }

  #forget(): void {
    this.process = undefined;
    this.peer = undefined;
    this.#store = undefined;
    this.upSinceMs = undefined;
  }
}

export interface WorldOptions {
  readonly peers: number;
  readonly trackers: number;
  /** Whether all are members of a private swarm. */
  readonly isPrivate?: boolean | undefined;
}

export class World {
  readonly seed: number;
  readonly isPrivate: boolean;
  readonly random: () => number;
  readonly clock = new VirtualClock();
  readonly databases = new Databases();
  readonly network: SimulatedNetwork;
  /** Of all trackers; it outlives their processes, as its file would. */
  readonly registry: Registry;
  readonly trackers: readonly TrackerHost[];
  readonly hosts: readonly PeerHost[];
  readonly violations: string[] = [];
  readonly journal: string[] = [];

  constructor(seed: number, { peers, trackers, isPrivate = false }: WorldOptions) {
    this.seed = seed;
    this.isPrivate = isPrivate;
    this.random = seededRandom(seed);
    const { clock, random } = this;
    this.network = new SimulatedNetwork({ clock, random, latencyMs: () => 0.2 + 2 * random() });
    this.registry = this.databases.newRegistry(this.newProcess("10.0.2.1").system);
    this.trackers = Array.from({ length: trackers }, (_, index) => new TrackerHost(this, index));
    this.hosts = Array.from({ length: peers }, (_, index) => {
      const home = this.trackers[Math.floor(random() * trackers)]!;
      return new PeerHost(this, index, home, random() < 0.7);
    });
  }

  newProcess(ip: string): Process {
    return new Process({ ip, clock: this.clock, network: this.network, random: this.random });
  }

  log(line: string): void {
    this.journal.push(`${this.clock.now.toFixed(1)} ${line}`);
    if (line.includes("defect ")) this.violated(line);
  }

  violated(what: string): void {
    this.violations.push(`seed ${this.seed}, at ${this.clock.now.toFixed(1)} ms: ${what}`);
  }

  /** Runs everything that is due until then. `look` is called after each event. */
  runUntil(ms: number, look: () => void = () => {}): void {
    let isOver = false;
    this.clock.at(ms, () => {
      isOver = true;
    });
    while (!isOver && this.clock.step()) {
      drainMicrotasks();
      look();
    }
  }

  /** What was begun in virtual time, run to its end; a violation if that takes longer. */
  await<Result>(what: string, promise: Promise<Result>, withinMs: number): Result | undefined {
    let outcome: { value?: Result; error?: unknown } | undefined;
    promise.then(
      (value) => {
        outcome = { value };
      },
      (error: unknown) => {
        outcome = { error };
      },
    );
    const endMs = this.clock.now + withinMs;
    drainMicrotasks();
    while (outcome === undefined && this.clock.now < endMs) this.runUntil(Math.min(endMs, this.clock.now + 10));
    const { value, error } = outcome ?? {};
    if (outcome === undefined) this.violated(`${what} took longer than ${withinMs} ms`);
    if (error !== undefined) this.violated(`${what} failed: ${error instanceof P2pfsError ? error.message : error}`);
    return value;
  }

  close(): void {
    for (const host of this.trackers) host.kill();
    for (const host of this.hosts) host.kill();
    drainMicrotasks();
    this.databases.giveBack();
  }
}

interface KeptFolder {
  readonly folder: PeerFolder;
  readonly repository: Repository;
}

function keptFolder(path: string, repository: Repository): KeptFolder {
  let secret: PeerSecret | undefined;
  const readOrCreatePeerSecret = (random: Random) => {
    secret ??= randomPeerSecret(random);
    return secret;
  };
  const ports = { rememberedPort: () => undefined, rememberPort: () => {}, membership: new MembershipFiles(path) };
  const folder = { path, databasePath: ":memory:", readOrCreatePeerSecret, ...ports };
  return { folder, repository };
}

/** The same database, which outlives whoever closes it. */
function kept<Closable extends { close(): unknown }>(database: Closable): Closable {
  return new Proxy(database, {
    get(target, name) {
      if (name === "close") return () => Promise.resolve();
      const value = Reflect.get(target, name, target) as unknown;
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
