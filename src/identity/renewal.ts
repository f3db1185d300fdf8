/** S7: a member's certificate renews itself when two thirds of its time are over. */
import { X509Certificate } from "node:crypto";
import { formatHostPort, type HostPort, parseHostPort } from "../core/address.ts";
import type { Clock } from "../core/clock.ts";
import { P2pfsError } from "../core/errors.ts";
import { TRACKERS_NAMED_MAX } from "../core/limits.ts";
import { MINUTE_MS } from "../core/units.ts";
import { checkCertificate, roleOf } from "./certificate.ts";
import type { Membership } from "./membership.ts";

const RENEWED_AFTER = 2 / 3;
/** Between two tries, while the clock may be wrong or no tracker renews it. */
const RETRY_MS = 60 * MINUTE_MS;

/** @param nowMs milliseconds since 1970 */
export function isRenewalDue({ validFrom, validTo }: X509Certificate, nowMs: number): boolean {
  const [fromMs, endMs] = [Date.parse(validFrom), Date.parse(validTo)];
  return nowMs > fromMs + (endMs - fromMs) * RENEWED_AFTER;
}

/** When to try. */
export class RenewalTries {
  readonly #clock: Clock;
  #notBeforeMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether to try now; after that not soon again, whatever comes of it. */
  take({ certificate }: Membership): boolean {
    const now = this.#clock.now();
    if (now < this.#notBeforeMs || !isRenewalDue(certificate, this.#clock.wallTime())) return false;
    this.#notBeforeMs = now + RETRY_MS;
    return true;
  }
}

/** What a tracker has sent: a certificate (DER), and the trackers of the swarm as `HOST:PORT`. */
export interface Renewed {
  readonly certificate: Uint8Array;
  readonly trackers: readonly string[];
}

/**
 * The membership with its new certificate. Throws `protocol` where that is none of this member.
 *
 * @param nowMs milliseconds since 1970
 */
export function renewedMembership(
  membership: Membership,
  { certificate: der, trackers }: Renewed,
  nowMs: number,
): Membership {
  const verdict = checkCertificate(der, { authority: membership.authority, isRevoked: () => false }, nowMs);
  const isFit = "member" in verdict && verdict.member.peerId === membership.peerId;
  if (!isFit || verdict.member.role !== roleOf(membership.certificate))
    throw new P2pfsError("protocol", "the tracker's new certificate is not one for this member");
  const named = trackers.map(parseHostPort).filter((tracker) => tracker !== undefined);
  return { ...membership, certificate: new X509Certificate(der), trackers: withKnown(named, membership.trackers) };
}

/** Those that were named now, then the others: a tracker names itself only, and may be gone when another is still there. */
function withKnown(named: readonly HostPort[], known: readonly HostPort[]): readonly HostPort[] {
  const byText = new Map([...named, ...known].map((tracker) => [formatHostPort(tracker), tracker]));
  return [...byText.values()].slice(0, TRACKERS_NAMED_MAX);
}
