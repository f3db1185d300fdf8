/** Four connections that send messages of one kind as fast as they are taken, beside peers that share a file. */
import { beforeEach, describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Address } from "../../src/core/address.ts";
import { MiB, SECOND_MS } from "../../src/core/units.ts";
import type { Peer } from "../../src/peer/peer.ts";
import { startChild } from "../support/child.ts";
import { openForAll } from "../support/closing.ts";
import { expectSameFile } from "../support/folder.ts";
import { ProtocolPeer } from "../support/protocol-peer.ts";
import { Cluster, fetchTo } from "../support/roles.ts";
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
openForAll(async () => {
  cluster = await Cluster.open();
  [seeder, leecher] = await cluster.joinPeers(["seeder", "leecher"]);
  const other = await ProtocolPeer.join(cluster.trackerAddress, 1);
  other.keepAlive(SECOND_MS);
  for (let number = 0; number < LISTED; number++) await other.publish(`file-${number}`, number);
});
beforeEach(async () => {
  await share();
  usualMs = await share();
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
  expectSameFile(cluster.path(`copy of ${name}`), path);
  return tookMs;
}

/** From a process of its own, until the test is over. */
async function flood(address: Address, kind: FloodKind): Promise<void> {
  const contentId = seeder.shares()[0]!.content_id;
  await startChild(join(import.meta.dir, "flood-child.ts"), address, kind, `${CONNECTIONS}`, contentId);
}

const ofTracker = [
  "lists",
  "discovers",
  "locations",
  "registrations",
  "publications",
  "reports",
  "announcements",
  "pings",
] as const;
const ofPeer = ["haves", "long haves", "joins", "manifests", "chunks", "cancelled", "pings of a peer"] as const;

describe.each([
  ["tracker", ofTracker, () => cluster.trackerAddress],
  ["seeder", ofPeer, () => seeder.address!],
] as const)("a %s that is flooded", (_role, kinds, addressOf) => {
  test.each<FloodKind>(kinds)(
    "with %s serves others nearly as usual",
    async (kind) => {
      await flood(addressOf(), kind);
      const tookMs = await share();
      if (process.env.P2PFS_FLOOD_FIGURES) console.log(`${Math.round(tookMs)} ms instead of ${Math.round(usualMs)} ms`);
      expect(tookMs).toBeLessThan(SLOWDOWN_MAX * usualMs + SLOWDOWN_MS);
    },
    30 * SECOND_MS,
  );
});
