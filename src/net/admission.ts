/**
 * Who may stay of those that are connected. There are so many places. Whoever does nothing of use for too long loses
 * its place; and when all are taken, the idlest stranger of the source address that has most strangers makes room for
 * whoever comes. Members, and those with transfers under way, never go for strangers: where there are only such, the
 * newcomer is turned away.
 */

import type { Clock, Timer } from "../core/clock.ts";
import { P2pfsError } from "../core/errors.ts";
import { SECOND_MS } from "../core/units.ts";
import type { Connection } from "./connection.ts";

/** `stranger`: has shown nothing of use so far, or not for long. The others keep their places. */
export type Standing = "stranger" | "member" | "busy";

export interface AdmissionBounds {
  /** Between two looks at who has been idle for too long. */
  readonly sweepMs: number;
  /** For a frame to be whole, from its first byte on; of a payload, for more of its bytes to come. */
  readonly frameMsMax: number;
  /** For the other side to read something of what waits for it. A receiver whose disk is busy may pause. */
  readonly unreadMsMax: number;
}

export const ADMISSION_BOUNDS: AdmissionBounds = {
  sweepMs: SECOND_MS,
  frameMsMax: 10 * SECOND_MS,
  unreadMsMax: 30 * SECOND_MS,
};

/** What a connection has done, as the role that it is connected to sees it. */
export interface Conduct {
  readonly standing: Standing;
  /** When it last did something of use, on the clock of this.#clock.now(). */
  readonly usefulMs: number;
  /** How long it may go on without doing more. */
  readonly patienceMs: number;
}

export interface AdmissionOptions extends Partial<AdmissionBounds> {
  readonly placesMax: number;
  /** Undefined for a connection that the role knows nothing of, such as one without HELLO yet. */
  readonly conductOf: (connection: Connection) => Conduct | undefined;
  /** The last place was taken. Called once; again only after half of the places were free. */
  readonly full: (placesMax: number) => void;
}

interface Guest {
  readonly connection: Connection;
  readonly enteredMs: number;
  /** Frees the place at once, whatever the other side does. */
  readonly terminate: () => void;
  /** When this side was seen not to read from it. */
  pausedMs: number;
}

/**
 * Strangers that are chosen to go in one look at all places, as a part of the places. Who has a place is looked at once
 * for that many newcomers, so that a flood of them costs little.
 */
const CHOSEN_SHARE = 1 / 64;
/** Where nobody may go, nobody is looked for again so soon. */
const LOOK_AGAIN_MS = 50;

export class Admission {
  readonly #clock: Clock;
  readonly #options: AdmissionOptions & AdmissionBounds;
  readonly #guests = new Map<Connection, Guest>();
  /** To go next, the idlest last; as seen at the last look. */
  #chosen: Guest[] = [];
  #lookedMs = Number.NEGATIVE_INFINITY;
  #lookedInVain = false;
  #wasFull = false;
  readonly #timer: Timer;

  constructor(clock: Clock, options: AdmissionOptions) {
    this.#clock = clock;
    this.#options = { ...ADMISSION_BOUNDS, ...options };
    this.#timer = clock.every(this.#options.sweepMs, () => this.#sweep(), { isBackground: true });
  }

  get size(): number {
    return this.#guests.size;
  }

  /**
   * False where there is no place for a newcomer. It gets one, or not, before it is a connection. `expected`: so many
   * others were let in and have not entered yet.
   */
  makeRoom(expected = 0): boolean {
    const { placesMax, full } = this.#options;
    const taken = this.#guests.size + expected;
    if (taken + 1 >= placesMax && !this.#wasFull) {
      this.#wasFull = true;
      full(placesMax);
    }
    if (taken < placesMax) return true;
    const leaver = this.#nextToGo();
    if (leaver === undefined) return false;
    this.#guests.delete(leaver.connection);
    leaver.connection.close(new P2pfsError("busy", "all places are taken, and this one was not used"));
    leaver.terminate();
    return true;
  }

  enter(connection: Connection, terminate: () => void): void {
    this.#guests.set(connection, { connection, terminate, enteredMs: this.#clock.now(), pausedMs: 0 });
  }

  leave(connection: Connection): void {
    this.#guests.delete(connection);
    if (this.#guests.size < this.#options.placesMax / 2) this.#wasFull = false;
  }

  close(): void {
    this.#timer.cancel();
  }

  #conductOf({ connection, enteredMs }: Guest): Conduct {
    const known = this.#options.conductOf(connection);
    return known ?? { standing: "stranger", usefulMs: enteredMs, patienceMs: Number.POSITIVE_INFINITY };
  }

  #nextToGo(): Guest | undefined {
    const sinceLookMs = this.#clock.now() - this.#lookedMs;
    if (this.#lookedInVain && sinceLookMs < LOOK_AGAIN_MS) return undefined;
    if (this.#chosen.length === 0 || sinceLookMs > this.#options.sweepMs) this.#choose();
    for (let guest = this.#chosen.pop(); guest !== undefined; guest = this.#chosen.pop()) {
      if (!this.#guests.has(guest.connection)) continue;
      const { standing, usefulMs } = this.#conductOf(guest);
      if (standing === "stranger" && usefulMs <= this.#lookedMs) return guest;
    }
    return undefined;
  }

  #choose(): void {
    const strangersBySource = new Map<string, { readonly guest: Guest; readonly usefulMs: number }[]>();
    for (const guest of this.#guests.values()) {
      const { standing, usefulMs } = this.#conductOf(guest);
      if (standing !== "stranger") continue;
      const { ip } = guest.connection.remote;
      const strangers = strangersBySource.get(ip) ?? [];
      strangersBySource.set(ip, strangers);
      strangers.push({ guest, usefulMs });
    }
    const [most = []] = [...strangersBySource.values()].sort((a, b) => b.length - a.length);
    most.sort((a, b) => b.usefulMs - a.usefulMs);
    this.#chosen = most
      .slice(-Math.max(1, Math.floor(this.#options.placesMax * CHOSEN_SHARE)))
      .map(({ guest }) => guest);
    this.#lookedMs = this.#clock.now();
    this.#lookedInVain = this.#chosen.length === 0;
  }

  #sweep(): void {
    const now = this.#clock.now();
    for (const guest of this.#guests.values()) {
      const why = this.#whyItGoes(guest, now);
      if (why !== undefined) guest.connection.close(new P2pfsError("unreachable", why));
    }
  }

  /** Undefined for one that may stay. */
  #whyItGoes(guest: Guest, now: number): string | undefined {
    const { connection } = guest;
    const { frameMsMax, unreadMsMax } = this.#options;
    const { partialSinceMs, sendBlockedSinceMs } = connection;
    // What this side does not read it cannot miss.
    if (connection.isPaused) guest.pausedMs = now;
    else if (partialSinceMs !== undefined) {
      const sinceMs = connection.payloadBytesReceived > 0 ? connection.lastReceivedMs : partialSinceMs;
      if (now - Math.max(sinceMs, guest.pausedMs) > frameMsMax) return "the rest of a frame did not come in time";
    }
    if (sendBlockedSinceMs !== undefined && now - sendBlockedSinceMs > unreadMsMax)
      return "what was sent was not read in time";
    const { usefulMs, patienceMs } = this.#conductOf(guest);
    return now - usefulMs > patienceMs ? "this connection was not used for too long" : undefined;
  }
}
