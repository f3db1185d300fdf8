/** Limits on sending and receiving, over real sockets: kept to, used up, shared, and changed while chunks move. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { rmSync } from "node:fs";
import { MiB, SECOND_MS } from "../../src/core/units.ts";
import type { Peer } from "../../src/peer/peer.ts";
import { Cluster, fetchTo, until } from "./cluster.ts";

/** An idle limiter has saved up a tenth of a second. */
const SAVED_SECONDS = 0.1;
/** What set-up, the last write and a busy machine may add. */
const SLACK_SECONDS = 0.5;

let cluster: Cluster;
let seeder: Peer;
let leecher: Peer;
let files = 0;

beforeAll(async () => {
  cluster = await Cluster.start();
  [seeder, leecher] = (await cluster.startPeers(["seeder", "leecher"])) as [Peer, Peer];
});
afterAll(() => cluster.close());

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

function expectSeconds(seconds: number, wanted: number): void {
  expect(seconds).toBeGreaterThan(0.98 * (wanted - SAVED_SECONDS));
  expect(seconds).toBeLessThan(wanted + SLACK_SECONDS);
}

test("a peer sends at its limit and no faster, however many ask", async () => {
  seeder.setLimits({ up_limit: 6 * MiB });
  const [one, two] = [await share(4), await share(5)];
  const seconds = await timed(() =>
    Promise.all([fetchTo(leecher, one.fname, one.destination), fetchTo(leecher, two.fname, two.destination)]),
  );
  expectSeconds(seconds, 9 / 6);
  seeder.setLimits({ up_limit: null });
});

test("a peer receives at its limit and no faster, over all its fetches", async () => {
  leecher.setLimits({ down_limit: 6 * MiB });
  const [one, two] = [await share(4), await share(5)];
  const seconds = await timed(() =>
    Promise.all([fetchTo(leecher, one.fname, one.destination), fetchTo(leecher, two.fname, two.destination)]),
  );
  expectSeconds(seconds, 9 / 6);
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
  const { duration_ms } = await fetchTo(leecher, fast.fname, fast.destination);
  expect(duration_ms).toBeLessThan(SLACK_SECONDS * SECOND_MS);
  expectSeconds(await seconds, 6 / 4);
  expect((await job.done).rerequests).toBe(0);
});

test.each(["up_limit", "down_limit"] as const)("%s changes at once for what is under way", async (limit) => {
  const limited = limit === "up_limit" ? seeder : leecher;
  limited.setLimits({ [limit]: 256 * 1024 });
  const { fname, destination } = await share(16);
  const job = await leecher.fetch({ what: fname, destination });
  await until(() => job.progress().chunks > 0);
  await Bun.sleep(200);
  expect(job.progress().bytes).toBeLessThan(MiB);
  expect(limited.setLimits({ [limit]: null })[limit]).toBeNull();
  expect(await timed(() => job.done)).toBeLessThan(SLACK_SECONDS);
});

test("a fetch that is limited can be stopped, and goes on afterwards", async () => {
  const { fname, destination } = await share(8);
  const job = await leecher.fetch({ what: fname, destination, limits: { down_limit: MiB } });
  await until(() => job.progress().chunks > 2);
  job.stop();
  expect(await timed(() => job.done.catch(() => undefined))).toBeLessThan(SLACK_SECONDS);
  const receipt = await fetchTo(leecher, fname, destination);
  expect(receipt.bytes_resumed).toBeGreaterThan(0);
  expect(receipt.bytes_fetched + receipt.bytes_resumed).toBe(8 * MiB);
});

test("what others are sent of a content that is being fetched can be limited by its fetch", async () => {
  const { fname, destination } = await share(8);
  const job = await leecher.fetch({ what: fname, destination, limits: { up_limit: MiB, down_limit: 6 * MiB } });
  const third = await cluster.startPeer("third");
  const before = leecher.status().bytes_sent;
  const copy = fetchTo(third, fname, cluster.path("third.copy"));
  const seconds = await timed(() => job.done);
  expect(leecher.status().bytes_sent - before).toBeLessThan((seconds + SAVED_SECONDS) * MiB + MiB);
  await copy;
  rmSync(destination);
});

test("such a limit lasts as long as its own fetch, whatever other fetches of the content do", async () => {
  const { fname, destination } = await share(8);
  const job = await leecher.fetch({ what: fname, destination, limits: { up_limit: MiB, down_limit: 6 * MiB } });
  for (const limits of [undefined, { up_limit: 2 * MiB }]) {
    const other = await leecher.fetch({ what: fname, destination: `${destination}.other`, limits });
    other.stop();
    await other.done.catch(() => undefined);
  }
  const third = await cluster.startPeer("fourth");
  const before = leecher.status().bytes_sent;
  const copy = fetchTo(third, fname, cluster.path("fourth.copy"));
  const seconds = await timed(() => job.done);
  expect(leecher.status().bytes_sent - before).toBeLessThan((seconds + SAVED_SECONDS) * MiB + MiB);
  await copy;
  rmSync(destination);
});
