/**
 * Connections that have just arrived, whose greeting (handshake and HELLO) is not over. How many there are at once is
 * bounded, and how many greetings this side does in a second, in all and for one source: a greeting costs work that the
 * other side need not do, and whoever wants to waste it opens many connections. Beyond the bound on those at once, the
 * oldest of the source with the most has to go, of those that have said nothing yet if there are any. Beyond the rate, a
 * connection is closed before any work is done for it.
 */
import { sourceOf } from "../core/address.ts";
import type { Clock } from "../core/clock.ts";
import type { PeerId } from "../core/model.ts";
import { MINUTE_MS } from "../core/units.ts";
import { Allowance, type AllowanceOptions } from "./allowance.ts";
import { connectionsWithin } from "./descriptors.ts";
import { SourceAllowances } from "./source-allowances.ts";

export interface GreetingRates {
  readonly inAll: AllowanceOptions;
  readonly perSource: AllowanceOptions;
  /** What a member may ask for at once on a new connection costs more than the handshake. */
  readonly perMember: AllowanceOptions;
}

/** A member connects for each fetch that goes without its peer, and once more for some of its requests to a holder. */
const MEMBER_RATE = { perSecond: 50, burst: 500 };

/**
 * A handshake with a member costs this side some 0.6 ms of one processor, and one that is left open after the first
 * message 0.3 ms; a connection that is closed on its arrival 0.03 ms. So a source cannot take more than a fifth of a
 * processor, and a third or less with handshakes of no members even where many sources are at it. The burst lets
 * hundreds of machines behind one address, or peers on one machine, come back at the same moment; the rate leaves a
 * source that keeps 500 handshakes half open, which end after HELLO_MS_MAX, some for others behind the same address.
 */
export const HANDSHAKE_RATES: GreetingRates = {
  inAll: { perSecond: 1000, burst: 4000 },
  perSource: { perSecond: 300, burst: 1000 },
  perMember: MEMBER_RATE,
};

/** Without TLS a greeting costs little more than closing the connection. */
export const PLAIN_GREETING_RATES: GreetingRates = {
  inAll: { perSecond: 5000, burst: 10_000 },
  perSource: { perSecond: 2000, burst: 5000 },
  perMember: MEMBER_RATE,
};

/** Greetings under way at the same time. */
export interface GreetingsAtOnce {
  readonly inAll: number;
  readonly perSource: number;
}

/**
 * Each takes some 10 KiB at most, and HELLO_MS_MAX. So many that where the oldest have to go, who may be somebody else
 * behind the same address, those were here for longer than a greeting takes: a source that opens five thousand
 * connections, and each again when it is closed, does not keep others from theirs.
 */
const GREETINGS_MAX = 8192;
/** The other shares are for who has greeted, and for files. */
const SHARE_OF_DESCRIPTORS = 0.2;

/** Fewer where descriptors are scarce. */
export function greetingsAtOnce(): GreetingsAtOnce {
  const inAll = connectionsWithin(GREETINGS_MAX, SHARE_OF_DESCRIPTORS);
  return { inAll, perSource: Math.floor(inAll / 2) };
}

/** `crowded` is called for one source at most once in this time. */
const CROWDED_EVERY_MS = MINUTE_MS;

export interface ArrivalsOptions {
  readonly clock: Clock;
  readonly rates: GreetingRates;
  readonly atOnce: GreetingsAtOnce;
  /** A source has used up what it may, and connections of it are closed. */
  readonly crowded: (ip: string) => void;
}

/** A connection whose greeting is not over. */
export interface Arrival {
  readonly ip: string;
  /** Whether the other side has begun, so that this side has done its part. */
  readonly isAnswered: () => boolean;
  readonly terminate: () => void;
}

/** Of one source; in each the oldest first. Who is answered is noticed when somebody has to go. */
interface UnderWay {
  readonly silent: Set<Arrival>;
  readonly answered: Set<Arrival>;
}

const sizeOf = ({ silent, answered }: UnderWay) => silent.size + answered.size;

export class Arrivals {
  readonly #options: ArrivalsOptions;
  readonly #inAll: Allowance;
  readonly #perSource: SourceAllowances;
  readonly #perMember: SourceAllowances;
  /** By source. */
  readonly #underWay = new Map<string, UnderWay>();
  #count = 0;
  #crowdedMs = Number.NEGATIVE_INFINITY;

  constructor(options: ArrivalsOptions) {
    const { clock, rates } = options;
    this.#options = options;
    this.#inAll = new Allowance(clock, rates.inAll);
    this.#perSource = new SourceAllowances(clock, rates.perSource);
    this.#perMember = new SourceAllowances(clock, rates.perMember);
  }

  /** Whether a new connection from this IP is let in. */
  lets(ip: string): boolean {
    if (!this.#perSource.isLeft(ip)) {
      this.#tellCrowded(ip);
      return false;
    }
    return this.#inAll.isLeft;
  }

  /** Whether this member, which has just proven that it is one, may stay. */
  letsMember(peerId: PeerId): boolean {
    return this.#perMember.take(peerId);
  }

  /** A connection was let in. One that is under way for longer may have to go for it. */
  enter(arrival: Arrival): void {
    const { atOnce } = this.#options;
    const source = sourceOf(arrival.ip);
    const own = this.#underWay.get(source) ?? { silent: new Set(), answered: new Set() };
    this.#underWay.set(source, own);
    own.silent.add(arrival);
    this.#count++;
    if (sizeOf(own) > atOnce.perSource) this.#evictFrom(own, arrival);
    else if (this.#count > atOnce.inAll) this.#evictFrom(this.#most() ?? own, arrival);
  }

  /** The greeting is over, or the connection has ended. */
  leave(arrival: Arrival): void {
    const source = sourceOf(arrival.ip);
    const own = this.#underWay.get(source);
    if (own === undefined || !(own.silent.delete(arrival) || own.answered.delete(arrival))) return;
    this.#count--;
    if (sizeOf(own) === 0) this.#underWay.delete(source);
  }

  /** This side has done its part of a greeting. */
  spend({ ip }: Arrival): void {
    this.#inAll.spend();
    this.#perSource.spend(ip);
  }

  #evictFrom({ silent, answered }: UnderWay, newcomer: Arrival): void {
    for (const arrival of silent) {
      if (arrival === newcomer) break;
      if (!arrival.isAnswered()) return this.#evict(arrival);
      silent.delete(arrival);
      answered.add(arrival);
    }
    for (const arrival of answered) return this.#evict(arrival);
  }

  #evict(arrival: Arrival): void {
    this.#tellCrowded(arrival.ip);
    this.leave(arrival);
    arrival.terminate();
  }

  #most(): UnderWay | undefined {
    let most: UnderWay | undefined;
    for (const own of this.#underWay.values()) if (most === undefined || sizeOf(own) > sizeOf(most)) most = own;
    return most;
  }

  #tellCrowded(ip: string): void {
    const now = this.#options.clock.now();
    if (now - this.#crowdedMs < CROWDED_EVERY_MS) return;
    this.#crowdedMs = now;
    this.#options.crowded(ip);
  }
}
