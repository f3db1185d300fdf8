/**
 * This peer's membership in a swarm: what identifies its connections, whom the tracker has removed, and the renewal of
 * its certificate over the session.
 */
import { X509Certificate } from "node:crypto";
import * as v from "valibot";
import { parseHostPort } from "../core/address.ts";
import type { Clock } from "../core/clock.ts";
import { P2pfsError } from "../core/errors.ts";
import { PEER_ID_BYTES } from "../core/limits.ts";
import { type PeerId, PeerIdSchema } from "../core/model.ts";
import { checkCertificate } from "../identity/certificate.ts";
import { securityOf } from "../identity/credentials.ts";
import type { Membership } from "../identity/membership.ts";
import type { Security } from "../net/security.ts";
import type { Message } from "../wire/messages.ts";
import type { TrackerSession } from "./tracker-link.ts";

/** S7: the part of a certificate's time after which it is renewed. */
const RENEWED_AFTER = 2 / 3;

export interface OwnMembershipOptions {
  readonly membership: Membership;
  readonly clock: Clock;
  /** Stores the renewed one. */
  readonly keep: (membership: Membership) => void;
}

export class OwnMembership {
  readonly security: Security;
  readonly #options: OwnMembershipOptions;
  #membership: Membership;
  #revoked: ReadonlySet<PeerId> = new Set();

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

  get isRenewalDue(): boolean {
    const { validFrom, validTo } = this.#membership.certificate;
    const [fromMs, endMs] = [Date.parse(validFrom), Date.parse(validTo)];
    return this.#options.clock.wallTime() > fromMs + (endMs - fromMs) * RENEWED_AFTER;
  }

  /** Rejects where the tracker does not renew it, or sends something else than a certificate of this peer. */
  async renew(session: TrackerSession): Promise<void> {
    const { certificate: der, trackers } = await session.request({ type: "REQUEST_RENEW" });
    const { clock, keep } = this.#options;
    const trust = { authority: this.#membership.authority, isRevoked: () => false };
    const verdict = checkCertificate(der, trust, clock.wallTime());
    if ("fault" in verdict || verdict.member.peerId !== this.peerId)
      throw new P2pfsError("protocol", "the tracker's new certificate is not one for this peer");
    const named = trackers.map(parseHostPort).filter((tracker) => tracker !== undefined);
    this.#membership = { ...this.#membership, certificate: new X509Certificate(der), trackers: named };
    keep(this.#membership);
  }
}
