/**
 * The tables of a peer's repository. Migrations: `drizzle-kit generate --dialect sqlite --schema … --out …/repository`.
 */
import { blob, integer, sqliteTable, text } from "drizzle-orm/sqlite-core";
import type { FileName } from "../core/file-name.ts";
import type { ContentId } from "../core/manifest.ts";

/** Manifests of shares and finished downloads, so that a start hashes nothing again. */
export const contents = sqliteTable("contents", {
  contentId: text("content_id").$type<ContentId>().primaryKey(),
  manifest: blob("manifest", { mode: "buffer" }).notNull(),
});

/** Published files. */
export const shares = sqliteTable("shares", {
  fname: text("fname").$type<FileName>().primaryKey(),
  /** R2: names that differ only in case or normalisation clash. */
  fold: text("fold").notNull().unique(),
  contentId: text("content_id")
    .$type<ContentId>()
    .notNull()
    .references(() => contents.contentId),
  /** R3: symlinks resolved, so that another spelling of the path is the same path. */
  path: text("path").notNull().unique(),
  /** The path as typed (R11). */
  lname: text("lname").notNull(),
  size: integer("size").notNull(),
  mtimeNs: text("mtime_ns").notNull(),
});

/** Finished downloads, which are served after a restart too. */
export const fetched = sqliteTable("fetched", {
  path: text("path").primaryKey(),
  contentId: text("content_id")
    .$type<ContentId>()
    .notNull()
    .references(() => contents.contentId),
  size: integer("size").notNull(),
  mtimeNs: text("mtime_ns").notNull(),
});

/** Unfinished fetches, which the next start resumes. */
export const unfinished = sqliteTable("unfinished", {
  destination: text("destination").primaryKey(),
  contentId: text("content_id").$type<ContentId>().notNull(),
  fname: text("fname").$type<FileName>().notNull(),
});
