/**
 * The peer's database: its shares and finished downloads with their manifests, and its unfinished fetches. A peer
 * without a data folder keeps the same tables in memory.
 */
import { join } from "node:path";
import { asc, count, eq, gt, sql } from "drizzle-orm";
import { errnoOf } from "../core/disk-error.ts";
import type { FileName } from "../core/file-name.ts";
import { foldFileName } from "../core/file-name.ts";
import { type ContentId, contentIdOf } from "../core/manifest.ts";
import { digest } from "../disk/blake3.ts";
import { damagedDatabase } from "../store/damage.ts";
import { asDatabaseError, assertWritable, type OpenDatabase, openWith } from "../store/database.ts";
import { limitOf } from "../store/parameter.ts";
import * as schema from "./schema.ts";
import { contents, fetched, shares, unfinished } from "./schema.ts";

const CONTENTS_AT_ONCE = 16;

/** A complete file on this machine, with its stamp from when its content was verified. */
export interface LocalCopy {
  readonly contentId: ContentId;
  /** Absolute, symlinks resolved. */
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  /** Nanoseconds since the epoch, in decimal. */
  readonly mtimeNs: string;
}

export interface Share extends LocalCopy {
  readonly fname: FileName;
  /** The path as typed. */
  readonly lname: string;
}

export interface UnfinishedFetch {
  readonly contentId: ContentId;
  readonly fname: FileName;
  /** Absolute. */
  readonly destination: string;
}

type RepositoryDatabase = OpenDatabase<typeof schema>;
type Statements = ReturnType<typeof prepareStatements>;

/** @param path of the database file, or `:memory:`. Throws `disk`. */
export function openRepository(path: string): Repository {
  const migrationsFolder = join(import.meta.dir, "repository");
  return openWith({ path, schema, migrationsFolder }, (database) => new Repository(database, path));
}

/** Each method throws `disk` where the database cannot be read or written, for example on a full disk. */
export class Repository {
  readonly #path: string;
  readonly #database: RepositoryDatabase;
  readonly #statements: Statements;
  #isClosed = false;

  /** @param path for errors */
  constructor(database: RepositoryDatabase, path: string) {
    this.#path = path;
    this.#database = database;
    this.#statements = prepareStatements(database);
  }

  addShare(share: Share, manifest: Uint8Array): void {
    this.#change(({ addContent, addShare }) => {
      addContent.run({ contentId: share.contentId, manifest: Buffer.from(manifest) });
      addShare.run({ ...share, fold: foldFileName(share.fname) });
    });
  }

  removeShare(fname: FileName): void {
    this.#run(({ removeShare }) => removeShare.run({ fname }));
  }

  /** The share with this name, or one that differs from it in case or normalisation only. */
  shareNamed(fname: FileName): Share | undefined {
    return this.#run(({ shareNamed }) => shareNamed.get({ fold: foldFileName(fname) }));
  }

  shareAt(path: string): Share | undefined {
    return this.#run(({ shareAt }) => shareAt.get({ path }));
  }

  shares(): Share[] {
    return this.#run(({ shares }) => shares.all());
  }

  /** Ordered by path, from the first after this one. */
  sharesAfter(path: string, limit: number): LocalCopy[] {
    return this.#run(({ sharesAfter }) => sharesAfter.all({ path, limit }));
  }

  shareCount(): number {
    return this.#run(({ shareCount }) => shareCount.get()?.shares ?? 0);
  }

  addFetched(copy: LocalCopy, manifest: Uint8Array): void {
    this.#change(({ addContent, addFetched }) => {
      addContent.run({ contentId: copy.contentId, manifest: Buffer.from(manifest) });
      addFetched.run({ ...copy });
    });
  }

  removeFetched(path: string): void {
    this.#run(({ removeFetched }) => removeFetched.run({ path }));
  }

  fetched(): LocalCopy[] {
    return this.#run(({ fetched }) => fetched.all());
  }

  /** Ordered by path, from the first after this one. */
  fetchedAfter(path: string, limit: number): LocalCopy[] {
    return this.#run(({ fetchedAfter }) => fetchedAfter.all({ path, limit }));
  }

  /**
   * Forgets contents whose manifest is damaged, and the copies of contents that have none, which are returned: what is in
   * a row is not checked by SQLite, but a manifest proves its content id.
   */
  forgetDamaged(): { readonly shares: readonly Share[]; readonly fetched: readonly LocalCopy[] } {
    const sound = new Set<ContentId>();
    const damaged: ContentId[] = [];
    for (const { contentId, manifest } of this.#contents()) {
      const isSound = contentIdOf(manifest, digest) === contentId;
      if (isSound) sound.add(contentId);
      else damaged.push(contentId);
    }
    const isLost = ({ contentId }: LocalCopy) => !sound.has(contentId);
    const lost = { shares: this.shares().filter(isLost), fetched: this.fetched().filter(isLost) };
    if (damaged.length + lost.shares.length + lost.fetched.length === 0) return lost;
    try {
      this.#change(({ removeShare, removeFetched, removeContent }) => {
        for (const { fname } of lost.shares) removeShare.run({ fname });
        for (const { path } of lost.fetched) removeFetched.run({ path });
        for (const contentId of damaged) removeContent.run({ contentId });
      });
    } catch (thrown) {
      // A row that its index does not have cannot be removed.
      if (!errnoOf(thrown)?.startsWith("SQLITE_CONSTRAINT")) throw thrown;
      throw damagedDatabase(this.#path, "its rows and indices contradict one another", thrown);
    }
    return lost;
  }

  manifest(contentId: ContentId): Uint8Array | undefined {
    return this.#run(({ content }) => content.get({ contentId })?.manifest);
  }

  addUnfinished(fetch: UnfinishedFetch): void {
    this.#run(({ addUnfinished }) => addUnfinished.run({ ...fetch }));
  }

  removeUnfinished(destination: string): void {
    this.#run(({ removeUnfinished }) => removeUnfinished.run({ destination }));
  }

  unfinished(): UnfinishedFetch[] {
    return this.#run(({ unfinished }) => unfinished.all());
  }

  /** Throws where a write would fail now: a full or read-only disk, a damaged file. */
  assertWritable(): void {
    this.#run(() => assertWritable(this.#database.sqlite));
  }

  close(): void {
    this.#isClosed = true;
    this.#database.close();
  }

  /** Few at a time, since a manifest may have megabytes. */
  *#contents(): Generator<typeof contents.$inferSelect> {
    for (let after = ""; ; ) {
      const rows = this.#run(({ contentsAfter }) => contentsAfter.all({ contentId: after, limit: CONTENTS_AT_ONCE }));
      yield* rows;
      if (rows.length < CONTENTS_AT_ONCE) return;
      after = rows.at(-1)!.contentId;
    }
  }

  #run<Result>(work: (statements: Statements) => Result): Result {
    // A prepared statement would still work.
    if (this.#isClosed) throw new Error("the repository is closed");
    try {
      return work(this.#statements);
    } catch (thrown) {
      throw asDatabaseError(thrown, this.#path);
    }
  }

  /** All of the work is done, or none. */
  #change(work: (statements: Statements) => void): void {
    this.#run((statements) => this.#database.sqlite.transaction(() => work(statements))());
  }
}

