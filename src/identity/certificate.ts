/**
 * What a certificate of a swarm says, read from its bytes. The authority of a swarm certifies trackers and peers; a
 * tracker certifies peers, whose certificates then carry that of the tracker, so that one certificate is enough to check
 * the whole chain. The form is X.509 (RFC 5280):
 *
 * - subject: `CN=` and the peer id, which is derived from the key;
 * - subject alternative names: a DNS name that all members share, which TLS asks for, and a URI with the role;
 * - authority information access: the issuer's certificate as a `data:` URI, unless the authority itself is the issuer.
 */
import { X509Certificate } from "node:crypto";
import * as v from "valibot";
import { CERTIFICATE_BYTES_MAX } from "../core/limits.ts";
import { type PeerId, PeerIdSchema } from "../core/model.ts";
import { CURVE, peerIdOfKey, spkiOf } from "./keys.ts";

/** The name that every member has, for TLS. */
export const MEMBER_DNS_NAME = "member.p2pfs";
/** What comes before the issuer's certificate in its URI. */
export const ISSUER_URI_START = "data:application/pkix-cert;base64,";
export const SERVER_AUTH = "1.3.6.1.5.5.7.3.1";
export const CLIENT_AUTH = "1.3.6.1.5.5.7.3.2";

/** What comes before the peer id of the tracker that made the swarm, in the authority's certificate. */
export const FOUNDER_URI_START = "p2pfs:founder:";

export type MemberRole = "tracker" | "peer";
export const memberRoles: readonly MemberRole[] = ["tracker", "peer"];

export function roleUri(role: MemberRole): string {
  return `p2pfs:${role}`;
}

/** Who a certificate belongs to. */
export interface Member {
  readonly peerId: PeerId;
  readonly role: MemberRole;
  /** The tracker that issued the certificate; null for the authority of the swarm. */
  readonly issuer: PeerId | null;
  /** Milliseconds since 1970. */
  readonly expiresMs: number;
}

/** Why a certificate is not accepted, in the words of the message. */
export const certificateFaults = {
  malformed: "the certificate cannot be read",
  foreign: "the certificate is of another swarm",
  wrong_use: "the certificate is not one of a member",
  other_key: "the certificate names another key than its own",
  not_yet_valid: "the certificate is not valid yet; check the clocks of both machines",
  expired: "the certificate has expired",
  revoked: "this member was removed from the swarm",
} as const;
export type CertificateFault = keyof typeof certificateFaults;

export type Verdict = { readonly member: Member } | { readonly fault: CertificateFault };

export interface Trust {
  /** The swarm's authority. */
  readonly authority: X509Certificate;
  readonly isRevoked: (peerId: PeerId) => boolean;
}

