/**
 * The lists of the registry on SQLite, read in steps of bounded size in the order of an index. Other work runs between
 * the steps. The time of a step does not depend on the number of files, nor on how many are skipped for want of an
 * online holder.
 */
import { and, asc, type Column, count, desc, eq, gt, inArray, or, type SQL, sql } from "drizzle-orm";
import { type Address, hostOf, portOf } from "../core/address.ts";
import { formatRanges } from "../core/bitfield.ts";
import type { Clock } from "../core/clock.ts";
import { P2pfsError } from "../core/errors.ts";
import { foldFileName } from "../core/file-name.ts";
import { HOLDERS_COUNTED_MAX, LIST_PAGE_MAX, PEERS_NAMED_MAX } from "../core/limits.ts";
import { chunkCountFor } from "../core/manifest.ts";
import type { FileInfo } from "../core/model.ts";
import { nextTurn } from "../net/system.ts";
import { limitOf, parameter } from "../store/parameter.ts";
import { PageBuilder } from "./page.ts";
import type { Counts, FileFilter, ListedPeer, PeerRecord } from "./registry.ts";
import { contents, holdings, peers, publications } from "./schema.ts";
import type { RegistryDatabase } from "./sqlite-rows.ts";
import {
  addressOf,
  chunkRangesOf,
  type FileRow,
  fileInfoOf,
  formatCursor,
  parseCursor,
  peerRecordOf,
} from "./sqlite-rows.ts";
import type { ChunkInfo, Page } from "./types.ts";

/** Rows read in one step, a few milliseconds of work; other requests, say a ping, wait for two or three steps. */
const STEP_ROWS = 100;
/** Files whose holders are read in one step. */
const STEP_FILES = 25;
/** Holders of one content read in one step; each may have a large bitfield. */
const STEP_HOLDERS = 50;
const COUNT_STEP_ROWS = 5000;

/** Literal `= 1`, so that SQLite uses the partial index. */
export const isOnline = sql`${peers.online} = 1`;

/** False for an offline peer whose address another peer has taken over: a key names one publication. */
export const hasItsAddress = sql`(${isOnline} OR NOT EXISTS (SELECT 1 FROM ${peers} AS heir
  WHERE heir.ip = ${peers.ip} AND heir.port = ${peers.port} AND heir.online = 1))`;

/** Number of the content's online holders, up to HOLDERS_COUNTED_MAX. */
export function onlineHolders(content: SQL): SQL<number> {
  return sql<number>`(SELECT count(*) FROM (SELECT 1 FROM ${holdings} JOIN ${peers} ON ${peers.id} = ${holdings.peer}
    WHERE ${holdings.content} = ${content} AND ${isOnline} LIMIT ${sql.raw(String(HOLDERS_COUNTED_MAX))}))`;
}

export const fileColumns = {
  id: publications.id,
  fname: publications.fname,
  fold: publications.fold,
  path: publications.path,
  content: publications.content,
  contentId: contents.contentId,
  size: contents.size,
  ip: peers.ip,
  port: peers.port,
};

export class SqliteLists {
  readonly #db: RegistryDatabase;
  readonly #clock: Clock;
  // Prepared, since they run in every step of a list; #holdersAfter for every file of list_chunkinfo.
  readonly #filesAfter;
  readonly #namedAfter;
  readonly #ofPeerAfter;
  readonly #holderCounts;
  readonly #holdersAfter;
  readonly #peers;

