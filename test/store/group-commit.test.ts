/** Changes that share a transaction: order, refusals among them, a disk that is full. */
import { Database } from "bun:sqlite";
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { P2pfsError } from "../../src/core/errors.ts";
import { systemClock } from "../../src/net/system.ts";
import { GroupCommit } from "../../src/store/group-commit.ts";

let sqlite: Database;
let commits: GroupCommit;
beforeEach(() => {
  sqlite = new Database(":memory:", { strict: true });
  sqlite.run("CREATE TABLE rows (id integer PRIMARY KEY, filler blob)");
  commits = new GroupCommit(sqlite, "the.sqlite", systemClock);
});
afterEach(() => sqlite.close());

function insert(id: number, bytes = 0): Promise<number> {
  return commits.write(() => {
    sqlite.run("INSERT INTO rows VALUES (?, zeroblob(?))", [id, bytes]);
    return id;
  });
}

function ids(): number[] {
  return sqlite
    .query<{ id: number }, []>("SELECT id FROM rows ORDER BY id")
    .all()
    .map((row) => row.id);
}

test("changes of one turn are made together, in order, each with its own result", async () => {
  const order: number[] = [];
  const results = [1, 2, 3].map((id) =>
    commits.write(() => {
      order.push(id);
      expect(sqlite.inTransaction).toBe(true);
      return id * 10;
    }),
  );
  expect(order).toEqual([]);
  expect(await Promise.all(results)).toEqual([10, 20, 30]);
  expect(order).toEqual([1, 2, 3]);
  expect(sqlite.inTransaction).toBe(false);
});

test("a change that throws half-way is undone alone", async () => {
  const results = await Promise.allSettled([
    insert(1),
    commits.write(() => {
      sqlite.run("INSERT INTO rows VALUES (2, NULL)");
      throw new P2pfsError("refused", "no");
    }),
    insert(3),
  ]);
  expect(results.map((result) => result.status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
  expect(results[1]).toMatchObject({ reason: { code: "refused" } });
  expect(ids()).toEqual([1, 3]);
});

test("a full disk rejects what it concerns with a disk error; later changes go on", async () => {
  sqlite.run("PRAGMA max_page_count = 20");
  const results = await Promise.allSettled([insert(1), insert(2, 1_000_000)]);
  expect(results[1]).toMatchObject({ status: "rejected", reason: { code: "disk" } });
  // Whoever was told that the change is made finds it made.
  expect(ids()).toEqual(results[0]?.status === "fulfilled" ? [1] : []);
  await insert(3);
  expect(ids()).toContain(3);
});

test("while somebody else holds the database, what waits is refused at once, all of it, and later changes go on", async () => {
  const folder = mkdtempSync(join(tmpdir(), "p2pfs-test-"));
  const path = join(folder, "shared.sqlite");
  const [own, other] = [new Database(path), new Database(path)];
  own.run("CREATE TABLE rows (id integer)");
  const held = new GroupCommit(own, path, systemClock);
  const add = (id: number) => held.write(() => own.run("INSERT INTO rows VALUES (?)", [id]));
  other.run("BEGIN IMMEDIATE");
  const refused = await Promise.allSettled(Array.from({ length: 500 }, (_, id) => add(id)));
  expect(refused.every((result) => result.status === "rejected" && result.reason.code === "disk")).toBe(true);
  other.run("ROLLBACK");
  await add(500);
  expect(own.query("SELECT id FROM rows").values()).toEqual([[500]]);
  for (const database of [own, other]) database.close();
  rmSync(folder, { recursive: true });
});

test("changes that take long leave turns of the event loop to others", async () => {
  const changes = Array.from({ length: 10 }, (_, id) =>
    commits.write(() => {
      for (const end = performance.now() + 5; performance.now() < end; );
      return id;
    }),
  );
  let turns = 0;
  const count = () => {
    turns++;
    if (!isDone) setImmediate(count);
  };
  let isDone = false;
  setImmediate(count);
  expect(await Promise.all(changes)).toHaveLength(10);
  isDone = true;
  expect(turns).toBeGreaterThan(5);
});

test("more than fits one transaction is made all the same, and closing makes what waits", async () => {
  const results = Array.from({ length: 1000 }, (_, id) => insert(id));
  commits.close();
  expect(ids()).toHaveLength(1000);
  await Promise.all(results);
  await expect(insert(1001)).rejects.toMatchObject({ code: "not_running" });
});
