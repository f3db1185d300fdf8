/**
 * What the tracker remembers: peers, what they publish, and which chunks of which content each holds. Every method
 * returns a promise, so that a database in another process can stand behind it, and every write resolves when it is
 * committed. `test/tracker/registry-conformance.ts` says what an implementation must do.
 *
 * A content is listed and found while somebody online holds a chunk of it (an empty content: all of its none), whoever
 * published it. What peers that are offline published and held is kept.
 */
import type { Address } from "../core/address.ts";
import type { ChunkRanges } from "../core/bitfield.ts";
import type { FileName } from "../core/file-name.ts";
import type { ContentId } from "../core/manifest.ts";
import type { FileInfo, HolderInfo, PeerId } from "../core/model.ts";
import type { ChunkInfo, Page } from "./types.ts";

export interface Registration {
  readonly peerId: PeerId;
  /** Where others reach the peer. */
  readonly address: Address;
  readonly hostName: string;
}

/**
 * One stay of a peer. Numbers of one peer grow over restarts, so that what a replaced session does late is told apart
 * from what its successor does.
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
  /** True: these chunks and no others. False: these as well. */
  readonly replace: boolean;
}

/** A peer that is online, or was. */
export interface PeerRecord extends SessionRef {
  readonly address: Address;
  readonly hostName: string;
  readonly online: boolean;
  /** Milliseconds since 1970. Since when it has been online without a break. */
  readonly since: number;
  /** As last written; a session that is open knows better. */
  readonly lastSeen: number;
}

export interface ListedPeer extends PeerRecord {
  /** Its publications. */
  readonly files: number;
}

export interface FileFilter {
  readonly fname?: FileName | undefined;
  /** Only contents that the peer at this address publishes or holds; one that has left may have published them. */
  readonly holder?: Address | undefined;
}

export type LocationQuery = { readonly key: string } | { readonly contentId: ContentId };

export interface Asker {
  /** Left out of the holders. */
  readonly peerId?: PeerId | undefined;
  /** Whether loopback addresses mean anything to who asks. */
  readonly sameHost: boolean;
}

export interface ContentLocation {
  /** Null where the content is held but published by nobody. */
  readonly fileInfo: FileInfo | null;
  /**
   * A random sample of at most HOLDER_SAMPLE_MAX, COMPLETE_NAMED_MIN of them complete where there are so many; it may be
   * reused for 100 ms.
   */
  readonly holders: readonly HolderInfo[];
}

export interface Counts {
  /** Online. */
  readonly peers: number;
  /** Listed, that is held by somebody online. */
  readonly files: number;
  readonly contents: number;
}

/** What `dropUnannounced` took away. */
export interface Dropped {
  readonly publications: number;
  readonly holdings: number;
}

export interface Registry {
  /**
   * Brings a peer online under a new session, which ends the one it had; what it shares stays.
   * Throws `refused` where another peer is online at the address.
   */
  register(registration: Registration): Promise<PeerRecord>;
  /** Takes the peer offline, unless its session is not this one any more; returns whether it was. */
  leave(session: SessionRef, lastSeen: number): Promise<boolean>;

  /**
   * Adds a publication, and that the peer holds all of its content. The same again is no change. Throws `refused`
   * where the peer shares other content under the name, or under one that differs in case or normalisation only (R2);
   * what it has not announced in this session does not count and gives way.
   */
  publish(session: SessionRef, publication: NewPublication): Promise<void>;
  /** Removes a publication; what the peer holds stays. Throws `not_found` where there is none of this name. */
  unpublish(session: SessionRef, fname: FileName): Promise<void>;
  /** Throws `refused` where a chunk is beyond the content's size. */
  registerChunks(session: SessionRef, report: ChunkReport): Promise<void>;
  /** Removes what the peer shared and held before this session and has not told again. */
  dropUnannounced(session: SessionRef): Promise<Dropped>;

  /** Every peer that is online, for the leases after a start. */
  onlinePeers(): Promise<readonly PeerRecord[]>;
  /**
   * Online peers whose IP is one of these, or whose host name is this one, in any case; and whose port is this one. The
   * first PEERS_NAMED_MAX of them.
   */
  findPeers(where: { ips?: readonly string[]; hostName?: string; port?: number }): Promise<readonly PeerRecord[]>;
  /** The peer that is, or was last, at this address. */
  peerAt(address: Address): Promise<PeerRecord | undefined>;

  // Pages hold at most LIST_PAGE_MAX rows and PAGE_BYTES_MAX bytes. A cursor is the `next` of the page before, null for
  // the first page; one that is not ours is answered with `usage`.
  listPeers(cursor: string | null): Promise<Page<ListedPeer>>;
  listFiles(filter: FileFilter, cursor: string | null): Promise<Page<FileInfo>>;
  /** What the peer at this address publishes. Throws `not_found` where nobody is online there. */
  discover(address: Address, cursor: string | null): Promise<Page<FileInfo>>;
  listChunkInfo(cursor: string | null): Promise<Page<ChunkInfo>>;
  /** Undefined where neither such a publication nor such a content is known. */
  locate(query: LocationQuery, asker: Asker): Promise<ContentLocation | undefined>;
  counts(): Promise<Counts>;
  /** Rejects with `disk` where nothing could be committed now. */
  assertWritable(): Promise<void>;

  /** Forgets peers without publications that left before this time, and contents that nobody has; returns how many peers. */
  forget(leftBefore: number): Promise<number>;
  /** Commits what waits. */
  close(): Promise<void>;
}

/** So that a page fits a frame several times over, and no reply holds up the tracker or its connection for long. */
export const PAGE_BYTES_MAX = 256 * 1024;
/** Complete holders in a sample, where so many are online: the chunks that nobody else has are with them. */
export const COMPLETE_NAMED_MIN = 5;
/** A peer that was told of its holders this recently may be told of the same again. */
export const SAMPLE_REUSE_MS = 100;
