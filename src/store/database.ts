/**
 * Opens the SQLite database of a role. WAL with synchronous=NORMAL: a killed process loses nothing; a power cut may lose the
 * last transactions, but does not damage the file. A damaged database is reported, with what to do about it, and left
 * where it is, since its owner has to choose between a backup and a new start.
 */
import { Database, SQLiteError } from "bun:sqlite";
import { closeSync, openSync } from "node:fs";
import { type BunSQLiteDatabase, drizzle } from "drizzle-orm/bun-sqlite";
import { migrate } from "drizzle-orm/bun-sqlite/migrator";
import { readMigrationFiles } from "drizzle-orm/migrator";
import * as v from "valibot";
import { P2pfsError } from "../core/errors.ts";
import { damagedDatabase } from "./damage.ts";

/** How long to wait for another program that uses the file, such as a database shell. */
const BUSY_TIMEOUT_MS = 1000;

export interface DatabaseOptions<Schema extends Record<string, unknown>> {
  /** Of the file, or `:memory:`. */
  readonly path: string;
  readonly schema: Schema;
  /**
   * Folder of the migrations, beside the module that names it: `join(import.meta.dir, "…")`. The executable has it
   * embedded under its base name, so no two databases may have folders of the same name.
   */
  readonly migrationsFolder: string;
}

export interface OpenDatabase<Schema extends Record<string, unknown>> {
  /** The connection, for what drizzle cannot express. */
  readonly sqlite: Database;
  readonly db: BunSQLiteDatabase<Schema>;
  close(): void;
}

