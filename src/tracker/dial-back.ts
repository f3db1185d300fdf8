/** Proof of an advertised address: the tracker dials it and sends a challenge that only this peer can answer. */
import type { Address } from "../core/address.ts";
import { deadlineIn, msLeft } from "../core/deadline.ts";
import { P2pfsError } from "../core/errors.ts";
import { NOTICE_MS_MAX } from "../core/limits.ts";
import type { PeerId } from "../core/model.ts";
import type { Connection } from "../net/connection.ts";
import type { Endpoint } from "../net/endpoint.ts";
import { isProofOf } from "../net/proof.ts";

const CHALLENGE_BYTES = 32;

/** Throws `refused` unless the peer of this id answers at the address within NOTICE_MS_MAX. */
export async function proveAddress(
  address: Address,
  peerId: PeerId,
  isMember: boolean,
  endpoint: Endpoint,
): Promise<void> {
  const { clock, random } = endpoint.system;
  const deadline = deadlineIn(NOTICE_MS_MAX, clock.now());
  const leftMs = () => msLeft(deadline, clock.now());
  let connection: Connection | undefined;
  try {
    connection = await endpoint.dial(address, { timeoutMs: leftMs(), peerId: isMember ? peerId : undefined });
    // Its certificate is the proof.
    if (isMember) return;
    const challenge = random.bytes(CHALLENGE_BYTES);
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
