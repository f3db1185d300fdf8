/** A registry on SQLite in a file, closed after the test. */
import { join } from "node:path";
import type { Clock } from "../../src/core/clock.ts";
import { openSqliteRegistry, type SqliteRegistry } from "../../src/tracker/sqlite-registry.ts";
import { closeLater } from "../support/closing.ts";
import { temporaryFolder } from "../support/folder.ts";
import { random } from "../support/system.ts";

export function openRegistry(clock: Clock, folder = temporaryFolder()): SqliteRegistry {
  const registry = openSqliteRegistry({ path: join(folder, "registry.sqlite"), clock, random });
  return closeLater(registry, () => registry.close());
}
