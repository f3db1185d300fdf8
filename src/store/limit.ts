/**
 * LIMIT of statements that are prepared once. Drizzle hands a number over as a parameter, and SQLite compiles a
 * statement anew each time when its LIMIT, being a bare parameter, is bound: for a join that takes longer than its rows.
 */
import { type Placeholder, sql } from "drizzle-orm";

/** For drizzle's `limit`, which takes any SQL, although its type does not say so. */
export function limitOf(rows: number | Placeholder): number {
  const text = typeof rows === "number" ? sql.raw(String(rows)) : sql`${rows} + 0`;
  return text as unknown as number;
}
