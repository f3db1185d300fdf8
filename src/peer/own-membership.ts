/**
 * This peer's membership in a swarm: what identifies its connections, whom the tracker has removed, and the renewal of
 * its certificate over the session.
 */
import { X509Certificate } from "node:crypto";
import * as v from "valibot";
import { parseHostPort } from "../core/address.ts";
import type { Clock, Timer } from "../core/clock.ts";
import { P2pfsError } from "../core/errors.ts";
import { PEER_ID_BYTES } from "../core/limits.ts";
import type { Log } from "../core/log.ts";
import { type PeerId, PeerIdSchema } from "../core/model.ts";
import { MINUTE_MS } from "../core/units.ts";
import { checkCertificate } from "../identity/certificate.ts";
import { securityOf } from "../identity/credentials.ts";
import type { Membership } from "../identity/membership.ts";
import type { Security } from "../net/security.ts";
import type { Message } from "../wire/messages.ts";
import { inBackground } from "./background.ts";

const RENEWED_AFTER = 2 / 3;
const CHECK_MS = MINUTE_MS;
/** After a try. */
const RETRY_MS = 60 * MINUTE_MS;

export interface OwnMembershipOptions {
  readonly membership: Membership;
  readonly clock: Clock;
  readonly log: Log;
  /** Stores the renewed one. */
  readonly keep: (membership: Membership) => void;
}

export interface RenewalOptions {
  /** Asks the tracker over the session. */
  readonly request: () => Promise<Message<"REPLY_RENEW">>;
  /** Called when connections can show the new certificate. */
  readonly renewed: () => void;
}

export class OwnMembership {
  readonly security: Security;
  readonly #options: OwnMembershipOptions;
  #membership: Membership;
  #revoked: ReadonlySet<PeerId> = new Set();
  #timer: Timer | undefined;
  #notBeforeMs = 0;

  constructor(options: OwnMembershipOptions) {
    this.#options = options;
    this.#membership = options.membership;
    this.security = securityOf({
      membership: () => this.#membership,
      isRevoked: (peerId) => this.#revoked.has(peerId),
      wallTime: () => options.clock.wallTime(),
    });
  }

  get peerId(): PeerId {
    return this.#membership.peerId;
  }

  /** The tracker's list replaces the one before. */
  setRevoked({ peer_ids: bytes }: Message<"REVOKED">): void {
    const revoked = new Set<PeerId>();
    for (let start = 0; start < bytes.length; start += PEER_ID_BYTES)
      revoked.add(v.parse(PeerIdSchema, bytes.subarray(start, start + PEER_ID_BYTES).toHex()));
    this.#revoked = revoked;
  }

  /** Renews the certificate from now on, when its time has come. */
  open(options: RenewalOptions): void {
    this.#timer = this.#options.clock.every(CHECK_MS, () => this.#renewIfDue(options), { isBackground: true });
  }

  close(): void {
    this.#timer?.cancel();
  }

  #renewIfDue(options: RenewalOptions): void {
    const { clock, log } = this.#options;
    if (clock.now() < this.#notBeforeMs || !isRenewalDue(this.#membership.certificate, clock.wallTime())) return;
    // Whatever comes of it, the next try is not in the next minute.
    this.#notBeforeMs = clock.now() + RETRY_MS;
    inBackground("renewing the certificate", log, this.#renew(options));
  }

  /** Rejects where the tracker does not renew it, or sends something else than a certificate of this peer. */
  async #renew({ request, renewed }: RenewalOptions): Promise<void> {
    const { certificate: der, trackers } = await request();
    const { clock, keep } = this.#options;
    const trust = { authority: this.#membership.authority, isRevoked: () => false };
    const verdict = checkCertificate(der, trust, clock.wallTime());
    if ("fault" in verdict || verdict.member.peerId !== this.peerId)
      throw new P2pfsError("protocol", "the tracker's new certificate is not one for this peer");
    const named = trackers.map(parseHostPort).filter((tracker) => tracker !== undefined);
    this.#membership = { ...this.#membership, certificate: new X509Certificate(der), trackers: named };
    keep(this.#membership);
    renewed();
  }
}

/** S7: when two thirds of its time are over. @param nowMs milliseconds since 1970 */
export function isRenewalDue({ validFrom, validTo }: X509Certificate, nowMs: number): boolean {
  const [fromMs, endMs] = [Date.parse(validFrom), Date.parse(validTo)];
  return nowMs > fromMs + (endMs - fromMs) * RENEWED_AFTER;
}
