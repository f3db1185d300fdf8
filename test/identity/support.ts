/** A swarm whose authority, trackers and peers exist as keys and certificates only. */
import { X509Certificate } from "node:crypto";
import type { MemberRole, Trust } from "../../src/identity/certificate.ts";
import { type Issuer, issueCertificate, makeAuthority } from "../../src/identity/issuing.ts";
import { createPrivateKeyPem, type PrivateKeyPem, peerIdOfKey, publicKeyOf } from "../../src/identity/keys.ts";
import { realSystem } from "../../src/net/system.ts";

export const NOW_MS = Date.UTC(2026, 10, 26);
export const { random } = realSystem;

export interface Owner extends Issuer {
  readonly der: Uint8Array;
}

export async function authorityOf(name: string, nowMs = NOW_MS): Promise<Owner> {
  const privateKey = await createPrivateKeyPem();
  const der = await makeAuthority(name, privateKey, { nowMs, random });
  return { der, certificate: new X509Certificate(der), privateKey, peerId: null };
}

/** Somebody with a new key, certified by this issuer. */
export async function certified(issuer: Issuer, role: MemberRole, nowMs = NOW_MS): Promise<Owner> {
  const privateKey = await createPrivateKeyPem();
  return { ...(await certifiedKey(issuer, privateKey, role, nowMs)), privateKey };
}

async function certifiedKey(issuer: Issuer, privateKey: PrivateKeyPem, role: MemberRole, nowMs: number) {
  const spki = publicKeyOf(privateKey);
  const der = await issueCertificate(issuer, { spki, role, nowMs, random });
  return { der, certificate: new X509Certificate(der), peerId: peerIdOfKey(spki) };
}

export function trustIn(authority: Owner, ...revoked: Owner[]): Trust {
  return {
    authority: authority.certificate,
    isRevoked: (peerId) => revoked.some((owner) => owner.peerId === peerId),
  };
}
