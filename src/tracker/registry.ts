/**
 * The tracker's database of peers, publications and holdings. Every method returns a promise, so that an implementation
 * may use a database in another process, and every write resolves when it is committed.
 * `test/tracker/registry-conformance.ts` specifies an implementation.
 *
 * A content is available, listed and located, while an online peer holds a chunk of it (of an empty content: the file),
 * no matter who published it. Publications and holdings of offline peers are kept.
 */
import type { Address } from "../core/address.ts";
import type { ChunkRanges } from "../core/bitfield.ts";
import type { FileName } from "../core/file-name.ts";
import type { ContentId } from "../core/manifest.ts";
import type { FileInfo, HolderInfo, PeerId } from "../core/model.ts";
import type { MemberRegistry } from "./members.ts";
import type { ChunkInfo, Page } from "./types.ts";

export interface Registration {
  readonly peerId: PeerId;
  /** In a swarm, the peer id of the certificate; several processes of a member have ids of their own. */
  readonly member?: PeerId | null;
  /** Where other peers connect to the peer. */
  readonly address: Address;
  readonly hostName: string;
}

/** One run of a tracker, among all that use the registry; a tracker has another one after each start. */
export type TrackerId = string;

/**
 * A session of a peer. The numbers of one peer's sessions grow, over restarts too, so that a late change by a replaced
 * session is recognised.
 */
export interface SessionRef {
  readonly peerId: PeerId;
  readonly session: number;
}

export interface NewPublication {
  readonly fname: FileName;
  readonly contentId: ContentId;
  /** Bytes. */
  readonly size: number;
  /** As typed by the publisher. */
  readonly path: string;
}

export interface ChunkReport {
  readonly contentId: ContentId;
  /** Bytes of the whole content. */
  readonly size: number;
  readonly chunks: ChunkRanges;
  /** True: the peer holds exactly these chunks. False: these in addition. */
  readonly replace: boolean;
}

/** A peer that is online, or was. */
export interface PeerRecord extends SessionRef {
  /** In a swarm, the peer id of the certificate. */
  readonly member: PeerId | null;
  readonly address: Address;
  readonly hostName: string;
  readonly online: boolean;
  /** Milliseconds since 1970: the start of the present time online. */
  readonly since: number;
  /** As last written; an open session has a later time in memory. */
  readonly lastSeen: number;
}

export interface ListedPeer extends PeerRecord {
  /** Number of publications. */
  readonly files: number;
}

export interface FileFilter {
  readonly fname?: FileName | undefined;
  /** Only contents that the peer at this address publishes or holds; the peer may be offline. */
  readonly holder?: Address | undefined;
}

export type LocationQuery = { readonly key: string } | { readonly contentId: ContentId };

export interface Requester {
  /** The requester's own id, left out of the holders. */
  readonly peerId?: PeerId | undefined;
  /** Whether the requester is on the tracker's host, and so can use loopback addresses. */
  readonly sameHost: boolean;
}

export interface ContentLocation {
  /** Null where the content is held but published by nobody. */
  readonly fileInfo: FileInfo | null;
  /**
   * A random sample of at most HOLDER_SAMPLE_MAX, with at least COMPLETE_NAMED_MIN seeders if so many are online.
   * Reused for SAMPLE_REUSE_MS.
   */
  readonly holders: readonly HolderInfo[];
}

export interface Counts {
  /** Online. */
  readonly peers: number;
  /** Available publications: those with an online holder. */
  readonly files: number;
  readonly contents: number;
}

export interface Renewal {
  /** Whether the registry did not know the tracker: at its start, and after others have taken over its sessions. */
  readonly isNew: boolean;
  /** Online peers whose sessions this tracker holds from now on, since the trackers that held them are gone. */
  readonly takenOver: readonly PeerRecord[];
}

/** Rows that `dropUnannounced` removed. */
export interface Dropped {
  readonly publications: number;
  readonly holdings: number;
}

export interface Registry {
  readonly members: MemberRegistry;

  /**
   * Brings a peer online in a new session, which this tracker holds and which replaces the peer's earlier one; its
   * publications and holdings stay. Throws `refused` where another peer is online at the address.
   */
  register(registration: Registration, tracker: TrackerId): Promise<PeerRecord>;
  /** Takes the peer offline if this is its current session and this tracker holds it; returns whether that was so. */
  leave(session: SessionRef, tracker: TrackerId, lastSeen: number): Promise<boolean>;
  /**
   * The tracker runs, and counts as gone unless it renews within this time. Sessions of trackers that are gone are taken
   * over, so that the lists keep no peer that nobody watches.
   */
  renew(tracker: TrackerId, goneAfterMs: number): Promise<Renewal>;

  /**
   * Adds a publication, and the peer as a holder of the whole content; idempotent. Throws `refused` where the peer
   * publishes other content under this name, or under one that differs in case or normalisation only (R2). A
   * publication that was not announced in this session does not count and is replaced.
   */
  publish(session: SessionRef, publication: NewPublication): Promise<void>;
  /** Removes a publication but not the holding. Throws `not_found` where the peer has none of this name. */
  unpublish(session: SessionRef, fname: FileName): Promise<void>;
  /** Throws `refused` where a chunk is beyond the content's size. */
  registerChunks(session: SessionRef, report: ChunkReport): Promise<void>;
  /** Removes publications and holdings of earlier sessions that were not announced again in this one. */
  dropUnannounced(session: SessionRef): Promise<Dropped>;

  /**
   * Online peers with one of these IPs or with this host name (ignoring case), and with this port; PEERS_NAMED_MAX at
   * most.
   */
  findPeers(where: { ips?: readonly string[]; hostName?: string; port?: number }): Promise<readonly PeerRecord[]>;
  /** The peer that is online at this address, or was last. */
  peerAt(address: Address): Promise<PeerRecord | undefined>;

  // A page has at most LIST_PAGE_MAX rows and PAGE_BYTES_MAX bytes. A cursor is the `next` of the previous page, null
  // for the first one. The lists throw `usage` for an invalid cursor.
  listPeers(cursor: string | null): Promise<Page<ListedPeer>>;
  listFiles(filter: FileFilter, cursor: string | null): Promise<Page<FileInfo>>;
  /** Publications of the peer at this address. Throws `not_found` where no peer is online there. */
  discover(address: Address, cursor: string | null): Promise<Page<FileInfo>>;
  listChunkInfo(cursor: string | null): Promise<Page<ChunkInfo>>;
  /** Undefined where the publication or content is unknown. */
  locate(query: LocationQuery, requester: Requester): Promise<ContentLocation | undefined>;
  counts(): Promise<Counts>;
  /** Rejects with `disk` where a commit would fail now. */
  assertWritable(): Promise<void>;

  /**
   * Deletes peers without publications that left before this time, and unused contents; returns the number of peers.
   */
  forget(leftBefore: number): Promise<number>;
  /** Commits pending writes and closes the database. */
  close(): Promise<void>;
}

/** Far below a frame's limit, so that no reply blocks the tracker or its connection for long. */
export const PAGE_BYTES_MAX = 256 * 1024;
/** Seeders in a sample, if so many are online, since only they may have the rarest chunks. */
export const COMPLETE_NAMED_MIN = 5;
/** A sample of holders is reused for this long. */
export const SAMPLE_REUSE_MS = 100;
