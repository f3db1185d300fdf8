/** Membership: invitations, certificates and what carries them. Whatever is changed, nobody becomes a member by it. */

import { DAY_MS } from "../../../src/core/units.ts";
import { checkCertificate, parseCertificate } from "../../../src/identity/certificate.ts";
import { formatInvitation, parseInvitation } from "../../../src/identity/invitation.ts";
import { keyOfRequest, makeRequest } from "../../../src/identity/issuing.ts";
import { parsePrivateKey, publicKeyOf } from "../../../src/identity/keys.ts";
import { formatMembership, parseAuthorityKey, parseMembership } from "../../../src/identity/membership.ts";
import { derOf, formatSigned, membershipFromSigned, pemOf } from "../../../src/identity/signed.ts";
import { authorityOf, certified, NOW_MS, type Owner, trustIn } from "../../identity/support.ts";
import { randomBytes } from "../../support/bytes.ts";
import { encodeDer, mutatedDer, parseDer } from "../der.ts";
import { mutated } from "../mutation.ts";
import {
  assert,
  assertEqual,
  confined,
  decode,
  encode,
  type Mutation,
  reading,
  readingLater,
  type Target,
} from "../target.ts";

const authority = await authorityOf("lab");
const tracker = await certified(authority, "tracker");
const peer = await certified(tracker, "peer");
const removed = await certified(tracker, "peer");
const membership = {
  swarm: "lab",
  authority: authority.certificate,
  key: peer.privateKey,
  certificate: peer.certificate,
  peerId: peer.peerId!,
  trackers: [{ host: "127.0.0.1", port: 7700 }],
};
/** Well-formed, and of no member. */
const strangers = await (async () => {
  const other = await authorityOf("lab");
  const direct = await certified(authority, "peer");
  return [
    authority,
    removed,
    other,
    await certified(other, "peer"),
    await certified(peer, "peer"),
    await certified(direct, "peer"),
    await certified(authority, "peer", NOW_MS - 100 * DAY_MS),
    await certified(tracker, "peer", NOW_MS + DAY_MS),
  ];
})();

const mutateDer = (input: Uint8Array, how: Mutation) => mutatedDer(input, how) ?? mutated(input, how);

const invitation: Target = {
  name: "invitation",
  inputs: () =>
    [
      [{ host: "192.168.7.10", port: 7700 }],
      [
        { host: "fe80::1", port: 1 },
        { host: "tracker.example", port: 65_535 },
      ],
    ].map((trackers, index) =>
      encode(
        formatInvitation({
          authorityHash: randomBytes(32, 1),
          secret: randomBytes(16, 2),
          role: index === 0 ? "peer" : "tracker",
          trackers,
        }),
      ),
    ),
  run(input) {
    const { value, outcome } = reading(["usage"], () => parseInvitation(decode(input)));
    if (value === undefined) return outcome;
    assert(value.authorityHash.length === 32 && value.secret.length === 16, "a part has another length");
    assert(value.trackers.length > 0, "it names no tracker");
    assertEqual(parseInvitation(formatInvitation(value)), value, "an invitation changes when it is written again");
    return outcome;
  },
};

/** What is signed: the certificate's first part. A signature has several valid forms, which say the same. */
function signedPart(der: Uint8Array): string | undefined {
  const part = parseDer(der)?.parts[0];
  return part && Buffer.from(encodeDer(part)).toString("hex");
}

const signedParts = new Map([tracker, peer].map((owner) => [signedPart(owner.der), owner]));

const certificate: Target = {
  name: "certificate",
  hasOwnKeys: true,
  inputs: () => [tracker, peer, ...strangers].map(({ der }) => der),
  mutate: mutateDer,
  run(input) {
    const verdict = confined(input, (der) => checkCertificate(der, trustIn(authority, removed), NOW_MS));
    if ("fault" in verdict) {
      assert(![tracker, peer].some(({ der }) => Buffer.compare(der, input) === 0), "a member is none");
      return verdict.fault;
    }
    const owner = signedParts.get(signedPart(input));
    assert(owner !== undefined, "a certificate that nobody has signed makes a member");
    assert(owner.peerId === verdict.member.peerId, "it makes another one a member");
    return verdict.member.role;
  },
};

