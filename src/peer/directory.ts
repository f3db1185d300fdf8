/**
 * Where a peer looks up who has what, and makes known what it has itself. `tracker-directory.ts` is one; what uses a
 * directory need not know how many trackers are behind it. Requests throw `tracker_unreachable` at their deadline.
 */
import type { Address, HostPort } from "../core/address.ts";
import type { Deadline } from "../core/deadline.ts";
import type { FileName } from "../core/file-name.ts";
import type { ContentId } from "../core/manifest.ts";
import type { FileInfo, HolderInfo } from "../core/model.ts";
import type { Share } from "./repository.ts";
import type { FilePage } from "./types.ts";

export interface FileQuery {
  readonly fname?: FileName | undefined;
  /** Only contents that the peer at this address publishes or holds. */
  readonly holder?: Address | undefined;
}

/** Where a holder listens; in a swarm, also who has to answer there. */
export type Holder = Pick<HolderInfo, "address" | "peer_id">;

export interface ContentLocation {
  /** Null where nobody publishes the content. */
  readonly fileInfo: FileInfo | null;
  /** A sample, without this peer. */
  readonly holders: readonly HolderInfo[];
}

export interface Directory {
  /** Where other peers are told to find this one; null before the first registration. */
  readonly address: Address | null;
  /** Named in tickets. */
  readonly tracker: HostPort;

  /** Resolves when this peer is registered and everything that it has is known. Throws `refused` where it must not be. */
  ready(deadline: Deadline): Promise<Address>;

  // A cursor is the `next` of the page before, null for the first one.
  listFiles(query: FileQuery, cursor: string | null, deadline: Deadline): Promise<FilePage>;
  /** Publications of one peer. Throws `not_found` where none is online at the address. */
  discover(publisher: Address, cursor: string | null, deadline: Deadline): Promise<FilePage>;
  /** Online peers with this IP. Throws `usage` where the tracker is too old to know. */
  peersOn(ip: string, deadline: Deadline): Promise<readonly Address[]>;
  /** Throws `not_found` where nobody has shared the content. */
  locate(contentId: ContentId, deadline: Deadline): Promise<ContentLocation>;

  /**
   * Publishes, and resolves to the address in the publication's key. Throws `refused`; after any other error the share is
   * withdrawn, since it may have been published without an answer.
   */
  publish(share: Share, deadline: Deadline): Promise<Address>;
  /** Ends a publication, but not the holding. After an error the share is announced again. */
  unpublish(share: Share, deadline: Deadline): Promise<void>;
  /** Ends a publication in the background, and announces what this peer still holds of its content. */
  withdraw(share: Share): void;
  /** Resolves when the last change of what this peer holds of the content is known, or at the deadline. */
  settled(contentId: ContentId, deadline: Deadline): Promise<void>;
}
