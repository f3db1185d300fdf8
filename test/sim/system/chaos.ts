/**
 * A time of chaos and a time of calm: peers publish, fetch, cancel and leave, while connections break, machines are cut
 * off, processes freeze and die, and somebody writes nonsense to everybody. Afterwards everything heals, and what has to
 * hold then is checked; what has to hold always is checked at every step.
 */
import fc from "fast-check";
import type { Address } from "../../../src/core/address.ts";
import { P2pfsError } from "../../../src/core/errors.ts";
import { CHUNK_SIZE_MIN, LEASE_MS, NOTICE_MS_MAX } from "../../../src/core/limits.ts";
import { chunkSizeFor } from "../../../src/core/manifest.ts";
import { parseTicket } from "../../../src/core/ticket.ts";
import { KiB, MiB, SECOND_MS } from "../../../src/core/units.ts";
import type { Transport, TransportEvents } from "../../../src/net/transport.ts";
import type { FetchJob } from "../../../src/peer/fetch-job.ts";
import { encodeFrame } from "../../../src/wire/frame.ts";
import { PROTOCOL_VERSION } from "../../../src/wire/messages.ts";
import { randomBytes } from "../../e2e/cluster.ts";
import { messageNames, messageOf } from "../../wire/arbitraries.ts";
import { startLiar } from "./liar.ts";
import type { Process } from "./process.ts";
import { FILES_FOLDER, type PeerHost, World } from "./world.ts";

const CHUNKS_MAX = 6;
/** A fetch holds a window of chunks and what waits for the disk. */
const BUFFER_BYTES_MAX = 64 * MiB;
/** For one that runs again to be back in the lists: backoff, dialling, registration and announcement. */
const REJOIN_MS_MAX = 12 * SECOND_MS;
/** A notice may come late by what is under way in one turn. */
const NOTICE_SLACK_MS = 100;
/** Between two looks at what has to hold always. */
const LOOK_EVERY_MS = 250;
const CALM_MS = 40 * SECOND_MS;
const FETCH_MS_MAX = 150 * SECOND_MS;
const HOSTILE_IP = "10.0.9.1";
const LIAR_IPS = "10.0.8.";
const LIARS_MAX = 2;

export interface ChaosOptions {
  readonly seed: number;
  readonly peersMax?: number;
  readonly chaosMs?: number;
  /** Breaks something when all is calm, to show that this is noticed. */
  readonly sabotage?: ((world: World) => void) | undefined;
}

interface Published {
  readonly host: PeerHost;
  readonly path: string;
  readonly fname: string;
  readonly bytes: Uint8Array;
  readonly ticket: string;
}

interface Started {
  readonly host: PeerHost;
  readonly process: Process;
  readonly atMs: number;
  readonly what: Published;
  readonly destination: string;
  isBegun: boolean;
  job: FetchJob | undefined;
  isOver: boolean;
}

export interface ChaosResult {
  readonly violations: readonly string[];
  readonly journal: readonly string[];
  readonly events: number;
  readonly published: number;
  readonly fetched: number;
  readonly failed: number;
}

export function chaos({ seed, peersMax = 5, chaosMs = 20 * SECOND_MS, sabotage }: ChaosOptions): ChaosResult {
  return new Chaos(seed, peersMax).run(chaosMs, sabotage);
}

class Chaos {
  readonly #world: World;
  readonly #published: Published[] = [];
  readonly #started: Started[] = [];
  /** Whole files that were compared with their content already, by host and path. */
  readonly #compared = new Map<string, Uint8Array>();
  /** Of each file by its number. */
  readonly #bytesOf: Uint8Array[] = [];
  #files = 0;
  #liars = 0;
  #fetched = 0;
  #failed = 0;
  #nextLookMs = 0;

  constructor(seed: number, peersMax: number) {
    this.#world = new World(seed, 2 + (seed % (peersMax - 1)));
  }

