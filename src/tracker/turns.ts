/**
 * Fair turns at something that takes time. Whoever asks much waits behind itself: of those that wait, one after the
 * other gets the next place, with its oldest request first, so that somebody who asks for one thing waits for what is
 * under way and not for what somebody else has piled up.
 */
import type { Clock } from "../core/clock.ts";
import { P2pfsError } from "../core/errors.ts";
import { REQUESTS_SERVED_MAX } from "../net/served-requests.ts";

export interface TurnsOptions {
  /** Under way at the same time, of all askers. */
  readonly atOnce: number;
  /** Requests of one asker that wait; more are refused before anything is done for them. */
  readonly waitingMax: number;
}

/** Of beginning what waits, in one turn of the event loop. */
const TURN_MS_MAX = 1;

interface Waiting {
  readonly begin: () => void;
  readonly reject: (error: P2pfsError) => void;
}

export class Turns {
  readonly #clock: Clock;
  readonly #options: TurnsOptions;
  /** What waits of each asker, the next asker first. */
  readonly #waiting = new Map<unknown, Waiting[]>();
  #underWay = 0;
  #isScheduled = false;

  constructor(clock: Clock, options: TurnsOptions) {
    this.#clock = clock;
    this.#options = options;
  }

  /** Runs the task when it is its turn. Throws `busy` where the asker has too many waiting already. */
  run<T>(asker: unknown, task: () => Promise<T>): Promise<T> {
    if (this.#waiting.size === 0 && this.#underWay < this.#options.atOnce) return this.#begin(task);
    const own = this.#waiting.get(asker) ?? [];
    if (own.length >= this.#options.waitingMax)
      return Promise.reject(new P2pfsError("busy", "too much waits for this connection already"));
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    own.push({ begin: () => resolve(this.#begin(task)), reject });
    this.#waiting.set(asker, own);
    return promise;
  }

  /** The asker is gone; what it has under way goes on. */
  drop(asker: unknown): void {
    const own = this.#waiting.get(asker) ?? [];
    this.#waiting.delete(asker);
    for (const { reject } of own) reject(new P2pfsError("cancelled", "the connection closed before it was its turn"));
  }

  async #begin<T>(task: () => Promise<T>): Promise<T> {
    this.#underWay++;
    try {
      return await task();
    } finally {
      this.#underWay--;
      this.#schedule();
    }
  }

  /** In a turn of the event loop of its own: what is done at once would otherwise be followed by all that waits. */
  #schedule(): void {
    if (this.#isScheduled || this.#waiting.size === 0) return;
    this.#isScheduled = true;
    this.#clock.nextTurn(() => {
      this.#isScheduled = false;
      this.#beginNext();
    });
  }

  #beginNext(): void {
    const beganMs = this.#clock.now();
    for (const [asker, own] of this.#waiting) {
      if (this.#underWay >= this.#options.atOnce) return;
      if (this.#clock.now() - beganMs > TURN_MS_MAX) return this.#schedule();
      const next = own.shift()!;
      // To the end of the line, which this loop goes on to.
      this.#waiting.delete(asker);
      if (own.length > 0) this.#waiting.set(asker, own);
      next.begin();
    }
  }
}

/** The turns that sessions take. */
export interface SessionTurns {
  /** In the order in which a connection asks for them: REQUEST_ANNOUNCED is about what was told before it. */
  readonly changes: Turns;
  readonly lists: Turns;
  readonly locations: Turns;
  /** Dialling back, by the IP from which the peer came. */
  readonly proofs: Turns;
}

/** Enough for one commit to be shared by many, and no more than others can wait for. */
const CHANGES_AT_ONCE = 64;
/** Each is read in many steps, between which everything else goes on; more at once would only all take longer. */
const LISTS_AT_ONCE = 1;
const LISTS_WAITING_MAX = 64;
const LOCATIONS_AT_ONCE = 8;
/** Each may last until its notice is due, at an address that somebody else has chosen. */
const PROOFS_AT_ONCE = 32;
const PROOFS_WAITING_MAX = 32;

export function sessionTurns(clock: Clock): SessionTurns {
  return {
    changes: new Turns(clock, { atOnce: CHANGES_AT_ONCE, waitingMax: REQUESTS_SERVED_MAX }),
    lists: new Turns(clock, { atOnce: LISTS_AT_ONCE, waitingMax: LISTS_WAITING_MAX }),
    locations: new Turns(clock, { atOnce: LOCATIONS_AT_ONCE, waitingMax: REQUESTS_SERVED_MAX }),
    proofs: new Turns(clock, { atOnce: PROOFS_AT_ONCE, waitingMax: PROOFS_WAITING_MAX }),
  };
}
