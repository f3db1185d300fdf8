/**
 * Who belongs to the swarm: its invitations and members. Every method that changes something resolves when that is
 * committed, so that any tracker on the same database knows it. Times are milliseconds since 1970.
 */
import type { PeerId } from "../core/model.ts";
import type { MemberRole } from "../identity/certificate.ts";
import type { Page } from "./types.ts";

export interface NewInvitation {
  /** SHA-256 of the secret. */
  readonly secretHash: Uint8Array;
  readonly role: MemberRole;
  /** For whoever lists the invitations; may be empty. */
  readonly label: string;
  /** Whether somebody has to approve each machine that joins by it. */
  readonly needsApproval: boolean;
  /** Machines that can join by it. */
  readonly uses: number;
  readonly expires: number;
}

export interface Invitation extends NewInvitation {
  readonly id: string;
  /** Machines that have joined by it, or wait for approval. */
  readonly used: number;
  readonly created: number;
}

export interface Joining {
  readonly secretHash: Uint8Array;
  readonly peerId: PeerId;
  /** The public key (SubjectPublicKeyInfo). */
  readonly key: Uint8Array;
  readonly name: string;
}

export type MemberState = "waiting" | "member" | "revoked";

export interface MemberRecord {
  readonly peerId: PeerId;
  readonly key: Uint8Array;
  readonly name: string;
  readonly role: MemberRole;
  readonly state: MemberState;
  readonly joined: number;
  /** Of the latest certificate; 0 before there is one. */
  readonly expires: number;
  /** The id of the one by which it came; null for one that was signed, or made the swarm. */
  readonly invitation: string | null;
}

/** A member as it is listed. */
export interface ListedMember extends MemberRecord {
  readonly online: boolean;
  /** Null for one that was never registered. */
  readonly lastSeen: number | null;
}

/** Members of whom another tracker has said that they were removed. */
export interface HeardList {
  readonly tracker: PeerId;
  /** As in REVOKED: one peer id after the other. */
  readonly peerIds: Uint8Array;
  /** It counts until then. */
  readonly until: number;
}

/** Open invitations at the same time. */
export const INVITATIONS_MAX = 1000;

export interface MemberRegistry {
  /** Throws `refused` where there are INVITATIONS_MAX. */
  invite(invitation: NewInvitation): Promise<Invitation>;
  /** Those by which somebody can still join. */
  invitations(): Promise<readonly Invitation[]>;
  /** Those end as well who wait to be let in by it. Throws `not_found`. */
  endInvitation(id: string): Promise<void>;
  /**
   * Counts one use, unless this key has joined by the invitation before: whoever lost the answer can ask again. Throws
   * `refused` where the secret is unknown, expired or used up, or the member was removed.
   */
  join(joining: Joining): Promise<MemberRecord>;
  /** Adds a member without an invitation, or gives it this role. */
  add(member: Pick<MemberRecord, "peerId" | "key" | "name" | "role">): Promise<MemberRecord>;
  /** A certificate was issued that lasts until then. */
  certified(peerId: PeerId, expires: number): Promise<void>;
  /** Throws `not_found` where nobody of this id or name waits, `ambiguous` where several do. */
  approve(who: string): Promise<MemberRecord>;
  /**
   * Throws `not_found` where there is no such member, `ambiguous` where there are several of this name, and `refused` for
   * the spared one.
   */
  revoke(who: string, spared?: PeerId): Promise<MemberRecord>;
  member(peerId: PeerId): Promise<MemberRecord | undefined>;
  /** By name; those whose certificates have expired are not listed. */
  members(cursor: string | null): Promise<Page<ListedMember>>;
  /** Removed members whose certificates have not expired. */
  revoked(): Promise<readonly PeerId[]>;
  /** Keeps what another tracker has said, in place of what it said before. */
  hear(list: HeardList): Promise<void>;
  /** What others have said and what still counts. */
  heard(): Promise<readonly HeardList[]>;
}
