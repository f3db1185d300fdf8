/**
 * Locates a content: a random sample of its holders of bounded size, drawn from its roster, so that a swarm of a
 * hundred thousand costs the tracker no more than one of fifty. Samples are reused for a moment, since many peers often
 * start to fetch the same file at once.
 */
import { and, asc, desc, eq, gt, sql } from "drizzle-orm";
import { hostOf, isLoopback, portOf } from "../core/address.ts";
import type { Clock, Random } from "../core/clock.ts";
import { foldFileName } from "../core/file-name.ts";
import { CHUNK_RANGES_MAX, HOLDER_SAMPLE_MAX, HOLDERS_COUNTED_MAX, LOCATION_RANGES_MAX } from "../core/limits.ts";
import { type ContentId, chunkCountFor } from "../core/manifest.ts";
import { type FileInfo, type HolderInfo, type PeerId, parsePublicationKey } from "../core/model.ts";
import { nextTurn } from "../net/system.ts";
import { limitOf, parameter } from "../store/parameter.ts";
import {
  COMPLETE_NAMED_MIN,
  type ContentLocation,
  type LocationQuery,
  type Requester,
  SAMPLE_REUSE_MS,
} from "./registry.ts";
import { type HolderTraits, type Roster, Rosters, shuffled } from "./rosters.ts";
import { contents, holdings, peers, publications } from "./schema.ts";
import { fileColumns, hasItsAddress, isOnline, onlineHolders } from "./sqlite-lists.ts";
import type { RegistryDatabase } from "./sqlite-rows.ts";
import { addressOf, chunkRangesOf, type FileRow, fileInfoOf } from "./sqlite-rows.ts";

/** Cached samples; when the cache is full, it is emptied. */
const CACHED_MAX = 1000;
/** Holders read into a roster in one step. */
const FILL_STEP_ROWS = 1000;

interface SampledHolder {
  readonly peerId: string;
  /** As in HolderTraits. */
  readonly owner: string;
  readonly info: HolderInfo;
}

interface Found {
  readonly fileInfo: FileInfo | null;
  /** Seeders first. One more than a reply names, since the requester may be among them. */
  readonly holders: readonly SampledHolder[];
}

interface Cached {
  readonly at: number;
  readonly found: Promise<Found | undefined>;
}

/** A peer's row id, and what tells whose it is. */
export interface PeerRow {
  readonly id: number;
  readonly ip: string;
  readonly member: string | null;
}

export class SqliteLocations {
  readonly #statements: ReturnType<typeof prepareLocations>;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #cached = new Map<string, Cached>();
  readonly #rosters = new Rosters();

  constructor(db: RegistryDatabase, clock: Clock, random: Random) {
    this.#statements = prepareLocations(db);
    this.#clock = clock;
    this.#random = random;
  }

