/** The registry on SQLite: changes are here, lists in sqlite-lists.ts, locations in sqlite-locations.ts. */
import { join } from "node:path";
import { type Address, hostOf, portOf } from "../core/address.ts";
import { Bitfield } from "../core/bitfield.ts";
import type { Clock, Random } from "../core/clock.ts";
import { P2pfsError } from "../core/errors.ts";
import { type FileName, foldFileName } from "../core/file-name.ts";
import { chunkCountFor } from "../core/manifest.ts";
import type { FileInfo, PeerId } from "../core/model.ts";
import { asDatabaseError, assertWritable, type OpenDatabase, openWith } from "../store/database.ts";
import { GroupCommit } from "../store/group-commit.ts";
import type {
  ChunkReport,
  ContentLocation,
  Counts,
  Dropped,
  FileFilter,
  ListedPeer,
  LocationQuery,
  NewPublication,
  PeerRecord,
  Registration,
  Registry,
  Renewal,
  Requester,
  SessionRef,
  TrackerId,
} from "./registry.ts";
import { type ROW_QUOTAS, type RowKind, RowQuotas } from "./row-quotas.ts";
import * as schema from "./schema.ts";
import { SessionHolders } from "./session-holders.ts";
import { prepareChanges } from "./sqlite-changes.ts";
import { SqliteLists } from "./sqlite-lists.ts";
import { type PeerRow, SqliteLocations } from "./sqlite-locations.ts";
import { assertMembersSound, SqliteMembers } from "./sqlite-members.ts";
import { peerRecordOf } from "./sqlite-rows.ts";
import type { ChunkInfo, Page } from "./types.ts";

/** Contents checked in one step of `forget`. */
const FORGET_STEP_ROWS = 2000;

export interface SqliteRegistryOptions {
  /** Of the database file, or `:memory:`. */
  readonly path: string;
  readonly clock: Clock;
  /** Of samples. */
  readonly random: Random;
  /** Rows of one peer. */
  readonly quotas?: typeof ROW_QUOTAS;
}

/** Throws `disk` where the database cannot be used. */
export function openSqliteRegistry(options: SqliteRegistryOptions): SqliteRegistry {
  const { path } = options;
  const migrationsFolder = join(import.meta.dir, "registry-sqlite");
  return openWith({ path, schema, migrationsFolder }, (database) => {
    assertMembersSound(database, path);
    return new SqliteRegistry(database, options);
  });
}

export class SqliteRegistry implements Registry {
  readonly members: SqliteMembers;
  readonly #database: OpenDatabase<typeof schema>;
  readonly #commits: GroupCommit;
  readonly #holders: SessionHolders;
  readonly #lists: SqliteLists;
  readonly #locations: SqliteLocations;
  readonly #statements: ReturnType<typeof prepareChanges>;
  readonly #quotas: RowQuotas;
  readonly #path: string;
  readonly #clock: Clock;
  #countsCached: Promise<Counts> | undefined;
  #isClosed = false;

  constructor(database: OpenDatabase<typeof schema>, { path, clock, random, quotas }: SqliteRegistryOptions) {
    this.#database = database;
    this.#path = path;
    this.#clock = clock;
    this.#commits = new GroupCommit(database.sqlite, path, clock);
    this.#holders = new SessionHolders(clock);
    this.#lists = new SqliteLists(database.db, clock);
    this.#locations = new SqliteLocations(database.db, clock, random);
    this.#statements = prepareChanges(database.db);
    this.#quotas = new RowQuotas(quotas);
    this.members = new SqliteMembers({
      db: database.db,
      clock,
      random,
      write: (change) => this.#commits.write(change),
      read: (read) => this.#read(read),
    });
  }