/** Undefined for bytes that are no certificate. */
export function parseCertificate(der: Uint8Array): X509Certificate | undefined {
  if (der.length === 0 || der.length > CERTIFICATE_BYTES_MAX) return undefined;
  try {
    const certificate = new X509Certificate(der);
    // Other forms than DER, and bytes behind the certificate.
    return Buffer.compare(certificate.raw, der) === 0 ? certificate : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Whether the certificate (DER) makes its owner a member now: the chain up to the authority, names and key, role,
 * validity, revocation. That the other side has the key is for TLS to prove.
 *
 * @param nowMs milliseconds since 1970
 */
export function checkCertificate(der: Uint8Array, trust: Trust, nowMs: number): Verdict {
  const certificate = parseCertificate(der);
  if (certificate === undefined) return { fault: "malformed" };
  const issuer = issuerWithin(certificate);
  if (issuer === "malformed") return { fault: issuer };
  if (issuer === undefined) return checkIssued(certificate, trust.authority, null, trust, nowMs);
  // No longer chains: an issuer within an issuer would be one that the authority did not sign.
  const verdict = checkIssued(issuer, trust.authority, null, trust, nowMs);
  if ("fault" in verdict) return verdict;
  if (verdict.member.role !== "tracker") return { fault: "foreign" };
  const issued = checkIssued(certificate, issuer, verdict.member.peerId, trust, nowMs);
  return "member" in issued && issued.member.role !== "peer" ? { fault: "foreign" } : issued;
}

function checkIssued(
  certificate: X509Certificate,
  issuer: X509Certificate,
  issuerId: PeerId | null,
  { isRevoked }: Trust,
  nowMs: number,
): Verdict {
  if (certificate.issuer !== issuer.subject || !isSignedBy(certificate, issuer)) return { fault: "foreign" };
  const role = roleOf(certificate);
  const uses = certificate.keyUsage;
  if (role === undefined || certificate.ca !== (role === "tracker")) return { fault: "wrong_use" };
  if (uses?.length !== 2 || uses[0] !== SERVER_AUTH || uses[1] !== CLIENT_AUTH) return { fault: "wrong_use" };
  const peerId = peerIdIn(certificate);
  if (peerId === undefined || certificate.subject !== `CN=${peerId}`) return { fault: "other_key" };
  const [fromMs, expiresMs] = [Date.parse(certificate.validFrom), Date.parse(certificate.validTo)];
  if (!(nowMs >= fromMs)) return { fault: "not_yet_valid" };
  const member = { peerId, role, issuer: issuerId, expiresMs };
  const fault = lapseOf(member, isRevoked, nowMs);
  return fault === undefined ? { member } : { fault };
}

/** Why a member is none any more; undefined for one that still is. */
export function lapseOf(
  { peerId, issuer, expiresMs }: Omit<Member, "role">,
  isRevoked: Trust["isRevoked"],
  nowMs: number,
): "expired" | "revoked" | undefined {
  if (!(nowMs < expiresMs)) return "expired";
  return isRevoked(peerId) || (issuer !== null && isRevoked(issuer)) ? "revoked" : undefined;
}

/** Undefined for a certificate that is not a member's. */
export function roleOf({ subjectAltName }: X509Certificate): MemberRole | undefined {
  return memberRoles.find((each) => subjectAltName === namesOf(each));
}

/** As X509Certificate writes the alternative names of a member. */
function namesOf(role: MemberRole): string {
  return `DNS:${MEMBER_DNS_NAME}, URI:${roleUri(role)}`;
}

/** The peer id that the certificate's key has; undefined for another kind of key than members have. */
export function peerIdIn(certificate: X509Certificate): PeerId | undefined {
  try {
    const { publicKey } = certificate;
    return publicKey.asymmetricKeyDetails?.namedCurve === CURVE ? peerIdOfKey(spkiOf(publicKey)) : undefined;
  } catch {
    // The bytes of the key are none.
    return undefined;
  }
}

/** The tracker that made the swarm; undefined where the authority's certificate does not say. */
export function founderOf({ subjectAltName }: X509Certificate): PeerId | undefined {
  const start = `URI:${FOUNDER_URI_START}`;
  const parsed = v.safeParse(PeerIdSchema, subjectAltName?.startsWith(start) && subjectAltName.slice(start.length));
  return parsed.success ? parsed.output : undefined;
}

/** Whether no byte of the authority's certificate was changed. */
export function isAuthority(certificate: X509Certificate): boolean {
  return certificate.ca && certificate.issuer === certificate.subject && isSignedBy(certificate, certificate);
}

function isSignedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  try {
    return certificate.verify(issuer.publicKey);
  } catch {
    return false;
  }
}

/** The issuer's certificate that this one carries; undefined where it carries none. */
export function issuerWithin({ infoAccess }: X509Certificate): X509Certificate | "malformed" | undefined {
  if (infoAccess === undefined || infoAccess === null) return undefined;
  const uri = /^CA Issuers - URI:"(data:[\w/\-;]+)\\u002c(?<base64>[\w+/]+={0,2})"\n?$/.exec(infoAccess);
  if (uri === null) return "malformed";
  return parseCertificate(Buffer.from(uri.groups!.base64!, "base64")) ?? "malformed";
}
