/**
 * Fetches over lines and from peers that fail in every way that the fault proxy knows, while one honest copy can be
 * reached: each ends with the right bytes (N1). And what happens when no copy is left (D7).
 */
import { afterAll, afterEach, beforeEach, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { extname } from "node:path";
import { portOf } from "../../src/core/address.ts";
import { NOTICE_MS_MAX } from "../../src/core/limits.ts";
import { KiB, MiB, SECOND_MS } from "../../src/core/units.ts";
import type { Peer } from "../../src/peer/peer.ts";
import { seededRandom } from "../swarm/support.ts";
import { Cluster, errorOf, fetchTo, until } from "./cluster.ts";
import { type FaultKind, FaultProxy, type FaultProxyOptions, faultKinds } from "./fault-proxy.ts";

/** Two fetches each. */
const WORLDS = process.env.P2PFS_TEST_LONG === "1" ? 250 : 10;
const WORLDS_AT_ONCE = 3;
const FAULTY_HOLDERS = 3;
const FAULT_RATE = 0.08;
/** Slow enough that the faulty holders are needed as well. */
const HONEST_BYTES_PER_SECOND = 4 * MiB;
const FETCH_MS_MAX = 25 * SECOND_MS;
const JOIN_MS_MAX = 20 * SECOND_MS;
/** From the loss of the last holder to the notice that nobody has a chunk. */
const LOSS_NOTICE_MS_MAX = 15 * SECOND_MS;
const CHUNKS_BEFORE_CUT = 8;
const SILENT_HOLDERS = 7;

const injected = new Map<FaultKind, number>(faultKinds.map((kind) => [kind, 0]));
let fetches = 0;
afterAll(() => {
  const counts = [...injected].map(([kind, count]) => `${count} × ${kind}`).join(", ");
  console.log(`faults injected into ${fetches} fetches: ${counts}`);
});

/** A peer that others reach through a proxy only. */
async function startBehind(
  cluster: Cluster,
  name: string,
  options: FaultProxyOptions,
  proxies: FaultProxy[],
): Promise<Peer> {
  const proxy = await FaultProxy.start(options);
  proxies.push(proxy);
  const peer = await cluster.startPeer(name, { advertise: { host: "127.0.0.1", port: proxy.port } });
  proxy.forwardTo(portOf(peer.status().listen));
  return peer;
}

/** However busy the machine is with what goes on beside this. */
async function joined(peers: readonly Peer[]): Promise<void> {
  await until(() => peers.every((peer) => peer.status().connected), JOIN_MS_MAX);
}

function digestOf(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}

interface World {
  fetchAll(): Promise<void>;
  close(): Promise<void>;
}

/** One honest seeder, three behind bad lines, and two peers that fetch at once, one of them behind a bad line. */
async function startWorld(seed: number): Promise<World> {
  const random = seededRandom(seed);
  const cluster = await Cluster.start();
  const proxies: FaultProxy[] = [];
  const faults = (): FaultProxyOptions => ({
    random: seededRandom(Math.floor(random() * 2 ** 32)),
    rate: FAULT_RATE,
    injected: (kind) => injected.set(kind, injected.get(kind)! + 1),
  });
  const close = async () => {
    for (const proxy of proxies) proxy.close();
    await cluster.close();
  };
  try {
    const honest = await cluster.startPeer("honest", { limits: { up_limit: HONEST_BYTES_PER_SECOND } });
    const faulty: Peer[] = [];
    for (let i = 0; i < FAULTY_HOLDERS; i++) faulty.push(await startBehind(cluster, `faulty-${i}`, faults(), proxies));
    const leechers = [await cluster.startPeer("leecher"), await startBehind(cluster, "leecher-2", faults(), proxies)];
    await joined([honest, ...faulty, ...leechers]);
    const source = cluster.makeFile("source.bin", Math.floor(MiB + random() * 2 * MiB), seed + 1);
    const { ticket } = await cluster.publish(honest, source);
    for (const peer of faulty) await cluster.publish(peer, source);
    const fetchOne = async (leecher: Peer, index: number) => {
      const copy = cluster.path(`copy-${index}`);
      await Promise.race([fetchTo(leecher, ticket, copy), tooLong(seed)]);
      expect(digestOf(copy)).toBe(digestOf(source));
      fetches++;
    };
    const fetchAll = async () => {
      try {
        await Promise.all(leechers.map(fetchOne));
      } catch (thrown) {
        throw new Error(`seed ${seed}: ${thrown instanceof Error ? thrown.message : thrown}`, { cause: thrown });
      }
    };
    return { fetchAll, close };
  } catch (thrown) {
    await close();
    throw thrown;
  }
}

async function tooLong(seed: number): Promise<never> {
  await Bun.sleep(FETCH_MS_MAX);
  throw new Error(`a fetch of seed ${seed} took more than ${FETCH_MS_MAX} ms`);
}

test(
  `${2 * WORLDS} fetches among faults end with the right bytes, since an honest copy can be reached (N1, F21, D6)`,
  async () => {
    const failures: unknown[] = [];
    for (let first = 0; first < WORLDS; first += WORLDS_AT_ONCE) {
      // Opening a dozen databases holds up the event loop; a fetch that begins meanwhile would miss the time of R5.
      const worlds: World[] = [];
      for (let index = first; index < Math.min(WORLDS, first + WORLDS_AT_ONCE); index++)
        worlds.push(await startWorld(1000 + index));
      await Promise.all(worlds.map((world) => world.fetchAll().catch((thrown) => failures.push(thrown))));
      for (const world of worlds) await world.close();
    }
    expect(failures).toEqual([]);
    expect(fetches).toBe(2 * WORLDS);
    for (const kind of faultKinds) expect({ kind, count: injected.get(kind) }).not.toEqual({ kind, count: 0 });
  },
  WORLDS * FETCH_MS_MAX,
);

test(
  "a fetch begins in time though most holders are silent from the start (R5)",
  async () => {
    const cluster = await Cluster.start();
    const proxies: FaultProxy[] = [];
    try {
      const sound: FaultProxyOptions = { random: Math.random, rate: 0, injected: () => {} };
      const silent: Peer[] = [];
      for (let i = 0; i < SILENT_HOLDERS; i++) silent.push(await startBehind(cluster, `silent-${i}`, sound, proxies));
      const [honest, leecher] = [await cluster.startPeer("honest"), await cluster.startPeer("leecher")];
      await joined([...silent, honest, leecher]);
      const source = cluster.makeFile("source.bin", MiB);
      const { ticket } = await cluster.publish(honest, source);
      for (const peer of silent) await cluster.publish(peer, source);
      for (const proxy of proxies) proxy.goSilent();
      const askedMs = performance.now();
      const job = await leecher.fetch({ what: ticket, destination: cluster.path("copy.bin") });
      expect(performance.now() - askedMs).toBeLessThan(NOTICE_MS_MAX);
      await job.done;
      expect(digestOf(cluster.path("copy.bin"))).toBe(digestOf(source));
    } finally {
      for (const proxy of proxies) proxy.close();
      await cluster.close();
    }
  },
  FETCH_MS_MAX,
);

describe("with no copy left", () => {
  let cluster: Cluster;
  const proxies: FaultProxy[] = [];
  beforeEach(async () => {
    cluster = await Cluster.start();
  });
  afterEach(async () => {
    for (const proxy of proxies.splice(0)) proxy.close();
    await cluster.close();
  });

  test.each([
    ["its process ends", (proxy: FaultProxy) => proxy.close()],
    ["its cable is pulled", (proxy: FaultProxy) => proxy.goSilent()],
  ])(
    "since %s, the fetch names the chunk in time and keeps what it has (D7)",
    async (_how, cutOff) => {
      const sound: FaultProxyOptions = { random: Math.random, rate: 0, injected: () => {} };
      const holder = await startBehind(cluster, "holder", sound, proxies);
      holder.setLimits({ up_limit: 2 * MiB });
      const leecher = await cluster.startPeer("leecher");
      await joined([holder, leecher]);
      const source = cluster.makeFile("source.bin", 4 * MiB);
      const { ticket } = await cluster.publish(holder, source);
      const copy = cluster.path("copy.bin");
      const job = await leecher.fetch({ what: ticket, destination: copy });
      await until(() => job.progress().chunks >= CHUNKS_BEFORE_CUT);
      const cutMs = performance.now();
      cutOff(proxies[0]!);
      const error = await errorOf(job.done);
      expect(error).toMatchObject({
        code: "no_holder",
        message: expect.stringMatching(/chunk \d+ of 64 of source\.bin/),
      });
      expect(performance.now() - cutMs).toBeLessThan(LOSS_NOTICE_MS_MAX);
      const kept = job.progress().chunks;
      expect(kept).toBeGreaterThanOrEqual(CHUNKS_BEFORE_CUT);
      expect(existsSync(copy)).toBe(false);
      const left = readdirSync(cluster.folder).filter((name) => name.startsWith(".p2pfs"));
      expect(left.map((name) => extname(name)).toSorted()).toEqual([".journal", ".part"]);

      const other = await cluster.startPeer("other");
      await joined([other]);
      await cluster.publish(other, source);
      const receipt = await fetchTo(leecher, ticket, copy);
      expect(receipt.bytes_resumed).toBe(kept * 64 * KiB);
      expect(receipt.bytes_fetched).toBe(4 * MiB - receipt.bytes_resumed);
      expect(digestOf(copy)).toBe(digestOf(source));
    },
    LOSS_NOTICE_MS_MAX + FETCH_MS_MAX,
  );
});
