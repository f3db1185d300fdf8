/**
 * Proof that whoever answers at an advertised address is the peer that claims it: HMAC-SHA256, keyed by the peer id,
 * over a challenge that the tracker makes up. The id itself never leaves the peer for an address that it did not dial.
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import type { PeerId } from "../core/model.ts";

export function proofOf(peerId: PeerId, challenge: Uint8Array): Uint8Array {
  return createHmac("sha256", Buffer.from(peerId, "hex")).update(challenge).digest();
}

export function isProof(peerId: PeerId, challenge: Uint8Array, proof: Uint8Array): boolean {
  const expected = proofOf(peerId, challenge);
  return expected.length === proof.length && timingSafeEqual(expected, proof);
}
