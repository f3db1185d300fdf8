/**
 * Which connections keep their places, of which there is a bounded number. A connection without useful activity for too
 * long is closed. When all places are taken, a new connection evicts the idlest stranger of the source IP with the most
 * strangers. Members and connections with a transfer under way are never evicted: where there are only such
 * connections, the new one is refused.
 */

import type { Clock, Timer } from "../core/clock.ts";
import { P2pfsError } from "../core/errors.ts";
import { SECOND_MS } from "../core/units.ts";
import type { Connection } from "./connection.ts";

/** `stranger`: no useful activity so far, or none for a while. Only strangers are evicted. */
export type Standing = "stranger" | "member" | "busy";

export interface AdmissionBounds {
  /** Between two checks for connections that have been idle for too long. */
  readonly sweepMs: number;
  /** From the first byte of a frame to its last; within a payload, between two arrivals of bytes. */
  readonly frameMsMax: number;
  /** How long the other side may read nothing. Generous: a receiver pauses while its disk is busy. */
  readonly unreadMsMax: number;
}

export const ADMISSION_BOUNDS: AdmissionBounds = {
  sweepMs: SECOND_MS,
  frameMsMax: 10 * SECOND_MS,
  unreadMsMax: 30 * SECOND_MS,
};

/** What a role knows about the use of one of its connections. */
export interface Conduct {
  readonly standing: Standing;
  /** Time of the last useful activity, on the clock. */
  readonly usefulMs: number;
  /** How long the connection may be without useful activity before it is closed. */
  readonly patienceMs: number;
}

export interface AdmissionOptions extends Partial<AdmissionBounds> {
  readonly placesMax: number;
  /** Undefined for a connection that the role does not know yet, such as one before HELLO. */
  readonly conductOf: (connection: Connection) => Conduct | undefined;
  /** Called when the last place is taken, and again only after half of the places were free in between. */
  readonly full: (placesMax: number) => void;
}

interface Place {
  readonly connection: Connection;
  readonly enteredMs: number;
  /** Closes the socket without waiting for the other side. */
  readonly terminate: () => void;
  /** When a sweep last found this side not reading from the connection. */
  pausedMs: number;
}

/**
 * Strangers that one scan of all places marks for eviction, as a part of the places. One scan serves that many new
 * connections, so that a flood of them costs little.
 */
const EVICTABLE_SHARE = 1 / 64;
/** After a scan without strangers the next one waits this long. */
const RESCAN_MS = 50;

export class Admission {
  readonly #clock: Clock;
  readonly #options: AdmissionOptions & AdmissionBounds;
  readonly #places = new Map<Connection, Place>();
  /** Result of the last scan, the idlest stranger last. */
  #evictable: Place[] = [];
  #scannedMs = Number.NEGATIVE_INFINITY;
  #foundNoStranger = false;
  #wasFull = false;
  readonly #timer: Timer;

  constructor(clock: Clock, options: AdmissionOptions) {
    this.#clock = clock;
    this.#options = { ...ADMISSION_BOUNDS, ...options };
    this.#timer = clock.every(this.#options.sweepMs, () => this.#sweep(), { isBackground: true });
  }

  get size(): number {
    return this.#places.size;
  }

  /**
   * Whether a new connection gets a place, evicting another one if need be; called before the connection is made.
   * `expected`: connections that were let in before and have not entered yet.
   */
  makeRoom(expected = 0): boolean {
    const { placesMax, full } = this.#options;
    const taken = this.#places.size + expected;
    if (taken + 1 >= placesMax && !this.#wasFull) {
      this.#wasFull = true;
      full(placesMax);
    }
    if (taken < placesMax) return true;
    const evicted = this.#nextToEvict();
    if (evicted === undefined) return false;
    this.#places.delete(evicted.connection);
    evicted.connection.close(new P2pfsError("busy", "all places are taken, and this one was not used"));
    evicted.terminate();
    return true;
  }

  enter(connection: Connection, terminate: () => void): void {
    this.#places.set(connection, { connection, terminate, enteredMs: this.#clock.now(), pausedMs: 0 });
  }

  leave(connection: Connection): void {
    this.#places.delete(connection);
    if (this.#places.size < this.#options.placesMax / 2) this.#wasFull = false;
  }

  close(): void {
    this.#timer.cancel();
  }

  #conductOf({ connection, enteredMs }: Place): Conduct {
    const known = this.#options.conductOf(connection);
    return known ?? { standing: "stranger", usefulMs: enteredMs, patienceMs: Number.POSITIVE_INFINITY };
  }

  #nextToEvict(): Place | undefined {
    const sinceScanMs = this.#clock.now() - this.#scannedMs;
    if (this.#foundNoStranger && sinceScanMs < RESCAN_MS) return undefined;
    if (this.#evictable.length === 0 || sinceScanMs > this.#options.sweepMs) this.#scan();
    for (let place = this.#evictable.pop(); place !== undefined; place = this.#evictable.pop()) {
      if (!this.#places.has(place.connection)) continue;
      const { standing, usefulMs } = this.#conductOf(place);
      if (standing === "stranger" && usefulMs <= this.#scannedMs) return place;
    }
    return undefined;
  }

  #scan(): void {
    const strangersBySource = new Map<string, { readonly place: Place; readonly usefulMs: number }[]>();
    for (const place of this.#places.values()) {
      const { standing, usefulMs } = this.#conductOf(place);
      if (standing !== "stranger") continue;
      const { ip } = place.connection.remote;
      const strangers = strangersBySource.get(ip) ?? [];
      strangersBySource.set(ip, strangers);
      strangers.push({ place, usefulMs });
    }
    const [most = []] = [...strangersBySource.values()].sort((a, b) => b.length - a.length);
    most.sort((a, b) => b.usefulMs - a.usefulMs);
    this.#evictable = most
      .slice(-Math.max(1, Math.floor(this.#options.placesMax * EVICTABLE_SHARE)))
      .map(({ place }) => place);
    this.#scannedMs = this.#clock.now();
    this.#foundNoStranger = this.#evictable.length === 0;
  }

  #sweep(): void {
    const now = this.#clock.now();
    for (const place of this.#places.values()) {
      const reason = this.#closeReason(place, now);
      if (reason !== undefined) place.connection.close(new P2pfsError("unreachable", reason));
    }
  }

  /** Undefined for a connection that may stay. */
  #closeReason(place: Place, now: number): string | undefined {
    const { connection } = place;
    const { frameMsMax, unreadMsMax } = this.#options;
    const { partialSinceMs, sendBlockedSinceMs } = connection;
    // While this side does not read, a late frame is not the other side's fault.
    if (connection.isPaused) place.pausedMs = now;
    else if (partialSinceMs !== undefined) {
      const sinceMs = connection.payloadBytesReceived > 0 ? connection.lastReceivedMs : partialSinceMs;
      if (now - Math.max(sinceMs, place.pausedMs) > frameMsMax) return "the rest of a frame did not come in time";
    }
    if (sendBlockedSinceMs !== undefined && now - sendBlockedSinceMs > unreadMsMax)
      return "what was sent was not read in time";
    const { usefulMs, patienceMs } = this.#conductOf(place);
    return now - usefulMs > patienceMs ? "this connection was not used for too long" : undefined;
  }
}