  run(chaosMs: number, sabotage: ChaosOptions["sabotage"]): ChaosResult {
    const world = this.#world;
    world.await("the tracker's start", world.startTracker(), SECOND_MS);
    for (const host of world.hosts) world.await("a peer's start", host.start(), SECOND_MS);
    for (let endMs = world.clock.now + chaosMs; world.clock.now < endMs; ) {
      this.#act();
      world.runUntil(world.clock.now + 1500 * world.random() ** 2, () => this.#look());
    }
    this.#calmDown();
    world.runUntil(world.clock.now + CALM_MS / 2, () => this.#look());
    sabotage?.(world);
    world.runUntil(world.clock.now + CALM_MS / 2, () => this.#look());
    this.#expectListed();
    this.#fetchWhatCanBe();
    this.#expectWholeFiles();
    for (const host of world.hosts) world.await("a peer's end", host.close(), 5 * SECOND_MS);
    const result = {
      violations: world.violations,
      journal: world.journal,
      events: world.clock.steps,
      published: this.#published.length,
      fetched: this.#fetched,
      failed: this.#failed,
    };
    world.close();
    return result;
  }

  #act(): void {
    const actions: [number, () => void][] = [
      [4, () => this.#publish()],
      [8, () => this.#fetch()],
      [1, () => this.#endSomeFetch()],
      [1, () => this.#unpublish()],
      [1, () => this.#tamper()],
      [1, () => this.#limit()],
      [2, () => this.#world.network.resetSome()],
      [1, () => this.#partition()],
      [1, () => this.#freeze()],
      [1, () => this.#restartPeer()],
      [1, () => this.#restartTracker()],
      [2, () => this.#sendNonsense()],
      [1, () => this.#addLiar()],
    ];
    let left = this.#world.random() * actions.reduce((sum, [weight]) => sum + weight, 0);
    for (const [weight, action] of actions) {
      left -= weight;
      if (left < 0) return action();
    }
  }

  #publish(host = this.#someUp()): void {
    const { random } = this.#world;
    const peer = host?.peer;
    if (host === undefined || peer === undefined) return;
    const number = ++this.#files;
    const size = Math.floor(CHUNKS_MAX * CHUNK_SIZE_MIN * random() ** 2);
    const bytes = randomBytes(size, number);
    this.#bytesOf[number] = bytes;
    const [path, fname] = [`/shared/${number}`, `file-${number}`];
    host.disk.write(path, bytes);
    this.#journal(`${host.ip} publishes ${fname}, ${size} bytes`);
    peer.publish({ path, lname: path, fname }).then(
      ({ ticket }) => void this.#published.push({ host, path, fname, bytes, ticket }),
      (thrown: unknown) => this.#expectTyped(`publish of ${fname}`, thrown),
    );
  }

  #fetch(host = this.#someUp(), what = this.#someOf(this.#published)): Started | undefined {
    const { peer, process } = host ?? {};
    if (host === undefined || peer === undefined || process === undefined || what === undefined) return undefined;
    const destination = `${FILES_FOLDER}/${what.fname}-${this.#world.random() < 0.8 ? "" : this.#files}`;
    const started: Started = {
      host,
      process,
      atMs: this.#world.clock.now,
      what,
      destination,
      isBegun: false,
      job: undefined,
      isOver: false,
    };
    this.#journal(`${host.ip} fetches ${what.fname} to ${destination}`);
    this.#started.push(started);
    const end = (thrown: unknown) => {
      started.isBegun = true;
      started.isOver = true;
      this.#failed++;
      this.#expectTyped(`fetch of ${what.fname}`, thrown);
    };
    peer.fetch({ what: what.ticket, destination }).then((job) => {
      started.isBegun = true;
      started.job = job;
      job.done.then(() => {
        started.isOver = true;
        this.#fetched++;
        this.#expectFile(host, destination, what.bytes);
      }, end);
    }, end);
    return started;
  }

  #endSomeFetch(): void {
    const job = this.#someOf(this.#started.filter(({ isOver, process }) => !isOver && process.isAlive))?.job;
    if (this.#world.random() < 0.5) job?.cancel();
    else job?.stop();
  }

  #unpublish(): void {
    const what = this.#someOf(this.#published);
    if (what?.host.peer === undefined) return;
    what.host.peer
      .unpublish(what.fname)
      .catch((thrown: unknown) => this.#expectTyped(`unpublish of ${what.fname}`, thrown));
  }

  /** A shared file is written over. */
  #tamper(): void {
    const what = this.#someOf(this.#published);
    if (what === undefined) return;
    this.#journal(`${what.path} of ${what.host.ip} is written over`);
    what.host.disk.write(what.path, randomBytes(what.bytes.length, 9999));
  }

  #limit(): void {
    const { random } = this.#world;
    this.#someUp()?.peer?.setLimits({
      up_limit: random() < 0.5 ? null : Math.floor(16 * KiB + MiB * random()),
      down_limit: random() < 0.5 ? null : Math.floor(16 * KiB + MiB * random()),
    });
  }

  #partition(): void {
    const { random, hosts, network, trackerIp } = this.#world;
    const ips = [trackerIp, ...hosts.map(({ ip }) => ip)];
    const one = this.#someOf(ips)!;
    const ms = 20 * SECOND_MS * random() ** 2;
    for (const other of ips) if (other !== one && random() < 0.7) network.partition(one, other, ms);
    this.#journal(`${one} is cut off for ${ms.toFixed(0)} ms`);
    this.#unsettle(hosts, ms);
  }

  #freeze(): void {
    const { random, hosts } = this.#world;
    const host = this.#someOf(hosts);
    const ms = 15 * SECOND_MS * random() ** 2;
    if (random() < 0.2) {
      this.#world.trackerProcess?.freeze(ms);
      this.#unsettle(hosts, ms);
    } else {
      host?.process?.freeze(ms);
      if (host !== undefined) this.#unsettle([host], ms);
    }
    this.#journal(`a process is frozen for ${ms.toFixed(0)} ms`);
  }

  #restartPeer(): void {
    const { random, clock } = this.#world;
    const host = this.#someUp();
    if (host === undefined) return;
    this.#journal(`${host.ip} is restarted`);
    if (random() < 0.7) host.kill();
    else void host.close();
    clock.after(1500 + 3 * SECOND_MS * random(), () => void host.start());
  }

  #restartTracker(): void {
    const { random, clock, hosts } = this.#world;
    const ms = 3 * SECOND_MS * random();
    this.#journal("the tracker is restarted");
    this.#world.killTracker();
    this.#unsettle(hosts, ms);
    clock.after(ms, () => void this.#world.startTracker());
  }

  /** Somebody joins who says that it holds a content; it stays. */
  #addLiar(): void {
    const what = this.#someOf(this.#published);
    if (what === undefined || this.#liars === LIARS_MAX) return;
    const { random, trackerIp } = this.#world;
    const process = this.#world.newProcess(`${LIAR_IPS}${++this.#liars}`);
    this.#journal(`${process.ip} lies about ${what.fname}`);
    startLiar({
      process,
      tracker: `${trackerIp}:7700` as Address,
      contentId: parseTicket(what.ticket).contentId,
      size: what.bytes.length,
      random,
    }).catch(() => {});
  }

  /** Somebody connects, says HELLO, and sends valid messages of any kind, or bytes that are none. */
  #sendNonsense(): void {
    const { random, hosts, trackerIp } = this.#world;
    const host = this.#someOf(hosts);
    const target = (random() < 0.3 ? `${trackerIp}:7700` : host?.address) as Address;
    const process = this.#world.newProcess(HOSTILE_IP);
    const hello = { type: "HELLO", version: PROTOCOL_VERSION, role: "peer", agent: "?", address: null } as const;
    const accept = (transport: Transport): TransportEvents => {
      transport.write(encodeFrame(hello));
      for (let count = Math.floor(20 * random()); count > 0; count--) transport.write(this.#nonsense());
      process.later(20 * SECOND_MS * random(), () => transport.terminate());
      return { data: () => {}, drain: () => {}, closed: () => {} };
    };
    process.system.network.connect(target, accept).catch(() => {});
  }

  #nonsense(): Uint8Array {
    const { random } = this.#world;
    if (random() < 0.1) return randomBytes(Math.floor(1 + 100 * random()), Math.floor(1 + 1e6 * random()));
    const name = this.#someOf(messageNames)!;
    const [message] = fc.sample(messageOf(name), { seed: Math.floor(2 ** 31 * random()), numRuns: 1 });
    const frame = encodeFrame(message!);
    if (random() < 0.1) frame[Math.floor(frame.length * random())]! ^= 0xff;
    return frame;
  }

  #calmDown(): void {
    const { hosts, network } = this.#world;
    this.#journal("calm");
    network.healAll();
    for (const host of hosts) {
      host.peer?.setLimits({ up_limit: null, down_limit: null });
      void host.start();
    }
    void this.#world.startTracker();
  }

  /** What has to hold at any time. */
  #look(): void {
    const world = this.#world;
    const { now } = world.clock;
    if (now < this.#nextLookMs) return;
    this.#nextLookMs = now + LOOK_EVERY_MS;
    for (const host of world.hosts) {
      const bytes = host.peer?.bufferBytesTaken ?? 0;
      if (bytes > BUFFER_BYTES_MAX) world.violated(`${host.ip} has ${bytes} bytes of buffers in use`);
    }
    for (const started of this.#started) {
      if (!started.isOver && started.job !== undefined) this.#expectVerified(started);
      if (started.isBegun || !started.process.isAlive || started.process.isFrozen) continue;
      const upSinceMs = started.host.upSinceMs ?? now;
      const waitedMs = now - Math.max(started.atMs, upSinceMs);
      if (waitedMs > NOTICE_MS_MAX + NOTICE_SLACK_MS) {
        world.violated(
          `${started.host.ip} has no notice of its fetch of ${started.what.fname} after ${waitedMs} ms (R5)`,
        );
        started.isBegun = true;
      }
    }
    this.#expectNobodyDelisted();
  }

  /** Every chunk that counts has the right bytes. */
  #expectVerified({ job, host, what, destination }: Started): void {
    const found = host.disk.unfinishedBytes(destination, job!.contentId);
    if (found === undefined) return;
    const chunkSize = chunkSizeFor(what.bytes.length);
    for (const chunk of job!.have) {
      const [start, end] = [chunk * chunkSize, (chunk + 1) * chunkSize];
      if (Buffer.compare(found.subarray(start, end), what.bytes.subarray(start, end)) !== 0)
        this.#world.violated(`${host.ip} counts chunk ${chunk} of ${what.fname}, whose bytes are wrong`);
    }
  }

  async #expectNobodyDelisted(): Promise<void> {
    const { clock, hosts, tracker, trackerProcess } = this.#world;
    if (tracker === undefined || trackerProcess?.isFrozen !== false) return;
    const steady = hosts.filter(
      ({ upSinceMs }) => upSinceMs !== undefined && clock.now - upSinceMs > LEASE_MS + REJOIN_MS_MAX,
    );
    if (steady.length === 0) return;
    const online = new Set((await tracker.registry.listPeers(null)).rows.map(({ address }) => address));
    for (const host of steady)
      if (!online.has(host.address as Address)) {
        this.#world.violated(`${host.ip} is not listed, although it is there`);
        host.upSinceMs = clock.now;
      }
  }

  #expectListed(): void {
    for (const host of this.#world.hosts)
      if (host.peer?.status().connected !== true) this.#world.violated(`${host.ip} has not joined again`);
    for (const { isOver, process, host, what } of this.#started)
      if (!isOver && process.isAlive && !what.host.disk.read(what.path))
        this.#world.violated(`${host.ip} still waits for ${what.fname}`);
  }

  /** In the end whatever somebody shares can be had. */
  #fetchWhatCanBe(): void {
    const world = this.#world;
    for (const what of this.#published) {
      const isShared = what.host.peer?.shares().some(({ fname, served }) => fname === what.fname && served) ?? false;
      const other = world.hosts.find((host) => host !== what.host && host.peer !== undefined);
      if (!isShared || other === undefined) continue;
      const destination = `${FILES_FOLDER}/${what.fname}-in-the-end`;
      const job = world.await(
        `the start of the last fetch of ${what.fname}`,
        other.peer!.fetch({ what: what.ticket, destination }),
        NOTICE_MS_MAX + NOTICE_SLACK_MS,
      );
      if (job === undefined) continue;
      world.await(`the last fetch of ${what.fname}`, job.done, FETCH_MS_MAX);
      this.#expectFile(other, destination, what.bytes);
    }
    const waiting = this.#started.filter(({ isOver, process }) => !isOver && process.isAlive);
    const endMs = world.clock.now + FETCH_MS_MAX;
    while (waiting.some(({ isOver }) => !isOver) && world.clock.now < endMs)
      world.runUntil(world.clock.now + SECOND_MS);
    for (const { isOver, host, what } of waiting)
      if (!isOver) world.violated(`the fetch of ${what.fname} by ${host.ip} does not end`);
  }

  /** Whatever fetch made them, in whatever process: what has a final name has the right bytes. */
  #expectWholeFiles(): void {
    for (const host of this.#world.hosts) {
      for (const path of host.disk.paths()) {
        const number = new RegExp(`^${FILES_FOLDER}/file-(\\d+)-`).exec(path)?.[1];
        if (number !== undefined) this.#expectFile(host, path, this.#bytesOf[Number(number)]!);
      }
    }
  }

  #expectFile(host: PeerHost, path: string, bytes: Uint8Array): void {
    const found = host.disk.read(path);
    const name = `${host.ip} ${path}`;
    if (found === undefined) return this.#world.violated(`${name} is not there, although its fetch is done`);
    if (this.#compared.get(name) === found) return;
    this.#compared.set(name, found);
    if (Buffer.compare(found, bytes) !== 0) this.#world.violated(`${name} differs from what was published`);
  }

  #expectTyped(what: string, thrown: unknown): void {
    if (!(thrown instanceof P2pfsError) || thrown.code === "internal")
      this.#world.violated(`${what} failed with ${thrown}`);
    else this.#journal(`${what} failed: ${thrown.message}`);
  }

  /** Who may be delisted until it has had time to come back. */
  #unsettle(hosts: readonly PeerHost[], ms: number): void {
    const { clock } = this.#world;
    for (const host of hosts)
      if (host.upSinceMs !== undefined) host.upSinceMs = Math.max(host.upSinceMs, clock.now + ms);
  }

  #someUp(): PeerHost | undefined {
    return this.#someOf(
      this.#world.hosts.filter(({ peer, process }) => peer !== undefined && process?.isFrozen === false),
    );
  }

  #someOf<Item>(items: readonly Item[]): Item | undefined {
    return items[Math.floor(this.#world.random() * items.length)];
  }

  #journal(line: string): void {
    this.#world.log(line);
  }
}
