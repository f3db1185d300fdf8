/** Limits of prepared statements. */
import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/bun-sqlite";
import { integer, sqliteTable } from "drizzle-orm/sqlite-core";
import { limitOf } from "../../src/store/limit.ts";

const rows = sqliteTable("rows", { id: integer().primaryKey() });

function tenRows() {
  const db = drizzle(new Database(":memory:"));
  db.run("CREATE TABLE rows (id integer PRIMARY KEY)");
  for (let id = 1; id <= 10; id++) db.insert(rows).values({ id }).run();
  return db.select().from(rows);
}

test("a fixed limit is part of the statement's text", () => {
  const query = tenRows().limit(limitOf(3));
  expect(query.toSQL()).toMatchObject({ sql: expect.stringMatching(/ limit 3$/), params: [] });
  expect(query.prepare().all().length).toBe(3);
});

test("a limit given at each call is no bare parameter, for which SQLite would compile the statement again", () => {
  const query = tenRows().limit(limitOf(sql.placeholder("limit")));
  expect(query.toSQL().sql).toEndWith(" limit ? + 0");
  const prepared = query.prepare();
  expect([0, 1, 10, 11].map((limit) => prepared.all({ limit }).length)).toEqual([0, 1, 10, 10]);
});