  async register({ peerId, member = null, address, hostName }: Registration, tracker: TrackerId): Promise<PeerRecord> {
    const { row, counts } = await this.#write(() => {
      const [ip, port] = [hostOf(address), portOf(address)];
      const taken = this.#statements.onlineAt.get({ ip, port });
      if (taken !== undefined && taken.peerId !== peerId)
        throw new P2pfsError("refused", `another peer is online at ${address}`, {
          hint: "listen on another port, or wait until the other peer has left",
        });
      const now = this.#clock.wallTime();
      const known = this.#statements.peer.get({ peerId });
      const session = (known?.session ?? 0) + 1;
      const since = known?.online ? known.since : now;
      const row = this.#statements.enterPeer.get({ peerId, member, session, ip, port, hostName, since, now });
      return { row, counts: known && this.#countsOf(row.id) };
    });
    this.#quotas.open(row.id, counts ?? { publications: 0, holdings: 0 }, isFurtherProcess(peerId, member));
    if (counts !== undefined) this.#locations.cameOnline(row);
    const peer = peerRecordOf(row);
    this.#holders.hold(peer, tracker);
    return peer;
  }

  async leave(ref: SessionRef, tracker: TrackerId, lastSeen: number): Promise<boolean> {
    const left = await this.#write(() => {
      if (!this.#holders.isHeldBy(ref, tracker)) return undefined;
      const gone = this.#statements.leave.get({ ...ref, lastSeen });
      // It announces what it has in each session, and is not missed in between.
      if (gone !== undefined && isFurtherProcess(ref.peerId, gone.member))
        this.#statements.forgetPeer.run({ id: gone.id });
      return gone;
    });
    if (left === undefined) return false;
    this.#holders.release(ref);
    this.#quotas.close(left.id);
    this.#locations.wentOffline(left.id);
    return true;
  }

  async publish(ref: SessionRef, { fname, contentId, size, path }: NewPublication): Promise<void> {
    const { publisher, added } = await this.#write(() => {
      const current = this.#currentPeer(ref);
      const { id: peer, session } = current;
      const content = this.#contentRow(contentId, size, current);
      const fold = foldFileName(fname);
      const old = this.#statements.publication.get({ peer, fold });
      if (old === undefined) {
        this.#quotas.assertRoom(peer, "publications");
        this.#statements.addPublication.run({ peer, fname, fold, content, path, session });
      } else {
        if (old.session === session) assertSamePublication(old, fname, content);
        this.#statements.changePublication.run({ id: old.id, fname, content, path, session });
      }
      const isHeld = this.#statements.holding.get({ content, peer }) !== undefined;
      if (!isHeld) this.#quotas.assertRoom(peer, "holdings");
      this.#statements.hold.run({ content, peer, session, chunks: null });
      return { publisher: current, added: { publications: old === undefined ? 1 : 0, holdings: isHeld ? 0 : 1 } };
    });
    this.#countRows(publisher.id, added);
    this.#locations.held(contentId, publisher, true);
  }

  async unpublish(ref: SessionRef, fname: FileName): Promise<void> {
    const peer = await this.#write(() => {
      const { id: peer } = this.#currentPeer(ref);
      const old = this.#statements.publication.get({ peer, fold: foldFileName(fname) });
      if (old === undefined || old.fname !== fname) throw new P2pfsError("not_found", `you do not share ${fname}`);
      this.#statements.removePublication.run({ id: old.id });
      return peer;
    });
    this.#countRows(peer, { publications: -1 });
  }

  async registerChunks(ref: SessionRef, { contentId, size, chunks, replace }: ChunkReport): Promise<void> {
    const { holder, isHeld, isComplete, added } = await this.#write(() => {
      const current = this.#currentPeer(ref);
      const { id: peer, session } = current;
      const total = chunkCountFor(size);
      if ((chunks.at(-1) ?? -1) >= total)
        throw new P2pfsError("refused", `content ${contentId} has only ${total} chunks, not ${chunks.at(-1)! + 1}`);
      const content = this.#contentRow(contentId, size, current);
      const held = this.#statements.holding.get({ content, peer });
      const field = held === undefined || replace ? new Bitfield(total) : fieldOf(held.chunks, total);
      field.addRanges(chunks);
      const isHeld = field.count > 0 || total === 0;
      if (isHeld) {
        if (held === undefined) this.#quotas.assertRoom(peer, "holdings");
        const bytes = field.isFull ? null : Buffer.from(field.bytes);
        this.#statements.hold.run({ content, peer, session, chunks: bytes });
      } else this.#statements.unhold.run({ peer, content });
      const added = Number(isHeld) - Number(held !== undefined);
      return { holder: current, isHeld, isComplete: field.isFull, added };
    });
    this.#countRows(holder.id, { holdings: added });
    if (isHeld) this.#locations.held(contentId, holder, isComplete);
    else this.#locations.unheld(contentId, holder.id);
  }

  async dropUnannounced(ref: SessionRef): Promise<Dropped> {
    const { peer, ...dropped } = await this.#write(() => {
      const { id: peer, session } = this.#currentPeer(ref);
      const gone = this.#statements.dropPublications.all({ peer, session });
      const unheld = this.#statements.dropHoldings.all({ peer, session });
      return { peer, publications: gone.length, holdings: unheld.length };
    });
    this.#countRows(peer, { publications: -dropped.publications, holdings: -dropped.holdings });
    this.#locations.lostSome(peer);
    return dropped;
  }

  async forget(leftBefore: number): Promise<number> {
    const forgotten = await this.#write(() => this.#statements.forgetPeers.all({ leftBefore }));
    const newest = this.#statements.newestContent.get()?.id ?? 0;
    for (let after = 0; after < newest; after += FORGET_STEP_ROWS)
      await this.#write(() => this.#statements.forgetContents.run({ after, last: after + FORGET_STEP_ROWS }));
    return forgotten.length;
  }

  renew(tracker: TrackerId, goneAfterMs: number): Promise<Renewal> {
    return this.#read(() => this.#holders.renew(tracker, goneAfterMs, () => this.#lists.onlinePeers()));
  }

  findPeers(where: { ips?: readonly string[]; hostName?: string; port?: number }): Promise<readonly PeerRecord[]> {
    return this.#read(() => this.#lists.findPeers(where));
  }

  peerAt(address: Address): Promise<PeerRecord | undefined> {
    return this.#read(() => this.#lists.peerAt(address));
  }

  listPeers(cursor: string | null): Promise<Page<ListedPeer>> {
    return this.#read(() => this.#lists.listPeers(cursor));
  }

  listFiles(filter: FileFilter, cursor: string | null): Promise<Page<FileInfo>> {
    return this.#read(() => this.#lists.listFiles(filter, cursor));
  }

  discover(address: Address, cursor: string | null): Promise<Page<FileInfo>> {
    return this.#read(() => this.#lists.discover(address, cursor));
  }

  listChunkInfo(cursor: string | null): Promise<Page<ChunkInfo>> {
    return this.#read(() => this.#lists.listChunkInfo(cursor));
  }

  locate(query: LocationQuery, requester: Requester): Promise<ContentLocation | undefined> {
    return this.#read(() => this.#locations.locate(query, requester));
  }

  async assertWritable(): Promise<void> {
    try {
      assertWritable(this.#database.sqlite);
    } catch (thrown) {
      throw asDatabaseError(thrown, this.#path);
    }
  }

  /** Cached until the next write, since counting many files is slow. */
  counts(): Promise<Counts> {
    if (this.#countsCached !== undefined) return this.#countsCached;
    const counting = this.#read(() => this.#lists.counts());
    counting.catch(() => {
      if (this.#countsCached === counting) this.#countsCached = undefined;
    });
    this.#countsCached = counting;
    return counting;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#commits.close();
    this.#database.close();
  }

  #write<T>(change: () => T): Promise<T> {
    return this.#commits.write(() => {
      this.#countsCached = undefined;
      return change();
    });
  }

  async #read<T>(read: () => T | Promise<T>): Promise<T> {
    // A prepared statement still answers from a closed database.
    if (this.#isClosed) throw new Error("the registry is closed");
    try {
      return await read();
    } catch (thrown) {
      throw asDatabaseError(thrown, this.#path);
    }
  }

  #countsOf(peer: number): Record<RowKind, number> {
    return {
      publications: this.#statements.publicationCount.get({ peer })?.rows ?? 0,
      holdings: this.#statements.holdingCount.get({ peer })?.rows ?? 0,
    };
  }

  #countRows(peer: number, added: Partial<Record<RowKind, number>>): void {
    for (const [kind, rows] of Object.entries(added)) this.#quotas.add(peer, kind as RowKind, rows);
  }

  #currentPeer({ peerId, session }: SessionRef): CurrentPeer {
    const peer = this.#statements.peer.get({ peerId });
    if (peer?.online && peer.session === session) return peer;
    throw new P2pfsError("refused", "this session has ended", { hint: "register again" });
  }

  /**
   * The row of this content with this size. A content id has one size, so two sizes from one peer in one session are an
   * error. A size from an earlier session of the peer is dropped.
   */
  #contentRow(contentId: string, size: number, { id: peer, session }: CurrentPeer): number {
    const known = this.#statements.contents.all({ contentId });
    for (const other of known) {
      const held = other.size === size ? undefined : this.#statements.holding.get({ content: other.id, peer });
      if (held === undefined) continue;
      if (held.session === session)
        throw new P2pfsError("refused", `you registered content ${contentId} with ${other.size} bytes, not ${size}`);
      this.#statements.unhold.run({ peer, content: other.id });
    }
    return known.find((row) => row.size === size)?.id ?? this.#statements.addContent.get({ contentId, size }).id;
  }
}

interface CurrentPeer extends PeerRow {
  readonly session: number;
}

/** R2, within one session of a peer. */
function assertSamePublication(old: { fname: string; content: number }, fname: FileName, content: number): void {
  if (old.fname !== fname)
    throw new P2pfsError(
      "refused",
      `you share ${old.fname}, which differs from ${fname} in case or normalisation only`,
      {
        hint: "publish under another name",
      },
    );
  if (old.content !== content)
    throw new P2pfsError("refused", `you share another file as ${fname} already`, {
      hint: "publish under another name, or unpublish the other file first",
    });
}

function fieldOf(chunks: Uint8Array | null, total: number): Bitfield {
  return chunks === null ? Bitfield.full(total) : new Bitfield(total, chunks);
}

function isFurtherProcess(peerId: PeerId, member: string | null): boolean {
  return member !== null && member !== peerId;
}
