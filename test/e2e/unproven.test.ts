/**
 * A sole holder that never delivers: the fetch ends with no_holder, keeps what it has, and leaves no buffer behind (D7).
 * And every other end of a fetch leaves none either. The bound is shortened here; test/swarm holds its real value.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { P2pfsError } from "../../src/core/errors.ts";
import { KiB, MiB, SECOND_MS } from "../../src/core/units.ts";
import type { Peer } from "../../src/peer/peer.ts";
import { PAST_SHARES_MAX, SourceShares } from "../../src/peer/source-shares.ts";
import { Cluster, errorOf, fetchTo, until } from "./cluster.ts";
import { type Answer, drip, Rogue, type RogueOptions } from "./rogue.ts";

const UNPROVEN_MS = 1500;
const END_MS_MAX = 20 * SECOND_MS;
const bounds = { unprovenMs: UNPROVEN_MS, silenceDropMs: SECOND_MS };

let cluster: Cluster;
let rogues: Rogue[];
beforeEach(async () => {
  cluster = await Cluster.start();
  rogues = [];
});
afterEach(async () => {
  for (const rogue of rogues) rogue.close();
  await cluster.close();
});

const honest: Answer = (chunk, bytes) => ({ chunk, bytes });

async function startRogue(options: Pick<RogueOptions, "answer"> & Partial<RogueOptions>): Promise<Rogue> {
  const rogue = await Rogue.start({ tracker: cluster.trackerAddress, path: cluster.path("source.bin"), ...options });
  rogues.push(rogue);
  return rogue;
}

function ticketOf({ contentId }: Rogue): string {
  return `p2pfs://${cluster.trackerAddress}/source.bin?id=${contentId}`;
}

async function startLeecher(): Promise<Peer> {
  const leecher = await cluster.startPeer("leecher", { bounds });
  await leecher.connect(leecher.tracker);
  return leecher;
}

/** Two chunks come, then what the answer says. */
function afterTwo(answer: Answer): Answer {
  let given = 0;
  return (chunk, bytes) => (given++ < 2 ? { chunk, bytes } : answer(chunk, bytes));
}

describe("a sole holder that gives two chunks and then", () => {
  const ways: [string, () => Pick<RogueOptions, "answer" | "hold">][] = [
    ["is silent", () => ({ answer: afterTwo(() => undefined) })],
    ["closes, whenever it is asked", () => ({ answer: afterTwo(() => "close") })],
    ["leaves the swarm, whenever it is asked", () => ({ answer: afterTwo(() => "leave") })],
    ["is busy for ever", () => ({ answer: afterTwo(() => new P2pfsError("busy", "not now")) })],
    [
      "stalls in the midst of a chunk",
      () => {
        let given = 0;
        return { answer: honest, hold: () => (given++ < 2 ? undefined : drip(Number.POSITIVE_INFINITY)) };
      },
    ],
    [
      "trickles",
      () => {
        let given = 0;
        return { answer: honest, hold: () => (given++ < 2 ? undefined : drip(200)) };
      },
    ],
  ];
  test.each(ways)(
    "%s: no_holder names a chunk, and what is here is kept",
    async (how, options) => {
      cluster.makeFile("source.bin", 512 * KiB);
      const leecher = await startLeecher();
      const ticket = ticketOf(await startRogue(options()));
      const job = await leecher.fetch({ what: ticket, destination: cluster.path("copy") });
      const error = await errorOf(job.done);
      expect(error).toMatchObject({
        code: "no_holder",
        message: expect.stringMatching(/chunk \d of 8 of source\.bin/),
      });
      // A word of leaving overtakes the chunks on their way.
      expect(job.progress().chunks).toBeWithin(how.startsWith("leaves") ? 0 : 2, 3);
      await until(() => leecher.backlog.bufferBytesTaken === 0, END_MS_MAX);
    },
    END_MS_MAX,
  );
});

describe("no buffer stays taken after a fetch that", () => {
  async function fetchFrom(upLimit: number) {
    const [seeder] = await cluster.startPeers(["seeder"]);
    const { ticket } = await cluster.publish(seeder!, cluster.makeFile("source.bin", 4 * MiB));
    seeder!.setLimits({ up_limit: upLimit });
    const leecher = await startLeecher();
    return { seeder: seeder!, leecher, ticket };
  }

  test("is done", async () => {
    const { leecher, ticket } = await fetchFrom(64 * MiB);
    await fetchTo(leecher, ticket, cluster.path("copy"));
    expect(leecher.backlog.bufferBytesTaken).toBe(0);
  });

  test("is done while others trickle and stall", async () => {
    const { leecher, ticket } = await fetchFrom(6 * MiB);
    await startRogue({ answer: honest, hold: () => drip(SECOND_MS) });
    await startRogue({ answer: honest, hold: () => drip(Number.POSITIVE_INFINITY) });
    await fetchTo(leecher, ticket, cluster.path("copy"));
    await until(() => leecher.backlog.bufferBytesTaken === 0);
  });

  test.each(["stop", "cancel"] as const)("%s ends in the midst of a chunk", async (how) => {
    const { leecher, ticket } = await fetchFrom(256 * KiB);
    const job = await leecher.fetch({ what: ticket, destination: cluster.path("copy") });
    await until(() => job.progress().chunks > 0 && leecher.backlog.bufferBytesTaken > 0, END_MS_MAX);
    job[how]();
    await errorOf(job.done);
    await until(() => leecher.backlog.bufferBytesTaken === 0, END_MS_MAX);
  });

  test(
    "loses its source in the midst of a chunk",
    async () => {
      const { seeder, leecher, ticket } = await fetchFrom(256 * KiB);
      const job = await leecher.fetch({ what: ticket, destination: cluster.path("copy") });
      await until(() => job.progress().chunks > 0 && leecher.backlog.bufferBytesTaken > 0, END_MS_MAX);
      await cluster.stopPeer(seeder);
      await errorOf(job.done);
      await until(() => leecher.backlog.bufferBytesTaken === 0, END_MS_MAX);
    },
    END_MS_MAX,
  );
});

test("whoever comes back again and again is one row of the receipt, and the rows of those that are gone are bounded", () => {
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
