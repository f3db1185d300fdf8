/** How a peer proves to its tracker that it is the one who answers at an advertised address. Both roles know its id. */
import { createHmac, timingSafeEqual } from "node:crypto";
import type { PeerId } from "../core/model.ts";

/** HMAC-SHA256 over the challenge, keyed by the 16 bytes that the peer id spells. */
export function proofOf(peerId: PeerId, challenge: Uint8Array): Uint8Array {
  return new Uint8Array(createHmac("sha256", Buffer.from(peerId, "hex")).update(challenge).digest());
}

export function isProofOf(peerId: PeerId, challenge: Uint8Array, proof: Uint8Array): boolean {
  const expected = proofOf(peerId, challenge);
  return proof.length === expected.length && timingSafeEqual(proof, expected);
}
