/** Databases in memory that worlds use one after the other: emptying one costs less than its migrations. */
import type { Database } from "bun:sqlite";
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
      empty(taken.sqlite);
      freeRepositories.push(taken);
    });
    return taken.repository;
  }

  newRegistry(options: { readonly clock: Clock; readonly random: Random }): Registry {
    const taken = freeRegistries.pop() ?? openRegistry();
    this.#givenBack.push(() => {
      empty(taken.sqlite);
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
  return { sqlite: database.sqlite, repository: new Repository(database, MEMORY) };
}

function openRegistry() {
  const migrationsFolder = join(SOURCES, "tracker/registry-sqlite");
  return openDatabase({ path: MEMORY, schema: registrySchema, migrationsFolder });
}

function empty(sqlite: Database): void {
  const tables = sqlite
    .query<{ name: string }, []>("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT GLOB '*_migrations'")
    .all();
  sqlite.run("PRAGMA foreign_keys = OFF");
  for (const { name } of tables) sqlite.run(`DELETE FROM ${name}`);
  sqlite.run("PRAGMA foreign_keys = ON");
}
