/**
 * Holders that are slow, trickle, stall or are mute beside one that is fast: the fetch takes little longer than from the
 * fast one alone, and next to nothing is sent twice. The whole matrix runs with P2PFS_TEST_LONG=1. Times are compared, so
 * these tests have the machine for themselves (`alone` in scripts/test.ts).
 */
import { beforeEach, describe, expect, test } from "bun:test";
import { CHUNK_SIZE_MIN } from "../../src/core/limits.ts";
import { KiB, MiB, SECOND_MS } from "../../src/core/units.ts";
import type { Peer } from "../../src/peer/peer.ts";
import type { FetchReceipt } from "../../src/peer/types.ts";
import { drip, FakeHolder } from "../support/fake-holder.ts";
import { Cluster, fetchTo } from "../support/roles.ts";

const isLong = process.env.P2PFS_TEST_LONG === "1";
const FAST_UP = 6 * MiB;
const ALONE_FACTOR = 1.3;
const ALONE_SLACK_SECONDS = 1;
const DUPLICATES_SHARE_MAX = 0.02;
const TEST_MS_MAX = 90 * SECOND_MS;

type Kind = number | "trickle" | "stall" | "mute";

let cluster: Cluster;
beforeEach(async () => {
  cluster = await Cluster.open();
});

/** A number is a limit on sending, in bytes per second. */
async function startHolder(kind: Kind, source: string, index: number): Promise<Peer | undefined> {
  if (typeof kind === "number") {
    const peer = await cluster.joinPeer(`slow-${index}`, { limits: { up_limit: kind } });
    await cluster.publish(peer, source);
    return peer;
  }
  await FakeHolder.start({
    tracker: cluster.trackerAddress,
    path: source,
    answer: (chunk, bytes) => (kind === "mute" ? undefined : { chunk, bytes }),
    hold: () => drip(kind === "trickle" ? SECOND_MS : Number.POSITIVE_INFINITY),
  });
  return undefined;
}

/** By a peer that joins for it and leaves. */
async function timedFetch(name: string, ticket: string): Promise<{ seconds: number; receipt: FetchReceipt }> {
  const leecher = await cluster.joinPeer(name);
  const startedMs = performance.now();
  const receipt = await fetchTo(leecher, ticket, cluster.path(`${name}.copy`));
  const seconds = (performance.now() - startedMs) / SECOND_MS;
  await cluster.stopPeer(leecher);
  return { seconds, receipt };
}

async function compare(size: number, kind: Kind, count: number): Promise<void> {
  const source = cluster.makeFile("source.bin", size);
  const fast = await cluster.joinPeer("fast", { limits: { up_limit: FAST_UP } });
  const { ticket } = await cluster.publish(fast, source);
  const { seconds: aloneSeconds } = await timedFetch("alone", ticket);
  const sentBefore = fast.status().bytes_sent;
  const holders: Peer[] = [fast];
  for (let index = 0; index < count; index++) {
    const holder = await startHolder(kind, source, index);
    if (holder !== undefined) holders.push(holder);
  }
  const { seconds, receipt } = await timedFetch("leecher", ticket);
  const sent = holders.reduce((sum, holder) => sum + holder.status().bytes_sent, -sentBefore);
  if (isLong)
    console.log(
      `${size / MiB} MiB, ${count} × ${kind}: ${seconds.toFixed(2)} s, alone ${aloneSeconds.toFixed(2)} s, ${((100 * (sent - size)) / size).toFixed(2)} % twice, ${receipt.rerequests} asked again`,
    );
  expect(seconds).toBeLessThan(ALONE_FACTOR * aloneSeconds + ALONE_SLACK_SECONDS);
  // One chunk of a small file is more than that share of it.
  expect(sent - size).toBeLessThanOrEqual(Math.max(CHUNK_SIZE_MIN, DUPLICATES_SHARE_MAX * size));
}

const kinds: readonly Kind[] = [1 * KiB, 4 * KiB, 16 * KiB, 64 * KiB, "trickle", "stall", "mute"];
const combinations: [number, Kind, number][] = isLong
  ? [3, 64].flatMap((mebibytes) =>
      kinds.flatMap((kind) => [1, 2, 3, 10].map((count): [number, Kind, number] => [mebibytes, kind, count])),
    )
  : [
      [3, 4 * KiB, 3],
      [3, "trickle", 2],
      [3, "stall", 3],
    ];

describe("beside one holder of 6 MiB/s", () => {
  test.each(combinations)(
    "%d MiB with holders of %s bytes per second: %d of them",
    (mebibytes, kind, count) => compare(mebibytes * MiB, kind, count),
    TEST_MS_MAX,
  );
});
