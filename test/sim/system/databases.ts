/** Databases in memory that worlds use one after the other: emptying one costs less than its migrations. */
import type { Database, Statement } from "bun:sqlite";
import { join } from "node:path";
import type { Clock, Random } from "../../../src/core/clock.ts";
import { Repository } from "../../../src/peer/repository.ts";
import * as repositorySchema from "../../../src/peer/schema.ts";
import { openDatabase } from "../../../src/store/database.ts";
import type { Registry } from "../../../src/tracker/registry.ts";
import * as registrySchema from "../../../src/tracker/schema.ts";
import { SqliteRegistry } from "../../../src/tracker/sqlite-registry.ts";

const SOURCES = join(import.meta.dir, "../../../src");
const MEMORY = ":memory:";

/** What one world has taken, to be given back together. */
export class Databases {
  readonly #givenBack: (() => void)[] = [];

  newRepository(): Repository {
    const taken = freeRepositories.pop() ?? openRepository();
    this.#givenBack.push(() => {
      taken.empty();
      freeRepositories.push(taken);
    });
    return taken.repository;
  }

  newRegistry(options: { readonly clock: Clock; readonly random: Random }): Registry {
    const taken = freeRegistries.pop() ?? openRegistry();
    this.#givenBack.push(() => {
      taken.empty();
      freeRegistries.push(taken);
    });
    return new SqliteRegistry(taken, { path: MEMORY, ...options });
  }

  /** Everything in them is gone. */
  giveBack(): void {
    for (const give of this.#givenBack.splice(0)) give();
  }
}

const freeRepositories: ReturnType<typeof openRepository>[] = [];
const freeRegistries: ReturnType<typeof openRegistry>[] = [];

function openRepository() {
  const migrationsFolder = join(SOURCES, "peer/repository");
  const database = openDatabase({ path: MEMORY, schema: repositorySchema, migrationsFolder });
  return { repository: new Repository(database, MEMORY), empty: emptier(database.sqlite) };
}

function openRegistry() {
  const migrationsFolder = join(SOURCES, "tracker/registry-sqlite");
  const database = openDatabase({ path: MEMORY, schema: registrySchema, migrationsFolder });
  return { ...database, empty: emptier(database.sqlite) };
}

/**
 * Without switching foreign keys off, since any such pragma makes SQLite compile all statements of the connection again:
 * a table is emptied before those that it refers to.
 */
function emptier(sqlite: Database): () => void {
  const rows = sqlite
    .query<{ name: string; refersTo: string | null }, []>(
      `SELECT tables.name, keys."table" AS refersTo FROM sqlite_master AS tables
       LEFT JOIN pragma_foreign_key_list(tables.name) AS keys
       WHERE type = 'table' AND tables.name NOT GLOB '*_migrations'`,
    )
    .all();
  const left = new Set(rows.map(({ name }) => name));
  const deletions: Statement[] = [];
  while (left.size > 0) {
    const isReferredTo = (table: string) => rows.some(({ name, refersTo }) => refersTo === table && left.has(name));
    const free = [...left].filter((table) => !isReferredTo(table));
    if (free.length === 0) throw new Error("tables refer to one another in a circle");
    for (const table of free) {
      left.delete(table);
      deletions.push(sqlite.prepare(`DELETE FROM ${table}`));
    }
  }
  return () => {
    for (const deletion of deletions) deletion.run();
  };
}
