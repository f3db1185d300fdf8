/** The registry on SQLite: conformance, and long lists in steps. */
import { expect, test } from "bun:test";
import { LIST_PAGE_MAX } from "../../src/core/limits.ts";
import { chunkSizeFor } from "../../src/core/manifest.ts";
import { systemClock } from "../../src/net/system.ts";
import { closeNow } from "../support/closing.ts";
import { temporaryFolder } from "../support/folder.ts";
import { clockAt } from "../support/system.ts";
import { address, contentId, fileName, peerId } from "../support/values.ts";
import { openRegistry } from "./open-registry.ts";
import { testRegistry } from "./registry-conformance.ts";

testRegistry("SqliteRegistry", async (now) => {
  const folder = temporaryFolder();
  const registry = openRegistry(clockAt(now), folder);
  const reopen = async () => {
    await closeNow(registry);
    return openRegistry(clockAt(now), folder);
  };
  return { registry, reopen };
});

/** 100,000 files by 20 peers in the long run. */
const files = process.env.P2PFS_TEST_LONG === undefined ? 5000 : 100_000;

test("many files are listed and skipped in steps between which other work runs", async () => {
  const registry = openRegistry(systemClock);
  const sessions = await Promise.all(
    Array.from({ length: 20 }, (_, i) =>
      registry.register({ peerId: peerId(i), address: address(`10.0.0.${i + 1}:7000`), hostName: "" }, "one"),
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

  for (const session of sessions) await registry.leave(session, "one", Date.now());
  let turns = 0;
  let listing = true;
  const takeTurn = () => {
    turns++;
    if (listing) setImmediate(takeTurn);
  };
  setImmediate(takeTurn);
  expect(await registry.listFiles({}, null)).toEqual({ rows: [], next: null });
  listing = false;
  // Skipping all of them took many steps, between which other work ran.
  expect(turns).toBeGreaterThanOrEqual(files / LIST_PAGE_MAX);
}, 60_000);
