/**
 * The peer's session with its tracker: connects, registers, announces the peer's holdings, renews the lease, and starts
 * again after every loss, with backoff. Commands wait a bounded time for the link and then fail with
 * `tracker_unreachable`; transfers do not depend on the link.
 */
import { type Address, formatHostPort, type HostPort } from "../core/address.ts";
import type { Clock, Timer } from "../core/clock.ts";
import { type Deadline, deadlineIn, msLeft, stepOf } from "../core/deadline.ts";
import { reportableError } from "../core/defects.ts";
import { asP2pfsError, P2pfsError } from "../core/errors.ts";
import { TRACKER_WAIT_MS } from "../core/limits.ts";
import type { Log } from "../core/log.ts";
import type { PeerId } from "../core/model.ts";
import { SECOND_MS } from "../core/units.ts";
import { Backoff } from "../net/backoff.ts";
import type { Connection } from "../net/connection.ts";
import type { Endpoint } from "../net/endpoint.ts";
import type { Outgoing } from "../net/handlers.ts";
import type { Message, ReplyName, RequestName } from "../wire/messages.ts";
import type { PeerEvents } from "./events.ts";
import { answersToTracker } from "./tracker-calls.ts";

const DIAL_MS_MAX = 5 * SECOND_MS;
const REGISTER_MS_MAX = 5 * SECOND_MS;
const ANNOUNCE_MS_MAX = 30 * SECOND_MS;
const RETRY_FIRST_MS = 100;
const RETRY_MS_MAX = 2 * SECOND_MS;
/** Where the two are not of one swarm, since the peer is no member any more or the tracker's swarm was made anew. */
const COME_BACK_HINT =
  "ask for an invitation at the tracker (`p2pfs swarm invite`), then run `p2pfs swarm leave` and `p2pfs swarm join` here";

export interface TrackerLinkOptions {
  readonly tracker: HostPort;
  /** The peer id at the tracker with this address. */
  readonly peerIdAt: (tracker: Address) => PeerId;
  readonly hostName: string;
  /** In a swarm, of a further process of the same member. */
  readonly instance?: string | undefined;
  readonly endpoint: Endpoint;
  /** The address for REQUEST_REGISTER, and whether the tracker should use its host instead of the one it sees. */
  readonly listening: () => Promise<{ address: Address; advertised: boolean }>;
  /** Announces all publications and holdings in the new session. */
  readonly announce: (session: TrackerSession) => Promise<void>;
  /** Why this peer is no member any more, by its own clock; undefined for a member, and for a peer of no swarm. */
  readonly ownLapse?: () => string | undefined;
  /** The tracker names all removed members of the swarm. */
  readonly revoked: (message: Message<"REVOKED">) => void;
  readonly events: PeerEvents;
  readonly log: Log;
}

/** A registered session: requests over it, and the address that the tracker names to other peers. */
export interface TrackerSession {
  readonly address: Address;
  /** False once the connection has closed. */
  readonly isOpen: boolean;
  request<Name extends RequestName>(message: Outgoing<Name>, timeoutMs?: number): Promise<Message<ReplyName<Name>>>;
}

export class TrackerLink {
  readonly #options: TrackerLinkOptions;
  readonly #clock: Clock;
  readonly #backoff: Backoff;
  readonly #waiting = new Set<() => void>();
  #connection: Connection | undefined;
  /** Set while a registration with an advertised address waits for its reply. */
  #idToProve: PeerId | undefined;
  #session: TrackerSession | undefined;
  #lastAddress: Address | null = null;
  #lastError: P2pfsError | undefined;
  #retryTimer: Timer | undefined;
  #heartbeatTimer: Timer | undefined;
  #closed = false;

  constructor(options: TrackerLinkOptions) {
    const { clock, random } = options.endpoint.system;
    this.#options = options;
    this.#clock = clock;
    this.#backoff = new Backoff({ firstMs: RETRY_FIRST_MS, maxMs: RETRY_MS_MAX, random });
  }

  get tracker(): HostPort {
    return this.#options.tracker;
  }

