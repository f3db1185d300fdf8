/** Who may come in at a listener: bounds on those that arrive, on those that stay, and on the connections of a member. */
import type { Clock } from "../core/clock.ts";
import { P2pfsError } from "../core/errors.ts";
import type { PeerId } from "../core/model.ts";
import { Admission, type AdmissionOptions } from "./admission.ts";
import {
  type Arrival,
  Arrivals,
  type GreetingRates,
  type GreetingsAtOnce,
  greetingsAtOnce,
  HANDSHAKE_RATES,
  PLAIN_GREETING_RATES,
} from "./arrivals.ts";
import type { Connection } from "./connection.ts";
import { Tally } from "./tally.ts";
import type { Transport } from "./transport.ts";

/** A member runs a peer, and one for each fetch that goes without it, each with a connection or two. */
export const CONNECTIONS_PER_MEMBER_MAX = 256;

export interface EntranceOptions {
  readonly clock: Clock;
  readonly isEncrypted: boolean;
  readonly admission: AdmissionOptions;
  /** Default: those for encrypted connections, or for plain ones. */
  readonly rates?: GreetingRates | undefined;
  /** Default: as descriptors allow. */
  readonly greetingsAtOnce?: GreetingsAtOnce | undefined;
  readonly crowded: (ip: string) => void;
}

/** One connection that came in; to be told what becomes of it. */
export interface Visit {
  /** This side has done its part of a handshake. */
  shookHands(): void;
  /** HELLO is here, and the connection needs a place, for which another one may have to go. @returns why it cannot stay */
  greeted(): P2pfsError | undefined;
  closed(): void;
}

export class Entrance {
  readonly #isEncrypted: boolean;
  readonly #admission: Admission;
  readonly #arrivals: Arrivals;
  readonly #ofMember = new Tally<PeerId>();

  constructor(options: EntranceOptions) {
    const { clock, isEncrypted, admission, rates, crowded } = options;
    const atOnce = options.greetingsAtOnce ?? greetingsAtOnce();
    this.#isEncrypted = isEncrypted;
    this.#admission = new Admission(clock, admission);
    const usual = isEncrypted ? HANDSHAKE_RATES : PLAIN_GREETING_RATES;
    this.#arrivals = new Arrivals({ clock, rates: rates ?? usual, atOnce, crowded });
  }

  /** Whether a new connection from this IP is greeted, for which another one may have to go. */
  lets(ip: string): boolean {
    return this.#arrivals.lets(ip);
  }

  enter(connection: Connection, transport: Transport): Visit {
    const terminate = () => transport.terminate();
    const arrival: Arrival = {
      ip: connection.remote.ip,
      isAnswered: () => transport.isAnswered?.() ?? false,
      terminate,
    };
    this.#arrivals.enter(arrival);
    let member: PeerId | undefined;
    // A connection has a place from its HELLO on: those that say nothing take none from who does.
    return {
      shookHands: () => this.#arrivals.spend(arrival),
      greeted: () => {
        this.#arrivals.leave(arrival);
        if (!this.#isEncrypted) this.#arrivals.spend(arrival);
        if (!this.#admission.makeRoom(connection.remote.ip)) return new P2pfsError("busy", "all places are taken");
        // In a microtask, since the ERROR is written in an earlier one.
        this.#admission.enter(connection, () => queueMicrotask(terminate));
        member = connection.member?.peerId;
        if (member === undefined) return undefined;
        this.#ofMember.add(member);
        if (this.#ofMember.of(member) > CONNECTIONS_PER_MEMBER_MAX)
          return new P2pfsError("busy", "this member has too many connections here");
        if (!this.#arrivals.letsMember(member))
          return new P2pfsError("busy", "this member connects too often; try again in a few seconds");
        return undefined;
      },
      closed: () => {
        this.#arrivals.leave(arrival);
        this.#admission.leave(connection);
        if (member !== undefined) this.#ofMember.remove(member);
      },
    };
  }

  close(): void {
    this.#admission.close();
  }
}
