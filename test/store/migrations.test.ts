/** The migrations in the repository make the tables that the schemas describe. */
import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type DrizzleSQLiteSnapshotJSON, generateSQLiteDrizzleJson, generateSQLiteMigration } from "drizzle-kit/api";
import { integer, sqliteTable } from "drizzle-orm/sqlite-core";
import * as repository from "../../src/peer/schema.ts";
import * as registry from "../../src/tracker/schema.ts";

/** The schema after the newest migration, as drizzle-kit wrote it down. */
function newestSnapshot(migrationsFolder: string): DrizzleSQLiteSnapshotJSON {
  const meta = join(import.meta.dir, "../../src", migrationsFolder, "meta");
  const newest = readdirSync(meta)
    .filter((name) => name.endsWith("_snapshot.json"))
    .toSorted()
    .at(-1)!;
  return JSON.parse(readFileSync(join(meta, newest), "utf8"));
}

/** The statements that are missing between the newest migration and the schema. */
async function missingStatements(migrationsFolder: string, schema: Record<string, unknown>): Promise<string[]> {
  return generateSQLiteMigration(newestSnapshot(migrationsFolder), await generateSQLiteDrizzleJson(schema));
}

test.each([
  ["tracker/registry-sqlite", registry],
  ["peer/repository", repository],
] as const)("%s is up to date with its schema.ts", async (migrationsFolder, schema) => {
  expect(await missingStatements(migrationsFolder, schema)).toEqual([]);
});

test("a table without a migration is noticed", async () => {
  const forgotten = sqliteTable("forgotten", { id: integer().primaryKey() });
  const missing = await missingStatements("peer/repository", { ...repository, forgotten });
  expect(missing.join("\n")).toContain("CREATE TABLE `forgotten`");
});