/** Opens or makes the database and brings it to the newest schema. Throws `disk` if that fails. */
export function openDatabase<Schema extends Record<string, unknown>>(
  options: DatabaseOptions<Schema>,
): OpenDatabase<Schema> {
  const { path, schema, migrationsFolder } = options;
  let sqlite: Database | undefined;
  try {
    // Made here with mode 0600, since SQLite would let others read it; its WAL files get the same mode.
    if (path !== ":memory:") closeSync(openSync(path, "a", 0o600));
    sqlite = new Database(path, { strict: true });
    sqlite.run(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`);
    sqlite.run("PRAGMA journal_mode = WAL");
    sqlite.run("PRAGMA synchronous = NORMAL");
    assertSound(sqlite, path);
    const db = drizzle(sqlite, { schema });
    assertNotNewer(sqlite, path, migrationsFolder);
    migrate(db, { migrationsFolder });
    assertSchema(sqlite, path, migrationsFolder);
    sqlite.run("PRAGMA foreign_keys = ON");
    const opened = sqlite;
    return { sqlite: opened, db, close: () => closeDatabase(opened) };
  } catch (cause) {
    sqlite?.close();
    throw asOpeningError(cause, path);
  }
}

/** As `openDatabase`, with what works on it; that its statements do not fit the tables is damage as well. */
export function openWith<Schema extends Record<string, unknown>, Opened>(
  options: DatabaseOptions<Schema>,
  make: (database: OpenDatabase<Schema>) => Opened,
): Opened {
  const database = openDatabase(options);
  try {
    return make(database);
  } catch (cause) {
    database.close();
    throw asOpeningError(cause, options.path);
  }
}

/** Nothing but what is in the file can make a statement of an opening wrong. */
function asOpeningError(thrown: unknown, path: string): unknown {
  const error = asDatabaseError(thrown, path);
  const wrong = error instanceof P2pfsError ? undefined : sqliteCauseOf(error);
  return wrong === undefined ? error : damagedDatabase(path, wrong.message, error);
}

/**
 * Writes the WAL into the file and closes. SQLite does not do so by itself, since statements that drizzle prepared keep the
 * connection half open until they are garbage collected.
 */
function closeDatabase(sqlite: Database): void {
  try {
    sqlite.run("PRAGMA wal_checkpoint(TRUNCATE)");
  } catch {
    // On a full disk, for example, the rows stay in the WAL; the next opening reads them from there.
  }
  sqlite.close();
}

/** Throws if nothing can be written now: sets `user_version` to the value that it has. */
export function assertWritable(sqlite: Database): void {
  const version = sqlite.query<{ user_version: number }, []>("PRAGMA user_version").get()?.user_version ?? 0;
  sqlite.run(`PRAGMA user_version = ${version}`);
}

/** The error to report for a failed statement or transaction; errors that are not the database's are returned as they are. */
export function asDatabaseError(thrown: unknown, path: string): unknown {
  // What is written was checked before, so that it fits when it is read.
  if (v.isValiError(thrown)) return damagedDatabase(path, "a row is not what was written", thrown);
  const cause = sqliteCauseOf(thrown);
  if (cause === undefined) return isSystemError(thrown) ? diskError(path, thrown.message, thrown) : thrown;
  const code = cause.code ?? "";
  if (code.startsWith("SQLITE_CORRUPT") || code.startsWith("SQLITE_NOTADB"))
    return damagedDatabase(path, cause.message, thrown);
  if (/^SQLITE_(?:FULL|IOERR|READONLY|CANTOPEN|PERM|BUSY|LOCKED|NOMEM|PROTOCOL)/.test(code))
    return diskError(path, cause.message, thrown);
  return thrown;
}

function assertSound(sqlite: Database, path: string): void {
  const row = sqlite.query<{ quick_check: string }, []>("PRAGMA quick_check(1)").get();
  if (row?.quick_check !== "ok") throw damagedDatabase(path, row?.quick_check ?? "no answer to a check");
}

type TableText = { readonly name: string; readonly sql: string | null };

/** By folder of migrations. */
const schemasMade = new Map<string, readonly TableText[]>();

/** Throws where a table or index is not what the migrations make: SQLite checks how its text reads, not what it says. */
function assertSchema(sqlite: Database, path: string, migrationsFolder: string): void {
  if (path === ":memory:") return;
  const made = schemasMade.get(migrationsFolder) ?? schemaOfMigrations(migrationsFolder);
  schemasMade.set(migrationsFolder, made);
  const found = new Map(schemaOf(sqlite).map(({ name, sql }) => [name, sql]));
  const wrong = made.find(({ name, sql }) => found.get(name) !== sql);
  if (wrong !== undefined) throw damagedDatabase(path, `${wrong.name} is not what it should be`);
}

function schemaOfMigrations(migrationsFolder: string): TableText[] {
  const memory = new Database(":memory:");
  migrate(drizzle(memory), { migrationsFolder });
  const made = schemaOf(memory);
  memory.close();
  return made;
}

/** Without what SQLite and Drizzle keep for themselves. */
function schemaOf(sqlite: Database): TableText[] {
  const own = "name NOT LIKE 'sqlite|_%' ESCAPE '|' AND name NOT LIKE '|_|_%' ESCAPE '|'";
  return sqlite.query<TableText, []>(`SELECT name, sql FROM sqlite_master WHERE ${own}`).all();
}

/** Throws for a database of a later version: drizzle would not notice it, since it only looks for newer migrations of ours. */
function assertNotNewer(sqlite: Database, path: string, migrationsFolder: string): void {
  const table = sqlite.query("SELECT 1 FROM sqlite_master WHERE name = '__drizzle_migrations'").get();
  if (table === null) return;
  const newest = sqlite
    .query<{ at: number | null }, []>("SELECT max(created_at) AS at FROM __drizzle_migrations")
    .get();
  const known = Math.max(0, ...readMigrationFiles({ migrationsFolder }).map((file) => file.folderMillis));
  if (Number(newest?.at ?? 0) <= known) return;
  throw new P2pfsError("disk", `the database ${path} was made by a newer version of p2pfs`, {
    hint: "run that version, or name another data folder with --data",
  });
}

function sqliteCauseOf(thrown: unknown): SQLiteError | undefined {
  for (let error = thrown; error instanceof Error; error = error.cause) {
    if (error instanceof SQLiteError) return error;
  }
  return undefined;
}

function isSystemError(thrown: unknown): thrown is Error {
  return thrown instanceof Error && "syscall" in thrown;
}

function diskError(path: string, what: string, cause: unknown): P2pfsError {
  return new P2pfsError("disk", `cannot use the database ${path}: ${what}`, { cause });
}
