/** The commands on the members of a tracker's swarm (S2, S5). */
import { formatHostPort } from "../core/address.ts";
import { P2pfsError } from "../core/errors.ts";
import { TRACKERS_NAMED_MAX } from "../core/limits.ts";
import type { MemberRole } from "../identity/certificate.ts";
import { formatInvitation, randomSecret, sha256 } from "../identity/invitation.ts";
import { derOf, formatSigned } from "../identity/signed.ts";
import type { Certifier, CertifierOptions } from "./certifier.ts";
import type { Invitation, ListedMember } from "./members.ts";
import type { InvitationInfo, Invited, MemberInfo, Page, SwarmInfo } from "./types.ts";

export interface InviteRequest {
  /** Machines that can join. */
  readonly uses: number;
  readonly for_ms: number;
  readonly role: MemberRole;
  /** Whether somebody has to approve each of them. */
  readonly approve: boolean;
  readonly label: string;
}

export interface MembershipCommandsOptions extends CertifierOptions {
  readonly certifier: Certifier;
  /** Called when somebody was removed. */
  readonly removed: () => Promise<void>;
}

export class MembershipCommands {
  readonly #options: MembershipCommandsOptions;

  constructor(options: MembershipCommandsOptions) {
    this.#options = options;
  }

  show(): SwarmInfo {
    const { membership, reachableAt } = this.#options;
    const { swarm, peerId: id, certificate, authority } = membership();
    const trackers = reachableAt().map(formatHostPort);
    const expires = isoTime(Date.parse(certificate.validTo));
    return { swarm, role: "tracker", id, expires, authority: sha256(authority.raw).toHex(), trackers };
  }

  /** Throws `refused` where this tracker cannot certify such a role, or does not listen. */
  async invite({ uses, for_ms: forMs, role, approve, label }: InviteRequest): Promise<Invited> {
    const { membership, authorityKey, members, clock, random, reachableAt } = this.#options;
    if (role === "tracker" && authorityKey === undefined)
      throw new P2pfsError("refused", "only the tracker that made the swarm can invite a tracker");
    const trackers = reachableAt().slice(0, TRACKERS_NAMED_MAX);
    if (trackers.length === 0)
      throw new P2pfsError("refused", "this tracker does not listen, so nobody could join", {
        hint: "`p2pfs tracker start --open` makes it listen on all interfaces",
      });
    const secret = randomSecret(random);
    const invitation = await members.invite({
      secretHash: sha256(secret),
      role,
      label,
      needsApproval: approve,
      uses,
      expires: clock.wallTime() + forMs,
    });
    const authorityHash = sha256(membership().authority.raw);
    const token = formatInvitation({ authorityHash, secret, role, trackers });
    return { ...invitationInfoOf(invitation), token, command: `p2pfs swarm join ${token}` };
  }

  /** Those by which somebody can still join. */
  async invitations(): Promise<InvitationInfo[]> {
    return (await this.#options.members.invitations()).map(invitationInfoOf);
  }

  /** Throws `not_found`. */
  endInvitation(id: string): Promise<void> {
    return this.#options.members.endInvitation(id);
  }

  /**
   * The certificate that a request (PEM) asks for, with what its machine needs beside it. Throws `usage` for anything else
   * than a request.
   */
  async sign(request: string, role: MemberRole, name: string): Promise<{ readonly certificate: string }> {
    const { certifier, membership, reachableAt } = this.#options;
    const der = derOf(request, "CERTIFICATE REQUEST");
    if (der === undefined)
      throw new P2pfsError("usage", "this is not a request for a certificate", {
        hint: "`p2pfs swarm request` prints one on the machine that wants to join",
      });
    const trackers = reachableAt().slice(0, TRACKERS_NAMED_MAX);
    return { certificate: formatSigned(await certifier.sign(der, name, role), { ...membership(), trackers }) };
  }

  async list(cursor: string | null): Promise<Page<MemberInfo>> {
    const { members, membership, clock } = this.#options;
    const { rows, next } = await members.members(cursor);
    const own = { online: true, lastSeen: clock.wallTime() };
    const isOwn = ({ peerId }: ListedMember) => peerId === membership().peerId;
    return { rows: rows.map((row) => memberInfoOf(isOwn(row) ? { ...row, ...own } : row)), next };
  }

  /** @param who id or name. Throws `not_found`, `ambiguous`. */
  async approve(who: string): Promise<{ readonly id: string; readonly name: string }> {
    const { peerId: id, name } = await this.#options.members.approve(who);
    return { id, name };
  }

  /**
   * As `approve`. Everybody who hears a tracker of the swarm closes its connections with that member. `invitation` is the
   * id of the one by which it came, where that can still be used: by the same machine too, with another key.
   */
  async revoke(
    who: string,
  ): Promise<{ readonly id: string; readonly name: string; readonly invitation: string | null }> {
    const { members, membership, removed } = this.#options;
    const { peerId: id, name, invitation } = await members.revoke(who, membership().peerId);
    await removed();
    const isOpen = (await members.invitations()).some((each) => each.id === invitation);
    return { id, name, invitation: isOpen ? invitation : null };
  }
}

function invitationInfoOf({
  id,
  role,
  label,
  needsApproval,
  uses,
  used,
  created,
  expires,
}: Invitation): InvitationInfo {
  return { id, role, label, approve: needsApproval, uses, used, created: isoTime(created), expires: isoTime(expires) };
}

function memberInfoOf({ peerId, name, role, state, joined, expires, online, lastSeen }: ListedMember): MemberInfo {
  return {
    name,
    id: peerId,
    role,
    state,
    joined: isoTime(joined),
    expires: expires === 0 ? null : isoTime(expires),
    last_seen: lastSeen === null ? null : isoTime(lastSeen),
    online,
  };
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}
