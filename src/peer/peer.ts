/**
 * The peer role: composes repository and library, the listener for other peers, the link to the tracker, shares and
 * fetches. A peer without a data folder serves one fetch and keeps nothing.
 */
import { hostname } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import { type Address, formatHostPort, type HostPort } from "../core/address.ts";
import type { Clock } from "../core/clock.ts";
import { type Deadline, noticeDeadline } from "../core/deadline.ts";
import { P2pfsError } from "../core/errors.ts";
import { FileNameSchema, fileNameFault } from "../core/file-name.ts";
import { HOST_NAME_BYTES_MAX } from "../core/limits.ts";
import type { Log } from "../core/log.ts";
import type { ContentId } from "../core/manifest.ts";
import type { ContentHolders, PeerSecret } from "../core/model.ts";
import { clipToBytes } from "../core/text.ts";
import { formatTicket } from "../core/ticket.ts";
import { VERSION } from "../core/version.ts";
import type { ContentStore } from "../disk/content-store.ts";
import { FileStore } from "../disk/file-store.ts";
import type { Membership } from "../identity/membership.ts";
import { type Backlog, backlogOf } from "../net/backlog.ts";
import type { LocalHello } from "../net/connection.ts";
import { Endpoint } from "../net/endpoint.ts";
import { isSamePlace } from "../net/host-name.ts";
import { plainOnLoopback } from "../net/plain-on-loopback.ts";
import { realSystem, type System } from "../net/system.ts";
import { type PeerFolder, randomPeerSecret } from "../store/data-folder.ts";
import type { DownloadBounds } from "../swarm/bounds.ts";
import { UploadQueue } from "../swarm/upload-queue.ts";
import { holdersOf } from "./content-holders.ts";
import { reportCopies } from "./copy-reports.ts";
import { PeerEvents } from "./events.ts";
import type { FetchJob } from "./fetch-job.ts";
import { Fetches, type FetchRequest } from "./fetches.ts";
import { offerKnownCopies } from "./known-copies.ts";
import { Library } from "./library.ts";
import { Neighbours } from "./neighbours.ts";
import { onlyPeerAt } from "./only-peer-at.ts";
import { OwnMembership } from "./own-membership.ts";
import { peerIdAt } from "./peer-id.ts";
import { PeerListener } from "./peer-listener.ts";
import { Publisher, type PublishOptions, type PublishRequest } from "./publisher.ts";
import { RateLimiter } from "./rate-limiter.ts";
import { openRepository, type Repository } from "./repository.ts";
import { ShareWatch } from "./share-watch.ts";
import { Sharing } from "./sharing.ts";
import { Swarms } from "./swarms.ts";
import { TrackerDirectory } from "./tracker-directory.ts";
import type {
  Connected,
  FetchProgress,
  FilePage,
  PeerStatus,
  Published,
  RateLimits,
  RateLimitsChange,
  ShareInfo,
  Unpublished,
} from "./types.ts";

const NONCE_BYTES = 16;

export interface PeerOptions {
  /** Undefined for a peer that keeps nothing. The caller closes it, after the peer. */
  readonly dataFolder: PeerFolder | undefined;
  /** Default: the data folder's database, or one in memory. The peer closes it. */
  readonly repository?: Repository | undefined;
  /** The repository folder, the default destination of fetches; created when first needed. */
  readonly filesFolder: string;
  /** Port 0 takes the port of the last start if it is free, else any. */
  readonly listen: HostPort;
  /** Address to announce instead of the one that the tracker sees; the tracker has it proven. */
  readonly advertise: HostPort | undefined;
  readonly tracker: HostPort;
  /** Default: none; then all connections are plain. */
  readonly membership?: Membership | undefined;
  /** Whether a peer of no swarm may listen, and connect, beyond loopback. */
  readonly insecure: boolean;
  /** Inbound connections open at the same time. Default: `neighboursMax`. */
  readonly connectionsMax?: number | undefined;
  /** Limits at the start. Default: none. */
  readonly limits?: RateLimitsChange | undefined;
  /** Overrides of the engine's bounds. */
  readonly bounds?: Partial<DownloadBounds> | undefined;
  /** Default: the real one. */
  readonly system?: System | undefined;
  /** Default: files on disk. The peer closes it. */
  readonly store?: ContentStore | undefined;
  readonly log: Log;
}

