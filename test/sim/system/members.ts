/**
 * Members of one private swarm for all worlds. They are made once, since a certificate takes longer to make than many a
 * world to run.
 */
import { X509Certificate } from "node:crypto";
import type { Clock } from "../../../src/core/clock.ts";
import { securityOf } from "../../../src/identity/credentials.ts";
import type { PrivateKeyPem } from "../../../src/identity/keys.ts";
import type { Membership } from "../../../src/identity/membership.ts";
import type { Security } from "../../../src/net/security.ts";
import type { ShownCertificate } from "../../../src/net/transport.ts";
import type { SwarmOptions } from "../../../src/tracker/private-swarm.ts";
import { authorityOf, certified, type Owner } from "../../identity/support.ts";
import { EPOCH_MS } from "./process.ts";

const PEERS = 64;
const TRACKERS = 3;

const authority = await authorityOf("lab", EPOCH_MS);
const trackers = await made(TRACKERS, "tracker");
const peers = await made(PEERS, "peer");
const hostile = await certified(authority, "peer", EPOCH_MS);

function made(count: number, role: "tracker" | "peer"): Promise<Owner[]> {
  return Promise.all(Array.from({ length: count }, () => certified(authority, role, EPOCH_MS)));
}

function membershipOf({ privateKey, certificate, peerId }: Owner): Membership {
  return {
    swarm: "lab",
    authority: authority.certificate,
    key: privateKey,
    certificate,
    peerId: peerId!,
    trackers: [],
  };
}

/** The first one has made the swarm. */
export function trackerMember(index: number): SwarmOptions {
  const authorityKey: PrivateKeyPem | undefined = index === 0 ? authority.privateKey : undefined;
  const askRenewal = () => Promise.reject(new Error("no certificate is so old"));
  return { membership: membershipOf(trackers[index]!), authorityKey, keep: () => {}, askRenewal };
}

export function peerMember(index: number): Membership {
  return membershipOf(peers[index]!);
}

/** None of the peers that run has this one. */
export function hostileMember(): Membership {
  return membershipOf(hostile);
}

/** How the connections of this member are encrypted. */
export function securityAs(membership: Membership, clock: Clock): Security {
  return securityOf({ membership: () => membership, isRevoked: () => false, wallTime: () => clock.wallTime() });
}

const shown = new Map<string, ShownCertificate>();

/** What TLS would give the other side of this text with certificates (PEM): each is of this swarm. */
export function shownBy(certificates: string | undefined): ShownCertificate | undefined {
  if (certificates === undefined) return undefined;
  const known = shown.get(certificates) ?? { der: new X509Certificate(certificates).raw, isTrusted: true };
  shown.set(certificates, known);
  return known;
}