  constructor(db: RegistryDatabase, clock: Clock) {
    this.#db = db;
    this.#clock = clock;
    this.#filesAfter = prepareFilesAfter(db, undefined);
    this.#namedAfter = prepareFilesAfter(
      db,
      and(eq(publications.fold, parameter("namedFold")), eq(publications.fname, parameter("fname"))),
    );
    this.#ofPeerAfter = prepareFilesAfter(db, eq(publications.peer, parameter("peer")));
    this.#peers = preparePeers(db);
    this.#holderCounts = prepareHolderCounts(db);
    this.#holdersAfter = prepareHoldersAfter(db);
  }

  onlinePeers(): PeerRecord[] {
    return this.#peers.online.all().map(peerRecordOf);
  }

  findPeers({ ips, hostName, port }: { ips?: readonly string[]; hostName?: string; port?: number }): PeerRecord[] {
    const byIp = ips === undefined ? undefined : inArray(peers.ip, [...ips]);
    const byName = hostName === undefined ? undefined : sql`lower(${peers.hostName}) = lower(${hostName})`;
    const byPort = port === undefined ? undefined : eq(peers.port, port);
    const rows = this.#db
      .select()
      .from(peers)
      .where(and(isOnline, or(byIp, byName), byPort));
    return rows.orderBy(asc(peers.ip), asc(peers.port)).limit(PEERS_NAMED_MAX).all().map(peerRecordOf);
  }

  peerAt(address: Address): PeerRecord | undefined {
    const row = this.#rowAt(address);
    return row === undefined ? undefined : peerRecordOf(row);
  }

  listPeers(cursor: string | null): Page<ListedPeer> {
    const [ip, port] = parseCursor(cursor);
    const rows = this.#peers.after.all({ ip, port });
    const page = new PageBuilder<ListedPeer>();
    for (const [index, row] of rows.entries()) {
      const files = this.#peers.publications.get({ peer: row.id })?.count ?? 0;
      if (page.add({ ...peerRecordOf(row), files }, row.hostName)) continue;
      const last = rows[index - 1]!;
      return { rows: page.rows, next: formatCursor([last.ip, last.port, 0]) };
    }
    const last = rows.at(-1);
    return { rows: page.rows, next: rows.length < LIST_PAGE_MAX ? null : formatCursor([last!.ip, last!.port, 0]) };
  }

  listFiles({ fname, holder }: FileFilter, cursor: string | null): Promise<Page<FileInfo>> {
    const filesAfter = (after: After) =>
      fname === undefined
        ? this.#filesAfter.all(after)
        : this.#namedAfter.all({ ...after, namedFold: foldFileName(fname), fname });
    const holderId = holder === undefined ? undefined : (this.#rowAt(holder)?.id ?? NOBODY);
    return this.#listPublications(filesAfter, holderId, cursor);
  }

  discover(address: Address, cursor: string | null): Promise<Page<FileInfo>> {
    const peer = this.#rowAt(address);
    if (!peer?.online)
      throw new P2pfsError("not_found", `no peer is online at ${address}`, { hint: "list-peers shows who is online" });
    return this.#listPublications((after) => this.#ofPeerAfter.all({ ...after, peer: peer.id }), undefined, cursor);
  }

  /** Available publications, ordered by folded name. */
  async #listPublications(
    filesAfter: (after: After) => FileRow[],
    holder: number | undefined,
    cursor: string | null,
  ): Promise<Page<FileInfo>> {
    const page = new PageBuilder<FileInfo>();
    let position = parseCursor(cursor);
    for (;;) {
      const files = filesAfter({ fold: position[0], id: position[1] });
      const holders = this.#holdersOf(files);
      const ofHolder = holder === undefined ? undefined : this.#heldBy(holder, files);
      for (const file of files) {
        const count = holders.get(file.content) ?? 0;
        if (count > 0 && (ofHolder === undefined || ofHolder.has(file.content))) {
          const info = fileInfoOf(file, count);
          if (!page.add(info, info.key, info.fname, info.path, info.content_id, info.address))
            return { rows: page.rows, next: formatCursor(position) };
        }
        position = [file.fold, file.id, 0];
      }
      if (files.length < STEP_ROWS) return { rows: page.rows, next: null };
      if (page.rows.length >= LIST_PAGE_MAX) return { rows: page.rows, next: formatCursor(position) };
      await nextTurn(this.#clock);
    }
  }

  async listChunkInfo(cursor: string | null): Promise<Page<ChunkInfo>> {
    const page = new PageBuilder<ChunkInfo>();
    let position = parseCursor(cursor);
    for (;;) {
      // Includes the position's own row, whose holders may continue in this page.
      const files = this.#filesAfter.all({ fold: position[0], id: position[1] - 1 });
      for (const [index, file] of files.entries()) {
        if (index % STEP_FILES === STEP_FILES - 1) await nextTurn(this.#clock);
        if (file.id !== position[1] || file.fold !== position[0]) position = [file.fold, file.id, 0];
        for (let more = true; more; ) {
          const holders = this.#holdersAfter.all({ content: file.content, after: position[2] });
          for (const holder of holders) {
            const row = chunkInfoOf(file, holder);
            if (!page.add(row, row.key, row.content_id, row.holder, row.chunks))
              return { rows: page.rows, next: formatCursor(position) };
            position = [file.fold, file.id, holder.peer];
          }
          more = holders.length === STEP_HOLDERS;
        }
      }
      if (files.length < STEP_ROWS) return { rows: page.rows, next: null };
      await nextTurn(this.#clock);
      const last = files.at(-1)!;
      position = [last.fold, last.id, Number.MAX_SAFE_INTEGER];
    }
  }

  async counts(): Promise<Counts> {
    const ofAddressed = sql`EXISTS (SELECT 1 FROM ${peers} WHERE ${peers.id} = ${publications.peer} AND ${hasItsAddress})`;
    const held = (content: SQL | typeof contents.id | typeof publications.content) =>
      sql`EXISTS (SELECT 1 FROM ${holdings} JOIN ${peers} ON ${peers.id} = ${holdings.peer}
        WHERE ${holdings.content} = ${content} AND ${isOnline})`;
    return {
      peers: this.#count(peers, isOnline),
      files: await this.#countInSteps(publications, and(held(publications.content), ofAddressed)!),
      contents: await this.#countInSteps(contents, held(contents.id)),
    };
  }

  async #countInSteps(table: typeof publications | typeof contents, where: SQL): Promise<number> {
    const newest =
      this.#db
        .select({ id: sql<number | null>`max(${table.id})` })
        .from(table)
        .get()?.id ?? 0;
    let count = 0;
    for (let after = 0; after < newest; after += COUNT_STEP_ROWS) {
      const inStep = and(gt(table.id, after), sql`${table.id} <= ${after + COUNT_STEP_ROWS}`);
      count += this.#count(table, and(inStep, where));
      await nextTurn(this.#clock);
    }
    return count;
  }

  #count(table: typeof publications | typeof contents | typeof peers, where: SQL | undefined): number {
    return this.#db.select({ count: sql<number>`count(*)` }).from(table).where(where).get()?.count ?? 0;
  }

  /** The peer that is online at the address, else the one that was last. */
  #rowAt(address: Address) {
    return this.#peers.at.get({ ip: hostOf(address), port: portOf(address) });
  }

  /** Number of online holders by content. */
  #holdersOf(files: readonly FileRow[]): Map<number, number> {
    const rows = this.#holderCounts.all({ contents: contentsOf(files) });
    return new Map(rows.map((row) => [row.content, row.count]));
  }

  /** The contents of these files that the peer publishes or holds. */
  #heldBy(peer: number, files: readonly FileRow[]): Set<number> {
    const list = contentsOf(files);
    const held = this.#db
      .select({ content: holdings.content })
      .from(holdings)
      .where(and(among(holdings.content, list), eq(holdings.peer, peer)));
    const published = this.#db
      .select({ content: publications.content })
      .from(publications)
      .where(and(among(publications.content, list), eq(publications.peer, peer)));
    return new Set([...held.all(), ...published.all()].map((row) => row.content));
  }
}

