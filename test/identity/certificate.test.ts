/** S6: what a certificate has to say so that its owner is a member, of bytes and time alone. */
import { beforeAll, describe, expect, test } from "bun:test";
import "reflect-metadata";
import {
  AuthorityInfoAccessExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from "@peculiar/x509";
import fc from "fast-check";
import { CERTIFICATE_BYTES_MAX } from "../../src/core/limits.ts";
import { DAY_MS, MINUTE_MS } from "../../src/core/units.ts";
import {
  CLIENT_AUTH,
  checkCertificate,
  ISSUER_URI_START,
  MEMBER_DNS_NAME,
  SERVER_AUTH,
  type Trust,
} from "../../src/identity/certificate.ts";
import { CERTIFICATE_MS, type Issuer } from "../../src/identity/issuing.ts";
import { KEY_ALGORITHM, peerIdOfKey, publicKeyOf } from "../../src/identity/keys.ts";
import { authorityOf, certified, NOW_MS, type Owner, trustIn } from "./support.ts";

let authority: Owner;
let other: Owner;
let tracker: Owner;
let peer: Owner;
let invited: Owner;
let trust: Trust;

beforeAll(async () => {
  authority = await authorityOf("lab");
  other = await authorityOf("lab");
  tracker = await certified(authority, "tracker");
  peer = await certified(authority, "peer");
  invited = await certified(tracker, "peer");
  trust = trustIn(authority);
});

function faultOf(owner: Pick<Owner, "der">, among = trust, nowMs = NOW_MS): string | undefined {
  const verdict = checkCertificate(owner.der, among, nowMs);
  return "fault" in verdict ? verdict.fault : undefined;
}

describe("a member", () => {
  test("a tracker and a peer that the authority has certified, and a peer that the tracker has", () => {
    const expiresMs = NOW_MS + CERTIFICATE_MS;
    const verdicts = [tracker, peer, invited].map(({ der }) => checkCertificate(der, trust, NOW_MS));
    expect(verdicts).toEqual([
      { member: { peerId: tracker.peerId!, role: "tracker", issuer: null, expiresMs } },
      { member: { peerId: peer.peerId!, role: "peer", issuer: null, expiresMs } },
      { member: { peerId: invited.peerId!, role: "peer", issuer: tracker.peerId!, expiresMs } },
    ]);
  });

  test("S7: lasts 90 days, and is one for members whose clocks are 10 minutes behind", () => {
    for (const owner of [tracker, peer, invited]) {
      expect(faultOf(owner, trust, NOW_MS - 10 * MINUTE_MS)).toBeUndefined();
      expect(faultOf(owner, trust, NOW_MS - DAY_MS)).toBe("not_yet_valid");
      expect(faultOf(owner, trust, NOW_MS + 90 * DAY_MS - 1000)).toBeUndefined();
      expect(faultOf(owner, trust, NOW_MS + 90 * DAY_MS)).toBe("expired");
    }
  });

  test("a peer's certificate does not outlive that of the tracker which issued it", async () => {
    const late = await certified(tracker, "peer", NOW_MS + 80 * DAY_MS);
    expect(faultOf(late, trust, NOW_MS + 89 * DAY_MS)).toBeUndefined();
    expect(faultOf(late, trust, NOW_MS + 90 * DAY_MS)).toBe("expired");
  });
});

describe("no member", () => {
  test("of another swarm, even one of the same name", async () => {
    expect(faultOf(await certified(other, "peer"))).toBe("foreign");
    expect(faultOf(await certified(await certified(other, "tracker"), "peer"))).toBe("foreign");
    expect(faultOf(authority)).not.toBeUndefined();
  });

  test("who was removed, and whom a tracker has certified that was removed", () => {
    expect(faultOf(peer, trustIn(authority, peer))).toBe("revoked");
    expect(faultOf(invited, trustIn(authority, tracker))).toBe("revoked");
    expect(faultOf(invited, trustIn(authority, peer))).toBeUndefined();
  });

  test("whom a peer has certified, or a tracker as a tracker", async () => {
    expect(faultOf(await certified(peer, "peer"))).toBe("foreign");
    expect(faultOf(await certified(invited, "peer"))).toBe("foreign");
    await expect(certified(tracker, "tracker")).rejects.toMatchObject({ code: "refused" });
    const asTracker = await forged(tracker, tracker, { role: "tracker" });
    expect(faultOf(asTracker)).toBe("foreign");
  });

  test.each([
    ["names another key", { subject: "00112233445566778899aabbccddeeff" }, "other_key"],
    ["has no subject of that form", { subject: "ben" }, "other_key"],
    ["is for servers only", { uses: [SERVER_AUTH] }, "wrong_use"],
    ["is for signing code as well", { uses: [SERVER_AUTH, CLIENT_AUTH, "1.3.6.1.5.5.7.3.3"] }, "wrong_use"],
    ["has another DNS name", { dns: "tracker.p2pfs" }, "wrong_use"],
    ["has two roles", { uris: ["p2pfs:peer", "p2pfs:tracker"] }, "wrong_use"],
    ["has a role that does not exist", { uris: ["p2pfs:admin"] }, "wrong_use"],
    ["may issue certificates, as a peer", { ca: true }, "wrong_use"],
    ["may not, as a tracker", { role: "tracker", ca: false }, "wrong_use"],
    ["carries something else than an issuer", { issuerUri: "https://10.0.0.1/issuer.crt" }, "malformed"],
    ["carries an issuer that is none", { issuerUri: `${ISSUER_URI_START}AAAA` }, "malformed"],
  ] as const)("a certificate that %s", async (_, what, fault) => {
    expect(faultOf(await forged(authority, peer, what))).toBe(fault);
  });

  test("whose key is of another kind", async () => {
    const { publicKey } = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-384" }, true, [
      "sign",
      "verify",
    ]);
    const spki = new Uint8Array(await crypto.subtle.exportKey("spki", publicKey));
    const der = await forged(authority, { spki, curve: "P-384" });
    expect(faultOf(der)).toBe("other_key");
  });

  test("any other bytes: parts, more, and one bit changed anywhere", () => {
    for (const { der } of [peer, invited]) {
      for (let length = 0; length < der.length; length++)
        expect(faultOf({ der: der.subarray(0, length) })).toBe("malformed");
      expect(faultOf({ der: Uint8Array.of(...der, 0) })).toBe("malformed");
      for (let at = 0; at < der.length; at++) {
        const changed = Uint8Array.from(der);
        changed[at]! ^= 1 << (at % 8);
        expect(faultOf({ der: changed })).not.toBeUndefined();
      }
    }
    expect(faultOf({ der: new Uint8Array(CERTIFICATE_BYTES_MAX + 1) })).toBe("malformed");
    expect(faultOf({ der: new TextEncoder().encode(peer.certificate.toString()) })).toBe("malformed");
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (der) => {
        expect(faultOf({ der })).toBe("malformed");
      }),
    );
  });
});

