/**
 * Proof of an advertised address: the tracker dials it, and the peer that answers there has to show that it is the one
 * that advertises it. What a tracker can be made to dial is bounded, and a failure says and takes the same whatever is
 * at the address, so that a tracker is no means to look around in its network.
 */
import { type Address, hostOf } from "../core/address.ts";
import { type Deadline, deadlineIn, msLeft } from "../core/deadline.ts";
import { P2pfsError } from "../core/errors.ts";
import { NOTICE_MS_MAX } from "../core/limits.ts";
import type { PeerId } from "../core/model.ts";
import { SECOND_MS } from "../core/units.ts";
import type { Connection } from "../net/connection.ts";
import type { Endpoint } from "../net/endpoint.ts";
import { isProofOf } from "../net/proof.ts";
import { SourceAllowances } from "../net/source-allowances.ts";
import { Turns } from "./turns.ts";

const CHALLENGE_BYTES = 32;
/** Proofs may take up to NOTICE_MS_MAX. */
const AT_ONCE = 32;
/** Of one source IP. */
const WAITING_MAX = 32;
const PER_SOURCE = { perSecond: 1, burst: 40 };
/** Less than NOTICE_MS_MAX, in which the peer awaits the answer. */
const PROOF_MS = NOTICE_MS_MAX - SECOND_MS / 2;

export interface Claim {
  /** Advertised by the peer. */
  readonly address: Address;
  readonly peerId: PeerId;
  readonly isMember: boolean;
  /** Where the peer's connection comes from. */
  readonly sourceIp: string;
}

export class AddressProofs {
  readonly #endpoint: Endpoint;
  readonly #turns: Turns;
  readonly #sources: SourceAllowances;

  constructor(endpoint: Endpoint) {
    const { clock } = endpoint.system;
    this.#endpoint = endpoint;
    this.#turns = new Turns(clock, { atOnce: AT_ONCE, waitingMax: WAITING_MAX });
    this.#sources = new SourceAllowances(clock, PER_SOURCE);
  }

  /** Throws `refused` unless the peer answers at the address, and `busy` where this source asks too often. */
  prove(claim: Claim): Promise<void> {
    const { address, isMember, sourceIp } = claim;
    const { isOwnIp } = this.#endpoint.system;
    const isOfSource = hostOf(address) === sourceIp || (isOwnIp(sourceIp) && isOwnIp(hostOf(address)));
    if (!isMember && !isOfSource)
      throw new P2pfsError("refused", `without a swarm a peer can advertise addresses of its own machine only`, {
        hint: "leave --advertise out, or join a swarm: its members can be told apart wherever they are",
      });
    if (!this.#sources.take(sourceIp))
      throw new P2pfsError("busy", "too many addresses were advertised from this machine; wait a minute");
    return this.#turns.run(sourceIp, () => this.#try(claim));
  }

  async #try(claim: Claim): Promise<void> {
    const { clock } = this.#endpoint.system;
    const deadline = deadlineIn(PROOF_MS, clock.now());
    if (await this.#answers(claim, deadline)) return;
    await new Promise<void>((resolve) => void clock.after(msLeft(deadline, clock.now()), resolve));
    throw new P2pfsError("refused", `the advertised address ${claim.address} is not proven: this peer did not answer`, {
      hint: "check the address given to --advertise, and that the tracker can reach it",
    });
  }

  async #answers({ address, peerId, isMember }: Claim, deadline: Deadline): Promise<boolean> {
    const { clock, random } = this.#endpoint.system;
    const leftMs = () => msLeft(deadline, clock.now());
    let connection: Connection | undefined;
    try {
      connection = await this.#endpoint.dial(address, { timeoutMs: leftMs(), peerId: isMember ? peerId : undefined });
      // Its certificate is the proof.
      if (isMember) return true;
      const challenge = random.bytes(CHALLENGE_BYTES);
      const reply = await connection.request({ type: "REQUEST_PROOF", challenge }, { timeoutMs: leftMs() });
      return isProofOf(peerId, challenge, reply.proof);
    } catch (thrown) {
      if (thrown instanceof P2pfsError) return false;
      throw thrown;
    } finally {
      connection?.close();
    }
  }
}
