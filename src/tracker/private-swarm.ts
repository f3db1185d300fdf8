/** The private swarm of a tracker: how its connections are encrypted, who joins and who was removed. */
import { hostname } from "node:os";
import type { HostPort } from "../core/address.ts";
import type { Clock, Random } from "../core/clock.ts";
import { P2pfsError } from "../core/errors.ts";
import { HOST_NAME_BYTES_MAX } from "../core/limits.ts";
import type { Log } from "../core/log.ts";
import { clipToBytes } from "../core/text.ts";
import { securityOf } from "../identity/credentials.ts";
import { type FoundedSwarm, foundSwarm } from "../identity/found-swarm.ts";
import { type PrivateKeyPem, publicKeyOf } from "../identity/keys.ts";
import type { Membership } from "../identity/membership.ts";
import { RenewalTries, type Renewed, renewedMembership } from "../identity/renewal.ts";
import type { AllowanceOptions } from "../net/allowance.ts";
import type { Endpoint } from "../net/endpoint.ts";
import type { Security } from "../net/security.ts";
import { realSystem } from "../net/system.ts";
import { Certifier } from "./certifier.ts";
import type { MemberRegistry } from "./members.ts";
import { MembershipCommands } from "./membership-commands.ts";
import { OtherTrackers } from "./other-trackers.ts";
import { Revocations } from "./revocations.ts";

/** What a tracker has of its swarm, and where it comes from. */
export interface SwarmOptions {
  readonly membership: Membership;
  /** Of the tracker that made the swarm. */
  readonly authorityKey: PrivateKeyPem | undefined;
  /** Stores the renewed one. */
  readonly keep: (membership: Membership) => void;
  /** Asks another tracker of the swarm, as this member. */
  readonly askRenewal: (membership: Membership) => Promise<Renewed>;
  /** How often a tracker that has joined asks the others whom they have removed. Default: a few times a minute. */
  readonly roundEveryMs?: number;
}

export interface PrivateSwarmOptions extends SwarmOptions {
  readonly members: MemberRegistry;
  readonly clock: Clock;
  readonly random: Random;
  /** Where machines find this tracker; empty while it does not listen. */
  readonly reachableAt: () => readonly HostPort[];
  readonly endpoint: () => Endpoint;
  readonly log: Log;
  /** Called when somebody was removed by a command, or another tracker has named those whom it has removed. */
  readonly removed: () => Promise<void>;
  readonly joinsPerSource?: AllowanceOptions | undefined;
}

/** Makes a swarm, of which the tracker that asks for it is the first member (S1). */
export function newSwarm(name: string, { clock, random } = realSystem): Promise<FoundedSwarm> {
  return foundSwarm(name, clock.wallTime(), random);
}

export class PrivateSwarm {
  readonly security: Security;
  readonly certifier: Certifier;
  readonly commands: MembershipCommands;
  readonly revocations: Revocations;
  readonly others: OtherTrackers;
  readonly #options: PrivateSwarmOptions;
  readonly #renewals: RenewalTries;
  #membership: Membership;

  constructor(options: PrivateSwarmOptions) {
    const { members, clock } = options;
    this.#options = options;
    this.#membership = options.membership;
    this.#renewals = new RenewalTries(clock);
    const membership = () => this.#membership;
    this.revocations = new Revocations({ members, membership, clock });
    const shared = { ...options, membership };
    this.others = new OtherTrackers({ ...shared, revocations: this.revocations, heard: options.removed });
    this.certifier = new Certifier(shared);
    this.commands = new MembershipCommands({ ...shared, certifier: this.certifier });
    this.security = securityOf({
      ...shared,
      isRevoked: (peerId) => this.revocations.has(peerId),
      wallTime: () => clock.wallTime(),
    });
  }

  get name(): string {
    return this.#membership.swarm;
  }

  /** The certificate (DER) of the authority. */
  get authority(): Uint8Array {
    return this.#membership.authority.raw;
  }

  /** At the tracker's start: it is a member as well. */
  async open(): Promise<void> {
    const { members, authorityKey } = this.#options;
    const { peerId, key, certificate } = this.#membership;
    if ((await members.member(peerId)) === undefined) {
      const name = clipToBytes(hostname(), HOST_NAME_BYTES_MAX);
      await members.add({ peerId, key: publicKeyOf(key), name, role: "tracker" });
    }
    await members.certified(peerId, Date.parse(certificate.validTo));
    await this.revocations.open();
    // The others ask the one that has made the swarm.
    if (authorityKey === undefined) this.others.open();
  }

  /**
   * Resolves to whether the certificate is a new one. The tracker that made the swarm renews its own; another one asks.
   * Rejects where nobody renews it.
   */
  async renewIfDue(): Promise<boolean> {
    const { authorityKey, askRenewal, clock, keep } = this.#options;
    if (!this.#renewals.take(this.#membership)) return false;
    const isFounder = authorityKey !== undefined;
    const reply = await (isFounder ? this.certifier.renew(this.#membership.peerId) : askRenewal(this.#membership));
    const membership = renewedMembership(this.#membership, reply, clock.wallTime());
    // First, so that it is tried again where it cannot be stored.
    keep(membership);
    this.#membership = membership;
    return true;
  }
}

/** The commands on the members of the swarm. Throws `refused` for a tracker that is of none. */
export function commandsOf(swarm: PrivateSwarm | undefined): MembershipCommands {
  if (swarm !== undefined) return swarm.commands;
  throw new P2pfsError("refused", "this tracker is of no swarm", {
    hint: "`p2pfs tracker start --open` makes one, and so does `p2pfs swarm create`",
  });
}
