/**
 * The beginning of a connection: who the other side is, by its certificate where connections are encrypted, and by its
 * HELLO. Nothing else is believed before both are here, and they have to be here in time.
 */
import type { Clock, Timer } from "../core/clock.ts";
import { P2pfsError } from "../core/errors.ts";
import { SECOND_MS } from "../core/units.ts";
import { type Fields, type Message, PROTOCOL_VERSION } from "../wire/messages.ts";
import type { RemoteMember, Security } from "./security.ts";
import type { ShownCertificate } from "./transport.ts";

/** The other side's certificate and HELLO must be here within this time. */
export const HELLO_MS_MAX = 2 * SECOND_MS;

export interface GreetingOptions {
  readonly clock: Clock;
  /** Undefined where connections are plain. */
  readonly security: Security | undefined;
  readonly late: (error: P2pfsError) => void;
}

export class Greeting {
  readonly #security: Security | undefined;
  readonly #timer: Timer;
  #hello: Fields<"HELLO"> | undefined;
  #member: RemoteMember | undefined;
  #isSecured = false;

  constructor({ clock, security, late }: GreetingOptions) {
    this.#security = security;
    this.#timer = clock.after(HELLO_MS_MAX, () => late(new P2pfsError("protocol", "no HELLO came in time")));
  }

  /** The other side's HELLO; undefined before it is here. */
  get hello(): Fields<"HELLO"> | undefined {
    return this.#hello;
  }

  /** Undefined for a plain connection, and for a side that has shown no certificate. */
  get member(): RemoteMember | undefined {
    return this.#member;
  }

  /** Whether the other side is none of those that may do more than ask to join. */
  get isOutsider(): boolean {
    return this.#security !== undefined && this.#member === undefined;
  }

  /** Whether this side may speak: nothing can be sent before the handshake is done. */
  get canSpeak(): boolean {
    return this.#security === undefined || this.#isSecured;
  }

  /** The handshake is done. @returns why the connection cannot go on */
  secured(shown: ShownCertificate | undefined): P2pfsError | undefined {
    this.#isSecured = true;
    if (shown === undefined || this.#security === undefined) return undefined;
    const identification = this.#security.identify(shown);
    if ("fault" in identification) return new P2pfsError("unauthorised", identification.fault);
    this.#member = identification.member;
    return undefined;
  }

  /** @returns why the other side is no member any more */
  lapse(): P2pfsError | undefined {
    const fault = this.#member && this.#security?.lapse(this.#member);
    return fault === undefined ? undefined : new P2pfsError("unauthorised", fault);
  }

  /** The first message is here. @returns why the connection cannot go on */
  take(message: Message): P2pfsError | undefined {
    if (this.#security !== undefined && !this.#isSecured)
      return new P2pfsError("unauthorised", "the connection is not encrypted");
    if (message.type !== "HELLO") return new P2pfsError("protocol", "the first frame must be HELLO");
    const { version, role } = message;
    if (version !== PROTOCOL_VERSION) {
      const text = `this side speaks protocol version ${PROTOCOL_VERSION}, the other side version ${version}`;
      return new P2pfsError("protocol", text);
    }
    if (this.#member !== undefined && this.#member.role !== role)
      return new P2pfsError("unauthorised", `the certificate is for a ${this.#member.role}, not for a ${role}`);
    this.#timer.cancel();
    this.#hello = message;
    return undefined;
  }

  close(): void {
    this.#timer.cancel();
  }
}
