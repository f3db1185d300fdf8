/**
 * Fair scheduling of slow work: round robin over requesters, each requester's oldest task first. A requester with many
 * tasks delays its own; one with a single task waits for running tasks and one round, not for another's queue. Where tasks
 * differ much in time, the next is of the requester that has had the least time, so that short ones rarely wait for more
 * than the running one.
 */
import type { Clock } from "../core/clock.ts";
import { P2pfsError } from "../core/errors.ts";
import { REQUESTS_SERVED_MAX } from "../net/served-requests.ts";

export interface TurnsOptions {
  /** Tasks that run at the same time, of all requesters. */
  readonly atOnce: number;
  /** Waiting tasks of one requester; more are refused. */
  readonly waitingMax: number;
  /** Whether turns are given by time, instead of one after the other; then requesters are objects. */
  readonly isByTime?: boolean;
}

/** By time: what somebody who did not ask for a while has not spent, and has ahead of others. */
const SAVED_MS_MAX = 200;
/** Time spent on starting waiting tasks in one turn of the event loop. */
const TURN_MS_MAX = 1;

interface Waiting {
  readonly begin: () => void;
  readonly reject: (error: P2pfsError) => void;
}

export class Turns {
  readonly #clock: Clock;
  readonly #options: TurnsOptions;
  /** Waiting tasks by requester, the next requester first. */
  readonly #waiting = new Map<unknown, Waiting[]>();
  /** How long tasks took, by requester. */
  readonly #spentMs = new WeakMap<WeakKey, number>();
  /** What the waiting ones have spent at least. */
  #leastMs = 0;
  #running = 0;
  #isScheduled = false;

  constructor(clock: Clock, options: TurnsOptions) {
    this.#clock = clock;
    this.#options = options;
  }

  /** Runs the task in its turn. Throws `busy` where too many tasks of the requester wait. */
  run<T>(requester: unknown, task: () => Promise<T>): Promise<T> {
    if (this.#waiting.size === 0 && this.#running < this.#options.atOnce) return this.#begin(requester, task);
    const own = this.#waiting.get(requester) ?? [];
    if (own.length >= this.#options.waitingMax)
      return Promise.reject(new P2pfsError("busy", "too much waits for this connection already"));
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    own.push({ begin: () => resolve(this.#begin(requester, task)), reject });
    this.#waiting.set(requester, own);
    return promise;
  }

  /** Rejects the requester's waiting tasks; running ones continue. */
  drop(requester: unknown): void {
    const own = this.#waiting.get(requester) ?? [];
    this.#waiting.delete(requester);
    for (const { reject } of own) reject(new P2pfsError("cancelled", "the connection closed before it was its turn"));
  }

  async #begin<T>(requester: unknown, task: () => Promise<T>): Promise<T> {
    this.#running++;
    const beganMs = this.#clock.now();
    this.#leastMs = Math.max(this.#leastMs, this.#spentBy(requester));
    try {
      return await task();
    } finally {
      this.#running--;
      if (this.#options.isByTime)
        this.#spentMs.set(requester as WeakKey, this.#spentBy(requester) + this.#clock.now() - beganMs);
      this.#schedule();
    }
  }

  /** In a new turn of the event loop: tasks that end at once would otherwise all run in this one. */
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
    while (this.#waiting.size > 0) {
      if (this.#running >= this.#options.atOnce) return;
      if (this.#clock.now() - beganMs > TURN_MS_MAX) return this.#schedule();
      const [requester, own] = this.#nextInTurn();
      const next = own.shift()!;
      // Moves the requester to the end of the map.
      this.#waiting.delete(requester);
      if (own.length > 0) this.#waiting.set(requester, own);
      next.begin();
    }
  }

  #nextInTurn(): [unknown, Waiting[]] {
    let [least] = this.#waiting;
    if (this.#options.isByTime)
      for (const entry of this.#waiting) if (this.#spentBy(entry[0]) < this.#spentBy(least![0])) least = entry;
    return least!;
  }

  #spentBy(requester: unknown): number {
    return Math.max(this.#leastMs - SAVED_MS_MAX, this.#spentMs.get(requester as WeakKey) ?? 0);
  }
}

/** The schedulers of a tracker's sessions. */
export interface SessionTurns {
  /** In the order of each connection's requests: REQUEST_ANNOUNCED concerns the announcements before it. */
  readonly changes: Turns;
  readonly lists: Turns;
  readonly locations: Turns;
}

/** Enough for a group commit, and few enough that other requesters wait briefly. */
const CHANGES_AT_ONCE = 64;
/** A list is read in many steps, between which other work runs; several at once would only slow one another down. */
const LISTS_AT_ONCE = 1;
const LISTS_WAITING_MAX = 64;
const LOCATIONS_AT_ONCE = 8;

export function sessionTurns(clock: Clock): SessionTurns {
  return {
    changes: new Turns(clock, { atOnce: CHANGES_AT_ONCE, waitingMax: REQUESTS_SERVED_MAX }),
    lists: new Turns(clock, { atOnce: LISTS_AT_ONCE, waitingMax: LISTS_WAITING_MAX, isByTime: true }),
    locations: new Turns(clock, { atOnce: LOCATIONS_AT_ONCE, waitingMax: REQUESTS_SERVED_MAX }),
  };
}
