/**
 * Databases in memory that worlds use one after the other. Opening one, with its migrations, takes longer than many a
 * world needs for a second of its time; emptying it takes next to nothing.
 */
import type { Database } from "bun:sqlite";
import { join } from "node:path";
import type { Clock, Random } from "../../../src/core/clock.ts";
import { Repository } from "../../../src/peer/repository.ts";
import * as repositorySchema from "../../../src/peer/schema.ts";
import { type OpenDatabase, openDatabase } from "../../../src/store/database.ts";
import type { Registry } from "../../../src/tracker/registry.ts";
import * as registrySchema from "../../../src/tracker/schema.ts";
import { SqliteRegistry } from "../../../src/tracker/sqlite-registry.ts";

const SOURCES = join(import.meta.dir, "../../../src");
const MEMORY = ":memory:";

class Pool<Schema extends Record<string, unknown>> {
  readonly #open: () => OpenDatabase<Schema>;
  readonly #free: OpenDatabase<Schema>[] = [];

  constructor(open: () => OpenDatabase<Schema>) {
    this.#open = open;
  }

  /** An empty database; closing it gives it back. */
  take(): OpenDatabase<Schema> {
    const database = this.#free.pop() ?? this.#open();
    let isTaken = true;
    return {
      ...database,
      close: () => {
        if (!isTaken) return;
        isTaken = false;
        empty(database.sqlite);
        this.#free.push(database);
      },
    };
  }
}

const repositories = new Pool(() =>
  openDatabase({ path: MEMORY, schema: repositorySchema, migrationsFolder: join(SOURCES, "peer/repository") }),
);
const registries = new Pool(() =>
  openDatabase({ path: MEMORY, schema: registrySchema, migrationsFolder: join(SOURCES, "tracker/registry-sqlite") }),
);

export function takeRepository(): Repository {
  return new Repository(repositories.take(), MEMORY);
}

export function takeRegistry(options: { readonly clock: Clock; readonly random: Random }): Registry {
  return new SqliteRegistry(registries.take(), { path: MEMORY, ...options });
}

function empty(sqlite: Database): void {
  const tables = sqlite
    .query<{ name: string }, []>("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT GLOB '*_migrations'")
    .all();
  sqlite.run("PRAGMA foreign_keys = OFF");
  for (const { name } of tables) sqlite.run(`DELETE FROM ${name}`);
  sqlite.run("PRAGMA foreign_keys = ON");
}
