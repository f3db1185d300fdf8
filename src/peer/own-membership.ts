/**
 * This peer's membership in a swarm: what identifies its connections, whom the tracker has removed, and the renewal of
 * its certificate over the session.
 */
import * as v from "valibot";
import type { Clock, Timer } from "../core/clock.ts";
import { PEER_ID_BYTES } from "../core/limits.ts";
import type { Log } from "../core/log.ts";
import { type PeerId, PeerIdSchema } from "../core/model.ts";
import { MINUTE_MS } from "../core/units.ts";
import { securityOf } from "../identity/credentials.ts";
import type { Membership } from "../identity/membership.ts";
import { RenewalTries, renewedMembership } from "../identity/renewal.ts";
import type { Security } from "../net/security.ts";
import type { Message } from "../wire/messages.ts";
import { inBackground } from "./background.ts";

const CHECK_MS = MINUTE_MS;

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
  readonly #tries: RenewalTries;
  #timer: Timer | undefined;

  constructor(options: OwnMembershipOptions) {
    this.#options = options;
    this.#membership = options.membership;
    this.#tries = new RenewalTries(options.clock);
    this.security = securityOf({
      membership: () => this.#membership,
      isRevoked: (peerId) => this.#revoked.has(peerId),
      wallTime: () => options.clock.wallTime(),
    });
  }

  get peerId(): PeerId {
    return this.#membership.peerId;
  }

  /** Why this machine is no member any more, by its own clock; undefined for a member. */
  get lapse(): string | undefined {
    const { swarm, certificate } = this.#membership;
    const endMs = Date.parse(certificate.validTo);
    if (this.#options.clock.wallTime() < endMs) return undefined;
    return `this peer's membership of the swarm ${swarm} ended on ${new Date(endMs).toISOString().slice(0, 10)}`;
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
    if (this.#tries.take(this.#membership))
      inBackground("renewing the certificate", this.#options.log, this.#renew(options));
  }

  /** Rejects where the tracker does not renew it, or sends something else than a certificate of this peer. */
  async #renew({ request, renewed }: RenewalOptions): Promise<void> {
    const reply = await request();
    const { clock, keep } = this.#options;
    const membership = renewedMembership(this.#membership, reply, clock.wallTime());
    // First, so that it is tried again where it cannot be stored.
    keep(membership);
    this.#membership = membership;
    renewed();
  }
}
