/** Parameters of prepared statements. */
import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { eq, type Placeholder, type SQL, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/bun-sqlite";
import { integer, sqliteTable } from "drizzle-orm/sqlite-core";
import { limitOf, parameter } from "../../src/store/parameter.ts";

const rows = sqliteTable("rows", { id: integer().primaryKey(), next: integer() });
const others = sqliteTable("others", { id: integer().primaryKey(), row: integer() });

function tenRows() {
  const sqlite = new Database(":memory:");
  const db = drizzle(sqlite);
  db.run("CREATE TABLE rows (id integer PRIMARY KEY, next integer)");
  db.run("CREATE TABLE others (id integer PRIMARY KEY, row integer)");
  db.run("CREATE INDEX others_of_row ON others (row)");
  for (let id = 1; id <= 10; id++) {
    db.insert(rows)
      .values({ id, next: id + 1 })
      .run();
    db.insert(others)
      .values({ id: 100 + id, row: id })
      .run();
  }
  return { sqlite, db };
}

test("a fixed limit is part of the statement's text", () => {
  const query = tenRows().db.select().from(rows).limit(limitOf(3));
  expect(query.toSQL()).toMatchObject({ sql: expect.stringMatching(/ limit 3$/), params: [] });
  expect(query.prepare().all().length).toBe(3);
});

test("a limit given at each call is no bare parameter", () => {
  const query = tenRows()
    .db.select()
    .from(rows)
    .limit(limitOf(sql.placeholder("limit")));
  expect(query.toSQL().sql).toEndWith(" limit ? + 0");
  const prepared = query.prepare();
  expect([0, 1, 10, 11].map((limit) => prepared.all({ limit }).length)).toEqual([0, 1, 10, 10]);
});

test("a parameter of a join finds what a bare one finds, by the same indices", () => {
  const { sqlite, db } = tenRows();
  const joined = (id: SQL | Placeholder) =>
    db.select({ other: others.id }).from(rows).innerJoin(others, eq(others.row, rows.next)).where(eq(rows.id, id));
  const [query, bare] = [joined(parameter("id")), joined(sql.placeholder("id"))];
  expect([...query.toSQL().sql.matchAll(/.\?/g)].map(String)).toEqual(["+?"]);
  const prepared = query.prepare();
  expect([1, 9, 10].map((id) => prepared.all({ id }))).toEqual([[{ other: 102 }], [{ other: 110 }], []]);
  const planOf = (text: string) => sqlite.prepare<{ detail: string }, [number]>(`EXPLAIN QUERY PLAN ${text}`).all(1);
  const plan = planOf(query.toSQL().sql);
  expect(plan).toEqual(planOf(bare.toSQL().sql));
  expect(plan.map(({ detail }) => detail).join()).toContain("others_of_row");
});
