/**
 * By which id a tracker knows this peer. Whoever has an id can take over its session, so every tracker is told another
 * one: none can use what it was told at the next.
 */
import { createHmac } from "node:crypto";
import * as v from "valibot";
import type { Address } from "../core/address.ts";
import { type PeerId, PeerIdSchema, type PeerSecret } from "../core/model.ts";

const ID_BYTES = 16;

/** The same for the same secret and tracker. `tracker` is the address that is dialled. */
export function peerIdAt(tracker: Address, secret: PeerSecret): PeerId {
  const derived = createHmac("sha256", Buffer.from(secret, "hex")).update(`p2pfs peer id ${tracker}`).digest();
  return v.parse(PeerIdSchema, derived.subarray(0, ID_BYTES).toString("hex"));
}
