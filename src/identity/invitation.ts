/**
 * Invitations: `p2pfs-join:` and base64url of
 *
 * | bytes | content                                                       |
 * | ----- | ------------------------------------------------------------- |
 * | 1     | version, 1                                                    |
 * | 1     | role that the joiner gets: 0 for a peer, 1 for a tracker      |
 * | 32    | SHA-256 of the certificate of the swarm's authority           |
 * | 16    | secret, which whoever wants to join has to show               |
 * | 4     | the first bytes of the SHA-256 of all others, against typos   |
 * | rest  | addresses of trackers, `HOST:PORT`, in UTF-8, with commas     |
 *
 * The joiner sends the secret only to a tracker with the authority of that hash.
 */
import { createHash } from "node:crypto";
import { formatHostPort, type HostPort, parseHostPort } from "../core/address.ts";
import type { Random } from "../core/clock.ts";
import { P2pfsError } from "../core/errors.ts";
import { INVITATION_SECRET_BYTES, TRACKERS_NAMED_MAX } from "../core/limits.ts";
import type { MemberRole } from "./certificate.ts";

export interface Invitation {
  /** SHA-256 of the authority's certificate. */
  readonly authorityHash: Uint8Array;
  readonly secret: Uint8Array;
  /** Which the joiner gets. */
  readonly role: MemberRole;
  /** At least one. */
  readonly trackers: readonly HostPort[];
}

const SCHEME = "p2pfs-join:";
const VERSION = 1;
export const HASH_BYTES = 32;
const CHECK_BYTES = 4;
const HEAD_BYTES = 2 + HASH_BYTES + INVITATION_SECRET_BYTES;
/** By their numbers. */
const roles: readonly MemberRole[] = ["peer", "tracker"];
const TRACKERS_BYTES_MAX = 512;
const BYTES_MAX = HEAD_BYTES + CHECK_BYTES + TRACKERS_BYTES_MAX;
/** Of the digits in base64, without padding. */
const DIGITS_MAX = Math.ceil((BYTES_MAX * 4) / 3);

export function randomSecret(random: Random): Uint8Array {
  return random.bytes(INVITATION_SECRET_BYTES);
}

export function sha256(bytes: Uint8Array): Uint8Array {
  return createHash("sha256").update(bytes).digest();
}

export function formatInvitation({ authorityHash, secret, role, trackers }: Invitation): string {
  const names = new TextEncoder().encode(trackers.map(formatHostPort).join(","));
  if (trackers.length > TRACKERS_NAMED_MAX || names.length > TRACKERS_BYTES_MAX)
    throw new P2pfsError("usage", "an invitation has no room for so many tracker addresses");
  const head = Uint8Array.of(VERSION, roles.indexOf(role), ...authorityHash, ...secret);
  const bytes = Uint8Array.of(...head, ...checkOf(head, names), ...names);
  return `${SCHEME}${bytes.toBase64({ alphabet: "base64url", omitPadding: true })}`;
}

/** Throws `usage` with the reason if the text is not a whole invitation. */
export function parseInvitation(text: string): Invitation {
  if (!text.startsWith(SCHEME)) throw invitationFault(`it does not begin with ${SCHEME}`);
  const digits = text.slice(SCHEME.length);
  if (digits.length > DIGITS_MAX) throw invitationFault("it is too long");
  const bytes = bytesOf(digits);
  if (bytes[0] !== VERSION && bytes.length > 0) throw invitationFault("it is of a newer version of p2pfs");
  if (bytes.length <= HEAD_BYTES + CHECK_BYTES) throw invitationFault("a part is missing");
  const head = bytes.subarray(0, HEAD_BYTES);
  const check = bytes.subarray(HEAD_BYTES, HEAD_BYTES + CHECK_BYTES);
  const names = bytes.subarray(HEAD_BYTES + CHECK_BYTES);
  if (Buffer.compare(check, checkOf(head, names)) !== 0) throw invitationFault("a part is missing or wrong");
  const role = roles[head[1]!];
  if (role === undefined) throw invitationFault("it is of a newer version of p2pfs");
  const trackers = new TextDecoder().decode(names).split(",").map(parseHostPort);
  if (trackers.length > TRACKERS_NAMED_MAX || !trackers.every((each) => each !== undefined && each.port > 0))
    throw invitationFault("it names no tracker");
  return {
    authorityHash: head.slice(2, 2 + HASH_BYTES),
    secret: head.slice(2 + HASH_BYTES),
    role,
    trackers: trackers as HostPort[],
  };
}

function checkOf(head: Uint8Array, names: Uint8Array): Uint8Array {
  return createHash("sha256").update(head).update(names).digest().subarray(0, CHECK_BYTES);
}

function bytesOf(digits: string): Uint8Array {
  try {
    return Uint8Array.fromBase64(digits, { alphabet: "base64url", lastChunkHandling: "loose" });
  } catch (cause) {
    throw invitationFault("it has a character that does not belong there", cause);
  }
}

function invitationFault(why: string, cause?: unknown): P2pfsError {
  return new P2pfsError("usage", `this is not an invitation: ${why}`, {
    hint: "copy the whole word that begins with p2pfs-join:",
    cause,
  });
}
