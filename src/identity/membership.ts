/** A machine's membership in a swarm, and its text: a JSON object with keys and certificates as PEM. */
import { X509Certificate } from "node:crypto";
import * as v from "valibot";
import { formatHostPort, type HostPort, parseHostPort } from "../core/address.ts";
import { P2pfsError } from "../core/errors.ts";
import { TRACKERS_NAMED_MAX } from "../core/limits.ts";
import type { PeerId } from "../core/model.ts";
import { checkCertificate, isAuthority, peerIdIn } from "./certificate.ts";
import { type PrivateKeyPem, parsePrivateKey, peerIdOfKey, publicKeyOf, spkiOf } from "./keys.ts";

export interface Membership {
  /** The name of the swarm, which need not be unique. */
  readonly swarm: string;
  readonly authority: X509Certificate;
  /** Which never leaves this machine. */
  readonly key: PrivateKeyPem;
  readonly certificate: X509Certificate;
  /** Which the certificate proves while it is valid. */
  readonly peerId: PeerId;
  /** Trackers of the swarm. */
  readonly trackers: readonly HostPort[];
}

const SWARM_NAME_FORM = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;

/** Letters, digits, and `.`, `_` or `-` between them. */
export const SwarmNameSchema = v.pipe(
  v.string(),
  v.regex(SWARM_NAME_FORM, "expected up to 63 letters and digits, with dots, dashes or underscores in between"),
);

const VERSION = 1;
const PEM_BYTES_MAX = 8192;
const pem = v.pipe(v.string(), v.maxBytes(PEM_BYTES_MAX));
const certificatePem = v.pipe(
  pem,
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    try {
      return new X509Certificate(dataset.value);
    } catch {
      addIssue({ message: "expected a certificate" });
      return NEVER;
    }
  }),
);
const hostPort = v.pipe(
  v.string(),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    const parsed = parseHostPort(dataset.value);
    if (parsed !== undefined) return parsed;
    addIssue({ message: "expected HOST:PORT" });
    return NEVER;
  }),
);
const MembershipTextSchema = v.pipe(
  v.string(),
  v.parseJson(),
  v.object({
    version: v.literal(VERSION),
    swarm: SwarmNameSchema,
    authority: certificatePem,
    certificate: certificatePem,
    key: pem,
    trackers: v.pipe(v.array(hostPort), v.maxLength(TRACKERS_NAMED_MAX)),
  }),
);

const NewerTextSchema = v.pipe(
  v.string(),
  v.parseJson(),
  v.object({ version: v.pipe(v.number(), v.integer(), v.gtValue(VERSION)) }),
);

export function formatMembership({ swarm, authority, certificate, key, trackers }: Membership): string {
  const text = {
    version: VERSION,
    swarm,
    authority: authority.toString(),
    certificate: certificate.toString(),
    key,
    trackers: trackers.map(formatHostPort),
  };
  return `${JSON.stringify(text, null, 2)}\n`;
}

/** Throws `disk` for a text that is damaged, or of a newer version. @param path of the file, for the message */
export function parseMembership(text: string, path: string): Membership {
  if (v.is(NewerTextSchema, text))
    throw new P2pfsError("disk", `the membership in ${path} was written by a newer version of p2pfs`, {
      hint: "run that version, or name another data folder with --data",
    });
  const parsed = v.safeParse(MembershipTextSchema, text, { abortEarly: true });
  if (!parsed.success) throw damaged(path, v.getDotPath(parsed.issues[0]) ?? parsed.issues[0].message);
  const { version: _, ...kept } = parsed.output;
  const peerId = peerIdIn(kept.certificate);
  if (peerId === undefined || idOfKey(kept.key) !== peerId)
    throw damaged(path, "the key is not that of the certificate");
  if (!isOfSwarm(kept)) throw damaged(path, "a certificate is not what was written");
  return { ...kept, peerId };
}

/** Whether the certificates are those that the authority has signed, be they valid by now or not. */
function isOfSwarm({ authority, certificate }: Pick<Membership, "authority" | "certificate">): boolean {
  if (!isAuthority(authority)) return false;
  const trust = { authority, isRevoked: () => false };
  const verdict = checkCertificate(certificate.raw, trust, Date.parse(certificate.validFrom));
  return "member" in verdict || verdict.fault === "not_yet_valid" || verdict.fault === "expired";
}

/** The key of the swarm's authority. Throws `disk` for any other text. @param path of the file, for the message */
export function parseAuthorityKey(text: string, { authority }: Membership, path: string): PrivateKeyPem {
  const key = parsePrivateKey(text);
  if (key !== undefined && Buffer.compare(publicKeyOf(key), spkiOf(authority.publicKey)) === 0) return key;
  throw new P2pfsError("disk", `the key in ${path} is not that of the swarm's authority`, {
    hint: "restore the file from a backup: without it this tracker can let nobody in",
  });
}

/** Undefined for a text that is no private key. */
function idOfKey(text: string): PeerId | undefined {
  const key = parsePrivateKey(text);
  return key === undefined ? undefined : peerIdOfKey(publicKeyOf(key));
}

function damaged(path: string, why: string): P2pfsError {
  return new P2pfsError("disk", `the membership in ${path} is damaged: ${why}`, {
    hint: "restore the file, or remove it and join the swarm again",
  });
}
