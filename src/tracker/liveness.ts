/**
 * Leases of sessions. A sign of life renews a lease, and a lease that expires is passed to `expired` once. The caller
 * of `hold` supplies the time of the last sign of life: of an open connection the last frame, of a session that was taken
 * over the time of that.
 */

import type { Clock, Timer } from "../core/clock.ts";
import type { PeerId } from "../core/model.ts";
import { SECOND_MS } from "../core/units.ts";
import type { PeerRecord, SessionRef } from "./registry.ts";

const SWEEP_MS_MAX = SECOND_MS / 2;

export interface LivenessOptions {
  readonly leaseMs: number;
  readonly clock: Clock;
  /** The lease of this peer's session has expired and been removed. */
  readonly expired: (peer: PeerRecord, lastSeenMs: number) => void;
}

interface Lease {
  readonly peer: PeerRecord;
  /** On the clock. */
  readonly lastSeenMs: () => number;
}

export class Liveness {
  readonly #options: LivenessOptions;
  readonly #leases = new Map<PeerId, Lease>();
  readonly #sweepEveryMs: number;
  #lastSweepMs: number;
  /** No lease expires before this time. */
  #graceUntilMs = Number.NEGATIVE_INFINITY;
  #timer: Timer | undefined;

  constructor(options: LivenessOptions) {
    this.#options = options;
    this.#sweepEveryMs = Math.min(SWEEP_MS_MAX, options.leaseMs / 8);
    this.#lastSweepMs = options.clock.now();
  }

  start(): void {
    this.#lastSweepMs = this.#options.clock.now();
    this.#timer ??= this.#options.clock.every(this.#sweepEveryMs, () => this.sweep());
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** Gives the session a lease, which replaces the lease of an earlier session of the peer. */
  hold(peer: PeerRecord, lastSeenMs: () => number): void {
    const held = this.#leases.get(peer.peerId);
    if (held === undefined || held.peer.session <= peer.session) this.#leases.set(peer.peerId, { peer, lastSeenMs });
  }

  /** Ends the lease of this session; the lease of a newer session of the peer stays. */
  release({ peerId, session }: SessionRef): void {
    if (this.#leases.get(peerId)?.peer.session === session) this.#leases.delete(peerId);
  }

  lastSeenMs(peerId: PeerId): number | undefined {
    return this.#leases.get(peerId)?.lastSeenMs();
  }

  sweep(): void {
    const { leaseMs, clock, expired } = this.#options;
    const nowMs = clock.now();
    // A tracker that was suspended, say with its machine, has read no signs of life meanwhile.
    if (nowMs - this.#lastSweepMs > leaseMs / 2) this.#graceUntilMs = nowMs + leaseMs;
    this.#lastSweepMs = nowMs;
    if (nowMs < this.#graceUntilMs) return;
    for (const [peerId, { peer, lastSeenMs }] of this.#leases) {
      const seenMs = lastSeenMs();
      if (nowMs - seenMs < leaseMs) continue;
      this.#leases.delete(peerId);
      expired(peer, seenMs);
    }
  }
}
