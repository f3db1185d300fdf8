/**
 * Making certificates: the authority of a new swarm, requests (PKCS #10, RFC 2986), and the certificates of members.
 * `certificate.ts` says what is in them.
 */
import { createPrivateKey, type X509Certificate } from "node:crypto";
import type { Random } from "../core/clock.ts";
import { P2pfsError } from "../core/errors.ts";
import { CERTIFICATE_REQUEST_BYTES_MAX } from "../core/limits.ts";
import type { PeerId } from "../core/model.ts";
import { DAY_MS, MINUTE_MS } from "../core/units.ts";
import {
  CLIENT_AUTH,
  FOUNDER_URI_START,
  ISSUER_URI_START,
  MEMBER_DNS_NAME,
  type MemberRole,
  roleUri,
  SERVER_AUTH,
} from "./certificate.ts";
import { KEY_ALGORITHM, type PrivateKeyPem, peerIdOfKey, publicKeyOf } from "./keys.ts";

/** S7 */
export const CERTIFICATE_MS = 90 * DAY_MS;
/** S4: of a member for one fetch. One that takes longer renews it. */
export const GUEST_CERTIFICATE_MS = DAY_MS;
const AUTHORITY_MS = 3650 * DAY_MS;
/** A certificate is valid from so long before it is made, for members whose clocks are behind. */
const BACKDATED_MS = 15 * MINUTE_MS;
const SERIAL_BYTES = 16;

/** Who may issue certificates: the authority, or a tracker that it has certified. */
export interface Issuer {
  readonly certificate: X509Certificate;
  readonly privateKey: PrivateKeyPem;
  /** Null for the authority. */
  readonly peerId: PeerId | null;
}

/** The certificate (DER) of the authority of a new swarm, signed by itself. @param founder the tracker that makes it */
export async function makeAuthority(
  name: string,
  key: PrivateKeyPem,
  { founder, nowMs, random }: { founder?: PeerId; nowMs: number; random: Random },
): Promise<Uint8Array> {
  const {
    BasicConstraintsExtension,
    KeyUsageFlags,
    KeyUsagesExtension,
    SubjectAlternativeNameExtension,
    X509CertificateGenerator,
  } = await x509();
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: randomSerial(random),
    name: [{ CN: [name] }],
    notBefore: new Date(nowMs - BACKDATED_MS),
    notAfter: new Date(nowMs + AUTHORITY_MS),
    keys: { privateKey: await signingKey(key), publicKey: await verifyingKey(publicKeyOf(key)) },
    signingAlgorithm: KEY_ALGORITHM,
    extensions: [
      new BasicConstraintsExtension(true, 1, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign, true),
      ...(founder === undefined
        ? []
        : [new SubjectAlternativeNameExtension([{ type: "url", value: `${FOUNDER_URI_START}${founder}` }])]),
    ],
  });
  return new Uint8Array(certificate.rawData);
}

/** A request (DER) for a certificate of this key, which proves that the key is there. */
export async function makeRequest(key: PrivateKeyPem): Promise<Uint8Array> {
  const { Pkcs10CertificateRequestGenerator } = await x509();
  const spki = publicKeyOf(key);
  const request = await Pkcs10CertificateRequestGenerator.create({
    name: [{ CN: [peerIdOfKey(spki)] }],
    keys: { privateKey: await signingKey(key), publicKey: await verifyingKey(spki) },
    signingAlgorithm: KEY_ALGORITHM,
  });
  return new Uint8Array(request.rawData);
}

