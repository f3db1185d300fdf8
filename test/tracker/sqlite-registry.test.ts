/** The registry on SQLite: what every registry does, and how it stays quick with many files. */
import { afterEach, expect, test } from "bun:test";
import { join } from "node:path";
import { LIST_PAGE_MAX } from "../../src/core/limits.ts";
import { chunkSizeFor } from "../../src/core/manifest.ts";
import { openSqliteRegistry } from "../../src/tracker/sqlite-registry.ts";
import { address, contentId, fileName, peerId, temporaryFolder } from "./fixtures.ts";
import { testRegistry } from "./registry-conformance.ts";

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

testRegistry("SqliteRegistry", async (now) => {
  const folder = temporaryFolder();
  const path = join(folder.path, "registry.sqlite");
  let registry = openSqliteRegistry({ path, now });
  return {
    registry,
    async reopen() {
      await registry.close();
      registry = openSqliteRegistry({ path, now });
      return registry;
    },
    async remove() {
      await registry.close();
      folder.remove();
    },
  };
});

/** 100,000 files by 20 peers in the long run. */
const files = process.env.P2PFS_TEST_LONG === undefined ? 5000 : 100_000;

test("many files are listed and passed over in steps that leave others their turn", async () => {
  const folder = temporaryFolder();
  const registry = openSqliteRegistry({ path: join(folder.path, "registry.sqlite"), now: Date.now });
  cleanups.push(async () => {
    await registry.close();
    folder.remove();
  });
  const sessions = await Promise.all(
    Array.from({ length: 20 }, (_, i) =>
      registry.register({ peerId: peerId(i), address: address(`10.0.0.${i + 1}:7000`), hostName: "" }),
    ),
  );
  const size = chunkSizeFor(0);
  const publish = (i: number) =>
    registry.publish(sessions[i % sessions.length]!, {
      fname: fileName(`file ${(i * 7919) % files}`),
      contentId: contentId(i),
      size,
      path: `a/path/to/${i}`,
    });
  await Promise.all(Array.from({ length: files }, (_, i) => publish(i)));

  let rows = 0;
  let cursor: string | null = null;
  do {
    const page = await registry.listFiles({}, cursor);
    rows += page.rows.length;
    cursor = page.next;
  } while (cursor !== null);
  expect(rows).toBe(files);
  expect((await registry.counts()).files).toBe(files);

  for (const session of sessions) await registry.leave(session, Date.now());
  let turns = 0;
  let listing = true;
  const takeTurn = () => {
    turns++;
    if (listing) setImmediate(takeTurn);
  };
  setImmediate(takeTurn);
  expect(await registry.listFiles({}, null)).toEqual({ rows: [], next: null });
  listing = false;
  // Passing over all of them took as many steps, between which others had theirs.
  expect(turns).toBeGreaterThanOrEqual(files / LIST_PAGE_MAX);
}, 60_000);
