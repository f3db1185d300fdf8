/** Makes a new swarm (S1): its authority, and the membership of the tracker that makes it. */
import { X509Certificate } from "node:crypto";
import type { Random } from "../core/clock.ts";
import { issueCertificate, makeAuthority } from "./issuing.ts";
import { createPrivateKeyPem, type PrivateKeyPem, peerIdOfKey, publicKeyOf } from "./keys.ts";
import type { Membership } from "./membership.ts";

export interface FoundedSwarm {
  readonly membership: Membership;
  readonly authorityKey: PrivateKeyPem;
}

/** @param nowMs milliseconds since 1970 */
export async function foundSwarm(name: string, nowMs: number, random: Random): Promise<FoundedSwarm> {
  const authorityKey = await createPrivateKeyPem();
  const key = await createPrivateKeyPem();
  const spki = publicKeyOf(key);
  const peerId = peerIdOfKey(spki);
  const named = { founder: peerId, nowMs, random };
  const authority = new X509Certificate(await makeAuthority(name, authorityKey, named));
  const issuer = { certificate: authority, privateKey: authorityKey, peerId: null };
  const certificate = new X509Certificate(await issueCertificate(issuer, { spki, role: "tracker", nowMs, random }));
  return {
    membership: { swarm: name, authority, key, certificate, peerId, trackers: [] },
    authorityKey,
  };
}