  /** Undefined before everything is announced and after a loss. */
  get session(): TrackerSession | undefined {
    return this.#session;
  }

  get isUp(): boolean {
    return this.#session !== undefined;
  }

  /** The peer's address as the tracker saw it last; null before the first registration. */
  get address(): Address | null {
    return this.#lastAddress;
  }

  /** The peer id for the proof to a tracker that dials back; undefined while no proof is due. */
  get idToProve(): PeerId | undefined {
    return this.#idToProve;
  }

  /** Starts to connect; the link reconnects by itself until it is closed. */
  open(): void {
    this.#connect();
  }

  close(): void {
    this.#closed = true;
    this.#retryTimer?.cancel();
    this.#heartbeatTimer?.cancel();
    this.#session = undefined;
    this.#connection?.close();
    this.#wakeWaiting();
  }

  /**
   * Resolves with the session when there is one. Throws `tracker_unreachable` at the deadline or after TRACKER_WAIT_MS,
   * and `refused` where the tracker refuses this peer.
   */
  async ready(deadline: Deadline): Promise<TrackerSession> {
    if (this.#session === undefined && !this.#closed) {
      this.#retryNow();
      await new Promise<void>((resolve) => {
        const now = this.#clock.now();
        const timer = this.#clock.after(msLeft(stepOf(deadline, TRACKER_WAIT_MS, now), now), wake);
        const waiting = this.#waiting;
        function wake() {
          timer.cancel();
          waiting.delete(wake);
          resolve();
        }
        waiting.add(wake);
      });
    }
    if (this.#session !== undefined) return this.#session;
    throw this.#unreachable();
  }

  /**
   * Sends one request over the session; link and reply together take at most TRACKER_WAIT_MS, and end at the deadline.
   */
  async request<Name extends RequestName>(
    message: Outgoing<Name>,
    deadline: Deadline,
  ): Promise<Message<ReplyName<Name>>> {
    const step = stepOf(deadline, TRACKER_WAIT_MS, this.#clock.now());
    const session = await this.ready(step);
    try {
      return await session.request(message, msLeft(step, this.#clock.now()));
    } catch (thrown) {
      throw thrown instanceof P2pfsError && thrown.code === "unreachable" ? this.#unreachable(thrown) : thrown;
    }
  }

  #unreachable(cause = this.#lastError): P2pfsError {
    if (cause?.code === "refused") return cause;
    const where = formatHostPort(this.#options.tracker);
    const why = cause === undefined ? "it does not answer" : cause.message;
    const what = cause?.code === "unauthorised" ? "and this peer are not of one swarm" : "cannot be reached";
    return new P2pfsError("tracker_unreachable", `the tracker at ${where} ${what}: ${why}`, {
      cause,
      hint: cause?.ownHint,
    });
  }

  /** Ends a backoff early, since a command is waiting. */
  #retryNow(): void {
    if (this.#retryTimer === undefined) return;
    this.#retryTimer?.cancel();
    this.#connect();
  }

  async #connect(): Promise<void> {
    this.#retryTimer = undefined;
    const deadline = deadlineIn(DIAL_MS_MAX, this.#clock.now());
    let dialled: Connection | undefined;
    try {
      const { endpoint, tracker } = this.#options;
      const address = await endpoint.resolveHostPort(tracker, deadline);
      const connection = await endpoint.dial(address, {
        timeoutMs: msLeft(deadline, this.#clock.now()),
        onConnection: (ready) => {
          dialled = ready;
          this.#adopt(ready);
        },
      });
      await this.#register(connection, this.#options.peerIdAt(address));
    } catch (thrown) {
      const error = reportableError(thrown, "joining the tracker", this.#options.log);
      // A connection that has closed is lost already, and there may be a later one by now.
      if (dialled === undefined || dialled === this.#connection) this.#lost(error);
    }
  }

  #adopt(connection: Connection): void {
    if (this.#closed) return connection.close();
    this.#connection = connection;
    connection.serve<"tracker", "peer">({
      requests: answersToTracker(() => this.#idToProve),
      notices: { REVOKED: (message) => this.#options.revoked(message) },
      reportableError: (thrown, during) => reportableError(thrown, during, this.#options.log),
      closed: (cause) => {
        if (this.#connection === connection)
          this.#lost(cause ?? new P2pfsError("unreachable", "it closed the connection"));
      },
    });
  }

  async #register(connection: Connection, peerId: PeerId): Promise<void> {
    const { hostName, instance, listening, announce, tracker, events, log } = this.#options;
    if (connection.hello.role !== "tracker")
      throw new P2pfsError("tracker_unreachable", `${formatHostPort(tracker)} is not a tracker but a peer`);
    const where = await listening();
    // It may have closed meanwhile, and the proof be due on a later connection.
    if (this.#connection !== connection) return;
    this.#idToProve = where.advertised ? peerId : undefined;
    const reply = await connection
      .request(
        { type: "REQUEST_REGISTER", peer_id: peerId, host_name: hostName, ...(instance && { instance }), ...where },
        { timeoutMs: REGISTER_MS_MAX },
      )
      .finally(() => {
        this.#idToProve = undefined;
      });
    this.#lastAddress = reply.address;
    const session: TrackerSession = {
      address: reply.address,
      get isOpen() {
        return connection.isOpen;
      },
      request: (message, timeoutMs = ANNOUNCE_MS_MAX) => connection.request(message, { timeoutMs }),
    };
    this.#beat(connection, reply.heartbeat_ms, reply.lease_ms);
    await announce(session);
    if (this.#closed || this.#connection !== connection || !connection.isOpen) return;
    this.#backoff.reset();
    this.#session = session;
    this.#lastError = undefined;
    const joined = { tracker: formatHostPort(tracker), address: reply.address };
    log("info", "joined the tracker at {tracker} as {address}", joined);
    events.emit({ type: "tracker_joined", ...joined });
    this.#wakeWaiting();
  }

  /** Renews the lease by heartbeats; without an answer for a lease's length the connection is closed. */
  #beat(connection: Connection, heartbeatMs: number, leaseMs: number): void {
    this.#heartbeatTimer?.cancel();
    this.#heartbeatTimer = this.#clock.after(heartbeatMs, async () => {
      try {
        await connection.request({ type: "HEARTBEAT" }, { timeoutMs: leaseMs });
        if (this.#connection === connection && !this.#closed) this.#beat(connection, heartbeatMs, leaseMs);
      } catch (thrown) {
        connection.close(asP2pfsError(thrown));
      }
    });
  }

  /** Of two that are not of one swarm, the one whose membership has ended is told so. */
  #explained(cause: P2pfsError): P2pfsError {
    if (cause.code !== "unauthorised") return cause;
    const why = this.#options.ownLapse?.() ?? cause.message;
    return new P2pfsError(cause.code, why, { cause, hint: COME_BACK_HINT });
  }

  #lost(thrown: P2pfsError): void {
    const cause = this.#explained(thrown);
    this.#heartbeatTimer?.cancel();
    const connection = this.#connection;
    this.#connection = undefined;
    connection?.close();
    if (this.#closed) return;
    const { log, events } = this.#options;
    const tracker = formatHostPort(this.tracker);
    const reason = cause.message;
    if (this.#session !== undefined) {
      log("warn", "lost the tracker: {reason}", { tracker, reason });
      events.emit({ type: "tracker_lost", tracker, reason });
    } else if (cause.message !== this.#lastError?.message)
      log("warn", "no session with the tracker yet: {reason}", { tracker, reason });
    this.#session = undefined;
    this.#lastError = cause;
    this.#wakeRefused(cause);
    this.#retryTimer ??= this.#clock.after(this.#backoff.next(), () => this.#connect());
  }

  /** A refusal would be the same on a retry, so waiting commands fail at once. */
  #wakeRefused(cause: P2pfsError): void {
    if (cause.code === "refused" || cause.code === "unauthorised") this.#wakeWaiting();
  }

  #wakeWaiting(): void {
    for (const wake of [...this.#waiting]) wake();
  }
}
