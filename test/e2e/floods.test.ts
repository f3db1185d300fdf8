/** Four connections that send messages of one kind as fast as they are taken, beside peers that share a file. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Address } from "../../src/core/address.ts";
import { MiB, SECOND_MS } from "../../src/core/units.ts";
import type { Peer } from "../../src/peer/peer.ts";
import { TestPeer } from "../tracker/test-peer.ts";
import { Cluster, fetchTo } from "./cluster.ts";
import type { FloodKind } from "./flood-child.ts";

const CONNECTIONS = 4;
const SIZE = 8 * MiB;
const LISTED = 1000;
const SLOWDOWN_MAX = 3;
const SLOWDOWN_MS = SECOND_MS;

let cluster: Cluster;
let seeder: Peer;
let leecher: Peer;
let usualMs: number;
let closeOther: () => void;
const cleanups: (() => unknown)[] = [];
beforeAll(async () => {
  cluster = await Cluster.start();
  [seeder, leecher] = (await cluster.startPeers(["seeder", "leecher"])) as [Peer, Peer];
  const other = await TestPeer.join(cluster.trackerAddress, 1);
  const beat = setInterval(() => void other.request({ type: "HEARTBEAT" }).catch(() => undefined), SECOND_MS);
  for (let number = 0; number < LISTED; number++) await other.publish(`file-${number}`, number);
  closeOther = () => {
    clearInterval(beat);
    other.connection.close();
  };
});
afterAll(async () => {
  closeOther();
  await cluster.close();
});
beforeEach(async () => {
  await share();
  usualMs = await share();
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});
/** Milliseconds that this process was ready to run and something else ran; none where the system does not tell. */
function waitedForCpuMs(): number {
  const path = "/proc/self/schedstat";
  return existsSync(path) ? Number(readFileSync(path, "utf8").split(" ")[1]) / 1e6 : 0;
}

let files = 0;

/** Publishes and fetches a new file; milliseconds, without those that other processes of this machine took. */
async function share(): Promise<number> {
  const name = `shared-${++files}`;
  const path = cluster.makeFile(`${name}.bin`, SIZE, files);
  const began = performance.now() - waitedForCpuMs();
  await cluster.publish(seeder, path);
  await fetchTo(leecher, `${name}.bin`, cluster.path(`copy of ${name}`));
  const tookMs = performance.now() - waitedForCpuMs() - began;
  expect(Buffer.compare(readFileSync(path), readFileSync(cluster.path(`copy of ${name}`)))).toBe(0);
  return tookMs;
}

async function flood(address: Address, kind: FloodKind, contentId: string): Promise<void> {
  const child = Bun.spawn(
    [process.execPath, join(import.meta.dir, "flood-child.ts"), address, kind, `${CONNECTIONS}`, contentId],
    { stdout: "pipe", stderr: "inherit" },
  );
  cleanups.push(async () => {
    child.kill("SIGTERM");
    await child.exited;
  });
  const reader = child.stdout.getReader();
  await reader.read();
  reader.releaseLock();
}

async function expectAsUsual(): Promise<void> {
  const tookMs = await share();
  if (process.env.P2PFS_FLOOD_FIGURES) console.log(`${Math.round(tookMs)} ms instead of ${Math.round(usualMs)} ms`);
  expect(tookMs).toBeLessThan(SLOWDOWN_MAX * usualMs + SLOWDOWN_MS);
}

describe("a tracker that is flooded", () => {
  test.each<[FloodKind]>([
    ["lists"],
    ["discovers"],
    ["locations"],
    ["registrations"],
    ["publications"],
    ["reports"],
    ["announcements"],
    ["pings"],
  ])(
    "with %s serves others nearly as usual",
    async (kind) => {
      const contentId = seeder.shares()[0]!.content_id;
      await flood(cluster.trackerAddress, kind, contentId);
      await expectAsUsual();
    },
    30 * SECOND_MS,
  );
});

describe("a seeder that is flooded", () => {
  test.each<[FloodKind]>([
    ["haves"],
    ["long haves"],
    ["joins"],
    ["manifests"],
    ["chunks"],
    ["cancelled"],
    ["pings of a peer"],
  ])(
    "with %s serves others nearly as usual",
    async (kind) => {
      const contentId = seeder.shares()[0]!.content_id;
      await flood(seeder.address!, kind, contentId);
      await expectAsUsual();
    },
    30 * SECOND_MS,
  );
});
