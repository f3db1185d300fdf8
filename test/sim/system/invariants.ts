/** What has to hold in a simulated system: at any moment, and when all is calm again. */
import type { Address } from "../../../src/core/address.ts";
import { P2pfsError } from "../../../src/core/errors.ts";
import { LEASE_MS, NOTICE_MS_MAX } from "../../../src/core/limits.ts";
import { chunkSizeFor } from "../../../src/core/manifest.ts";
import { MiB, SECOND_MS } from "../../../src/core/units.ts";
import type { Backlog } from "../../../src/net/backlog.ts";
import { CONTROL_QUEUE_BYTES_MAX } from "../../../src/net/send-queue.ts";
import type { FetchJob } from "../../../src/peer/fetch-job.ts";
import { UPLOAD_BOUNDS } from "../../../src/swarm/bounds.ts";
import type { Process } from "./process.ts";
import { CONNECTIONS_MAX, FILES_FOLDER, type PeerHost, type World } from "./world.ts";

/** A fetch holds a window of chunks and what waits for the disk. */
const BUFFER_BYTES_MAX = 64 * MiB;
/** For one that runs again to be back in the lists: backoff, dialling, registration and announcement. */
const REJOIN_MS_MAX = 12 * SECOND_MS;
/** A notice may come late by what is under way in one turn. */
export const NOTICE_SLACK_MS = 100;
/** Between two looks at what has to hold always. */
const LOOK_EVERY_MS = 250;
/** Between two looks at who is listed. */
const LIST_EVERY_MS = 2 * SECOND_MS;

export interface Published {
  readonly host: PeerHost;
  readonly path: string;
  readonly fname: string;
  readonly bytes: Uint8Array;
  readonly ticket: string;
}

/** A fetch that a user began. */
export interface Started {
  readonly host: PeerHost;
  readonly process: Process;
  readonly atMs: number;
  readonly what: Published;
  readonly destination: string;
  isBegun: boolean;
  job: FetchJob | undefined;
  isOver: boolean;
}

/** What users have done so far. */
export interface Deeds {
  readonly published: Published[];
  readonly started: Started[];
  /** Of each file by its number. */
  readonly bytesOf: Uint8Array[];
}

export class Invariants {
  readonly #world: World;
  readonly #deeds: Deeds;
  /** Whole files that were compared with their content already, by host and path. */
  readonly #compared = new Map<string, Uint8Array>();
  #nextLookMs = 0;
  #nextListMs = 0;

  constructor(world: World, deeds: Deeds) {
    this.#world = world;
    this.#deeds = deeds;
  }

  /** What has to hold at any time. */
  look(): void {
    const world = this.#world;
    const { now } = world.clock;
    if (now < this.#nextLookMs) return;
    this.#nextLookMs = now + LOOK_EVERY_MS;
    for (const { ip, peer } of world.hosts) {
      const { uploads = 0, bufferBytesTaken = 0, ...backlog } = peer?.backlog ?? { connections: 0, sendBytes: 0 };
      this.#expectBounded(ip, backlog);
      if (uploads > UPLOAD_BOUNDS.requestsMax) world.violated(`${ip} has ${uploads} requests waiting`);
      if (bufferBytesTaken > BUFFER_BYTES_MAX) world.violated(`${ip} has ${bufferBytesTaken} bytes of buffers in use`);
    }
    for (const { ip, tracker } of world.trackers) if (tracker !== undefined) this.#expectBounded(ip, tracker.backlog);
    for (const started of this.#deeds.started) {
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
    if (now < this.#nextListMs) return;
    this.#nextListMs = now + LIST_EVERY_MS;
    void this.#expectNobodyDelisted();
  }

  #expectBounded(ip: string, { connections, sendBytes }: Backlog): void {
    if (connections > CONNECTIONS_MAX) this.#world.violated(`${ip} has ${connections} connections`);
    if (sendBytes > connections * CONTROL_QUEUE_BYTES_MAX)
      this.#world.violated(`${ip} has ${sendBytes} bytes waiting in ${connections} connections`);
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
    const { clock, hosts, registry } = this.#world;
    const steady = hosts.filter(
      ({ upSinceMs, home }) =>
        upSinceMs !== undefined && clock.now - upSinceMs > LEASE_MS + REJOIN_MS_MAX && home.isAnswering,
    );
    if (steady.length === 0) return;
    const online = new Set((await registry.listPeers(null)).rows.map(({ address }) => address));
    for (const host of steady)
      if (!online.has(host.address as Address)) {
        this.#world.violated(`${host.ip} is not listed, although it is there`);
        host.upSinceMs = clock.now;
      }
  }

  expectListed(): void {
    for (const host of this.#world.hosts) {
      const isConnected = host.peer?.status().connected === true;
      if (isConnected === host.isRevoked)
        this.#world.violated(`${host.ip} ${isConnected ? "was removed and is still there" : "has not joined again"}`);
    }
    for (const { isOver, process, host, what } of this.#deeds.started)
      if (!isOver && process.isAlive && !host.isRevoked && !what.host.disk.read(what.path))
        this.#world.violated(`${host.ip} still waits for ${what.fname}`);
  }

  /** Whatever fetch made them, in whatever process: what has a final name has the right bytes. */
  expectWholeFiles(): void {
    for (const host of this.#world.hosts) {
      for (const path of host.disk.paths()) {
        const number = new RegExp(`^${FILES_FOLDER}/file-(\\d+)-`).exec(path)?.[1];
        if (number !== undefined) this.expectFile(host, path, this.#deeds.bytesOf[Number(number)]!);
      }
    }
  }

  expectFile(host: PeerHost, path: string, bytes: Uint8Array): void {
    const found = host.disk.read(path);
    const name = `${host.ip} ${path}`;
    if (found === undefined) return this.#world.violated(`${name} is not there, although its fetch is done`);
    if (this.#compared.get(name) === found) return;
    this.#compared.set(name, found);
    if (Buffer.compare(found, bytes) !== 0) this.#world.violated(`${name} differs from what was published`);
  }

  expectTyped(what: string, thrown: unknown): void {
    if (!(thrown instanceof P2pfsError) || thrown.code === "internal")
      this.#world.violated(`${what} failed with ${thrown}`);
    else this.#world.log(`${what} failed: ${thrown.message}`);
  }
}
