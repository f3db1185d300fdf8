/**
 * What the registry on SQLite costs does not grow with what is in it. Times are compared, so these tests have the
 * machine for themselves (`alone` in scripts/test.ts).
 */
import { expect, test } from "bun:test";
import { chunkSizeFor } from "../../src/core/manifest.ts";
import { systemClock } from "../../src/net/system.ts";
import { SAMPLE_REUSE_MS } from "../../src/tracker/registry.ts";
import { clockAt } from "../support/system.ts";
import { address, contentId, fileName, peerId, ranges } from "../support/values.ts";
import { openRegistry } from "./open-registry.ts";

/** 100,000 holders in the long run. */
const holders = process.env.P2PFS_TEST_LONG === undefined ? 10_000 : 100_000;

test("a location takes no longer in a large swarm than in a small one", async () => {
  let now = 1_700_000_000_000;
  const registry = openRegistry(clockAt(() => now));
  const size = 10 * chunkSizeFor(0);
  const swarms = [200, holders];
  let peers = 0;
  for (const [content, count] of swarms.entries()) {
    const joinAndHold = async () => {
      const number = ++peers;
      const at = address(`10.${number >> 16}.${(number >> 8) & 255}.${number & 255}:7000`);
      const session = await registry.register({ peerId: peerId(number), address: at, hostName: "" }, "one");
      const report = { contentId: contentId(content), size, chunks: ranges(0, 3), replace: true };
      await registry.registerChunks(session, report);
    };
    await Promise.all(Array.from({ length: count }, joinAndHold));
  }
  const medianMs = async (content: number) => {
    const times: number[] = [];
    for (let round = 0; round < 101; round++) {
      now += SAMPLE_REUSE_MS;
      const startedMs = performance.now();
      await registry.locate({ contentId: contentId(content) }, { sameHost: false });
      times.push(performance.now() - startedMs);
    }
    return times.sort((a, b) => a - b)[50]!;
  };
  const [small, large] = [await medianMs(0), await medianMs(1)];
  expect(large).toBeLessThan(3 * small);
}, 60_000);

test("a change takes no longer for a peer with many shares than for one with few", async () => {
  const registry = openRegistry(systemClock);
  const session = await registry.register(
    { peerId: peerId(1), address: address("10.0.0.1:7000"), hostName: "" },
    "one",
  );
  const size = 10 * chunkSizeFor(0);
  const batch = 1000;
  /** Publishes, registers and locates this many contents, one after another. */
  const batchMs = async (first: number) => {
    const startedMs = performance.now();
    for (let number = first; number < first + batch; number++) {
      const content = contentId(number);
      registry.publish(session, { fname: fileName(`f${number}`), contentId: content, size, path: "p" });
      await registry.registerChunks(session, { contentId: content, size, chunks: ranges(0, 9), replace: false });
      if (number % 10 === 0) await registry.locate({ key: `f${number}_10.0.0.1_7000` }, { sameHost: false });
    }
    return performance.now() - startedMs;
  };
  const first = await batchMs(0);
  await Promise.all(
    Array.from({ length: 8 * batch }, (_, i) =>
      registry.publish(session, { fname: fileName(`g${i}`), contentId: contentId(10 * batch + i), size, path: "p" }),
    ),
  );
  expect(await batchMs(batch)).toBeLessThan(4 * first);
}, 60_000);
