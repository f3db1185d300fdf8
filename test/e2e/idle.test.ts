/** Connections that do nothing, in number: whoever wants something gets in beside them, and they do not stay. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { type Address, hostOf, portOf } from "../../src/core/address.ts";
import { NO_CHUNKS } from "../../src/core/bitfield.ts";
import type { ContentId } from "../../src/core/manifest.ts";
import { MiB, SECOND_MS } from "../../src/core/units.ts";
import type { Peer } from "../../src/peer/peer.ts";
import { encodeFrame } from "../../src/wire/frame.ts";
import { connectRaw, type RawClient } from "../net/raw-client.ts";
import { openTracker, TestPeer } from "../tracker/test-peer.ts";
import { Cluster, fetchTo, until } from "./cluster.ts";

const PLACES = 64;
const SIZE = 4 * MiB;

let cluster: Cluster;
const cleanups: (() => unknown)[] = [];
beforeEach(async () => {
  cluster = await Cluster.start();
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  await cluster.close();
});

type Idleness = "HELLO only" | "half a frame" | "joined and silent";

function wordsOf(idleness: Idleness, contentId: ContentId): Uint8Array {
  const join = encodeFrame({ type: "REQUEST_JOIN_SWARM", request: 1, content_id: contentId, chunks: NO_CHUNKS });
  if (idleness === "HELLO only") return new Uint8Array(0);
  return idleness === "half a frame" ? join.subarray(0, join.length / 2) : join;
}

async function crowd(to: Address, count: number, words: Uint8Array): Promise<RawClient[]> {
  const clients = await Promise.all(Array.from({ length: count }, () => connectRaw(to)));
  for (const { socket } of clients) {
    cleanups.push(() => socket.destroy());
    socket.write(words);
  }
  return clients;
}

async function seederAndLeecher(
  connectionsMax?: number,
): Promise<{ seeder: Peer; leecher: Peer; contentId: ContentId }> {
  const seeder = await cluster.startPeer("seeder", { connectionsMax });
  const leecher = await cluster.startPeer("leecher", { connectionsMax });
  for (const peer of [seeder, leecher]) await peer.connect(peer.tracker);
  const { content_id: contentId } = await cluster.publish(seeder, cluster.makeFile("source.bin", SIZE));
  return { seeder, leecher, contentId };
}

const isCopied = () =>
  Buffer.compare(readFileSync(cluster.path("source.bin")), readFileSync(cluster.path("copy"))) === 0;

test.each<[Idleness]>([["HELLO only"], ["half a frame"], ["joined and silent"]])(
  "a peer whose places are taken by others that said %s is fetched from",
  async (idleness) => {
    const { seeder, leecher, contentId } = await seederAndLeecher(PLACES);
    const idle = await crowd(seeder.address!, 2 * PLACES, wordsOf(idleness, contentId));
    await until(() => idle.filter((client) => client.isClosed()).length >= PLACES);
    await fetchTo(leecher, "source.bin", cluster.path("copy"));
    expect(isCopied()).toBe(true);
  },
);

test("1,500 silent members do not close a peer with its usual limits", async () => {
  const { seeder, leecher, contentId } = await seederAndLeecher();
  const silent = await crowd(seeder.address!, 1500, wordsOf("joined and silent", contentId));
  await until(() => silent.some((client) => client.isClosed()), 5 * SECOND_MS);
  await fetchTo(leecher, "source.bin", cluster.path("copy"));
  expect(isCopied()).toBe(true);
}, 20_000);

test("a transfer under way is not disturbed by strangers that come and go", async () => {
  const { seeder, leecher, contentId } = await seederAndLeecher(PLACES);
  seeder.setLimits({ up_limit: 4 * MiB });
  const job = await leecher.fetch({ what: "source.bin", destination: cluster.path("copy") });
  do await crowd(seeder.address!, PLACES, wordsOf("joined and silent", contentId));
  while (job.progress().state === "running");
  const { sources, rerequests } = await job.done;
  expect(rerequests).toBe(0);
  expect(sources).toMatchObject([{ address: seeder.address, bytes: SIZE }]);
});

async function smallTracker(options: Parameters<typeof openTracker>[1]) {
  const { tracker, close } = await openTracker(cluster.path("small"), options);
  cleanups.push(close);
  return { tracker, at: await tracker.start({ host: "127.0.0.1", port: 0 }) };
}

test("a tracker whose places are taken by HELLO lets newcomers register, and keeps its members", async () => {
  const { tracker, at } = await smallTracker({ connectionsMax: PLACES });
  const members: TestPeer[] = [];
  for (let number = 1; number <= PLACES / 2; number++) members.push(await TestPeer.join(at, number));
  const idle = await crowd(at, 2 * PLACES, wordsOf("HELLO only", "" as ContentId));
  await until(() => idle.filter((client) => client.isClosed()).length >= PLACES);
  members.push(await TestPeer.join(at, 1000));
  expect((await tracker.listPeers()).rows).toHaveLength(members.length);
  for (const { connection } of members) expect(connection.isOpen).toBe(true);
  for (const { connection } of members) connection.close();
});

test("who says HELLO and does not register is closed, who registers and is silent loses its lease", async () => {
  const { tracker, at } = await smallTracker({ registrationMs: 100, leaseMs: 500, heartbeatMs: 100 });
  const [silent] = await crowd(at, 1, new Uint8Array(0));
  const pinging = await TestPeer.dial(at, 1);
  const ping = { type: "REQUEST_PING_PONG", peer_address: null } as const;
  while (pinging.connection.isOpen) {
    await pinging.request(ping).catch(() => undefined);
    await Bun.sleep(20);
  }
  await until(() => silent!.isClosed());
  const member = await TestPeer.join(at, 2);
  await member.gone;
  expect(member.connection.closeCause?.message).toContain("lease");
  expect((await tracker.listPeers()).rows).toEqual([]);
});

test("with a tracker that 1,500 are connected to with HELLO only, a peer joins and publishes", async () => {
  await crowd(cluster.trackerAddress, 1500, new Uint8Array(0));
  const [peer] = await cluster.startPeers(["peer"]);
  await cluster.publish(peer!, cluster.makeFile("source.bin", SIZE));
  expect((await cluster.tracker.ping(hostOf(peer!.address!), portOf(peer!.address!))).alive).toBe(true);
}, 20_000);
