/**
 * Leechers that hold no chunk yet. They are no holders and stand in no list, but whoever asks where a content is hears
 * of them too: so all who begin at the same moment know one another before the first chunk is passed on. Nothing here
 * outlives a session.
 */
import { type Address, hostOf, isLoopback } from "../core/address.ts";
import { NO_CHUNKS } from "../core/bitfield.ts";
import { HOLDER_SAMPLE_MAX } from "../core/limits.ts";
import type { ContentId } from "../core/manifest.ts";
import type { HolderInfo, PeerId } from "../core/model.ts";
import type { Asker } from "./registry.ts";

/** Contents that one peer can begin at the same time; further ones are not told of. */
const CONTENTS_PER_PEER_MAX = 512;
/**
 * Peers of one content that are told of, the latest ones, so that a reply costs the same however many begin at once.
 * More than a reply names, since some are not for whoever asks.
 */
const PEERS_PER_CONTENT_MAX = 4 * HOLDER_SAMPLE_MAX;

export class ChunklessLeechers {
  readonly #byContent = new Map<ContentId, Map<PeerId, Address>>();
  readonly #byPeer = new Map<PeerId, Set<ContentId>>();

  enter(contentId: ContentId, peerId: PeerId, address: Address): void {
    const contents = this.#byPeer.get(peerId) ?? new Set();
    if (contents.size >= CONTENTS_PER_PEER_MAX) return;
    this.#byPeer.set(peerId, contents.add(contentId));
    const peers = this.#byContent.get(contentId) ?? new Map<PeerId, Address>();
    this.#byContent.set(contentId, peers.set(peerId, address));
    const [oldest] = peers.keys();
    if (peers.size > PEERS_PER_CONTENT_MAX) this.leave(contentId, oldest!);
  }

  /** The peer holds something now, or has given up. */
  leave(contentId: ContentId, peerId: PeerId): void {
    const contents = this.#byPeer.get(peerId);
    if (!contents?.delete(contentId)) return;
    if (contents.size === 0) this.#byPeer.delete(peerId);
    const peers = this.#byContent.get(contentId)!;
    peers.delete(peerId);
    if (peers.size === 0) this.#byContent.delete(contentId);
  }

  /** The peer's session is over. */
  drop(peerId: PeerId): void {
    for (const contentId of [...(this.#byPeer.get(peerId) ?? [])]) this.leave(contentId, peerId);
  }

  /** The latest ones, at most `max`: those who came before have told their chunks by now. */
  of(contentId: ContentId, asker: Asker, max: number): HolderInfo[] {
    const found: HolderInfo[] = [];
    for (const [peerId, address] of [...(this.#byContent.get(contentId) ?? [])].reverse()) {
      if (found.length >= max) break;
      if (peerId === asker.peerId || (!asker.sameHost && isLoopback(hostOf(address)))) continue;
      found.push({ address, chunks: NO_CHUNKS });
    }
    return found;
  }
}
