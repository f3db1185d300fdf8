/** Proof to the tracker that a peer listens at its advertised address, keyed by the peer id, which both know. */
import { createHmac, timingSafeEqual } from "node:crypto";
import type { PeerId } from "../core/model.ts";

/** HMAC-SHA256 over the challenge, keyed by the 16 bytes of the peer id. */
export function proofOf(peerId: PeerId, challenge: Uint8Array): Uint8Array {
  return new Uint8Array(createHmac("sha256", Buffer.from(peerId, "hex")).update(challenge).digest());
}

export function isProofOf(peerId: PeerId, challenge: Uint8Array, proof: Uint8Array): boolean {
  const expected = proofOf(peerId, challenge);
  return proof.length === expected.length && timingSafeEqual(proof, expected);
}
