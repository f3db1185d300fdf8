/** Opening a database: settings, migrations, damage. */
import { Database } from "bun:sqlite";
import { describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { integer, sqliteTable, text } from "drizzle-orm/sqlite-core";
import { asDatabaseError, openDatabase } from "../../src/store/database.ts";
import { expectError } from "../support/errors.ts";
import { temporaryFolder } from "../support/folder.ts";

const notes = sqliteTable("notes", { id: integer().primaryKey(), text: text().notNull() });
const firstMigration = "CREATE TABLE `notes` (`id` integer PRIMARY KEY NOT NULL, `text` text NOT NULL);";
const secondMigration = "CREATE INDEX `notes_text` ON `notes` (`text`);";

/** A folder with a database's path in it, and a folder of migrations as drizzle-kit lays it out. */
function fixture(...migrations: string[]) {
  const folder = temporaryFolder();
  const migrationsFolder = join(folder, "notes-sqlite");
  writeMigrations(migrationsFolder, migrations.length > 0 ? migrations : [firstMigration]);
  return { path: join(folder, "notes.sqlite"), migrationsFolder, schema: { notes } };
}

function writeMigrations(folder: string, migrations: string[]): void {
  mkdirSync(join(folder, "meta"), { recursive: true });
  const entries = migrations.map((sql, idx) => {
    writeFileSync(join(folder, `000${idx}_step.sql`), sql);
    return { idx, version: "6", when: 1_000 + idx, tag: `000${idx}_step`, breakpoints: true };
  });
  writeFileSync(join(folder, "meta", "_journal.json"), JSON.stringify({ version: "7", dialect: "sqlite", entries }));
}

/** Opening fails with a disk error that says this. */
function expectOpeningError(options: Parameters<typeof openDatabase>[0], text?: string) {
  return expectError("disk", () => openDatabase(options).close(), text);
}

test("a new database has the schema, the settings, and is its user's alone", () => {
  const options = fixture();
  const { db, sqlite, close } = openDatabase(options);
  db.insert(notes).values({ id: 1, text: "one" }).run();
  expect(db.select().from(notes).all()).toEqual([{ id: 1, text: "one" }]);
  const pragma = (name: string) => Object.values(sqlite.query(`PRAGMA ${name}`).get() as object)[0];
  expect(["journal_mode", "synchronous", "foreign_keys"].map(pragma)).toEqual(["wal", 1, 1]);
  for (const suffix of ["", "-wal", "-shm"]) expect(statSync(options.path + suffix).mode & 0o777).toBe(0o600);
  close();
});

test("opening again keeps the rows and runs what is new", () => {
  const options = fixture();
  const first = openDatabase(options);
  first.db.insert(notes).values({ id: 1, text: "one" }).run();
  first.close();
  writeMigrations(options.migrationsFolder, [firstMigration, secondMigration]);
  const second = openDatabase(options);
  expect(second.db.select().from(notes).all()).toHaveLength(1);
  expect(second.sqlite.query("SELECT name FROM sqlite_master WHERE name = 'notes_text'").get()).not.toBeNull();
  second.close();
});

test("a database of a newer version is refused and left alone", () => {
  const options = fixture(firstMigration, secondMigration);
  openDatabase(options).close();
  writeMigrations(options.migrationsFolder, [firstMigration]);
  const before = readFileSync(options.path);
  expectOpeningError(options, "newer version");
  expect(readFileSync(options.path).equals(before)).toBe(true);
});

describe("a damaged database is a disk error that says what to do, and stays in place", () => {
  function makeRows(): ReturnType<typeof fixture> {
    const options = fixture(firstMigration, secondMigration);
    const { db, close } = openDatabase(options);
    db.insert(notes)
      .values(Array.from({ length: 500 }, (_, id) => ({ id, text: `note ${id} `.repeat(20) })))
      .run();
    close();
    return options;
  }

  const damages: [string, (path: string) => void][] = [
    ["not a database", (path) => writeFileSync(path, "garbage ".repeat(1000))],
    [
      "zeroed pages",
      (path) => {
        const bytes = readFileSync(path);
        writeFileSync(path, bytes.fill(0, 8192, 20_480));
      },
    ],
    ["cut short", (path) => truncateSync(path, 4096 * 5)],
    ["a file format that SQLite does not know", (path) => writeFileSync(path, readFileSync(path).fill(9, 44, 48))],
  ];
  for (const [name, damage] of damages) {
    test(name, () => {
      const options = makeRows();
      damage(options.path);
      const before = readFileSync(options.path);
      expect(expectOpeningError(options, "damaged").hint).toContain("backup");
      expect(readFileSync(options.path).equals(before)).toBe(true);
    });
  }
});

test("a path that cannot be opened is a disk error", () => {
  const options = fixture();
  expectOpeningError({ ...options, path: join(options.path, "below") });
  expectOpeningError({ ...options, path: tmpdir() });
});

test("only the database's own errors are translated", () => {
  const defect = new TypeError("a defect");
  expect(asDatabaseError(defect, "x")).toBe(defect);
  const sqlite = new Database(":memory:", { strict: true });
  sqlite.run("CREATE TABLE one (id integer PRIMARY KEY)");
  sqlite.run("INSERT INTO one VALUES (1)");
  const thrownBy = (sql: string) => {
    try {
      sqlite.run(sql);
    } catch (thrown) {
      return thrown;
    }
  };
  const constraint = thrownBy("INSERT INTO one VALUES (1)");
  expect(asDatabaseError(constraint, "x")).toBe(constraint);
  sqlite.run("PRAGMA max_page_count = 2");
  const full = asDatabaseError(thrownBy("CREATE TABLE two AS SELECT randomblob(100000)"), "x");
  expect(full).toMatchObject({ name: "P2pfsError", code: "disk" });
});
