/**
 * Lets machines into the swarm: certifies those that show an invitation, renews the certificates of members, and lets
 * members go. The tracker that made the swarm has the authority's key; one that joined issues with its own.
 */
import { X509Certificate } from "node:crypto";
import { formatHostPort, type HostPort } from "../core/address.ts";
import type { Clock, Random } from "../core/clock.ts";
import { P2pfsError } from "../core/errors.ts";
import { TRACKERS_NAMED_MAX } from "../core/limits.ts";
import type { PeerId } from "../core/model.ts";
import type { MemberRole } from "../identity/certificate.ts";
import { sha256 } from "../identity/invitation.ts";
import {
  CERTIFICATE_MS,
  GUEST_CERTIFICATE_MS,
  type Issuer,
  issueCertificate,
  keyOfRequest,
} from "../identity/issuing.ts";
import { type PrivateKeyPem, peerIdOfKey } from "../identity/keys.ts";
import type { Membership } from "../identity/membership.ts";
import type { AllowanceOptions } from "../net/allowance.ts";
import type { Outgoing } from "../net/handlers.ts";
import { SourceAllowances } from "../net/source-allowances.ts";
import type { Message } from "../wire/messages.ts";
import type { MemberRecord, MemberRegistry } from "./members.ts";

/** Requests to join from one source IP; a secret of 128 bits cannot be guessed at any rate, but each costs a signature. */
const JOINS_PER_SOURCE = { perSecond: 4, burst: 40 };
/** Of one member, who needs a certificate once in two months; each costs a signature, too. */
const RENEWALS_PER_MEMBER = { perSecond: 0.1, burst: 5 };

export interface CertifierOptions {
  /** Asked each time, since it is renewed. */
  readonly membership: () => Membership;
  /** Of the tracker that made the swarm. */
  readonly authorityKey: PrivateKeyPem | undefined;
  readonly members: MemberRegistry;
  /** Where machines find this tracker. */
  readonly reachableAt: () => readonly HostPort[];
  readonly clock: Clock;
  readonly random: Random;
  /** Default: a few a second. */
  readonly joinsPerSource?: AllowanceOptions | undefined;
}

export class Certifier {
  readonly #options: CertifierOptions;
  readonly #joins: SourceAllowances;
  /** By peer id. */
  readonly #renewals: SourceAllowances;

  constructor(options: CertifierOptions) {
    this.#options = options;
    this.#joins = new SourceAllowances(options.clock, options.joinsPerSource ?? JOINS_PER_SOURCE);
    this.#renewals = new SourceAllowances(options.clock, RENEWALS_PER_MEMBER);
  }

  /** Throws `refused`, and `busy` where this source has asked too often. */
  async join(
    { secret, certificate_request: request, name, once }: Message<"REQUEST_JOIN">,
    sourceIp: string,
  ): Promise<Outgoing<"REPLY_JOIN">> {
    const { members, membership } = this.#options;
    if (!this.#joins.take(sourceIp))
      throw new P2pfsError("busy", "this machine has asked too often to join; try again in a few seconds");
    if (/\p{C}/u.test(name)) throw new P2pfsError("refused", "a name cannot contain control characters");
    const key = await keyOfRequest(request);
    const member = await members.join({ secretHash: sha256(secret), peerId: peerIdOfKey(key), key, name });
    const validMs = once ? GUEST_CERTIFICATE_MS : CERTIFICATE_MS;
    const certificate = member.state === "member" ? await this.#certify(member, validMs) : null;
    return { type: "REPLY_JOIN", swarm: membership().swarm, certificate, trackers: this.#trackers };
  }

  /**
   * For a machine without a network path: a member of this name with the certificate (DER) that its request asks for.
   * Throws `refused` for anything else than a request.
   */
  async sign(request: Uint8Array, name: string, role: MemberRole): Promise<Uint8Array> {
    const key = await keyOfRequest(request);
    return this.#certify(await this.#options.members.add({ peerId: peerIdOfKey(key), key, name, role }));
  }

  /**
   * Throws `unauthorised` for somebody whom this tracker has not let in, and `busy` where this one has asked too often.
   * Whoever has let a member in also removes it, and lists it as removed until the last certificate from there has ended:
   * one from here would outlive that.
   */
  async renew(peerId: PeerId): Promise<Outgoing<"REPLY_RENEW">> {
    if (!this.#renewals.take(peerId)) throw new P2pfsError("busy", "this member has just renewed its certificate");
    const member = await this.#options.members.member(peerId);
    if (member === undefined)
      throw new P2pfsError(
        "unauthorised",
        "this tracker did not let this machine in and cannot renew its certificate; the tracker that did can, or an " +
          "invitation from here (`p2pfs swarm invite`) after `p2pfs swarm leave`",
      );
    if (member.state !== "member") throw new P2pfsError("unauthorised", "this machine is no member of the swarm");
    return { type: "REPLY_RENEW", certificate: await this.#certify(member), trackers: this.#trackers };
  }

  async leave(peerId: PeerId): Promise<Outgoing<"REPLY_LEAVE">> {
    await this.#options.members.revoke(peerId);
    return { type: "REPLY_LEAVE" };
  }

  /** The new certificate (DER) of a member. */
  async #certify({ peerId, key, role }: MemberRecord, validMs = CERTIFICATE_MS): Promise<Uint8Array> {
    const { members, clock, random } = this.#options;
    const asked = { spki: key, role, nowMs: clock.wallTime(), validMs, random };
    const issued = await issueCertificate(this.#issuer(), asked);
    await members.certified(peerId, Date.parse(new X509Certificate(issued).validTo));
    return issued;
  }

  #issuer(): Issuer {
    const { membership, authorityKey } = this.#options;
    const { authority, certificate, key, peerId } = membership();
    return authorityKey === undefined
      ? { certificate, privateKey: key, peerId }
      : { certificate: authority, privateKey: authorityKey, peerId: null };
  }

  get #trackers(): string[] {
    return this.#options.reachableAt().slice(0, TRACKERS_NAMED_MAX).map(formatHostPort);
  }
}
