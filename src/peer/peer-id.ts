/**
 * The peer id at one tracker. A peer id is enough to take over its session, so each tracker gets another one, which is
 * worthless at other trackers.
 */
import { createHmac } from "node:crypto";
import * as v from "valibot";
import type { Address } from "../core/address.ts";
import { type PeerId, PeerIdSchema, type PeerSecret } from "../core/model.ts";

const ID_BYTES = 16;

/** Deterministic for a secret and tracker. `tracker` is the address that is dialled. */
export function peerIdAt(tracker: Address, secret: PeerSecret): PeerId {
  const derived = createHmac("sha256", Buffer.from(secret, "hex")).update(`p2pfs peer id ${tracker}`).digest();
  return v.parse(PeerIdSchema, derived.subarray(0, ID_BYTES).toString("hex"));
}