export interface PeerBacklog extends Backlog {
  /** Requests of other peers that wait for their chunk. */
  readonly uploads: number;
  /** Bytes of chunk buffers in use by fetches. */
  readonly bufferBytesTaken: number;
}

export class Peer {
  readonly events = new PeerEvents();
  readonly #options: PeerOptions;
  readonly #system: System;
  readonly #clock: Clock;
  readonly #endpoint: Endpoint;
  readonly #membership: OwnMembership | undefined;
  /** Milliseconds since 1970. */
  readonly #startedMs: number;
  readonly #secret: PeerSecret;
  readonly #repository: Repository;
  readonly #uploads: UploadQueue;
  readonly #upLimiter: RateLimiter;
  readonly #downLimiter: RateLimiter;
  readonly #store: ContentStore;
  readonly #library: Library;
  readonly #swarms: Swarms;
  readonly #sharing: Sharing;
  readonly #neighbours: Neighbours;
  readonly #directory: TrackerDirectory;
  readonly #publisher: Publisher;
  readonly #fetches: Fetches;
  readonly #shareWatch: ShareWatch;
  /** Defined from `open` on. */
  #listener: PeerListener | undefined;

  /**
   * Opens the peer: it listens, and joins its tracker in the background. Throws `already_running` (port in use),
   * `refused` (beyond loopback, of no swarm and without `insecure`), `disk`.
   */
  static async open(options: PeerOptions): Promise<Peer> {
    const peer = new Peer(options);
    try {
      await peer.#listen();
    } catch (thrown) {
      await peer.close();
      throw thrown;
    }
    peer.#directory.open();
    peer.#membership?.open({
      request: () => peer.#directory.renewCertificate(noticeDeadline(peer.#clock.now())),
      renewed: () => peer.#listener!.renew(),
    });
    peer.#fetches.resume();
    peer.#shareWatch.open();
    return peer;
  }

  private constructor(options: PeerOptions) {
    const { dataFolder, log, store = new FileStore() } = options;
    const { system: given = realSystem, insecure } = options;
    const system = insecure ? given : { ...given, network: plainOnLoopback(given.network) };
    const { clock, random } = system;
    this.#options = options;
    this.#system = system;
    this.#store = store;
    this.#clock = clock;
    const { membership } = options;
    const closeLapsed = () => this.#endpoint.closeLapsed();
    const files = dataFolder?.membership;
    this.#membership = membership && new OwnMembership({ membership, system, files, log, closeLapsed });
    this.#endpoint = new Endpoint({ system, local: () => this.#hello(), security: () => this.#membership?.security });
    this.#startedMs = clock.wallTime();
    this.#upLimiter = new RateLimiter(clock, options.limits?.up_limit);
    this.#downLimiter = new RateLimiter(clock, options.limits?.down_limit);
    this.#secret = dataFolder?.readOrCreatePeerSecret(random) ?? randomPeerSecret(random);
    this.#repository = options.repository ?? openRepository(dataFolder?.databasePath ?? ":memory:");
    this.#library = new Library(this.#repository, store);
    const uploads = new UploadQueue({ random: random.number });
    this.#uploads = uploads;
    this.#swarms = new Swarms({
      clock,
      library: this.#library,
      noteHeld: (member, contentId, chunks) => uploads.noteHeld(member.id, contentId, chunks),
    });
    this.#sharing = new Sharing({
      clock,
      library: this.#library,
      swarms: this.#swarms,
      uploads,
      upLimiter: this.#upLimiter,
      log,
    });
    this.#neighbours = new Neighbours({
      endpoint: this.#endpoint,
      ownAddress: () => this.address,
      handlersOf: (neighbour) => this.#sharing.handlersOf(neighbour),
      events: this.events,
      log,
    });
    const shared = { clock, store, library: this.#library, repository: this.#repository, log };
    this.#directory = new TrackerDirectory({
      ...shared,
      tracker: options.tracker,
      peerIdAt: (address) => this.#membership?.peerId ?? peerIdAt(address, this.#secret),
      hostName: clipToBytes(hostname(), HOST_NAME_BYTES_MAX),
      endpoint: this.#endpoint,
      listening: () => this.#listener!.announced(),
      // Without a data folder it may run beside the peer that has one, as the same member.
      instance: membership !== undefined && dataFolder === undefined ? random.bytes(NONCE_BYTES).toHex() : undefined,
      ownLapse: () => this.#membership?.lapse,
      revoked: (message) => this.#membership?.setRevoked(message),
      registered: (address) => this.#listener!.warnIfUnreachable(address),
      events: this.events,
    });
    this.#publisher = new Publisher({ ...shared, directory: this.#directory });
    this.#shareWatch = new ShareWatch(shared);
    this.#fetches = new Fetches({
      ...shared,
      directory: this.#directory,
      neighbours: this.#neighbours,
      swarms: this.#swarms,
      sharing: this.#sharing,
      downLimiter: this.#downLimiter,
      bounds: options.bounds,
      filesFolder: options.filesFolder,
      system,
      events: this.events,
    });
    reportCopies(this.#library, log, this.events);
    offerKnownCopies(this.#repository, this.#library, log);
    for (const follower of [this.#sharing, this.#swarms, this.#directory])
      this.#library.events.subscribe((event) => follower.follow(event));
  }

  /** The address that the tracker names to other peers; null before the first registration. */
  get address(): Address | null {
    return this.#directory?.address ?? null;
  }

  get tracker(): HostPort {
    return this.#directory.tracker;
  }

  /** What waits in this peer's queues and buffers now; all are bounded. */
  get backlog(): PeerBacklog {
    const { bufferBytesTaken } = this.#fetches;
    return { ...backlogOf(this.#neighbours.connections), uploads: this.#uploads.requestCount, bufferBytesTaken };
  }

  status(): PeerStatus {
    const { dataFolder, filesFolder } = this.#options;
    return {
      role: "peer",
      version: VERSION,
      pid: process.pid,
      address: this.address,
      listen: this.#listener!.address,
      tracker: formatHostPort(this.tracker),
      connected: this.#directory.isUp,
      swarm: this.#options.membership?.swarm ?? null,
      data_folder: dataFolder?.path ?? "",
      files_folder: filesFolder,
      started: new Date(this.#startedMs).toISOString(),
      uptime_ms: Math.max(0, this.#clock.wallTime() - this.#startedMs),
      shares: this.#repository.shareCount(),
      contents: this.#library.contentCount,
      fetches: this.#fetches.runningCount,
      bytes_sent: this.#sharing.bytesSent,
      bytes_received: this.#neighbours.bytesReceived,
      ...this.limits(),
    };
  }

  limits(): RateLimits {
    return { up_limit: this.#upLimiter.limit, down_limit: this.#downLimiter.limit };
  }

  /** Changes the given limits; running transfers continue at the new rate. */
  setLimits({ up_limit: upLimit, down_limit: downLimit }: RateLimitsChange): RateLimits {
    if (upLimit !== undefined) this.#upLimiter.setLimit(upLimit);
    if (downLimit !== undefined) this.#downLimiter.setLimit(downLimit);
    return this.limits();
  }

  /** F13: leaves the present tracker for this one and announces everything there; fetches continue. */
  async connect(tracker: HostPort): Promise<Connected> {
    const address = await this.#directory.connect(tracker, noticeDeadline(this.#clock.now()));
    return { tracker: formatHostPort(tracker), address };
  }

  async publish(request: PublishRequest, options: PublishOptions = {}): Promise<Published> {
    const published = await this.#publisher.publish(request, options);
    const { key, fname, size, content_id } = published;
    this.events.emit({ type: "published", key, fname, size, content_id });
    return published;
  }

  async unpublish(fname: string): Promise<Unpublished> {
    const fault = fileNameFault(fname);
    if (fault !== undefined) throw new P2pfsError("refused", `${JSON.stringify(fname)} names no share: ${fault}`);
    const unpublished = await this.#publisher.unpublish(
      v.parse(FileNameSchema, fname),
      noticeDeadline(this.#clock.now()),
    );
    this.events.emit({ type: "unpublished", ...unpublished });
    return unpublished;
  }

  /** The shares of this peer, from its repository. */
  shares(): ShareInfo[] {
    return this.#repository.shares().map(({ fname, lname, path, size, contentId }) => ({
      fname,
      path: lname,
      size,
      content_id: contentId,
      ticket: formatTicket({ tracker: this.tracker, fname, contentId }),
      served: this.#library.copyAt(contentId, path) !== undefined,
    }));
  }

  /** F14: all shared files. */
  listFiles(cursor: string | null = null): Promise<FilePage> {
    return this.#directory.listFiles({}, cursor, noticeDeadline(this.#clock.now()));
  }

  /** F15: the files of one peer. Without a port, the host must have a single peer. */
  async discover(host: string, port: number | undefined, cursor: string | null = null): Promise<FilePage> {
    const deadline = noticeDeadline(this.#clock.now());
    const address =
      port === undefined
        ? await onlyPeerAt(host, this.#directory, deadline, this.#system)
        : await this.#endpoint.resolveHostPort({ host, port }, deadline);
    return this.#directory.discover(address, cursor, deadline);
  }

  /** A sample of a content's holders with their chunks, this peer included. */
  holdersOf(contentId: ContentId): Promise<ContentHolders> {
    return holdersOf(contentId, this.#library, this.#directory, noticeDeadline(this.#clock.now()));
  }

  /** Whether host and port are the peer's tracker, in any spelling. */
  isTracker(named: HostPort, deadline: Deadline): Promise<boolean> {
    return isSamePlace(named, this.tracker, deadline, this.#system);
  }

  /** @param startedMs when the user gave the command, on the peer's clock */
  fetch(request: FetchRequest, startedMs = this.#clock.now()): Promise<FetchJob> {
    return this.#fetches.start(request, startedMs);
  }

  retryFetch(id: string): Promise<FetchJob> {
    return this.#fetches.retry(this.findFetch(id));
  }

  fetches(): FetchProgress[] {
    return this.#fetches.list();
  }

  get runningFetches(): Iterable<FetchJob> {
    return this.#fetches.running;
  }

  /** Throws `disk` where a write to the repository would fail now. */
  assertWritable(): void {
    this.#repository.assertWritable();
  }

  findFetch(id: string): FetchJob {
    const job = this.#fetches.find(id);
    if (job !== undefined) return job;
    throw new P2pfsError("not_found", `there is no fetch ${id}`, { hint: "status shows the fetches" });
  }

  /** Stops the fetches (the next start resumes them), leaves the tracker, closes everything. */
  async close(): Promise<void> {
    this.#shareWatch.close();
    await this.#fetches.close();
    this.#membership?.close();
    this.#directory.close();
    this.#listener?.close();
    this.#swarms.close();
    this.#neighbours.closeAll();
    this.#store.close();
    this.#repository.close();
  }

  async #listen(): Promise<void> {
    this.#listener = await PeerListener.open({
      ...this.#options,
      swarm: this.#options.membership?.swarm,
      idToProve: () => this.#directory.idToProve,
      endpoint: this.#endpoint,
      onPeer: (connection) => this.#neighbours.adopt(connection),
      conductOf: (connection) => this.#neighbours.conductOf(connection),
    });
  }

  #hello(): LocalHello {
    const nonce = this.#system.random.bytes(NONCE_BYTES).toHex();
    return { role: "peer", agent: `p2pfs/${VERSION}`, address: this.address, nonce };
  }
}

/** The repository folder of a data folder. */
export function defaultFilesFolder(dataFolder: string): string {
  return join(dataFolder, "files");
}
