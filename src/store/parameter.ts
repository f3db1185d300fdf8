/**
 * Parameters of statements that are prepared once. SQLite compiles a statement anew each time when a parameter is bound
 * in its LIMIT or in the conditions of a join: that takes several times as long as to run it. Behind an operator a
 * parameter does not count for the planner, which uses the same indices.
 */
import { type Placeholder, type SQL, sql } from "drizzle-orm";

/** For the conditions of a join. */
export function parameter(name: string): SQL {
  return sql`+${sql.placeholder(name)}`;
}

/**
 * For Drizzle's `limit`, which takes any SQL, although its type does not say so. A number is written into the text;
 * Drizzle itself would make it a parameter.
 */
export function limitOf(rows: number | Placeholder): number {
  const text = typeof rows === "number" ? sql.raw(String(rows)) : sql`${rows} + 0`;
  return text as unknown as number;
}
