/** A tracker and peers in this process, over real sockets, SQLite and files in a temp folder of their own. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Address, hostOf, portOf } from "../../src/core/address.ts";
import { NOTICE_MS_MAX } from "../../src/core/limits.ts";
import { textOf } from "../../src/core/log.ts";
import { Peer, type PeerOptions } from "../../src/peer/peer.ts";
import type { FetchReceipt, Published } from "../../src/peer/types.ts";
import { type DataFolder, openDataFolder } from "../../src/store/data-folder.ts";
import { Tracker } from "../../src/tracker/tracker.ts";

export class Cluster {
  readonly folder = mkdtempSync(join(tmpdir(), "p2pfs-test-"));
  readonly peers: Peer[] = [];
  tracker!: Tracker;
  trackerAddress!: Address;
  readonly log: string[] = [];
  readonly #folders = new Map<Peer | Tracker, DataFolder>();

  static async start(): Promise<Cluster> {
    const cluster = new Cluster();
    await cluster.startTracker();
    return cluster;
  }

  /** On the port that it had before, if it was started before. */
  async startTracker(): Promise<void> {
    const port = this.trackerAddress === undefined ? 0 : portOf(this.trackerAddress);
    const dataFolder = openDataFolder({ role: "tracker", flag: join(this.folder, "tracker") });
    this.tracker = await Tracker.open({
      dataFolder,
      open: false,
      log: (_level, ...entry) => void this.log.push(textOf(...entry)),
    });
    this.#folders.set(this.tracker, dataFolder);
    this.trackerAddress = await this.tracker.start({ host: "127.0.0.1", port });
  }

  async stopTracker(): Promise<void> {
    await this.tracker.close();
    this.#folders.get(this.tracker)?.close();
  }

  /** The same name again is the same data folder. */
  async startPeer(name: string, options: Partial<PeerOptions> = {}): Promise<Peer> {
    const home = join(this.folder, name);
    mkdirSync(home, { recursive: true });
    const dataFolder = openDataFolder({ role: "peer", flag: join(home, "data") });
    const peer = await Peer.open({
      dataFolder,
      filesFolder: join(home, "files"),
      listen: { host: "127.0.0.1", port: 0 },
      advertise: undefined,
      tracker: { host: hostOf(this.trackerAddress), port: portOf(this.trackerAddress) },
      open: false,
      log: (level, ...entry) => void this.log.push(`${name} ${level}: ${textOf(...entry)}`),
      ...options,
    });
    this.peers.push(peer);
    this.#folders.set(peer, dataFolder);
    return peer;
  }

  async stopPeer(peer: Peer): Promise<void> {
    this.peers.splice(this.peers.indexOf(peer), 1);
    await peer.close();
    this.#folders.get(peer)?.close();
  }

  async startPeers(names: readonly string[]): Promise<Peer[]> {
    const peers: Peer[] = [];
    for (const name of names) peers.push(await this.startPeer(name));
    await Promise.all(peers.map((peer) => until(() => peer.status().connected)));
    return peers;
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  /** A file of pseudo-random bytes; equal sizes and seeds give equal files. */
  makeFile(name: string, size: number, seed = 1): string {
    const path = this.path(name);
    writeFileSync(path, randomBytes(size, seed));
    return path;
  }

  publish(peer: Peer, path: string, fname?: string): Promise<Published> {
    return peer.publish({ path, lname: path, fname });
  }

  async close(): Promise<void> {
    await Promise.all([...this.peers].map((peer) => this.stopPeer(peer)));
    await this.stopTracker();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export async function fetchTo(peer: Peer, what: string, destination: string): Promise<FetchReceipt> {
  const job = await peer.fetch({ what, destination });
  return job.done;
}

/** The error that the promise rejects with. */
export async function errorOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => {
      throw new Error("expected a rejection");
    },
    (error: unknown) => error,
  );
}

/** Waits for a state that has no event to wait for; fails after the time that the contract gives a notice. */
export async function until(condition: () => boolean | Promise<boolean>, withinMs = NOTICE_MS_MAX): Promise<void> {
  const deadline = performance.now() + withinMs;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`not so within ${withinMs} ms: ${condition}`);
    await Bun.sleep(5);
  }
}

/** xorshift32: fast, and the same everywhere. */
export function randomBytes(size: number, seed: number): Uint8Array {
  const words = new Uint32Array(Math.ceil(size / 4));
  let state = seed * 2654435761 || 1;
  for (let index = 0; index < words.length; index++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[index] = state;
  }
  return new Uint8Array(words.buffer).subarray(0, size);
}
