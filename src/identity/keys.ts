/**
 * Keys of machines: ECDSA over P-256. A member's peer id is derived from its public key, so that a certificate proves
 * it, and nobody else can use it.
 */
import { createHash, createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";
import * as v from "valibot";
import { PEER_ID_BYTES } from "../core/limits.ts";
import { type PeerId, PeerIdSchema } from "../core/model.ts";

/** For Web Crypto and for certificates. */
export const KEY_ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

/** As OpenSSL calls P-256. */
export const CURVE = "prime256v1";

/** A private key as PEM (PKCS #8). */
export type PrivateKeyPem = string;

export async function createPrivateKeyPem(): Promise<PrivateKeyPem> {
  const { privateKey } = await crypto.subtle.generateKey(KEY_ALGORITHM, true, ["sign", "verify"]);
  const der = Buffer.from(await crypto.subtle.exportKey("pkcs8", privateKey));
  return createPrivateKey({ key: der, format: "der", type: "pkcs8" }).export({
    format: "pem",
    type: "pkcs8",
  }) as string;
}

/** Undefined for a text that is no private key of a machine. */
export function parsePrivateKey(text: string): PrivateKeyPem | undefined {
  try {
    return createPrivateKey(text).asymmetricKeyDetails?.namedCurve === CURVE ? text : undefined;
  } catch {
    return undefined;
  }
}

/** The public key of a private one, as DER (SubjectPublicKeyInfo). */
export function publicKeyOf(privateKey: PrivateKeyPem): Uint8Array {
  return spkiOf(createPublicKey(privateKey));
}

export function spkiOf(publicKey: KeyObject): Uint8Array {
  return publicKey.export({ format: "der", type: "spki" });
}

/** The first 128 bits of the SHA-256 of a public key in DER (SubjectPublicKeyInfo). */
export function peerIdOfKey(spki: Uint8Array): PeerId {
  const digest = createHash("sha256").update(spki).digest();
  return v.parse(PeerIdSchema, digest.subarray(0, PEER_ID_BYTES).toString("hex"));
}
