/** Fifty peers of one process over real sockets fetch one file at the same time. */
import { beforeEach, expect, test } from "bun:test";
import { rmSync } from "node:fs";
import { RATE_LIMIT_MIN } from "../../src/core/rate.ts";
import { MiB, SECOND_MS } from "../../src/core/units.ts";
import type { Peer } from "../../src/peer/peer.ts";
import type { FetchReceipt } from "../../src/peer/types.ts";
import { expectSameFile } from "../support/folder.ts";
import { Cluster } from "../support/roles.ts";

const PEERS = 50;
const SIZE = (process.env.P2PFS_TEST_LONG === "1" ? 100 : 40) * MiB;
/**
 * Of the seeder; the rest has to come from one another. All of them share one core with each other and whatever else the
 * machine does, so that they hear late of each other's chunks: without any care it is five copies. The simulator, where
 * nothing is late, holds the number tightly.
 */
const COPIES_MAX = 2;
const TEST_MS_MAX = 240 * SECOND_MS;

let cluster: Cluster;
beforeEach(async () => {
  cluster = await Cluster.open();
});

/**
 * One after the other, and before chunks flow: all of them share one event loop, each connects to all that were there
 * before, and has only the time of R5 for its manifest.
 */
async function startAll(seeder: Peer, leechers: readonly Peer[], ticket: string): Promise<Promise<FetchReceipt>[]> {
  seeder.setLimits({ up_limit: RATE_LIMIT_MIN });
  const fetches: Promise<FetchReceipt>[] = [];
  for (const [index, leecher] of leechers.entries()) {
    const job = await leecher.fetch({ what: ticket, destination: cluster.path(`copy-${index}`) });
    fetches.push(job.done);
  }
  seeder.setLimits({ up_limit: null });
  return fetches;
}

test(
  `${PEERS} peers get ${SIZE / MiB} MiB from one seeder that sends at most ${COPIES_MAX} copies (F4, F19)`,
  async () => {
    const [seeder, ...leechers] = await cluster.joinPeers(Array.from({ length: PEERS + 1 }, (_, i) => `peer-${i}`));
    const source = cluster.makeFile("source.bin", SIZE);
    const { ticket } = await cluster.publish(seeder!, source);
    const startedMs = performance.now();
    const receipts = await Promise.all(await startAll(seeder!, leechers, ticket));
    const seconds = (performance.now() - startedMs) / SECOND_MS;
    const copies = seeder!.status().bytes_sent / SIZE;
    const rerequests = receipts.reduce((sum, receipt) => sum + receipt.rerequests, 0);
    const chunks = receipts.reduce((sum, receipt) => sum + receipt.total_chunknum, 0);
    console.log(
      `${PEERS} peers in ${seconds.toFixed(1)} s; the seeder sent ${copies.toFixed(2)} copies, ${((100 * rerequests) / chunks).toFixed(2)} % requested again`,
    );
    for (const [index] of leechers.entries()) {
      const copy = cluster.path(`copy-${index}`);
      expectSameFile(copy, source);
      rmSync(copy);
    }
    expect(copies).toBeLessThanOrEqual(COPIES_MAX);
  },
  TEST_MS_MAX,
);