/** No row has this id. */
const NOBODY = -1;

/** Where a step of a list begins. */
interface After extends Record<string, unknown> {
  readonly fold: string;
  readonly id: number;
}

function preparePeers(db: RegistryDatabase) {
  const [ip, port] = [parameter("ip"), parameter("port")];
  return {
    online: db.select().from(peers).where(isOnline).prepare(),
    after: db
      .select()
      .from(peers)
      .where(and(isOnline, sql`(${peers.ip}, ${peers.port}) > (${ip}, ${port})`))
      .orderBy(asc(peers.ip), asc(peers.port))
      .limit(limitOf(LIST_PAGE_MAX))
      .prepare(),
    at: db
      .select()
      .from(peers)
      .where(and(eq(peers.ip, ip), eq(peers.port, port)))
      .orderBy(desc(peers.online), desc(peers.lastSeen))
      .limit(limitOf(1))
      .prepare(),
    publications: db
      .select({ count: count() })
      .from(publications)
      .where(eq(publications.peer, parameter("peer")))
      .prepare(),
  };
}

function prepareFilesAfter(db: RegistryDatabase, where: SQL | undefined) {
  const after = sql`(${parameter("fold")}, ${parameter("id")})`;
  return db
    .select(fileColumns)
    .from(publications)
    .innerJoin(contents, eq(contents.id, publications.content))
    .innerJoin(peers, eq(peers.id, publications.peer))
    .where(and(where, hasItsAddress, sql`(${publications.fold}, ${publications.id}) > ${after}`))
    .orderBy(asc(publications.fold), asc(publications.id))
    .limit(limitOf(STEP_ROWS))
    .prepare();
}

function prepareHolderCounts(db: RegistryDatabase) {
  return db
    .select({ content: contents.id, count: onlineHolders(sql`${contents.id}`) })
    .from(contents)
    .where(among(contents.id, parameter("contents")))
    .prepare();
}

function prepareHoldersAfter(db: RegistryDatabase) {
  const { content, peer, chunks } = holdings;
  return db
    .select({ peer, chunks, ip: peers.ip, port: peers.port })
    .from(holdings)
    .innerJoin(peers, eq(peers.id, peer))
    .where(and(eq(content, parameter("content")), gt(peer, parameter("after")), isOnline))
    .orderBy(asc(peer))
    .limit(limitOf(STEP_HOLDERS))
    .prepare();
}

type HolderRow = ReturnType<ReturnType<typeof prepareHoldersAfter>["all"]>[number];

/** The distinct contents of these files, as JSON for `among`. */
function contentsOf(files: readonly FileRow[]): string {
  return JSON.stringify([...new Set(files.map((file) => file.content))]);
}

function among(column: Column, list: string | SQL): SQL {
  return sql`${column} IN (SELECT value FROM json_each(${list}))`;
}

function chunkInfoOf(file: FileRow, holder: HolderRow): ChunkInfo {
  const total = chunkCountFor(file.size);
  const ranges = chunkRangesOf(holder.chunks, total);
  let held = 0;
  for (let i = 0; i < ranges.length; i += 2) held += ranges[i + 1]! - ranges[i]! + 1;
  return {
    key: fileInfoOf(file, 0).key,
    content_id: file.contentId,
    holder: addressOf(holder),
    chunks: formatRanges(ranges),
    total_chunknum: total,
    percent: total === 0 ? 100 : Math.floor((1000 * held) / total) / 10,
  };
}
