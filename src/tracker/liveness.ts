/**
 * Who is still there. A session holds a lease that every sign of life renews; one that runs out is reported once. What
 * a sign of life is, the holder of the lease knows: an open connection its last bytes, a session remembered from before
 * a restart the moment of the start.
 */

import type { Clock, Timer } from "../core/clock.ts";
import type { PeerId } from "../core/model.ts";
import { SECOND_MS } from "../core/units.ts";
import type { PeerRecord, SessionRef } from "./registry.ts";

const SWEEP_MS_MAX = SECOND_MS / 2;

export interface LivenessOptions {
  readonly leaseMs: number;
  readonly clock: Clock;
  /** The lease of this peer's session ran out and is not held any more. */
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
  /** Nobody's lease runs out before this time. */
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

  /** Gives the session a lease, in place of one that its peer has. */
  hold(peer: PeerRecord, lastSeenMs: () => number): void {
    this.#leases.set(peer.peerId, { peer, lastSeenMs });
  }

  /** Ends the lease of this session; that of a successor stays. */
  release({ peerId, session }: SessionRef): void {
    if (this.#leases.get(peerId)?.peer.session === session) this.#leases.delete(peerId);
  }

  lastSeenMs(peerId: PeerId): number | undefined {
    return this.#leases.get(peerId)?.lastSeenMs();
  }

  sweep(): void {
    const { leaseMs, clock, expired } = this.#options;
    const nowMs = clock.now();
    // A tracker that did not run for a while, say because the machine slept, did not read anybody's signs of life.
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
