/**
 * Trackers and peers in this process, over real sockets, SQLite and files, alone (`Cluster`) or with their admin endpoints
 * (`AdminRoles`). All are closed after the test.
 */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { lastingPort } from "../../scripts/lib/ports.ts";
import {
  answerOf,
  linesOf,
  type PeerClient,
  type PublishProgress,
  peerClient,
  type TrackerClient,
  trackerClient,
} from "../../src/admin/client.ts";
import type { RunningRole } from "../../src/admin/host.ts";
import { openPeer as openPeerWithAdmin } from "../../src/admin/open-peer.ts";
import { openTracker as openTrackerWithAdmin } from "../../src/admin/open-tracker.ts";
import { type Address, type HostPort, hostOf, parseHostPort, portOf } from "../../src/core/address.ts";
import { type Log, textOf } from "../../src/core/log.ts";
import type { FetchJob } from "../../src/peer/fetch-job.ts";
import { Peer, type PeerOptions } from "../../src/peer/peer.ts";
import { type FetchReceipt, type Published, PublishedSchema } from "../../src/peer/types.ts";
import { type DataFolder, openDataFolder, readAdminFile } from "../../src/store/data-folder.ts";
import { Tracker, type TrackerOptions } from "../../src/tracker/tracker.ts";
import { randomBytes } from "./bytes.ts";
import { closeLater, closeNow } from "./closing.ts";
import { temporaryFolder } from "./folder.ts";
import { until } from "./until.ts";

/** Any free port of this machine. */
export const ANY_PORT: HostPort = { host: "127.0.0.1", port: 0 };
/** Nothing listens there: port 1 is for root, and unused. */
export const NO_TRACKER: HostPort = { host: "127.0.0.1", port: 1 };

const log = () => undefined;

/** A port of this machine at which a role can start again. */
export async function lastingHostPort(): Promise<HostPort> {
  return { host: "127.0.0.1", port: await lastingPort() };
}

/** Where a peer listens: at a lasting port, which its data folder remembers for its later starts. */
function listenOf(dataFolder: string | undefined): HostPort | Promise<HostPort> {
  return dataFolder !== undefined && existsSync(dataFolder) ? ANY_PORT : lastingHostPort();
}

export function hostPortOf(address: Address): HostPort {
  return { host: hostOf(address), port: portOf(address) };
}

/** A tracker that does not listen yet, in a data folder of its own unless one is named. */
export async function openTracker({
  folder = temporaryFolder(),
  ...options
}: Partial<TrackerOptions> & { readonly folder?: string } = {}): Promise<Tracker> {
  const dataFolder = openFolder("tracker", folder);
  const tracker = await Tracker.open({ dataFolder, log, ...options });
  return closeLater(tracker, async () => {
    await tracker.close();
    await closeNow(dataFolder);
  });
}

/** A tracker that listens on a port of this machine. */
export async function startTracker(
  options: Parameters<typeof openTracker>[0] = {},
): Promise<{ readonly tracker: Tracker; readonly at: Address }> {
  const tracker = await openTracker(options);
  return { tracker, at: await tracker.start(await lastingHostPort()) };
}

/** A peer that knows no tracker unless one is named, and keeps nothing unless it gets a data folder. */
export async function openPeer({
  folder,
  ...options
}: Partial<PeerOptions> & { readonly folder?: string } = {}): Promise<Peer> {
  const listen = options.listen ?? (await listenOf(folder));
  const dataFolder = folder === undefined ? undefined : openFolder("peer", folder);
  const peer = await Peer.open({
    dataFolder,
    filesFolder: options.filesFolder ?? temporaryFolder(),
    advertise: undefined,
    tracker: NO_TRACKER,
    insecure: false,
    log,
    ...options,
    listen,
  });
  return closeLater(peer, async () => {
    await peer.close();
    await closeNow(dataFolder);
  });
}

function openFolder(role: "tracker" | "peer", path: string): DataFolder {
  const folder = openDataFolder({ role, flag: path });
  return closeLater(folder, () => folder.close());
}

/** A tracker and its peers, whose folders lie in one folder. */
export class Cluster {
  readonly folder = temporaryFolder();
  tracker!: Tracker;
  trackerAddress!: Address;
  /** What all roles log: `NAME LEVEL: LINE` of a peer, `tracker LEVEL: LINE` of the tracker. */
  readonly log: string[] = [];

  /** With a tracker that listens. */
  static async open(): Promise<Cluster> {
    const cluster = new Cluster();
    await cluster.startTracker();
    return cluster;
  }

