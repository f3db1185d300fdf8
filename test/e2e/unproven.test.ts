/**
 * A sole holder that never delivers: the fetch ends with no_holder, keeps what it has, and leaves no buffer taken (D7), and
 * neither does any other end of a fetch. The bound is shortened here; test/swarm checks its real value.
 */
import { beforeEach, describe, expect, test } from "bun:test";
import { P2pfsError } from "../../src/core/errors.ts";
import { KiB, MiB, SECOND_MS } from "../../src/core/units.ts";
import type { FetchJob } from "../../src/peer/fetch-job.ts";
import type { Peer } from "../../src/peer/peer.ts";
import { PAST_SHARES_MAX, SourceShares } from "../../src/peer/source-shares.ts";
import { expectError } from "../support/errors.ts";
import { type ChunkAnswer, drip, FakeHolder, type FakeHolderOptions } from "../support/fake-holder.ts";
import { Cluster, fetchTo, untilChunks } from "../support/roles.ts";
import { until } from "../support/until.ts";

const CHUNK = 64 * KiB;
const UNPROVEN_MS = 1500;
const END_MS_MAX = 30 * SECOND_MS;
const bounds = { unprovenMs: UNPROVEN_MS, silenceDropMs: SECOND_MS };

let cluster: Cluster;
let leecher: Peer;
beforeEach(async () => {
  cluster = await Cluster.open();
  leecher = await cluster.joinPeer("leecher", { bounds });
});

const honest: ChunkAnswer = (chunk, bytes) => ({ chunk, bytes });

function startHolder(options: Pick<FakeHolderOptions, "answer" | "hold">): Promise<FakeHolder> {
  return FakeHolder.start({ tracker: cluster.trackerAddress, path: cluster.path("source.bin"), ...options });
}

const untilNoBufferIsTaken = () => until("no buffer is taken", () => leecher.backlog.bufferBytesTaken === 0);

/** Two chunks come, then what the answer says. */
function afterTwo(answer: ChunkAnswer): ChunkAnswer {
  let given = 0;
  return (chunk, bytes) => (given++ < 2 ? { chunk, bytes } : answer(chunk, bytes));
}

/** Two chunks come, then one byte each time that so much has passed. */
function trickleAfterTwo(intervalMs: number): Pick<FakeHolderOptions, "answer" | "hold"> {
  let given = 0;
  return { answer: honest, hold: () => (given++ < 2 ? undefined : drip(intervalMs)) };
}

describe("a sole holder that sends two chunks and then", () => {
  const ways: [string, () => Pick<FakeHolderOptions, "answer" | "hold">][] = [
    ["is silent", () => ({ answer: afterTwo(() => undefined) })],
    ["closes, whenever it is asked", () => ({ answer: afterTwo(() => "close") })],
    ["leaves the swarm, whenever it is asked", () => ({ answer: afterTwo(() => "leave") })],
    ["is busy for ever", () => ({ answer: afterTwo(() => new P2pfsError("busy", "not now")) })],
    ["stalls within a chunk", () => trickleAfterTwo(Number.POSITIVE_INFINITY)],
    ["trickles", () => trickleAfterTwo(200)],
  ];
  test.each(ways)(
    "%s: no_holder names a chunk, and what has arrived is kept",
    async (how, options) => {
      cluster.makeFile("source.bin", 8 * CHUNK);
      const { contentId } = await startHolder(options());
      const ticket = `p2pfs://${cluster.trackerAddress}/source.bin?id=${contentId}`;
      const job = await leecher.fetch({ what: ticket, destination: cluster.path("copy") });
      await expectError("no_holder", job.done, /chunk \d of 8 of source\.bin/);
      // LEAVE_SWARM overtakes the chunks on their way.
      expect(job.progress().chunks).toBeWithin(how.startsWith("leaves") ? 0 : 2, 3);
      await untilNoBufferIsTaken();
    },
    END_MS_MAX,
  );
});

describe("no buffer stays taken after a fetch that", () => {
  let seeder: Peer;
  let ticket: string;

  async function startSeeder(upLimit: number): Promise<void> {
    seeder = await cluster.joinPeer("seeder", { limits: { up_limit: upLimit } });
    ({ ticket } = await cluster.publish(seeder, cluster.makeFile("source.bin", 4 * MiB)));
  }

  /** A fetch with a chunk on its way, slowly. */
  async function startFetch(): Promise<FetchJob> {
    await startSeeder(256 * KiB);
    const job = await leecher.fetch({ what: ticket, destination: cluster.path("copy") });
    await untilChunks(job, 1);
    await until("a chunk is on its way", () => leecher.backlog.bufferBytesTaken > 0);
    return job;
  }

  test("is done", async () => {
    await startSeeder(64 * MiB);
    await fetchTo(leecher, ticket, cluster.path("copy"));
    expect(leecher.backlog.bufferBytesTaken).toBe(0);
  });

  test("is done while other holders trickle and stall", async () => {
    await startSeeder(6 * MiB);
    await startHolder({ answer: honest, hold: () => drip(SECOND_MS) });
    await startHolder({ answer: honest, hold: () => drip(Number.POSITIVE_INFINITY) });
    await fetchTo(leecher, ticket, cluster.path("copy"));
    await untilNoBufferIsTaken();
  });

  test.each(["stop", "cancel"] as const)(
    "%s ends within a chunk",
    async (how) => {
      const job = await startFetch();
      job[how]();
      await expectError("cancelled", job.done);
      await untilNoBufferIsTaken();
    },
    END_MS_MAX,
  );

  test(
    "loses its source within a chunk",
    async () => {
      const job = await startFetch();
      await cluster.stopPeer(seeder);
      await expectError("no_holder", job.done);
      await untilNoBufferIsTaken();
    },
    END_MS_MAX,
  );
});

test("a source that comes back again and again is one row of the receipt, and rows of sources that are gone are bounded", () => {
  const shares = new SourceShares();
  const given = { chunks: 1, bytes: 10, rejected: 0 };
  const giver = (port: number) => {
    const address = `10.0.0.1:${port}` as never;
    return { origin: address, end: address, address };
  };
  for (let round = 0; round < 100; round++) shares.keep(giver(4000), given);
  expect(shares.sum([[giver(4000), given]])).toEqual([
    { address: giver(4000).end, inbound: false, bytes: 1010, chunks: 101, rejected: 0 },
  ]);
  for (let port = 5000; port < 5000 + 2 * PAST_SHARES_MAX; port++) shares.keep(giver(port), given);
  expect(shares.sum([])).toHaveLength(PAST_SHARES_MAX);
});
