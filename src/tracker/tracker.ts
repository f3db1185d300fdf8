/**
 * The tracker: composes registry, leases and sessions over a listener, and answers the role's commands. Closing takes
 * no peer offline, so that a restart within a lease keeps all publications listed.
 */
import { type Address, type HostPort, hostOf, isWildcard } from "../core/address.ts";
import { formatRanges } from "../core/bitfield.ts";
import type { Clock, Timer } from "../core/clock.ts";
import { noticeDeadline } from "../core/deadline.ts";
import { logFailure, reportableError } from "../core/defects.ts";
import { P2pfsError } from "../core/errors.ts";
import { HEARTBEAT_MS, LEASE_MS } from "../core/limits.ts";
import type { Log } from "../core/log.ts";
import type { ContentId } from "../core/manifest.ts";
import type { ContentHolders, FileInfo, PeerId } from "../core/model.ts";
import { MINUTE_MS, SECOND_MS } from "../core/units.ts";
import { VERSION } from "../core/version.ts";
import type { AllowanceOptions } from "../net/allowance.ts";
import { type Backlog, backlogOf } from "../net/backlog.ts";
import type { Connection, LocalHello } from "../net/connection.ts";
import { Endpoint } from "../net/endpoint.ts";
import { reachableAt } from "../net/own-host.ts";
import { plainOnLoopback } from "../net/plain-on-loopback.ts";
import { realSystem, type System } from "../net/system.ts";
import type { DataFolder } from "../store/data-folder.ts";
import type { Role } from "../wire/messages.ts";
import { ChunklessLeechers } from "./chunkless-leechers.ts";
import { AddressProofs } from "./dial-back.ts";
import { TrackerEvents } from "./events.ts";
import { Liveness } from "./liveness.ts";
import type { MembershipCommands } from "./membership-commands.ts";
import { Owners } from "./owners.ts";
import { PeerFinder } from "./peer-finder.ts";
import { Pings } from "./pings.ts";
import { commandsOf, PrivateSwarm, type SwarmOptions } from "./private-swarm.ts";
import type { PeerRecord, Registry, TrackerId } from "./registry.ts";
import { Session, type SessionHost } from "./session.ts";
import { openSqliteRegistry } from "./sqlite-registry.ts";
import { TrackerListener, type TrackerListenerOptions } from "./tracker-listener.ts";
import { type SessionTurns, sessionTurns } from "./turns.ts";
import type { ChunkInfo, Page, PeerInfo, PingResult, TrackerStatus } from "./types.ts";

/** Offline peers without publications are kept this long. */
const FORGET_AFTER_MS = 24 * 60 * MINUTE_MS;
const FORGET_EVERY_MS = 60 * MINUTE_MS;
const TRACKER_ID_BYTES = 16;
/** How often a tracker says that it runs, before others take over its sessions. */
const RENEWALS_PER_LEASE = 3;
/** Longer than the proof of an advertised address. */
const REGISTRATION_MS = 10 * SECOND_MS;
/** At most one disk error is logged in this time. */
const FAULT_LOG_MS = 10 * SECOND_MS;

export interface TrackerOptions extends Partial<Pick<TrackerListenerOptions, "connectionsMax" | "greetingRates">> {
  /** The caller closes it, after the tracker. */
  readonly dataFolder: Pick<DataFolder, "path" | "databasePath">;
  /** Default: on the data folder's database. The tracker closes it. */
  readonly registry?: Registry;
  readonly log: Log;
  /** Default: none; then all connections are plain. */
  readonly swarm?: SwarmOptions | undefined;
  /** Makes a swarm for a tracker that is to listen beyond loopback and is of none. Default: it is refused. */
  readonly foundSwarm?: (() => Promise<SwarmOptions>) | undefined;
  /** Whether a tracker of no swarm may listen beyond loopback. */
  readonly insecure?: boolean;
  /** Default: the real one. */
  readonly system?: System;
  readonly leaseMs?: number;
  readonly heartbeatMs?: number;
  readonly registrationMs?: number;
  /** Requests to join from one source IP. Default: a few a second. */
  readonly joinsPerSource?: AllowanceOptions;
  /** Called for every handled request of a peer: its type, the time it took, whether it was granted. */
  readonly observeRequest?: (type: string, durationMs: number, granted: boolean) => void;
}

