/** Proof of an advertised address: the tracker goes there and asks for something that only this peer can say. */
import { randomBytes } from "node:crypto";
import type { Address } from "../core/address.ts";
import { P2pfsError } from "../core/errors.ts";
import { NOTICE_MS_MAX } from "../core/limits.ts";
import type { PeerId } from "../core/model.ts";
import type { Connection, LocalHello } from "../net/connection.ts";
import { dial } from "../net/endpoint.ts";
import { isProofOf } from "../net/proof.ts";

const CHALLENGE_BYTES = 32;

/** Throws `refused` unless the peer of this id answers at the address within NOTICE_MS_MAX. */
export async function proveAddress(address: Address, peerId: PeerId, local: LocalHello): Promise<void> {
  const deadlineMs = performance.now() + NOTICE_MS_MAX;
  const leftMs = () => Math.max(1, deadlineMs - performance.now());
  let connection: Connection | undefined;
  try {
    connection = await dial(address, { local, timeoutMs: leftMs() });
    const challenge = new Uint8Array(randomBytes(CHALLENGE_BYTES));
    const reply = await connection.request({ type: "REQUEST_PROOF", challenge }, { timeoutMs: leftMs() });
    if (isProofOf(peerId, challenge, reply.proof)) return;
    throw new P2pfsError("unauthorised", "another peer answers there");
  } catch (cause) {
    if (!(cause instanceof P2pfsError)) throw cause;
    throw new P2pfsError("refused", `the advertised address ${address} is not proven: ${cause.message}`, {
      cause,
      hint: "check the address given to --advertise, and that the tracker can reach it",
    });
  } finally {
    connection?.close();
  }
}
