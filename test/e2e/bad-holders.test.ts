/** Holders that lie, close or are silent: worked around while there is an honest one, reported when there is none. */
import { beforeEach, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { KiB, MiB } from "../../src/core/units.ts";
import type { Peer } from "../../src/peer/peer.ts";
import { expectError } from "../support/errors.ts";
import { type ChunkAnswer, FakeHolder, type FakeHolderOptions } from "../support/fake-holder.ts";
import { expectSameFile } from "../support/folder.ts";
import { Cluster, fetchTo } from "../support/roles.ts";

const CHUNK = 64 * KiB;

let cluster: Cluster;
let source: string;
beforeEach(async () => {
  cluster = await Cluster.open();
  source = cluster.makeFile("source.bin", 4 * MiB);
});

function startHolder(answer: ChunkAnswer, options: Partial<FakeHolderOptions> = {}): Promise<FakeHolder> {
  return FakeHolder.start({ tracker: cluster.trackerAddress, path: source, answer, ...options });
}

const flipped: ChunkAnswer = (chunk, bytes) => {
  const wrong = Uint8Array.from(bytes);
  wrong[1000]! ^= 1;
  return { chunk, bytes: wrong };
};
const otherChunk: ChunkAnswer = (chunk, bytes) => ({ chunk: chunk === 0 ? 1 : 0, bytes });
const shortened: ChunkAnswer = (chunk, bytes) => ({ chunk, bytes: bytes.subarray(0, CHUNK - 1) });
const empty: ChunkAnswer = (chunk) => ({ chunk, bytes: new Uint8Array(0) });
const silent: ChunkAnswer = () => undefined;

async function leecherBesideSeeder(): Promise<Peer> {
  const [seeder, leecher] = await cluster.joinPeers(["seeder", "leecher"]);
  await cluster.publish(seeder, source);
  return leecher;
}

test.each([
  ["wrong bytes under a digest that fits them (F21)", flipped],
  ["another chunk than the one asked for", otherChunk],
  ["a chunk that is too short", shortened],
  ["an empty chunk", empty],
])("a holder that sends %s is banned, and the file comes from the honest one", async (_what, answer) => {
  const leecher = await leecherBesideSeeder();
  const holder = await startHolder(answer);
  const receipt = await fetchTo(leecher, "source.bin", cluster.path("copy"));
  expectSameFile(cluster.path("copy"), source);
  expect(holder.requests).toBeLessThan(40);
  expect(receipt.sources.find((share) => share.address === holder.address)?.chunks ?? 0).toBe(0);
});

test("a holder that never answers does not stall the fetch", async () => {
  const leecher = await leecherBesideSeeder();
  await startHolder(silent);
  await fetchTo(leecher, "source.bin", cluster.path("copy"));
  expectSameFile(cluster.path("copy"), source);
}, 15_000);

test("a false manifest is refused and another holder asked", async () => {
  const leecher = await leecherBesideSeeder();
  await startHolder(silent, { manifest: new Uint8Array(100) });
  await fetchTo(leecher, "source.bin", cluster.path("copy"));
  expect(existsSync(cluster.path("copy"))).toBe(true);
}, 15_000);

test("a holder that answers REQUEST_JOIN_SWARM with another reply gets no request, and the leecher serves others", async () => {
  const [seeder, leecher, third] = await cluster.joinPeers(["seeder", "leecher", "third"]);
  await cluster.publish(seeder, source);
  const holder = await startHolder(silent, { joinReply: { type: "REPLY_HEARTBEAT" } });
  await fetchTo(leecher, "source.bin", cluster.path("copy"));
  expect(holder.requests).toBe(0);
  await cluster.stopPeer(seeder);
  await fetchTo(third, "source.bin", cluster.path("third copy"));
  expectSameFile(cluster.path("third copy"), source);
}, 15_000);

test("with bad holders only, the fetch ends with an integrity error and nothing under the final name (F21)", async () => {
  const leecher = await cluster.joinPeer("leecher");
  const holder = await startHolder(flipped);
  const ticket = `p2pfs://${cluster.trackerAddress}/source.bin?id=${holder.contentId}`;
  await expectError("integrity", fetchTo(leecher, ticket, cluster.path("copy")));
  expect(existsSync(cluster.path("copy"))).toBe(false);
  expect(holder.requests).toBeLessThan(40);
  expect(cluster.log).toContain(`leecher debug: ${holder.address} is banned from the fetch of source.bin: integrity`);
});
