/**
 * This peer's membership in a swarm: what identifies its connections, whom the tracker has removed, and the renewal of
 * its certificate over the session.
 */
import type { Timer } from "../core/clock.ts";
import { P2pfsError } from "../core/errors.ts";
import type { Log } from "../core/log.ts";
import type { PeerId } from "../core/model.ts";
import { MINUTE_MS } from "../core/units.ts";
import { securityOf } from "../identity/credentials.ts";
import type { Membership } from "../identity/membership.ts";
import { RenewalTries, type Renewed, renewedMembership } from "../identity/renewal.ts";
import type { Security } from "../net/security.ts";
import type { System } from "../net/system.ts";
import type { MembershipFiles } from "../store/membership-files.ts";
import { idsIn, type Message } from "../wire/messages.ts";
import { inBackground } from "./background.ts";
import { askRenewal } from "./join-swarm.ts";

const CHECK_MS = MINUTE_MS;

export interface OwnMembershipOptions {
  readonly membership: Membership;
  readonly system: System;
  /** Where a renewed one is stored; undefined for a peer that keeps nothing. */
  readonly files: Pick<MembershipFiles, "write"> | undefined;
  readonly log: Log;
  /** Called when somebody may be no member any more, so that connections with those are closed. */
  readonly closeLapsed: () => void;
}

export interface RenewalOptions {
  /** Asks the tracker over the session. */
  readonly request: () => Promise<Renewed>;
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
    const { clock } = options.system;
    this.#tries = new RenewalTries(clock);
    this.security = securityOf({
      membership: () => this.#membership,
      isRevoked: (peerId) => this.#revoked.has(peerId),
      wallTime: () => clock.wallTime(),
    });
  }

  get peerId(): PeerId {
    return this.#membership.peerId;
  }

  /** Why this machine is no member any more, by its own clock; undefined for a member. */
  get lapse(): string | undefined {
    const { swarm, certificate } = this.#membership;
    const endMs = Date.parse(certificate.validTo);
    if (this.#options.system.clock.wallTime() < endMs) return undefined;
    return `this peer's membership of the swarm ${swarm} ended on ${new Date(endMs).toISOString().slice(0, 10)}`;
  }

  /** The tracker's list replaces the one before. */
  setRevoked(message: Message<"REVOKED">): void {
    this.#revoked = new Set(idsIn(message));
    this.#options.closeLapsed();
  }

  /** From now on, renews the certificate when its time has come, and ends connections with those whose time is over. */
  open(options: RenewalOptions): void {
    const check = () => {
      this.#options.closeLapsed();
      this.#renewIfDue(options);
    };
    this.#timer = this.#options.system.clock.every(CHECK_MS, check, { isBackground: true });
  }

  close(): void {
    this.#timer?.cancel();
  }

  #renewIfDue(options: RenewalOptions): void {
    if (this.#tries.take(this.#membership))
      inBackground("renewing the certificate", this.#options.log, this.#renew(options));
  }

  /**
   * A tracker renews those only whom it has let in, so that another one that the membership names may have to do it.
   * Rejects where none does, or sends something else than a certificate of this peer.
   */
  async #renew({ request, renewed }: RenewalOptions): Promise<void> {
    const { system, files } = this.#options;
    const reply = await request().catch((thrown: unknown) => {
      if (!(thrown instanceof P2pfsError)) throw thrown;
      return askRenewal(this.#membership, system);
    });
    const membership = renewedMembership(this.#membership, reply, system.clock.wallTime());
    // First, so that it is tried again where it cannot be stored.
    files?.write(membership);
    this.#membership = membership;
    renewed();
  }
}
