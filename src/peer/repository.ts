/**
 * The peer's database: its shares and finished downloads with their manifests, and its unfinished fetches. A peer
 * without a data folder keeps the same tables in memory.
 */
import { join } from "node:path";
import { asc, count, eq, gt, sql } from "drizzle-orm";
import type { FileName } from "../core/file-name.ts";
import { foldFileName } from "../core/file-name.ts";
import type { ContentId } from "../core/manifest.ts";
import { asDatabaseError, assertWritable, type OpenDatabase, openDatabase } from "../store/database.ts";
import * as schema from "./schema.ts";
import { contents, fetched, shares, unfinished } from "./schema.ts";

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

type RepositoryDatabase = OpenDatabase<typeof schema>["db"];

/** Each method throws `disk` where the database cannot be read or written, for example on a full disk. */
export class Repository {
  readonly #path: string;
  readonly #database: OpenDatabase<typeof schema>;
  /** Prepared, since ShareWatch runs them all the time. */
  readonly #pages: ReturnType<typeof preparePages>;

  /** @param path of the database file, or `:memory:`. Throws `disk`. */
  constructor(path: string) {
    this.#path = path;
    this.#database = openDatabase({ path, schema, migrationsFolder: join(import.meta.dir, "repository") });
    this.#pages = preparePages(this.#database.db);
  }

  addShare(share: Share, manifest: Uint8Array): void {
    this.#run((db) =>
      db.transaction((tx) => {
        tx.insert(contents)
          .values({ contentId: share.contentId, manifest: Buffer.from(manifest) })
          .onConflictDoNothing()
          .run();
        tx.insert(shares)
          .values({ ...share, fold: foldFileName(share.fname) })
          .run();
      }),
    );
  }

  removeShare(fname: FileName): void {
    this.#run((db) => db.delete(shares).where(eq(shares.fname, fname)).run());
  }

  /** The share with this name, or one that differs from it in case or normalisation only. */
  shareNamed(fname: FileName): Share | undefined {
    return this.#run((db) =>
      db
        .select()
        .from(shares)
        .where(eq(shares.fold, foldFileName(fname)))
        .get(),
    );
  }

  shareAt(path: string): Share | undefined {
    return this.#run((db) => db.select().from(shares).where(eq(shares.path, path)).get());
  }

  shares(): Share[] {
    return this.#run((db) => db.select().from(shares).all());
  }

  /** Ordered by path, from the first after this one. */
  sharesAfter(path: string, limit: number): Share[] {
    return this.#run(() => this.#pages.shares.all({ path, limit }));
  }

  shareCount(): number {
    return this.#run((db) => db.select({ shares: count() }).from(shares).get()?.shares ?? 0);
  }

  addFetched(copy: LocalCopy, manifest: Uint8Array): void {
    const { path, ...values } = copy;
    this.#run((db) =>
      db.transaction((tx) => {
        tx.insert(contents)
          .values({ contentId: copy.contentId, manifest: Buffer.from(manifest) })
          .onConflictDoNothing()
          .run();
        tx.insert(fetched).values(copy).onConflictDoUpdate({ target: fetched.path, set: values }).run();
      }),
    );
  }

  removeFetched(path: string): void {
    this.#run((db) => db.delete(fetched).where(eq(fetched.path, path)).run());
  }

  fetched(): LocalCopy[] {
    return this.#run((db) => db.select().from(fetched).all());
  }

  /** Ordered by path, from the first after this one. */
  fetchedAfter(path: string, limit: number): LocalCopy[] {
    return this.#run(() => this.#pages.fetched.all({ path, limit }));
  }

  manifest(contentId: ContentId): Uint8Array | undefined {
    return this.#run((db) => db.select().from(contents).where(eq(contents.contentId, contentId)).get()?.manifest);
  }

  addUnfinished(fetch: UnfinishedFetch): void {
    const { destination, ...values } = fetch;
    this.#run((db) =>
      db.insert(unfinished).values(fetch).onConflictDoUpdate({ target: unfinished.destination, set: values }).run(),
    );
  }

  removeUnfinished(destination: string): void {
    this.#run((db) => db.delete(unfinished).where(eq(unfinished.destination, destination)).run());
  }

  unfinished(): UnfinishedFetch[] {
    return this.#run((db) => db.select().from(unfinished).all());
  }

  /** Throws where a write would fail now: a full or read-only disk, a damaged file. */
  assertWritable(): void {
    this.#run(() => assertWritable(this.#database.sqlite));
  }

  close(): void {
    this.#database.close();
  }

  #run<Result>(work: (db: RepositoryDatabase) => Result): Result {
    try {
      return work(this.#database.db);
    } catch (thrown) {
      throw asDatabaseError(thrown, this.#path);
    }
  }
}

function preparePages(db: RepositoryDatabase) {
  const [path, limit] = [sql.placeholder("path"), sql.placeholder("limit")];
  return {
    shares: db.select().from(shares).where(gt(shares.path, path)).orderBy(asc(shares.path)).limit(limit).prepare(),
    fetched: db.select().from(fetched).where(gt(fetched.path, path)).orderBy(asc(fetched.path)).limit(limit).prepare(),
  };
}