export class Tracker implements SessionHost {
  readonly id: TrackerId;
  readonly registry: Registry;
  readonly liveness: Liveness;
  readonly chunklessLeechers = new ChunklessLeechers();
  readonly sessions = new Map<PeerId, Session>();
  readonly events = new TrackerEvents();
  readonly clock: Clock;
  readonly log: Log;
  readonly isOwnIp: (ip: string) => boolean;
  readonly turns: SessionTurns;
  readonly owners = new Owners();
  readonly proofs: AddressProofs;
  /** Undefined for a tracker that is of none. */
  swarm: PrivateSwarm | undefined;
  readonly leaseMs: number;
  readonly heartbeatMs: number;
  readonly registrationMs: number;
  readonly #endpoint: Endpoint;
  readonly #options: TrackerOptions;
  readonly #finder: PeerFinder;
  readonly #pings: Pings;
  /** `gone` resolves when the connection is closed. */
  readonly #connections = new Map<Connection, { readonly session: Session; readonly gone: Promise<void> }>();
  readonly #startedMs: number;
  readonly #timers: readonly Timer[];
  readonly #listener: TrackerListener;
  #closing = false;
  #diskLogQuietUntilMs = 0;

  /** Throws `disk` where the registry cannot be used. */
  static async open(options: TrackerOptions): Promise<Tracker> {
    const { dataFolder, system = realSystem } = options;
    const { clock, random } = system;
    const registry = options.registry ?? openSqliteRegistry({ path: dataFolder.databasePath, clock, random });
    const tracker = new Tracker(options, system, registry);
    await tracker.#takeOver();
    await tracker.swarm?.open();
    tracker.liveness.start();
    tracker.#forget();
    return tracker;
  }

  private constructor(options: TrackerOptions, given: System, registry: Registry) {
    const { leaseMs = LEASE_MS, heartbeatMs = HEARTBEAT_MS, insecure = false } = options;
    const system = insecure ? given : { ...given, network: plainOnLoopback(given.network) };
    const { clock, random } = system;
    this.id = random.bytes(TRACKER_ID_BYTES).toHex();
    this.registry = registry;
    this.#options = options;
    this.swarm = options.swarm && this.#privateSwarm(options.swarm, system);
    this.#endpoint = new Endpoint({ system, local: () => this.#hello(), security: () => this.swarm?.security });
    this.proofs = new AddressProofs(this.#endpoint);
    this.clock = clock;
    this.log = options.log;
    this.isOwnIp = system.isOwnIp;
    this.turns = sessionTurns(clock);
    this.#startedMs = clock.wallTime();
    this.leaseMs = leaseMs;
    this.heartbeatMs = heartbeatMs;
    this.registrationMs = options.registrationMs ?? REGISTRATION_MS;
    this.#finder = new PeerFinder(registry, system);
    this.#pings = new Pings({ finder: this.#finder, sessions: this.sessions, endpoint: this.#endpoint, clock });
    this.liveness = new Liveness({
      leaseMs,
      clock,
      expired: (peer, lastSeenMs) => this.#expire(peer, lastSeenMs),
    });
    this.#listener = new TrackerListener({
      endpoint: this.#endpoint,
      isOfSwarm: () => this.swarm !== undefined,
      insecure,
      beyondLoopback: () => this.#foundSwarm(),
      connectionsMax: options.connectionsMax,
      greetingRates: options.greetingRates,
      log: this.log,
      events: this.events,
      conductOf: (connection) => this.#connections.get(connection)?.session.conduct,
      onConnection: (connection) => this.#serve(connection),
      closeConnections: () => this.#closeConnections(),
    });
    this.#timers = [
      clock.every(FORGET_EVERY_MS, () => this.#forget(), { isBackground: true }),
      clock.every(leaseMs / RENEWALS_PER_LEASE, () => this.#renew(), { isBackground: true }),
    ];
  }

  /** F6: listens there. The same address changes nothing; another one replaces the listener and closes connections. */
  start(where: HostPort): Promise<Address> {
    return this.#listener.start(where);
  }