interface Forgery {
  readonly role?: "tracker" | "peer";
  readonly subject?: string;
  readonly uses?: readonly string[];
  readonly dns?: string;
  readonly uris?: readonly string[];
  readonly ca?: boolean;
  readonly issuerUri?: string;
}

/** A certificate that the issuer has signed, right but for what is given. */
async function forged(
  issuer: Issuer,
  owner: Pick<Owner, "privateKey"> | { readonly spki: Uint8Array; readonly curve: string },
  what: Forgery = {},
): Promise<Pick<Owner, "der">> {
  const spki = "spki" in owner ? owner.spki : publicKeyOf(owner.privateKey);
  const { role = "peer", uses = [SERVER_AUTH, CLIENT_AUTH], dns = MEMBER_DNS_NAME } = what;
  const { subject = peerIdOfKey(spki), uris = [`p2pfs:${role}`], ca = role === "tracker", issuerUri } = what;
  const pkcs8 = Buffer.from(issuer.privateKey.replace(/-----.*-----|\s/g, ""), "base64");
  const algorithm = { ...KEY_ALGORITHM, ...("curve" in owner ? { namedCurve: owner.curve } : {}) };
  const uri =
    issuerUri ??
    (issuer.peerId === null ? undefined : `${ISSUER_URI_START}${issuer.certificate.raw.toString("base64")}`);
  const certificate = await X509CertificateGenerator.create({
    serialNumber: "01",
    subject: [{ CN: [subject] }],
    issuer: issuer.certificate.subject,
    notBefore: new Date(NOW_MS - DAY_MS / 24),
    notAfter: new Date(NOW_MS + DAY_MS),
    publicKey: await crypto.subtle.importKey("spki", Uint8Array.from(spki), algorithm, true, ["verify"]),
    signingKey: await crypto.subtle.importKey("pkcs8", pkcs8, KEY_ALGORITHM, false, ["sign"]),
    signingAlgorithm: KEY_ALGORITHM,
    extensions: [
      new BasicConstraintsExtension(ca, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature | (ca ? KeyUsageFlags.keyCertSign : 0), true),
      new ExtendedKeyUsageExtension([...uses]),
      new SubjectAlternativeNameExtension([
        { type: "dns", value: dns },
        ...uris.map((value) => ({ type: "url" as const, value })),
      ]),
      ...(uri === undefined ? [] : [new AuthorityInfoAccessExtension({ caIssuers: [uri] })]),
    ],
  });
  return { der: new Uint8Array(certificate.rawData) };
}
