/**
 * Leechers without a chunk. They are no holders and are in no list, but REPLY_FILE_LOCATION names them too, so that
 * leechers that start at the same moment connect before the first chunk is passed on. An entry ends with the session.
 */
import { hostOf, isLoopback } from "../core/address.ts";
import { NO_CHUNKS } from "../core/bitfield.ts";
import { HOLDER_SAMPLE_MAX } from "../core/limits.ts";
import type { ContentId } from "../core/manifest.ts";
import type { HolderInfo, PeerId } from "../core/model.ts";
import type { PeerRecord, Requester } from "./registry.ts";

/** Contents per peer; further ones are not recorded. */
const CONTENTS_PER_PEER_MAX = 512;
/**
 * Chunkless leechers recorded per content, the latest ones, so that a reply costs the same however many start at once.
 * More than a reply names, since the requester itself and loopback addresses may be left out.
 */
const PEERS_PER_CONTENT_MAX = 4 * HOLDER_SAMPLE_MAX;
/** Of those, the latest ones of one owner. */
const PEERS_PER_OWNER_MAX = HOLDER_SAMPLE_MAX;

type Leecher = Pick<PeerRecord, "peerId" | "member" | "address">;

export class ChunklessLeechers {
  readonly #byContent = new Map<ContentId, Map<PeerId, Leecher>>();
  readonly #byPeer = new Map<PeerId, Set<ContentId>>();

  enter(contentId: ContentId, leecher: Leecher): void {
    const { peerId } = leecher;
    const contents = this.#byPeer.get(peerId) ?? new Set();
    if (contents.size >= CONTENTS_PER_PEER_MAX) return;
    this.#byPeer.set(peerId, contents.add(contentId));
    const peers = this.#byContent.get(contentId) ?? new Map<PeerId, Leecher>();
    this.#byContent.set(contentId, peers.set(peerId, leecher));
    const owner = ownerOf(leecher);
    const ofOwner = [...peers.values()].filter((other) => ownerOf(other) === owner);
    const [oldest] = ofOwner.length > PEERS_PER_OWNER_MAX ? ofOwner : peers.values();
    if (ofOwner.length > PEERS_PER_OWNER_MAX || peers.size > PEERS_PER_CONTENT_MAX)
      this.leave(contentId, oldest!.peerId);
  }

  /** The peer has a chunk now, or has ended its fetch. */
  leave(contentId: ContentId, peerId: PeerId): void {
    const contents = this.#byPeer.get(peerId);
    if (!contents?.delete(contentId)) return;
    if (contents.size === 0) this.#byPeer.delete(peerId);
    const peers = this.#byContent.get(contentId)!;
    peers.delete(peerId);
    if (peers.size === 0) this.#byContent.delete(contentId);
  }

  /** The peer's session has ended. */
  drop(peerId: PeerId): void {
    for (const contentId of [...(this.#byPeer.get(peerId) ?? [])]) this.leave(contentId, peerId);
  }

  /** At most `max`, the latest first: earlier ones have registered chunks by now. */
  of(contentId: ContentId, requester: Requester, max: number): HolderInfo[] {
    const found: HolderInfo[] = [];
    for (const { peerId, member, address } of [...(this.#byContent.get(contentId)?.values() ?? [])].reverse()) {
      if (found.length >= max) break;
      if (peerId === requester.peerId || (!requester.sameHost && isLoopback(hostOf(address)))) continue;
      found.push({ address, ...(member === null ? {} : { peer_id: member }), chunks: NO_CHUNKS });
    }
    return found;
  }
}

function ownerOf({ member, address }: Leecher): string {
  return member ?? hostOf(address);
}
