/** Limits on sending and receiving, over real sockets: kept to, used up, shared, and changed while chunks move. */
import { expect, test } from "bun:test";
import { rmSync } from "node:fs";
import { MiB, SECOND_MS } from "../../src/core/units.ts";
import type { FetchJob } from "../../src/peer/fetch-job.ts";
import type { Peer } from "../../src/peer/peer.ts";
import { openForAll } from "../support/closing.ts";
import { Cluster, fetchTo, untilChunks } from "../support/roles.ts";

/** An idle limiter has saved up a tenth of a second. */
const SAVED_SECONDS = 0.1;
/** What set-up and the last write may add, beside what the same takes without a limit. */
const SLACK_SECONDS = 0.5;
/** A busy machine takes that much longer at one time than at another. */
const UNSTEADINESS = 4;
/** Far more than any machine needs for what no limit holds back any more, and far less than the limit would take. */
const AT_ONCE_SECONDS = 8;

let cluster: Cluster;
let seeder: Peer;
let leecher: Peer;
let files = 0;

openForAll(async () => {
  cluster = await Cluster.open();
  [seeder, leecher] = await cluster.joinPeers(["seeder", "leecher"]);
});

async function share(mebibytes: number): Promise<{ fname: string; destination: string }> {
  const fname = `file-${++files}`;
  await cluster.publish(seeder, cluster.makeFile(fname, mebibytes * MiB, files), fname);
  return { fname, destination: cluster.path(`${fname}.copy`) };
}

async function timed(run: () => Promise<unknown>): Promise<number> {
  const startedMs = performance.now();
  await run();
  return (performance.now() - startedMs) / SECOND_MS;
}

/** Two fetches at a time, of 9 MiB together. */
async function secondsOfTwo(): Promise<number> {
  const [one, two] = [await share(4), await share(5)];
  return timed(() =>
    Promise.all([fetchTo(leecher, one.fname, one.destination), fetchTo(leecher, two.fname, two.destination)]),
  );
}

/** @param unlimited what as much takes without a limit on this machine, now */
function expectSeconds(seconds: number, wanted: number, unlimited: number): void {
  expect(seconds).toBeGreaterThan(0.98 * (wanted - SAVED_SECONDS));
  expect(seconds).toBeLessThan(wanted + SLACK_SECONDS + UNSTEADINESS * unlimited);
}

test("a peer sends at its limit and no faster, however many ask", async () => {
  const unlimited = await secondsOfTwo();
  seeder.setLimits({ up_limit: 6 * MiB });
  expectSeconds(await secondsOfTwo(), 9 / 6, unlimited);
  seeder.setLimits({ up_limit: null });
});

test("a peer receives at its limit and no faster, over all its fetches", async () => {
  const unlimited = await secondsOfTwo();
  leecher.setLimits({ down_limit: 6 * MiB });
  expectSeconds(await secondsOfTwo(), 9 / 6, unlimited);
  leecher.setLimits({ down_limit: null });
});

test("a fetch has limits of its own, and others go on unlimited", async () => {
  const [slow, fast] = [await share(6), await share(6)];
  const job = await leecher.fetch({
    what: slow.fname,
    destination: slow.destination,
    limits: { down_limit: 4 * MiB },
  });
  const seconds = timed(() => job.done);
  const unlimited = await timed(() => fetchTo(leecher, fast.fname, fast.destination));
  // By the same limit they would end together.
  expect(job.progress().state).toBe("running");
  expectSeconds(await seconds, 6 / 4, unlimited);
  expect((await job.done).rerequests).toBe(0);
});

test.each(["up_limit", "down_limit"] as const)("a change of %s applies at once to a running fetch", async (limit) => {
  const limited = limit === "up_limit" ? seeder : leecher;
  limited.setLimits({ [limit]: 256 * 1024 });
  const { fname, destination } = await share(16);
  const job = await leecher.fetch({ what: fname, destination });
  await untilChunks(job, 1);
  await Bun.sleep(200);
  expect(job.progress().bytes).toBeLessThan(MiB);
  expect(limited.setLimits({ [limit]: null })[limit]).toBeNull();
  expect(await timed(() => job.done)).toBeLessThan(AT_ONCE_SECONDS);
});

test("a fetch with a limit can be stopped, and resumed without it", async () => {
  const { fname, destination } = await share(8);
  const job = await leecher.fetch({ what: fname, destination, limits: { down_limit: MiB } });
  await untilChunks(job, 3);
  job.stop();
  await job.done.catch(() => undefined);
  expect(job.progress().bytes).toBeLessThan(8 * MiB);
  const receipt = await fetchTo(leecher, fname, destination);
  expect(receipt.bytes_resumed).toBeGreaterThan(0);
  expect(receipt.bytes_fetched + receipt.bytes_resumed).toBe(8 * MiB);
});

/** Until the fetch is done, another peer gets no more of its content from the leecher than 1 MiB/s. */
async function expectSendingLimited({ done, fname }: FetchJob, destination: string, otherPeer: string): Promise<void> {
  const third = await cluster.startPeer(otherPeer);
  const before = leecher.status().bytes_sent;
  const copy = fetchTo(third, fname, cluster.path(`${otherPeer}.copy`));
  const seconds = await timed(() => done);
  expect(leecher.status().bytes_sent - before).toBeLessThan((seconds + SAVED_SECONDS) * MiB + MiB);
  await copy;
  rmSync(destination);
}

const sendingLimit = { up_limit: MiB, down_limit: 6 * MiB };

test("a fetch can limit how fast its content is sent to others", async () => {
  const { fname, destination } = await share(8);
  const job = await leecher.fetch({ what: fname, destination, limits: sendingLimit });
  await expectSendingLimited(job, destination, "third");
});

test("that limit lasts as long as its own fetch, whatever other fetches of the content do", async () => {
  const { fname, destination } = await share(8);
  const job = await leecher.fetch({ what: fname, destination, limits: sendingLimit });
  for (const limits of [undefined, { up_limit: 2 * MiB }]) {
    const other = await leecher.fetch({ what: fname, destination: `${destination}.other`, limits });
    other.stop();
    await other.done.catch(() => undefined);
  }
  await expectSendingLimited(job, destination, "fourth");
});
