/**
 * Who holds a content: a random sample of bounded size, so that a swarm of thousands costs the tracker no more than one
 * of fifty, and spreads its load. Samples are reused for a moment, since those who fetch the same file ask together.
 */
import { and, asc, desc, eq, not, or, type SQL, sql } from "drizzle-orm";
import type { SQLiteSelect } from "drizzle-orm/sqlite-core";
import { hostOf, portOf } from "../core/address.ts";
import { foldFileName } from "../core/file-name.ts";
import { CHUNK_RANGES_MAX, HOLDER_SAMPLE_MAX, LOCATION_RANGES_MAX } from "../core/limits.ts";
import { chunkCountFor } from "../core/manifest.ts";
import { type FileInfo, type HolderInfo, parsePublicationKey } from "../core/model.ts";
import { type Asker, type ContentLocation, type LocationQuery, SAMPLE_REUSE_MS } from "./registry.ts";
import { contents, holdings, peers, publications } from "./schema.ts";
import { fileColumns, isOnline } from "./sqlite-lists.ts";
import type { RegistryDatabase } from "./sqlite-rows.ts";
import { addressOf, chunkRangesOf, type FileRow, fileInfoOf } from "./sqlite-rows.ts";

/** Answers kept for reuse; when there are more, all of them are dropped. */
const KEPT_MAX = 1000;

interface SampledHolder {
  readonly peerId: string;
  readonly info: HolderInfo;
}

interface Kept {
  readonly at: number;
  readonly fileInfo: FileInfo | null;
  readonly holders: readonly SampledHolder[];
}

export class SqliteLocations {
  readonly #statements: ReturnType<typeof prepareLocations>;
  readonly #now: () => number;
  readonly #kept = new Map<string, Kept>();

  constructor(db: RegistryDatabase, now: () => number) {
    this.#statements = prepareLocations(db);
    this.#now = now;
  }

  locate(query: LocationQuery, asker: Asker): ContentLocation | undefined {
    const name = `${asker.sameHost} ${"key" in query ? query.key : `/${query.contentId}`}`;
    const found = this.#reusable(name) ?? this.#find(name, query, asker.sameHost);
    if (found === undefined) return undefined;
    const holders = found.holders.filter((holder) => holder.peerId !== asker.peerId).map((holder) => holder.info);
    return { fileInfo: found.fileInfo, holders: holders.slice(0, HOLDER_SAMPLE_MAX) };
  }

  #reusable(name: string): Kept | undefined {
    const kept = this.#kept.get(name);
    return kept !== undefined && Math.abs(this.#now() - kept.at) < SAMPLE_REUSE_MS ? kept : undefined;
  }

  #find(name: string, query: LocationQuery, sameHost: boolean): Kept | undefined {
    const file = "key" in query ? this.#fileOfKey(query.key) : this.#statements.fileOfContent.get(query);
    const contentId = "key" in query ? file?.contentId : query.contentId;
    if (contentId === undefined || (file ?? this.#statements.content.get({ contentId })) === undefined)
      return undefined;
    const found = {
      at: this.#now(),
      fileInfo:
        file === undefined ? null : fileInfoOf(file, this.#statements.holderCount.get({ contentId })?.count ?? 0),
      holders: this.#sample(contentId, sameHost),
    };
    if (this.#kept.size >= KEPT_MAX) this.#kept.clear();
    this.#kept.set(name, found);
    return found;
  }

  /** Of two publishers that had the address one after the other, the one that is or was there last is meant. */
  #fileOfKey(key: string): FileRow | undefined {
    const parsed = parsePublicationKey(key);
    if (parsed === undefined) return undefined;
    const { fname, address } = parsed;
    const [ip, port] = [hostOf(address), portOf(address)];
    return this.#statements.fileOfKey.get({ ip, port, fname, fold: foldFileName(fname) });
  }

  /** One more than is told, since whoever asks may be among them. */
  #sample(contentId: string, sameHost: boolean): SampledHolder[] {
    const rows = this.#statements[sameHost ? "sampleHere" : "sampleElsewhere"].all({ contentId });
    const rangesMax = Math.min(CHUNK_RANGES_MAX, Math.floor(LOCATION_RANGES_MAX / Math.max(1, rows.length)));
    return rows.map(({ peerId, size, chunks, ...at }) => ({
      peerId,
      info: { address: addressOf(at), chunks: chunkRangesOf(chunks, chunkCountFor(size), rangesMax) },
    }));
  }
}

const isLoopbackIp = or(sql`${peers.ip} LIKE '127.%'`, eq(peers.ip, "::1"))!;

function prepareLocations(db: RegistryDatabase) {
  const hole = sql.placeholder;
  const files = (where: SQL | undefined) =>
    db
      .select(fileColumns)
      .from(publications)
      .innerJoin(contents, eq(contents.id, publications.content))
      .innerJoin(peers, eq(peers.id, publications.peer))
      .where(where)
      .limit(1);
  const isContent = eq(contents.contentId, hole("contentId"));
  const at = and(eq(peers.ip, hole("ip")), eq(peers.port, hole("port")));
  const named = and(eq(publications.fold, hole("fold")), eq(publications.fname, hole("fname")));
  return {
    fileOfKey: files(and(at, named)).orderBy(desc(peers.online), desc(peers.lastSeen)).prepare(),
    fileOfContent: files(isContent).orderBy(asc(publications.id)).prepare(),
    content: db.select({ id: contents.id }).from(contents).where(isContent).prepare(),
    holderCount: ofOnlineHolders(db.select({ count: sql<number>`count(*)` }).from(holdings).$dynamic(), true).prepare(),
    sampleHere: sampleStatement(db, true).prepare(),
    sampleElsewhere: sampleStatement(db, false).prepare(),
  };
}

function sampleStatement(db: RegistryDatabase, sameHost: boolean) {
  const pairs = db.select({ content: holdings.content, peer: holdings.peer }).from(holdings).$dynamic();
  const picked = ofOnlineHolders(pairs, sameHost)
    .orderBy(sql`random()`)
    .limit(HOLDER_SAMPLE_MAX + 1);
  // The chunks are read after the choice, since they may be large.
  return db
    .select({ peerId: peers.peerId, ip: peers.ip, port: peers.port, size: contents.size, chunks: holdings.chunks })
    .from(holdings)
    .innerJoin(contents, eq(contents.id, holdings.content))
    .innerJoin(peers, eq(peers.id, holdings.peer))
    .where(sql`(${holdings.content}, ${holdings.peer}) IN ${picked}`)
    .orderBy(sql`random()`);
}

/** A loopback address is never handed to a peer on another host. */
function ofOnlineHolders<Query extends SQLiteSelect>(query: Query, sameHost: boolean) {
  return query
    .innerJoin(contents, eq(contents.id, holdings.content))
    .innerJoin(peers, eq(peers.id, holdings.peer))
    .where(
      and(eq(contents.contentId, sql.placeholder("contentId")), isOnline, sameHost ? undefined : not(isLoopbackIp)),
    );
}
