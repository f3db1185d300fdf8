/** The private swarm of a tracker: how its connections are encrypted, who joins and who was removed. */
import { hostname } from "node:os";
import type { HostPort } from "../core/address.ts";
import type { Clock, Random } from "../core/clock.ts";
import { HOST_NAME_BYTES_MAX } from "../core/limits.ts";
import { clipToBytes } from "../core/text.ts";
import { securityOf } from "../identity/credentials.ts";
import { publicKeyOf } from "../identity/keys.ts";
import type { Security } from "../net/security.ts";
import { Certifier, type SwarmKeys } from "./certifier.ts";
import type { MemberRegistry } from "./members.ts";
import { MembershipCommands } from "./membership-commands.ts";
import { Revocations } from "./revocations.ts";

export interface PrivateSwarmOptions extends SwarmKeys {
  readonly members: MemberRegistry;
  readonly clock: Clock;
  readonly random: Random;
  /** Where machines find this tracker; empty while it does not listen. */
  readonly reachableAt: () => readonly HostPort[];
  /** Called when somebody was removed by a command. */
  readonly removed: () => Promise<void>;
}

export class PrivateSwarm {
  readonly security: Security;
  readonly certifier: Certifier;
  readonly commands: MembershipCommands;
  readonly revocations: Revocations;
  readonly #options: PrivateSwarmOptions;

  constructor(options: PrivateSwarmOptions) {
    const { membership, members, clock } = options;
    this.#options = options;
    this.revocations = new Revocations(members);
    this.certifier = new Certifier(options);
    this.commands = new MembershipCommands({ ...options, certifier: this.certifier });
    this.security = securityOf({
      membership: () => membership,
      isRevoked: (peerId) => this.revocations.has(peerId),
      wallTime: () => clock.wallTime(),
    });
  }

  get name(): string {
    return this.#options.membership.swarm;
  }

  /** The certificate (DER) of the authority. */
  get authority(): Uint8Array {
    return this.#options.membership.authority.raw;
  }

  /** At the tracker's start: it is a member as well. */
  async open(): Promise<void> {
    const { members, membership } = this.#options;
    const { peerId, key, certificate } = membership;
    if ((await members.member(peerId)) === undefined) {
      const name = clipToBytes(hostname(), HOST_NAME_BYTES_MAX);
      await members.add({ peerId, key: publicKeyOf(key), name, role: "tracker" });
    }
    await members.certified(peerId, Date.parse(certificate.validTo));
    await this.revocations.refresh();
  }
}
