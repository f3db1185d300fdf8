/** Changes that share a transaction: order, refusals among them, a disk that is full. */
import { Database } from "bun:sqlite";
import { afterEach, beforeEach, expect, test } from "bun:test";
import { join } from "node:path";
import { P2pfsError } from "../../src/core/errors.ts";
import { systemClock } from "../../src/net/system.ts";
import { GroupCommit } from "../../src/store/group-commit.ts";
import { closeLater } from "../support/closing.ts";
import { expectError } from "../support/errors.ts";
import { temporaryFolder } from "../support/folder.ts";

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

test("changes of one turn of the event loop are made in one transaction, in order, each with its own result", async () => {
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

test("a change that throws is undone alone", async () => {
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

test("a full disk rejects the changes that do not fit with a disk error; later changes are made", async () => {
  sqlite.run("PRAGMA max_page_count = 20");
  const results = await Promise.allSettled([insert(1), insert(2, 1_000_000)]);
  expect(results[1]).toMatchObject({ status: "rejected", reason: { code: "disk" } });
  // A change whose promise was fulfilled is made.
  expect(ids()).toEqual(results[0]?.status === "fulfilled" ? [1] : []);
  await insert(3);
  expect(ids()).toContain(3);
});

test("while another connection locks the database, all that waits is refused at once, and later changes are made", async () => {
  const path = join(temporaryFolder(), "shared.sqlite");
  const [own, other] = [new Database(path), new Database(path)];
  for (const database of [own, other]) closeLater(database, () => database.close());
  own.run("CREATE TABLE rows (id integer)");
  const held = new GroupCommit(own, path, systemClock);
  const add = (id: number) => held.write(() => own.run("INSERT INTO rows VALUES (?)", [id]));
  other.run("BEGIN IMMEDIATE");
  const refused = await Promise.allSettled(Array.from({ length: 500 }, (_, id) => add(id)));
  expect(refused.every((result) => result.status === "rejected" && result.reason.code === "disk")).toBe(true);
  other.run("ROLLBACK");
  await add(500);
  expect(own.query("SELECT id FROM rows").values()).toEqual([[500]]);
});

test("slow changes are spread over several turns of the event loop", async () => {
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

test("changes beyond one transaction are made in the next, and closing makes those that wait", async () => {
  const results = Array.from({ length: 1000 }, (_, id) => insert(id));
  commits.close();
  expect(ids()).toHaveLength(1000);
  await Promise.all(results);
  await expectError("not_running", insert(1001));
});
