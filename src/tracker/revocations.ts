/** Removed members whose certificates have not expired: nobody may connect to them any more. */
import type { PeerId } from "../core/model.ts";
import type { Message } from "../wire/messages.ts";
import type { MemberRegistry } from "./members.ts";

export class Revocations {
  readonly #members: MemberRegistry;
  #peerIds: ReadonlySet<PeerId> = new Set();
  #notice: Message<"REVOKED"> = { type: "REVOKED", peer_ids: new Uint8Array(0) };

  constructor(members: MemberRegistry) {
    this.#members = members;
  }

  has(peerId: PeerId): boolean {
    return this.#peerIds.has(peerId);
  }

  /** For the members. */
  get notice(): Message<"REVOKED"> {
    return this.#notice;
  }

  /** Reads them anew; resolves to whether they have changed. */
  async refresh(): Promise<boolean> {
    const peerIds = new Set(await this.#members.revoked());
    if (peerIds.size === this.#peerIds.size && peerIds.isSubsetOf(this.#peerIds)) return false;
    this.#peerIds = peerIds;
    this.#notice = { type: "REVOKED", peer_ids: Uint8Array.fromHex([...peerIds].join("")) };
    return true;
  }
}