  async locate(query: LocationQuery, requester: Requester): Promise<ContentLocation | undefined> {
    const found = await this.#findCached(query, requester.sameHost);
    if (found === undefined) return undefined;
    const others = found.holders.filter((holder) => holder.peerId !== requester.peerId).slice(0, HOLDER_SAMPLE_MAX);
    return { fileInfo: found.fileInfo, holders: inTurns(others, this.#random.number).map((holder) => holder.info) };
  }

  /** This online peer holds some or all chunks of the content now. */
  held(contentId: ContentId, peer: PeerRow, isComplete: boolean): void {
    this.#rosters.get(contentId)?.put(peer.id, traitsOf(peer, isComplete));
  }

  unheld(contentId: ContentId, peer: number): void {
    this.#rosters.get(contentId)?.drop(peer);
  }

  /** Adds the peer to the rosters of its contents; walks its holdings or the rosters, whichever are fewer. */
  cameOnline(row: PeerRow): void {
    const { id: peer } = row;
    const put = (contentId: string, isComplete: unknown) => this.held(contentId as ContentId, row, isComplete === 1);
    const held = this.#statements.heldBy.all({ peer, limit: this.#rosters.size + 1 });
    if (held.length <= this.#rosters.size) {
      for (const { contentId, isComplete } of held) put(contentId, isComplete);
      return;
    }
    for (const [contentId] of this.#rosters.all()) {
      const held = this.#statements.holding.get({ contentId, peer });
      if (held !== undefined) put(contentId, held.isComplete);
    }
  }

  wentOffline(peer: number): void {
    for (const [, roster] of this.#rosters.all()) roster.drop(peer);
  }

  /** Some holdings of the peer were deleted. */
  lostSome(peer: number): void {
    for (const [contentId, roster] of this.#rosters.all())
      if (roster.has(peer) && this.#statements.holding.get({ contentId, peer }) === undefined) roster.drop(peer);
  }

  #findCached(query: LocationQuery, sameHost: boolean): Promise<Found | undefined> {
    const name = `${sameHost} ${"key" in query ? query.key : `/${query.contentId}`}`;
    const cached = this.#cached.get(name);
    if (cached !== undefined && this.#clock.now() - cached.at < SAMPLE_REUSE_MS) return cached.found;
    const found = this.#find(query, sameHost);
    if (this.#cached.size >= CACHED_MAX) this.#cached.clear();
    this.#cached.set(name, { at: this.#clock.now(), found });
    const forget = () => this.#cached.delete(name);
    // An unknown content may be published at any moment, so that is not cached.
    found.then((some) => some ?? forget(), forget);
    return found;
  }

  async #find(query: LocationQuery, sameHost: boolean): Promise<Found | undefined> {
    const named = "key" in query ? this.#fileOfKey(query.key) : undefined;
    const contentId = ("key" in query ? named?.contentId : query.contentId) as ContentId | undefined;
    if (contentId === undefined) return undefined;
    const rows = this.#statements.contents.all({ contentId }).map(({ id }) => id);
    if (rows.length === 0) return undefined;
    const roster = await this.#rosters.of(contentId, (empty) => this.#fill(empty, rows));
    const holders = await this.#sample(contentId, roster, sameHost);
    const file = named ?? this.#firstFile(rows);
    return { fileInfo: file === undefined ? null : fileInfoOf(file, this.#countOf(file, rows, roster)), holders };
  }

  /** Where several publishers had the address in turn, the online or latest one. */
  #fileOfKey(key: string): FileRow | undefined {
    const parsed = parsePublicationKey(key);
    if (parsed === undefined) return undefined;
    const { fname, address } = parsed;
    const [ip, port] = [hostOf(address), portOf(address)];
    return this.#statements.fileOfKey.get({ ip, port, fname, fold: foldFileName(fname) });
  }

  #firstFile(rows: readonly number[]): FileRow | undefined {
    for (const content of rows) {
      const file = this.#statements.fileOfContent.get({ content });
      if (file !== undefined) return file;
    }
    return undefined;
  }

  /** As in the lists: holders that sent the same size as the file's publisher. */
  #countOf(file: FileRow, rows: readonly number[], roster: Roster): number {
    if (rows.length === 1) return Math.min(roster.size, HOLDERS_COUNTED_MAX);
    return this.#statements.holderCount.get({ content: file.content })?.count ?? 0;
  }

  async #fill(roster: Roster, rows: readonly number[]): Promise<void> {
    for (const content of rows) {
      for (let after = 0; ; ) {
        const holders = this.#statements.holdersAfter.all({ content, after });
        for (const holder of holders) roster.put(holder.id, traitsOf(holder, holder.isComplete === 1));
        if (holders.length < FILL_STEP_ROWS) break;
        after = holders.at(-1)!.id;
        await nextTurn(this.#clock);
      }
    }
  }

  /** Some seeders first, if any are online, then any holders. */
  async #sample(contentId: ContentId, roster: Roster, withLoopback: boolean): Promise<SampledHolder[]> {
    const found = new Map<number, SampledRow>();
    await this.#gather(COMPLETE_NAMED_MIN, { onlyComplete: true, withLoopback }, contentId, roster, found);
    await this.#gather(HOLDER_SAMPLE_MAX + 1, { onlyComplete: false, withLoopback }, contentId, roster, found);
    const rangesMax = Math.min(CHUNK_RANGES_MAX, Math.floor(LOCATION_RANGES_MAX / Math.max(1, found.size)));
    return [...found.values()].map(({ peerId, member, size, chunks, ...at }) => ({
      peerId,
      owner: member ?? at.ip,
      info: {
        address: addressOf(at),
        ...(member === null ? {} : { peer_id: member as PeerId }),
        chunks: chunkRangesOf(chunks, chunkCountFor(size), rangesMax),
      },
    }));
  }

  /** Adds holders to `found` up to `wanted`. Peers that the tables no longer have are dropped from the roster. */
  async #gather(
    wanted: number,
    among: { readonly onlyComplete: boolean; readonly withLoopback: boolean },
    contentId: ContentId,
    roster: Roster,
    found: Map<number, SampledRow>,
  ): Promise<void> {
    while (found.size < wanted) {
      const picked = roster.pick(wanted - found.size, among, found, this.#random.number);
      if (picked.length === 0) return;
      const rows = this.#statements.sampled.all({ contentId, picked: JSON.stringify(picked) });
      const rowOf = new Map(rows.map((row) => [row.id, row]));
      // In the order of the pick, since the sample is cut at its size.
      for (const peer of picked) {
        const row = rowOf.get(peer);
        if (row === undefined) roster.drop(peer);
        else found.set(peer, row);
      }
      if (rowOf.size === picked.length) return;
      await nextTurn(this.#clock);
    }
  }
}

function traitsOf({ ip, member }: PeerRow, isComplete: boolean): HolderTraits {
  return { owner: member ?? ip, isComplete, isLoopback: isLoopback(ip) };
}

/** In random order, but one of each owner before another one of any: whoever asks a few at first asks different ones. */
function inTurns(holders: readonly SampledHolder[], random: () => number): SampledHolder[] {
  const named = new Map<string, number>();
  const ranked = shuffled(holders, random).map((holder) => {
    const rank = named.get(holder.owner) ?? 0;
    named.set(holder.owner, rank + 1);
    return { holder, rank };
  });
  return ranked.sort((a, b) => a.rank - b.rank).map(({ holder }) => holder);
}

type SampledRow = ReturnType<ReturnType<typeof prepareLocations>["sampled"]["all"]>[number];

const isComplete = sql<number>`${holdings.chunks} IS NULL`;

/**
 * SQLite keeps the order of cross joins. The order matters: a peer may hold many contents and many peers may publish a
 * name, so the table that is searched first decides how many rows are read.
 */
function prepareLocations(db: RegistryDatabase) {
  const isContent = eq(contents.contentId, parameter("contentId"));
  const isPeer = eq(holdings.peer, parameter("peer"));
  const at = and(eq(peers.ip, parameter("ip")), eq(peers.port, parameter("port")));
  const named = and(eq(publications.fold, parameter("fold")), eq(publications.fname, parameter("fname")));
  return {
    fileOfKey: db
      .select(fileColumns)
      .from(peers)
      .crossJoin(publications)
      .innerJoin(contents, eq(contents.id, publications.content))
      .where(and(at, eq(publications.peer, peers.id), named, hasItsAddress))
      .orderBy(desc(peers.online), desc(peers.lastSeen))
      .limit(limitOf(1))
      .prepare(),
    fileOfContent: db
      .select(fileColumns)
      .from(publications)
      .innerJoin(contents, eq(contents.id, publications.content))
      .innerJoin(peers, eq(peers.id, publications.peer))
      .where(and(eq(publications.content, parameter("content")), hasItsAddress))
      .orderBy(asc(publications.id))
      .limit(limitOf(1))
      .prepare(),
    contents: db.select({ id: contents.id }).from(contents).where(isContent).prepare(),
    holderCount: db
      .select({ count: onlineHolders(parameter("content")) })
      .from(sql`(SELECT 1)`)
      .prepare(),
    holdersAfter: db
      .select({ id: holdings.peer, ip: peers.ip, member: peers.member, isComplete })
      .from(holdings)
      .innerJoin(peers, eq(peers.id, holdings.peer))
      .where(and(eq(holdings.content, parameter("content")), gt(holdings.peer, parameter("after")), isOnline))
      .orderBy(asc(holdings.peer))
      .limit(limitOf(FILL_STEP_ROWS))
      .prepare(),
    heldBy: db
      .select({ contentId: contents.contentId, isComplete })
      .from(holdings)
      .innerJoin(contents, eq(contents.id, holdings.content))
      .where(isPeer)
      .limit(limitOf(sql.placeholder("limit")))
      .prepare(),
    holding: db
      .select({ isComplete })
      .from(contents)
      .crossJoin(holdings)
      .where(and(isContent, eq(holdings.content, contents.id), isPeer))
      .prepare(),
    sampled: db
      .select({
        id: peers.id,
        peerId: peers.peerId,
        member: peers.member,
        ip: peers.ip,
        port: peers.port,
        size: contents.size,
        chunks: holdings.chunks,
      })
      .from(contents)
      .crossJoin(holdings)
      .innerJoin(peers, eq(peers.id, holdings.peer))
      .where(
        and(
          isContent,
          eq(holdings.content, contents.id),
          isOnline,
          sql`${holdings.peer} IN (SELECT value FROM json_each(${parameter("picked")}))`,
        ),
      )
      .prepare(),
  };
}