  /** On the port that it had before, if it was started before. */
  async startTracker(): Promise<void> {
    const at = this.trackerAddress === undefined ? await lastingHostPort() : hostPortOf(this.trackerAddress);
    this.tracker = await openTracker({ folder: this.path("tracker"), log: this.#logOf("tracker") });
    this.trackerAddress = await this.tracker.start(at);
  }

  stopTracker(): Promise<void> {
    return closeNow(this.tracker);
  }

  /** The same name again is the same data folder. Does not wait until the peer has joined the tracker. */
  startPeer(name: string, options: Partial<PeerOptions> = {}): Promise<Peer> {
    const home = this.path(name);
    mkdirSync(home, { recursive: true });
    return openPeer({
      folder: join(home, "data"),
      filesFolder: join(home, "files"),
      tracker: hostPortOf(this.trackerAddress),
      log: this.#logOf(name),
      ...options,
    });
  }

  /** A peer that has joined the tracker. */
  async joinPeer(name: string, options?: Partial<PeerOptions>): Promise<Peer> {
    const peer = await this.startPeer(name, options);
    await joined(peer);
    return peer;
  }

  /** Peers that have joined the tracker, one for each name. */
  async joinPeers<const Names extends readonly string[]>(
    names: Names,
  ): Promise<{ -readonly [Index in keyof Names]: Peer }> {
    const peers: Peer[] = [];
    for (const name of names) peers.push(await this.startPeer(name));
    await joined(...peers);
    return peers as { -readonly [Index in keyof Names]: Peer };
  }

  stopPeer(peer: Peer): Promise<void> {
    return closeNow(peer);
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

  #logOf(name: string): Log {
    return (level, ...entry) => void this.log.push(`${name} ${level}: ${textOf(...entry)}`);
  }
}

export function joined(...peers: Peer[]): Promise<void> {
  return until("the peers have joined their tracker", () => peers.every((peer) => peer.status().connected));
}

export async function fetchTo(peer: Peer, what: string, destination: string): Promise<FetchReceipt> {
  const job = await peer.fetch({ what, destination });
  return job.done;
}

/** Waits until so many chunks of the fetch count. */
export function untilChunks(job: FetchJob, chunks: number): Promise<void> {
  return until(`${chunks} chunks of ${job.fname}`, () => job.progress().chunks >= chunks);
}

export interface PeerWithAdmin {
  readonly client: PeerClient;
  readonly role: RunningRole;
  /** The data folder. */
  readonly data: string;
}

/** A tracker that listens, and peers that have joined it, each with the admin endpoint that the executable opens. */
export class AdminRoles {
  readonly folder: string;
  readonly trackerData: string;
  readonly trackerAddress: HostPort;
  readonly tracker: TrackerClient;
  #sources = 0;

  private constructor(folder: string, trackerData: string, trackerAddress: HostPort, tracker: TrackerClient) {
    this.folder = folder;
    this.trackerData = trackerData;
    this.trackerAddress = trackerAddress;
    this.tracker = tracker;
  }

  static async open(): Promise<AdminRoles> {
    const folder = temporaryFolder();
    const data = join(folder, "tracker");
    const role = closeRole(
      await openTrackerWithAdmin({ dataFolder: data, admin: ANY_PORT, open: false, insecure: false, log }),
    );
    const tracker = trackerClient(role.connection);
    const { address } = await answerOf(tracker.api.start.$post({ json: await lastingHostPort() }));
    return new AdminRoles(folder, data, parseHostPort(address)!, tracker);
  }

  /** Makes a file of these bytes and shares it. */
  async publish({ client }: PeerWithAdmin, fname: string, bytes: Uint8Array): Promise<Published> {
    const path = join(this.folder, `source ${this.#sources++} of ${fname}`);
    writeFileSync(path, bytes);
    const json = { path, lname: `./${fname}`, fname };
    const lines = await Array.fromAsync(linesOf<PublishProgress | Published>(client.api.shares.$post({ json })));
    return v.parse(PublishedSchema, lines.at(-1));
  }

  /** Its data folder is `folder/name`. */
  async addPeer(name: string): Promise<PeerWithAdmin> {
    const data = join(this.folder, name);
    const options = {
      filesFolder: undefined,
      listen: await listenOf(data),
      advertise: undefined,
      admin: ANY_PORT,
      open: false,
      insecure: false,
      log,
    };
    const role = closeRole(await openPeerWithAdmin({ ...options, dataFolder: data, tracker: this.trackerAddress }));
    const client = peerClient(role.connection);
    await answerOf(client.api.connect.$post({ json: this.trackerAddress }));
    return { client, role, data };
  }
}

/** Asks the admin endpoint of the role with this data folder, with its token. */
export function requestAs(data: string, path: string, init: RequestInit = {}): Promise<Response> {
  const { url, token } = readAdminFile(data)!;
  return fetch(`${url}${path}`, { ...init, headers: { Authorization: `Bearer ${token}`, ...init.headers } });
}

function closeRole(role: RunningRole): RunningRole {
  return closeLater(role, () => role.close());
}
