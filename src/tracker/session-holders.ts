/**
 * Which tracker holds the session of each online peer, for a registry that is used by a single process: it knows all
 * trackers that run, and sessions from before its start are held by none.
 */
import type { Clock } from "../core/clock.ts";
import type { PeerId } from "../core/model.ts";
import type { PeerRecord, Renewal, SessionRef, TrackerId } from "./registry.ts";

interface Held {
  readonly session: number;
  readonly tracker: TrackerId;
}

export class SessionHolders {
  readonly #clock: Clock;
  /** When each tracker counts as gone, on the clock. */
  readonly #goneAtMs = new Map<TrackerId, number>();
  readonly #held = new Map<PeerId, Held>();
  /** Whether a tracker that counts as gone holds a session that is newer than this. */
  #hasLateSessions = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  hold({ peerId, session }: SessionRef, tracker: TrackerId): void {
    this.#held.set(peerId, { session, tracker });
    if (!this.#goneAtMs.has(tracker)) this.#hasLateSessions = true;
  }

  isHeldBy({ peerId, session }: SessionRef, tracker: TrackerId): boolean {
    const held = this.#held.get(peerId);
    return held?.session === session && held.tracker === tracker;
  }

  release({ peerId, session }: SessionRef): void {
    if (this.#held.get(peerId)?.session === session) this.#held.delete(peerId);
  }

  /** @param onlinePeers is called where sessions may have lost their tracker */
  renew(tracker: TrackerId, goneAfterMs: number, onlinePeers: () => readonly PeerRecord[]): Renewal {
    const now = this.#clock.now();
    const isNew = !this.#goneAtMs.has(tracker);
    this.#goneAtMs.set(tracker, now + goneAfterMs);
    const gone = [...this.#goneAtMs].filter(([, goneAtMs]) => goneAtMs <= now);
    for (const [other] of gone) this.#goneAtMs.delete(other);
    if (!isNew && gone.length === 0 && !this.#hasLateSessions) return { isNew, takenOver: [] };
    this.#hasLateSessions = false;
    const takenOver = onlinePeers().filter((peer) => !this.#isWatched(peer));
    for (const peer of takenOver) this.#held.set(peer.peerId, { session: peer.session, tracker });
    return { isNew, takenOver };
  }

  #isWatched({ peerId }: PeerRecord): boolean {
    const held = this.#held.get(peerId);
    return held !== undefined && this.#goneAtMs.has(held.tracker);
  }
}
