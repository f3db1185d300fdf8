/** F8, R12, R13: asks a peer whether it is there, over its session, or by dialling it where it has none. */
import type { Address } from "../core/address.ts";
import type { Clock } from "../core/clock.ts";
import { type Deadline, msLeft, noticeDeadline, stepOf } from "../core/deadline.ts";
import { P2pfsError } from "../core/errors.ts";
import { TRACKER_WAIT_MS } from "../core/limits.ts";
import type { PeerId } from "../core/model.ts";
import type { Connection } from "../net/connection.ts";
import type { Endpoint } from "../net/endpoint.ts";
import type { PeerFinder } from "./peer-finder.ts";
import type { PeerRecord } from "./registry.ts";
import type { Session } from "./session.ts";
import type { PingResult } from "./types.ts";

export interface PingsOptions {
  readonly finder: PeerFinder;
  readonly sessions: ReadonlyMap<PeerId, Session>;
  readonly endpoint: Endpoint;
  readonly clock: Clock;
}

export class Pings {
  readonly #options: PingsOptions;

  constructor(options: PingsOptions) {
    this.#options = options;
  }

  /** Throws `not_found` and `ambiguous` where host and port name no peer, or several. @param own the tracker's address */
  async ping(host: string, port: number | undefined, own: Address | undefined): Promise<PingResult> {
    const { clock, finder } = this.#options;
    const issuedMs = clock.now();
    const deadline = noticeDeadline(issuedMs);
    const peer = await finder.find(host, port, deadline, own);
    const alive = peer.online && (await this.#isAnswered(peer, deadline));
    const durationMs = Math.round((clock.now() - issuedMs) * 1000) / 1000;
    return { address: peer.address, alive, duration_ms: durationMs };
  }

  async #isAnswered({ peerId, member, address }: PeerRecord, deadline: Deadline): Promise<boolean> {
    const { sessions, clock } = this.#options;
    const session = sessions.get(peerId);
    const step = stepOf(deadline, TRACKER_WAIT_MS, clock.now());
    try {
      await (session === undefined
        ? this.#dial(address, member, step)
        : request(session.connection, address, msLeft(step, clock.now())));
      return true;
    } catch (thrown) {
      if (thrown instanceof P2pfsError) return false;
      throw thrown;
    }
  }

  /** For a peer that has not reconnected since the tracker started. */
  async #dial(address: Address, member: PeerId | null, deadline: Deadline): Promise<void> {
    const { endpoint, clock } = this.#options;
    const timeoutMs = msLeft(deadline, clock.now());
    const connection = await endpoint.dial(address, { timeoutMs, peerId: member ?? undefined });
    await request(connection, address, msLeft(deadline, clock.now())).finally(() => connection.close());
  }
}

function request(connection: Connection, address: Address, timeoutMs: number) {
  return connection.request({ type: "REQUEST_PING_PONG", peer_address: address }, { timeoutMs });
}
