/**
 * The other trackers of the swarm, each with a registry of its own: a tracker that has joined dials those that its
 * membership names, at its start and then again and again, and both say whom they have removed (S7).
 */
import { formatHostPort, type HostPort } from "../core/address.ts";
import type { Clock, Timer } from "../core/clock.ts";
import { type Deadline, deadlineIn, msLeft } from "../core/deadline.ts";
import { logFailure, reportableError } from "../core/defects.ts";
import { P2pfsError } from "../core/errors.ts";
import { TRACKERS_NAMED_MAX } from "../core/limits.ts";
import type { Log } from "../core/log.ts";
import { SECOND_MS } from "../core/units.ts";
import type { Membership } from "../identity/membership.ts";
import type { Connection } from "../net/connection.ts";
import type { Endpoint } from "../net/endpoint.ts";
import { SourceAllowances } from "../net/source-allowances.ts";
import type { Message } from "../wire/messages.ts";
import type { Revocations } from "./revocations.ts";

/** Between two rounds. With the time that a round takes at most, well within the 60 s of S7. */
const ROUND_EVERY_MS = 20 * SECOND_MS;
/** For one tracker, from the lookup of its name to its answer: all that can be named take less than a round. */
const EXCHANGE_MS_MAX = ROUND_EVERY_MS / TRACKERS_NAMED_MAX;
/** Lists that one tracker may send; each costs a look at the registry. */
const LISTS_PER_TRACKER = { perSecond: 1, burst: 10 };

export interface OtherTrackersOptions {
  readonly endpoint: () => Endpoint;
  readonly clock: Clock;
  readonly log: Log;
  readonly membership: () => Membership;
  readonly revocations: Revocations;
  /** Called when another tracker has said whom it has removed. */
  readonly heard: () => Promise<void>;
  /** Default: ROUND_EVERY_MS. */
  readonly roundEveryMs?: number | undefined;
}

export class OtherTrackers {
  readonly #options: OtherTrackersOptions;
  readonly #lists: SourceAllowances;
  /** Those that could not be heard in their last round. */
  readonly #silent = new Set<string>();
  #timer: Timer | undefined;
  #isUnderWay = false;

  constructor(options: OtherTrackersOptions) {
    this.#options = options;
    this.#lists = new SourceAllowances(options.clock, LISTS_PER_TRACKER);
  }

  /** Asks the others from now on. */
  open(): void {
    const { clock, roundEveryMs = ROUND_EVERY_MS } = this.#options;
    this.#timer = clock.every(roundEveryMs, () => this.#round(), { isBackground: true });
    this.#round();
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** Another tracker has dialled this one and says whom it has removed; it is told the same. */
  async answer(connection: Connection, message: Message<"REVOKED">): Promise<void> {
    const { member } = connection;
    if (member?.role !== "tracker" || !this.#lists.take(member.peerId)) return;
    const { revocations, heard, log } = this.#options;
    connection.send(revocations.noticeFor(member.peerId));
    try {
      await revocations.hear(member.peerId, message);
      await heard();
    } catch (thrown) {
      logFailure(thrown, "hearing another tracker", log);
    }
  }

  async #round(): Promise<void> {
    if (this.#isUnderWay) return;
    this.#isUnderWay = true;
    for (const tracker of this.#options.membership().trackers) if (this.#timer !== undefined) await this.#ask(tracker);
    this.#isUnderWay = false;
  }

  async #ask(tracker: HostPort): Promise<void> {
    const { clock, log } = this.#options;
    const name = formatHostPort(tracker);
    try {
      await this.#exchange(tracker, deadlineIn(EXCHANGE_MS_MAX, clock.now()));
      this.#silent.delete(name);
    } catch (thrown) {
      const { message: reason } = reportableError(thrown, "asking another tracker", log);
      const level = this.#silent.has(name) ? "debug" : "warn";
      log(level, "the tracker at {tracker} does not say whom it has removed: {reason}", { tracker: name, reason });
      this.#silent.add(name);
    }
  }

  async #exchange(tracker: HostPort, deadline: Deadline): Promise<void> {
    const { endpoint, clock, membership, revocations, heard } = this.#options;
    const address = await endpoint().resolveHostPort(tracker, deadline);
    const told = Promise.withResolvers<Message<"REVOKED">>();
    const silent = new P2pfsError("unreachable", "it does not answer");
    const connection = await endpoint().dial(address, {
      timeoutMs: msLeft(deadline, clock.now()),
      onConnection: (ready) => {
        ready.serve<"tracker", "tracker">({
          requests: { REQUEST_JOIN: refused, REQUEST_RENEW: refused, REQUEST_LEAVE: refused },
          notices: { REVOKED: told.resolve },
          closed: (cause) => told.reject(cause ?? silent),
        });
      },
    });
    const timer = clock.after(msLeft(deadline, clock.now()), () => told.reject(silent));
    try {
      const { member } = connection;
      if (member?.role !== "tracker") throw new P2pfsError("unreachable", "it is no tracker of the swarm");
      if (member.peerId === membership().peerId) return;
      connection.send(revocations.noticeFor(member.peerId));
      await revocations.hear(member.peerId, await told.promise);
      await heard();
    } finally {
      timer.cancel();
      told.promise.catch(() => {});
      connection.close();
    }
  }
}

function refused(): never {
  throw new P2pfsError("refused", "a tracker takes requests from those who dial it");
}
