/** Holders that lie, break off or say nothing: worked around while anybody honest is there, told when nobody is. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { KiB, MiB } from "../../src/core/units.ts";
import type { Peer } from "../../src/peer/peer.ts";
import { Cluster, errorOf, fetchTo } from "./cluster.ts";
import { type Answer, Rogue, type RogueOptions } from "./rogue.ts";

const CHUNK = 64 * KiB;

let cluster: Cluster;
let source: string;
let rogues: Rogue[];
beforeEach(async () => {
  cluster = await Cluster.start();
  source = cluster.makeFile("source.bin", 4 * MiB);
  rogues = [];
});
afterEach(async () => {
  for (const rogue of rogues) rogue.close();
  await cluster.close();
});

async function startRogue(answer: Answer, options: Partial<RogueOptions> = {}): Promise<Rogue> {
  const rogue = await Rogue.start({ tracker: cluster.trackerAddress, path: source, answer, ...options });
  rogues.push(rogue);
  return rogue;
}

const flipped: Answer = (chunk, bytes) => {
  const wrong = Uint8Array.from(bytes);
  wrong[1000]! ^= 1;
  return { chunk, bytes: wrong };
};
const otherChunk: Answer = (chunk, bytes) => ({ chunk: chunk === 0 ? 1 : 0, bytes });
const shortened: Answer = (chunk, bytes) => ({ chunk, bytes: bytes.subarray(0, CHUNK - 1) });
const empty: Answer = (chunk) => ({ chunk, bytes: new Uint8Array(0) });
const silent: Answer = () => undefined;

async function leecherBesideSeeder(): Promise<Peer> {
  const [seeder, leecher] = await cluster.startPeers(["seeder", "leecher"]);
  await cluster.publish(seeder!, source);
  return leecher!;
}

test.each([
  ["wrong bytes under a digest that fits them (F21)", flipped],
  ["another chunk than the one asked for", otherChunk],
  ["a chunk that is too short", shortened],
  ["an empty chunk", empty],
])("%s: the file comes from the honest holder and the liar is dropped", async (_what, answer) => {
  const leecher = await leecherBesideSeeder();
  const rogue = await startRogue(answer);
  const receipt = await fetchTo(leecher, "source.bin", cluster.path("copy"));
  expect(Buffer.compare(readFileSync(source), readFileSync(cluster.path("copy")))).toBe(0);
  expect(rogue.requests).toBeLessThan(40);
  expect(receipt.sources.find((share) => share.address === rogue.address)?.chunks ?? 0).toBe(0);
});

test("a holder that says nothing does not stall the fetch", async () => {
  const leecher = await leecherBesideSeeder();
  await startRogue(silent);
  await fetchTo(leecher, "source.bin", cluster.path("copy"));
  expect(Buffer.compare(readFileSync(source), readFileSync(cluster.path("copy")))).toBe(0);
}, 15_000);

test("a false manifest is refused and another holder asked", async () => {
  const leecher = await leecherBesideSeeder();
  await startRogue(silent, { manifest: new Uint8Array(100) });
  await fetchTo(leecher, "source.bin", cluster.path("copy"));
  expect(existsSync(cluster.path("copy"))).toBe(true);
}, 15_000);

test("a holder that answers REQUEST_JOIN_SWARM with another reply is left alone, and who asked it serves others", async () => {
  const [seeder, leecher, third] = await cluster.startPeers(["seeder", "leecher", "third"]);
  await cluster.publish(seeder!, source);
  const rogue = await startRogue(silent, { joinReply: { type: "REPLY_HEARTBEAT" } });
  await fetchTo(leecher!, "source.bin", cluster.path("copy"));
  expect(rogue.requests).toBe(0);
  await cluster.stopPeer(seeder!);
  await fetchTo(third!, "source.bin", cluster.path("third copy"));
  expect(Buffer.compare(readFileSync(source), readFileSync(cluster.path("third copy")))).toBe(0);
}, 15_000);

test("with liars only, the fetch ends with an integrity error and nothing under the final name", async () => {
  const [leecher] = await cluster.startPeers(["leecher"]);
  const rogue = await startRogue(flipped);
  const ticket = `p2pfs://${cluster.trackerAddress}/source.bin?id=${rogue.contentId}`;
  expect(await errorOf(fetchTo(leecher!, ticket, cluster.path("copy")))).toMatchObject({ code: "integrity" });
  expect(existsSync(cluster.path("copy"))).toBe(false);
  expect(cluster.log).toContain(`leecher debug: ${rogue.address} is banned from the fetch of source.bin: integrity`);
  expect(rogue.requests).toBeLessThan(40);
});