/** Prepared once; drizzle builds a statement that is not prepared anew for each call. */
function prepareStatements({ db }: RepositoryDatabase) {
  const hole = sql.placeholder;
  const copy = {
    contentId: hole("contentId"),
    path: hole("path"),
    size: hole("size"),
    mtimeNs: hole("mtimeNs"),
  };
  const after = <Table extends typeof shares | typeof fetched>(table: Table) => gt(table.path, hole("path"));
  return {
    content: db
      .select()
      .from(contents)
      .where(eq(contents.contentId, hole("contentId")))
      .prepare(),
    contentsAfter: db
      .select()
      .from(contents)
      .where(gt(contents.contentId, hole("contentId")))
      .orderBy(asc(contents.contentId))
      .limit(limitOf(hole("limit")))
      .prepare(),
    removeContent: db
      .delete(contents)
      .where(eq(contents.contentId, hole("contentId")))
      .prepare(),
    addContent: db
      .insert(contents)
      .values({ contentId: hole("contentId"), manifest: hole("manifest") })
      .onConflictDoNothing()
      .prepare(),

    shares: db.select().from(shares).prepare(),
    sharesAfter: db
      .select({ path: shares.path, contentId: shares.contentId, size: shares.size, mtimeNs: shares.mtimeNs })
      .from(shares)
      .where(after(shares))
      .orderBy(asc(shares.path))
      .limit(limitOf(hole("limit")))
      .prepare(),
    shareNamed: db
      .select()
      .from(shares)
      .where(eq(shares.fold, hole("fold")))
      .prepare(),
    shareAt: db
      .select()
      .from(shares)
      .where(eq(shares.path, hole("path")))
      .prepare(),
    shareCount: db.select({ shares: count() }).from(shares).prepare(),
    addShare: db
      .insert(shares)
      .values({ ...copy, fname: hole("fname"), fold: hole("fold"), lname: hole("lname") })
      .prepare(),
    removeShare: db
      .delete(shares)
      .where(eq(shares.fname, hole("fname")))
      .prepare(),

    fetched: db.select().from(fetched).prepare(),
    fetchedAfter: db
      .select()
      .from(fetched)
      .where(after(fetched))
      .orderBy(asc(fetched.path))
      .limit(limitOf(hole("limit")))
      .prepare(),
    addFetched: db
      .insert(fetched)
      .values(copy)
      .onConflictDoUpdate({
        target: fetched.path,
        set: { contentId: sql`excluded.content_id`, size: sql`excluded.size`, mtimeNs: sql`excluded.mtime_ns` },
      })
      .prepare(),
    removeFetched: db
      .delete(fetched)
      .where(eq(fetched.path, hole("path")))
      .prepare(),

    unfinished: db.select().from(unfinished).prepare(),
    addUnfinished: db
      .insert(unfinished)
      .values({ destination: hole("destination"), contentId: hole("contentId"), fname: hole("fname") })
      .onConflictDoUpdate({
        target: unfinished.destination,
        set: { contentId: sql`excluded.content_id`, fname: sql`excluded.fname` },
      })
      .prepare(),
    removeUnfinished: db
      .delete(unfinished)
      .where(eq(unfinished.destination, hole("destination")))
      .prepare(),
  };
}
