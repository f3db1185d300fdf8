/**
 * Which connections keep their places, of which there is a bounded number, in all and for one source. A connection
 * without useful activity for too long is closed. When all places are taken, a new connection evicts the idlest stranger
 * of the source with the most strangers; when those of its source are, the idlest stranger of its source. Members and
 * connections with a transfer under way are never evicted: where there are only such connections, the new one is
 * refused.
 */
import { sourceOf } from "../core/address.ts";
import type { Clock, Timer } from "../core/clock.ts";
import { P2pfsError } from "../core/errors.ts";
import { SECOND_MS } from "../core/units.ts";
import type { Connection } from "./connection.ts";
import { Tally } from "./tally.ts";

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

/** The part of the places that one source may take. Where there are few places, they are for whoever comes. */
const SOURCE_SHARE = 3 / 4;
const SOURCE_PLACES_MIN = 256;
/**
 * Strangers that one scan of all places marks for eviction, as a part of the places. One scan serves that many new
 * connections, so that a flood of them costs little.
 */
const EVICTABLE_SHARE = 1 / 64;
/** After a scan without strangers the next one waits this long. */
const RESCAN_MS = 50;

/** Some strangers to evict, the idlest last. */
interface Scan {
  readonly evictable: Place[];
  readonly foundNone: boolean;
  readonly atMs: number;
}

export class Admission {
  readonly #clock: Clock;
  readonly #options: AdmissionOptions & AdmissionBounds;
  readonly #places = new Map<Connection, Place>();
  readonly #ofSource = new Tally<string>();
  readonly #placesPerSource: number;
  /** The last scan of the strangers of a source, and of those of the source with the most (undefined). */
  readonly #scans = new Map<string | undefined, Scan>();
  #wasFull = false;
  readonly #timer: Timer;

  constructor(clock: Clock, options: AdmissionOptions) {
    this.#clock = clock;
    this.#options = { ...ADMISSION_BOUNDS, ...options };
    this.#placesPerSource = Math.max(SOURCE_PLACES_MIN, Math.floor(options.placesMax * SOURCE_SHARE));
    this.#timer = clock.every(this.#options.sweepMs, () => this.#sweep(), { isBackground: true });
  }

  get size(): number {
    return this.#places.size;
  }

  /**
   * Whether a new connection gets a place, evicting another one if need be; called before it enters.
   *
   * @param ip where it comes from; undefined for one that this side makes
   * @param expected connections that were let in before and have not entered yet
   */
  makeRoom(ip: string | undefined, expected = 0): boolean {
    const { placesMax, full } = this.#options;
    const taken = this.#places.size + expected;
    if (taken + 1 >= placesMax && !this.#wasFull) {
      this.#wasFull = true;
      full(placesMax);
    }
    const source = ip === undefined ? undefined : sourceOf(ip);
    if (source !== undefined && this.#ofSource.of(source) >= this.#placesPerSource) return this.#evict(source);
    return taken < placesMax || this.#evict(undefined);
  }

  enter(connection: Connection, terminate: () => void): void {
    this.#places.set(connection, { connection, terminate, enteredMs: this.#clock.now(), pausedMs: 0 });
    this.#ofSource.add(sourceOf(connection.remote.ip));
  }

  leave(connection: Connection): void {
    if (!this.#places.delete(connection)) return;
    this.#ofSource.remove(sourceOf(connection.remote.ip));
    if (this.#places.size < this.#options.placesMax / 2) this.#wasFull = false;
  }

  close(): void {
    this.#timer.cancel();
  }

  #evict(source: string | undefined): boolean {
    const evicted = this.#nextToEvict(source);
    if (evicted === undefined) return false;
    this.leave(evicted.connection);
    evicted.connection.close(new P2pfsError("busy", "all places are taken, and this one was not used"));
    evicted.terminate();
    return true;
  }

  #conductOf({ connection, enteredMs }: Place): Conduct {
    const known = this.#options.conductOf(connection);
    return known ?? { standing: "stranger", usefulMs: enteredMs, patienceMs: Number.POSITIVE_INFINITY };
  }

  #nextToEvict(source: string | undefined): Place | undefined {
    const { evictable, atMs } = this.#currentScan(source);
    for (let place = evictable.pop(); place !== undefined; place = evictable.pop()) {
      if (!this.#places.has(place.connection)) continue;
      const { standing, usefulMs } = this.#conductOf(place);
      if (standing === "stranger" && usefulMs <= atMs) return place;
    }
    return undefined;
  }

  #currentScan(source: string | undefined): Scan {
    const last = this.#scans.get(source);
    const sinceMs = this.#clock.now() - (last?.atMs ?? Number.NEGATIVE_INFINITY);
    if (last?.foundNone && sinceMs < RESCAN_MS) return last;
    if (last !== undefined && last.evictable.length > 0 && sinceMs <= this.#options.sweepMs) return last;
    const scan = this.#scan(source);
    this.#scans.set(source, scan);
    return scan;
  }

  #scan(source: string | undefined): Scan {
    const strangersBySource = new Map<string, { readonly place: Place; readonly usefulMs: number }[]>();
    for (const place of this.#places.values()) {
      const { standing, usefulMs } = this.#conductOf(place);
      if (standing !== "stranger") continue;
      const from = sourceOf(place.connection.remote.ip);
      if (source !== undefined && from !== source) continue;
      const strangers = strangersBySource.get(from) ?? [];
      strangersBySource.set(from, strangers);
      strangers.push({ place, usefulMs });
    }
    const [most = []] = [...strangersBySource.values()].sort((a, b) => b.length - a.length);
    most.sort((a, b) => b.usefulMs - a.usefulMs);
    const evictable = most
      .slice(-Math.max(1, Math.floor(this.#options.placesMax * EVICTABLE_SHARE)))
      .map(({ place }) => place);
    return { evictable, foundNone: evictable.length === 0, atMs: this.#clock.now() };
  }

  #sweep(): void {
    const now = this.#clock.now();
    this.#scans.clear();
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
