/**
 * Connections that a tracker dials to this peer: to ping the peer while it has no session, and to have its advertised
 * address proven. Any host can claim to be a tracker, so the connections are short-lived and few, and a proof is sent
 * only while this peer waits for the registration that needs it.
 */
import type { Clock } from "../core/clock.ts";
import { reportableError } from "../core/defects.ts";
import { P2pfsError } from "../core/errors.ts";
import type { Log } from "../core/log.ts";
import type { PeerId } from "../core/model.ts";
import { SECOND_MS } from "../core/units.ts";
import type { Conduct } from "../net/admission.ts";
import type { Connection } from "../net/connection.ts";
import type { RequestHandlers } from "../net/handlers.ts";
import { proofOf } from "../net/proof.ts";

/** Calls at the same time; a further one closes the oldest. A call normally takes two messages. */
export const TRACKER_CALLS_MAX = 16;
/** Longer than a tracker waits for a reply in a call. */
export const TRACKER_CALL_MS_MAX = 3 * SECOND_MS;

export class TrackerCalls {
  readonly #idToProve: () => PeerId | undefined;
  readonly #clock: Clock;
  readonly #log: Log;
  /** Start times, oldest first. */
  readonly #calls = new Map<Connection, number>();

  /** @param idToProve gives undefined while no proof is due. */
  constructor(idToProve: () => PeerId | undefined, clock: Clock, log: Log) {
    this.#clock = clock;
    this.#idToProve = idToProve;
    this.#log = log;
  }

  /** Undefined for other connections. */
  conductOf(connection: Connection): Conduct | undefined {
    const usefulMs = this.#calls.get(connection);
    return usefulMs === undefined ? undefined : { standing: "stranger", usefulMs, patienceMs: TRACKER_CALL_MS_MAX };
  }

  take(connection: Connection): void {
    for (const oldest of this.#calls.keys()) {
      if (this.#calls.size < TRACKER_CALLS_MAX) break;
      this.#calls.delete(oldest);
      oldest.close(new P2pfsError("busy", "too many trackers call at once"));
    }
    this.#calls.set(connection, this.#clock.now());
    connection.serve<"tracker", "peer">({
      requests: answersToTracker(this.#idToProve),
      // Only the peer's own tracker is believed.
      notices: { REVOKED: () => {} },
      reportableError: (thrown, during) => reportableError(thrown, during, this.#log),
      closed: () => void this.#calls.delete(connection),
    });
  }
}

/** Handlers of a peer for requests of a tracker, on connections dialled by either side. */
export function answersToTracker(idToProve: () => PeerId | undefined): RequestHandlers<"tracker", "peer"> {
  return {
    REQUEST_PROOF: ({ challenge }) => {
      const peerId = idToProve();
      if (peerId === undefined) throw new P2pfsError("refused", "this peer waits for no proof of its address");
      return { type: "REPLY_PROOF", proof: proofOf(peerId, challenge) };
    },
  };
}