const request: Target = {
  name: "certificate request",
  hasOwnKeys: true,
  inputs: async () => [await makeRequest(peer.privateKey), await makeRequest(tracker.privateKey), peer.der],
  mutate: mutateDer,
  async run(input) {
    const { value, outcome } = await readingLater(["refused"], () => keyOfRequest(input));
    if (value === undefined) return outcome;
    const owners = [peer, tracker].map(({ privateKey }) => publicKeyOf(privateKey));
    const isOwned = owners.some((owner) => Buffer.compare(owner, value) === 0);
    assert(isOwned, "a request is for a key that has not signed it");
    return outcome;
  },
};

const membershipFile: Target = {
  name: "membership file",
  hasOwnKeys: true,
  inputs: () => [encode(formatMembership(membership))],
  run(input) {
    const { value, outcome } = reading(["disk"], () => parseMembership(decode(input), "swarm.json"));
    if (value === undefined) return outcome;
    assert(value.peerId === membership.peerId, "it is the membership of another one");
    assertEqual(publicKeyOf(value.key), publicKeyOf(membership.key), "it has another key");
    const again = formatMembership(value);
    assert(formatMembership(parseMembership(again, "")) === again, "a membership changes when it is written again");
    return outcome;
  },
};

const privateKey: Target = {
  name: "private key",
  hasOwnKeys: true,
  inputs: () => [authority, peer].map(({ privateKey: pem }) => encode(pem)),
  run(input) {
    const text = decode(input);
    const key = parsePrivateKey(text);
    if (key !== undefined) assert(publicKeyOf(key).length > 0, "a key has no public part");
    const { value, outcome } = reading(["disk"], () => parseAuthorityKey(text, membership, "swarm-authority.pem"));
    if (value !== undefined)
      assertEqual(publicKeyOf(value), publicKeyOf(authority.privateKey), "another key than the authority's is taken");
    return `${key !== undefined} ${outcome}`;
  },
};

const signed: Target = {
  name: "signed certificate",
  hasOwnKeys: true,
  inputs: () => [peer, ...strangers].map(({ der }) => encode(formatSigned(der, membership))),
  /** What the certificates say, beside the text around them. */
  mutate(input, how) {
    const text = decode(input);
    const der = derOf(text, "CERTIFICATE");
    if (der === undefined || how.random() < 0.4) return mutated(input, how);
    const ders = { ...how, others: [tracker, peer, ...strangers].map((owner) => owner.der) };
    const changed = pemOf(mutateDer(der, ders), "CERTIFICATE").trimEnd();
    return encode(text.replace(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/, () => changed));
  },
  run(input) {
    const { value, outcome } = reading(["refused"], () => membershipFromSigned(decode(input), peer.privateKey, NOW_MS));
    if (value === undefined) return outcome;
    assert(value.peerId === membership.peerId, "it is the membership of another one");
    // Whoever hands over the text chooses the authority; then it has signed this certificate.
    const trust = { authority: value.authority, isRevoked: () => false };
    assert("member" in checkCertificate(value.certificate.raw, trust, NOW_MS), "its own authority did not sign it");
    return outcome;
  },
};

/** An issuer within a certificate, and texts around DER. */
const pem: Target = {
  name: "PEM",
  hasOwnKeys: true,
  inputs: () => [tracker, peer].map(({ der }: Owner) => encode(pemOf(der, "CERTIFICATE"))),
  run(input) {
    const der = derOf(decode(input), "CERTIFICATE");
    if (der === undefined) return "none";
    const parsed = parseCertificate(der);
    if (parsed === undefined) return "no certificate";
    assert(Buffer.compare(parsed.raw, der) === 0, "a certificate has two forms");
    return "a certificate";
  },
};

export const identityTargets = [invitation, certificate, request, membershipFile, privateKey, signed, pem];