  /** What waits in this tracker's queues now; all are bounded. */
  get backlog(): Backlog {
    return backlogOf(this.#connections.keys());
  }

  async status(): Promise<TrackerStatus> {
    const address = this.#listener.address ?? null;
    return {
      role: "tracker",
      version: VERSION,
      pid: process.pid,
      address,
      listening: address !== null,
      swarm: this.swarm?.name ?? null,
      data_folder: this.#options.dataFolder.path,
      started: new Date(this.#startedMs).toISOString(),
      uptime_ms: Math.max(0, this.clock.wallTime() - this.#startedMs),
      ...(await this.registry.counts()),
    };
  }

  /** F7 */
  async listPeers(cursor?: string): Promise<Page<PeerInfo>> {
    const { rows, next } = await this.registry.listPeers(cursor ?? null);
    const peers = rows.map((row) => ({
      address: row.address,
      host_name: row.hostName,
      since: new Date(row.since).toISOString(),
      last_seen: new Date(this.#lastSeen(row)).toISOString(),
      files: row.files,
    }));
    return { rows: peers, next };
  }

  /** F10 */
  listFiles(cursor?: string): Promise<Page<FileInfo>> {
    return this.registry.listFiles({}, cursor ?? null);
  }

  /** F11 */
  listChunkInfo(cursor?: string): Promise<Page<ChunkInfo>> {
    return this.registry.listChunkInfo(cursor ?? null);
  }

  /** F9: throws `not_found` and `ambiguous` where host and port name no peer, or several. */
  async discover(host: string, port?: number, cursor?: string): Promise<Page<FileInfo>> {
    const peer = await this.#finder.find(host, port, noticeDeadline(this.clock.now()));
    return this.registry.discover(peer.address, cursor ?? null);
  }

  /** F8, R12, R13. */
  ping(host: string, port?: number): Promise<PingResult> {
    return this.#pings.ping(host, port, this.#listener.address);
  }

  /** A sample of a content's holders with their chunks. Throws `not_found`. */
  async holdersOf(contentId: ContentId): Promise<ContentHolders> {
    const found = await this.registry.locate({ contentId }, { sameHost: true });
    if (found === undefined) throw new P2pfsError("not_found", `nobody has shared the content ${contentId}`);
    const holders = found.holders.map(({ address, chunks }) => ({ address, chunks: formatRanges(chunks) }));
    const last = Math.max(-1, ...found.holders.map(({ chunks }) => chunks.at(-1) ?? -1));
    return { total_chunknum: found.fileInfo?.total_chunknum ?? last + 1, holders };
  }

  /** Rejects with `disk` where a commit would fail now. */
  assertWritable(): Promise<void> {
    return this.registry.assertWritable();
  }

  /** Peers see the connection close and try to reconnect; the registry keeps them online for a lease. */
  async close(): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    for (const timer of this.#timers) timer.cancel();
    this.liveness.stop();
    this.swarm?.others.close();
    await this.#listener.close();
    await this.registry.close();
  }

  /**
   * Sessions of trackers that have ended, of this one before its start too, get a new lease, which keeps their
   * publications listed until the peers have registered again.
   */
  async #takeOver(): Promise<void> {
    const { isNew, takenOver } = await this.registry.renew(this.id, this.leaseMs);
    // This tracker stood still for so long that another one holds its sessions: the peers have to register again.
    const lost = new P2pfsError("unreachable", "another tracker has taken over this session");
    if (isNew) for (const { connection } of this.sessions.values()) connection.close(lost);
    const nowMs = this.clock.now();
    for (const peer of takenOver) this.liveness.hold(peer, () => nowMs);
  }

  #renew(): void {
    const failed = (during: string) => (thrown: unknown) => {
      if (!this.#closing) logFailure(thrown, during, this.log);
    };
    this.#takeOver().catch(failed("taking over sessions"));
    this.refreshMembers().catch(failed("looking up who was removed"));
    this.#renewCertificate().catch(failed("renewing the tracker's certificate"));
  }

  async #renewCertificate(): Promise<void> {
    if (await this.swarm?.renewIfDue()) this.#listener.renew();
  }

  async refreshMembers(): Promise<void> {
    if (this.swarm === undefined) return;
    const { revocations } = this.swarm;
    const hasChanged = await revocations.refresh();
    this.#endpoint.closeLapsed();
    if (hasChanged) for (const { connection } of this.sessions.values()) connection.send(revocations.notice);
  }

  /** The commands on the members of the swarm. Throws `refused` for a tracker that is of none. */
  get membership(): MembershipCommands {
    return commandsOf(this.swarm);
  }

  async #foundSwarm(): Promise<void> {
    const { foundSwarm, insecure = false } = this.#options;
    if (this.swarm !== undefined || insecure || foundSwarm === undefined) return;
    const swarm = this.#privateSwarm(await foundSwarm(), this.#endpoint.system);
    await swarm.open();
    this.swarm = swarm;
  }

  #privateSwarm(keys: SwarmOptions, { clock, random }: System): PrivateSwarm {
    return new PrivateSwarm({
      ...keys,
      joinsPerSource: this.#options.joinsPerSource,
      members: this.registry.members,
      clock,
      random,
      reachableAt: () => (this.#listener.address === undefined ? [] : reachableAt(this.#listener.address)),
      endpoint: () => this.#endpoint,
      log: this.#options.log,
      removed: () => this.refreshMembers(),
    });
  }

  #hello(): LocalHello {
    const { address } = this.#listener;
    const advertised = address === undefined || isWildcard(hostOf(address)) ? null : address;
    const { authority } = this.swarm ?? {};
    return { role: "tracker", agent: `p2pfs/${VERSION}`, address: advertised, ...(authority && { authority }) };
  }