/** The public key of a request (both DER), whose owner has signed it. Throws `refused` for any other bytes. */
export async function keyOfRequest(request: Uint8Array): Promise<Uint8Array> {
  const { Pkcs10CertificateRequest } = await x509();
  try {
    if (request.length > CERTIFICATE_REQUEST_BYTES_MAX)
      throw new RangeError(`it has more than ${CERTIFICATE_REQUEST_BYTES_MAX} bytes`);
    const parsed = new Pkcs10CertificateRequest(Uint8Array.from(request));
    const spki = new Uint8Array(parsed.publicKey.rawData);
    await verifyingKey(spki);
    if (await parsed.verify()) return spki;
    throw new RangeError("its signature is wrong");
  } catch (cause) {
    const why = cause instanceof RangeError ? cause.message : "it cannot be read";
    throw new P2pfsError("refused", `this is not a request for a certificate: ${why}`, { cause });
  }
}

interface CertificateOptions {
  /** The public key (DER) of the member. */
  readonly spki: Uint8Array;
  readonly role: MemberRole;
  /** Milliseconds since 1970. */
  readonly nowMs: number;
  /** Default: CERTIFICATE_MS. It does not last longer than that of the issuer. */
  readonly validMs?: number;
  readonly random: Random;
}

/** The certificate (DER) of a member. */
export async function issueCertificate(
  issuer: Issuer,
  { spki, role, nowMs, validMs = CERTIFICATE_MS, random }: CertificateOptions,
): Promise<Uint8Array> {
  if (role === "tracker" && issuer.peerId !== null)
    throw new P2pfsError("refused", "only the tracker that made the swarm can certify a tracker");
  const {
    AuthorityInfoAccessExtension,
    BasicConstraintsExtension,
    ExtendedKeyUsageExtension,
    KeyUsageFlags,
    KeyUsagesExtension,
    SubjectAlternativeNameExtension,
    X509CertificateGenerator,
  } = await x509();
  const isTracker = role === "tracker";
  const endMs = Math.min(nowMs + validMs, Date.parse(issuer.certificate.validTo));
  const certificate = await X509CertificateGenerator.create({
    serialNumber: randomSerial(random),
    subject: [{ CN: [peerIdOfKey(spki)] }],
    issuer: issuer.certificate.subject,
    notBefore: new Date(nowMs - BACKDATED_MS),
    notAfter: new Date(endMs),
    publicKey: await verifyingKey(spki),
    signingKey: await signingKey(issuer.privateKey),
    signingAlgorithm: KEY_ALGORITHM,
    extensions: [
      new BasicConstraintsExtension(isTracker, isTracker ? 0 : undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature | (isTracker ? KeyUsageFlags.keyCertSign : 0), true),
      new ExtendedKeyUsageExtension([SERVER_AUTH, CLIENT_AUTH]),
      new SubjectAlternativeNameExtension([
        { type: "dns", value: MEMBER_DNS_NAME },
        { type: "url", value: roleUri(role) },
      ]),
      ...(issuer.peerId === null
        ? []
        : [
            new AuthorityInfoAccessExtension({
              caIssuers: [`${ISSUER_URI_START}${issuer.certificate.raw.toString("base64")}`],
            }),
          ]),
    ],
  });
  return new Uint8Array(certificate.rawData);
}

let loading: Promise<typeof import("@peculiar/x509")> | undefined;

/** Loaded when first needed: most commands make no certificate. Once, since an import costs half a millisecond each time. */
function x509() {
  loading ??= import("reflect-metadata").then(() => import("@peculiar/x509"));
  return loading;
}

function signingKey(pem: PrivateKeyPem): Promise<CryptoKey> {
  const der = createPrivateKey(pem).export({ format: "der", type: "pkcs8" });
  return crypto.subtle.importKey("pkcs8", der, KEY_ALGORITHM, false, ["sign"]);
}

function verifyingKey(spki: Uint8Array): Promise<CryptoKey> {
  return crypto.subtle.importKey("spki", Uint8Array.from(spki), KEY_ALGORITHM, true, ["verify"]);
}

/** Positive, as RFC 5280 asks. */
function randomSerial(random: Random): string {
  const bytes = random.bytes(SERIAL_BYTES);
  bytes[0] = (bytes[0]! & 0x7f) | 0x40;
  return bytes.toHex();
}
