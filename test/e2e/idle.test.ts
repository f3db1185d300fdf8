/** Many connections that are idle: whoever wants something is served beside them, and they are closed in time. */
import { beforeEach, expect, test } from "bun:test";
import { type Address, hostOf, portOf } from "../../src/core/address.ts";
import { NO_CHUNKS } from "../../src/core/bitfield.ts";
import type { ContentId } from "../../src/core/manifest.ts";
import { MiB, SECOND_MS } from "../../src/core/units.ts";
import type { Peer } from "../../src/peer/peer.ts";
import { encodeFrame } from "../../src/wire/frame.ts";
import { expectSameFile } from "../support/folder.ts";
import { ProtocolPeer } from "../support/protocol-peer.ts";
import { RawPeer } from "../support/raw-peer.ts";
import { Cluster, fetchTo, startTracker } from "../support/roles.ts";
import { until } from "../support/until.ts";

const PLACES = 64;
const SIZE = 4 * MiB;

let cluster: Cluster;
beforeEach(async () => {
  cluster = await Cluster.open();
});

type Idleness = "HELLO only" | "half a frame" | "joined and silent";

function framesOf(idleness: Idleness, contentId: ContentId): Uint8Array {
  const join = encodeFrame({ type: "REQUEST_JOIN_SWARM", request: 1, content_id: contentId, chunks: NO_CHUNKS });
  if (idleness === "HELLO only") return new Uint8Array(0);
  return idleness === "half a frame" ? join.subarray(0, join.length / 2) : join;
}

/** Connections that send HELLO and these bytes, and nothing after them. */
async function connectIdle(to: Address, count: number, frames: Uint8Array = new Uint8Array(0)): Promise<RawPeer[]> {
  const idle = await Promise.all(Array.from({ length: count }, () => RawPeer.dial(to)));
  for (const peer of idle) void peer.send(frames);
  return idle;
}

const closedCount = (idle: readonly RawPeer[]) => idle.filter(({ isClosed }) => isClosed).length;

async function seederAndLeecher(
  connectionsMax?: number,
): Promise<{ seeder: Peer; leecher: Peer; contentId: ContentId }> {
  const seeder = await cluster.joinPeer("seeder", { connectionsMax });
  const leecher = await cluster.joinPeer("leecher", { connectionsMax });
  const { content_id: contentId } = await cluster.publish(seeder, cluster.makeFile("source.bin", SIZE));
  return { seeder, leecher, contentId };
}

async function expectFetch(leecher: Peer): Promise<void> {
  await fetchTo(leecher, "source.bin", cluster.path("copy"));
  expectSameFile(cluster.path("copy"), cluster.path("source.bin"));
}

test.each<[Idleness]>([["HELLO only"], ["half a frame"], ["joined and silent"]])(
  "a peer all of whose places are taken by idle connections (%s) can be fetched from",
  async (idleness) => {
    const { seeder, leecher, contentId } = await seederAndLeecher(PLACES);
    const idle = await connectIdle(seeder.address!, 2 * PLACES, framesOf(idleness, contentId));
    await until("those beyond its places are closed", () => closedCount(idle) >= PLACES);
    await expectFetch(leecher);
  },
);

test("a peer with the default limits can be fetched from beside 1,500 silent members of the swarm", async () => {
  const { seeder, leecher, contentId } = await seederAndLeecher();
  const silent = await connectIdle(seeder.address!, 1500, framesOf("joined and silent", contentId));
  await until("some are closed", () => closedCount(silent) > 0, 5 * SECOND_MS);
  await expectFetch(leecher);
}, 20_000);

test("a transfer under way is not disturbed by strangers that come and go", async () => {
  const { seeder, leecher, contentId } = await seederAndLeecher(PLACES);
  seeder.setLimits({ up_limit: 4 * MiB });
  const job = await leecher.fetch({ what: "source.bin", destination: cluster.path("copy") });
  do await connectIdle(seeder.address!, PLACES, framesOf("joined and silent", contentId));
  while (job.progress().state === "running");
  const { sources, rerequests } = await job.done;
  expect(rerequests).toBe(0);
  expect(sources).toMatchObject([{ address: seeder.address, bytes: SIZE }]);
});

test("a tracker all of whose places are taken by HELLO registers another peer, and keeps its members", async () => {
  const { tracker, at } = await startTracker({ connectionsMax: PLACES });
  const members: ProtocolPeer[] = [];
  for (let number = 1; number <= PLACES / 2; number++) members.push(await ProtocolPeer.join(at, number));
  const idle = await connectIdle(at, 2 * PLACES);
  await until("those beyond its places are closed", () => closedCount(idle) >= PLACES);
  members.push(await ProtocolPeer.join(at, 1000));
  expect((await tracker.listPeers()).rows).toHaveLength(members.length);
  for (const { connection } of members) expect(connection.isOpen).toBe(true);
});

test("a connection that does not register is closed, a registered one that is silent loses its lease", async () => {
  const { tracker, at } = await startTracker({ registrationMs: 100, leaseMs: 500, heartbeatMs: 100 });
  const [silent] = await connectIdle(at, 1);
  const pinging = await ProtocolPeer.dial(at, 1);
  const ping = { type: "REQUEST_PING_PONG", peer_address: null } as const;
  while (pinging.connection.isOpen) {
    await pinging.request(ping).catch(() => undefined);
    await Bun.sleep(20);
  }
  await until("the silent one is closed", () => silent!.isClosed);
  const member = await ProtocolPeer.join(at, 2);
  await member.gone;
  expect(member.connection.closeCause?.message).toContain("lease");
  expect((await tracker.listPeers()).rows).toEqual([]);
});

test("a peer joins and publishes at a tracker with 1,500 connections that have sent HELLO only", async () => {
  await connectIdle(cluster.trackerAddress, 1500);
  const peer = await cluster.joinPeer("peer");
  await cluster.publish(peer, cluster.makeFile("source.bin", SIZE));
  expect((await cluster.tracker.ping(hostOf(peer.address!), portOf(peer.address!))).alive).toBe(true);
}, 20_000);