  #serve(connection: Connection): void {
    connection.isStranger = connection.member?.role !== "tracker";
    const session = new Session(connection, this);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#connections.set(connection, { session, gone: promise });
    connection.serve<Role, "tracker">({
      requests: session.requests,
      notices: { REVOKED: (message) => this.swarm?.others.answer(connection, message) },
      handled: (name, durationMs, granted) => this.#options.observeRequest?.(name, durationMs, granted),
      reportableError: (thrown, during) => {
        this.#logDiskFault(during, thrown);
        const error = reportableError(thrown, during, this.log);
        const { address } = session;
        this.log("debug", "{address} is refused {during}: {reason}", { address, during, reason: error.message });
        return error;
      },
      closed: (cause) => {
        const reason = cause?.message ?? "no reason is known";
        this.log("debug", "the connection of {address} is closed: {reason}", { address: session.address, reason });
        this.#connections.delete(connection);
        resolve();
        if (!this.#closing) this.#end(session);
      },
    });
  }

  /** The ERROR to the peer omits the details, so they are logged; rate limited, as a full disk fails every request. */
  #logDiskFault(during: string, thrown: unknown): void {
    const now = this.clock.now();
    if (!(thrown instanceof P2pfsError) || thrown.code !== "disk" || now < this.#diskLogQuietUntilMs) return;
    this.#diskLogQuietUntilMs = now + FAULT_LOG_MS;
    this.log("error", "{during}: {reason}", { during, reason: thrown.message });
  }

  async #closeConnections(): Promise<void> {
    const open = [...this.#connections];
    for (const [connection] of open) connection.close();
    await Promise.all(open.map(([, { gone }]) => gone));
  }

  async #end(session: Session): Promise<void> {
    try {
      if (await session.end()) this.#left(session.peer!.address, "closed");
    } catch (thrown) {
      logFailure(thrown, "a peer left", this.log);
    }
  }

  async #expire(peer: PeerRecord, lastSeenMs: number): Promise<void> {
    try {
      const wasOnline = await this.registry.leave(peer, this.id, this.#wallTime(lastSeenMs));
      const session = this.sessions.get(peer.peerId);
      // An open connection is half open or its process is frozen: the peer has to reconnect.
      if (session?.peer?.session === peer.session)
        session.connection.close(new P2pfsError("unreachable", "the lease ran out"));
      if (wasOnline) this.#left(peer.address, "expired");
    } catch (thrown) {
      logFailure(thrown, "a lease ran out", this.log);
    }
  }

  #left(address: Address, reason: "closed" | "expired"): void {
    const sentence = reason === "closed" ? "{address} left" : "{address} is silent and counts as gone";
    this.log("info", sentence, { address, reason });
    this.events.emit({ type: "peer_left", address, reason });
  }

  async #forget(): Promise<void> {
    try {
      await this.registry.forget(this.clock.wallTime() - FORGET_AFTER_MS);
    } catch (thrown) {
      if (!this.#closing) logFailure(thrown, "forgetting old peers", this.log);
    }
  }

  #lastSeen({ peerId, lastSeen }: PeerRecord): number {
    const seenMs = this.liveness.lastSeenMs(peerId);
    return seenMs === undefined ? lastSeen : this.#wallTime(seenMs);
  }

  #wallTime(monotonicMs: number): number {
    return Math.round(this.clock.wallTime() - (this.clock.now() - monotonicMs));
  }
}
