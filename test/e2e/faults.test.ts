/**
 * Fetches over lines and from peers that fail in every way that the fault proxy knows, while one honest copy can be
 * reached: each ends with the right bytes (N1). And what happens when no copy is left (D7).
 */
import { afterAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { extname } from "node:path";
import { portOf } from "../../src/core/address.ts";
import { NOTICE_MS_MAX } from "../../src/core/limits.ts";
import { KiB, MiB, SECOND_MS } from "../../src/core/units.ts";
import type { Peer, PeerOptions } from "../../src/peer/peer.ts";
import { closingAfter } from "../support/closing.ts";
import { expectError } from "../support/errors.ts";
import { type FaultKind, FaultProxy, faultKinds } from "../support/fault-proxy.ts";
import { expectSameFile, fetchFilesIn } from "../support/folder.ts";
import { GatedStore } from "../support/gated-store.ts";
import { Cluster, fetchTo, joined, untilChunks } from "../support/roles.ts";
import { seededRandom } from "../swarm/support.ts";

/** Two fetches each. */
const WORLDS = process.env.P2PFS_TEST_LONG === "1" ? 250 : 10;
const WORLDS_AT_ONCE = 3;
const FAULTY_HOLDERS = 3;
const FAULT_RATE = 0.08;
/** Slow enough that the faulty holders are needed as well. */
const HONEST_BYTES_PER_SECOND = 4 * MiB;
const FETCH_MS_MAX = 25 * SECOND_MS;
/** From the loss of the last holder to the notice that nobody has a chunk. */
const LOSS_NOTICE_MS_MAX = 15 * SECOND_MS;
const CHUNK = 64 * KiB;
/** 64 chunks. */
const SIZE = 4 * MiB;
const CHUNKS_BEFORE_CUT = 8;
const SILENT_HOLDERS = 7;

const injected = new Map<FaultKind, number>(faultKinds.map((kind) => [kind, 0]));
let fetches = 0;
afterAll(() => {
  const counts = [...injected].map(([kind, count]) => `${count} × ${kind}`).join(", ");
  console.log(`faults injected into ${fetches} fetches: ${counts}`);
});

/** A peer that others reach through the proxy only. */
async function startBehind(
  cluster: Cluster,
  proxy: FaultProxy,
  name: string,
  options: Partial<PeerOptions> = {},
): Promise<Peer> {
  const advertise = { host: "127.0.0.1", port: proxy.port };
  const peer = await cluster.startPeer(name, { advertise, ...options });
  proxy.forwardTo(portOf(peer.status().listen));
  return peer;
}

/**
 * One honest seeder, three behind bad lines, and two leechers, one of them behind a bad line. Gives the function by which
 * both leechers fetch at once.
 */
async function startWorld(seed: number): Promise<() => Promise<void>> {
  const random = seededRandom(seed);
  const cluster = await Cluster.open();
  const startFaulty = async (name: string) => {
    const proxy = await FaultProxy.start({
      random: seededRandom(Math.floor(random() * 2 ** 32)),
      rate: FAULT_RATE,
      injected: (kind) => injected.set(kind, injected.get(kind)! + 1),
    });
    return startBehind(cluster, proxy, name);
  };
  const honest = await cluster.startPeer("honest", { limits: { up_limit: HONEST_BYTES_PER_SECOND } });
  const faulty: Peer[] = [];
  for (let i = 0; i < FAULTY_HOLDERS; i++) faulty.push(await startFaulty(`faulty-${i}`));
  const leechers = [await cluster.startPeer("leecher"), await startFaulty("leecher-2")];
  await joined(honest, ...faulty, ...leechers);
  const source = cluster.makeFile("source.bin", Math.floor(MiB + random() * 2 * MiB), seed + 1);
  const { ticket } = await cluster.publish(honest, source);
  for (const peer of faulty) await cluster.publish(peer, source);
  const fetchOne = async (leecher: Peer, index: number) => {
    const copy = cluster.path(`copy-${index}`);
    await Promise.race([fetchTo(leecher, ticket, copy), tooLong(seed)]);
    expectSameFile(copy, source);
    fetches++;
  };
  return async () => {
    try {
      await Promise.all(leechers.map(fetchOne));
    } catch (thrown) {
      throw new Error(`seed ${seed}: ${thrown instanceof Error ? thrown.message : thrown}`, { cause: thrown });
    }
  };
}

async function tooLong(seed: number): Promise<never> {
  await Bun.sleep(FETCH_MS_MAX);
  throw new Error(`a fetch of seed ${seed} took more than ${FETCH_MS_MAX} ms`);
}

test(
  `${2 * WORLDS} fetches among faults end with the right bytes, since an honest copy can be reached (N1, F21, D6)`,
  async () => {
    const failures: unknown[] = [];
    const runSome = async (first: number) => {
      // Opening a dozen databases holds up the event loop; a fetch that begins meanwhile would miss the time of R5.
      const worlds: (() => Promise<void>)[] = [];
      for (let index = first; index < Math.min(WORLDS, first + WORLDS_AT_ONCE); index++)
        worlds.push(await startWorld(1000 + index));
      await Promise.all(worlds.map((fetchAll) => fetchAll().catch((thrown) => failures.push(thrown))));
    };
    for (let first = 0; first < WORLDS; first += WORLDS_AT_ONCE) await closingAfter(() => runSome(first));
    expect(failures).toEqual([]);
    expect(fetches).toBe(2 * WORLDS);
    for (const kind of faultKinds) expect({ kind, count: injected.get(kind) }).not.toEqual({ kind, count: 0 });
  },
  WORLDS * FETCH_MS_MAX,
);

test(
  "a fetch begins in time though most holders are silent from the start (R5)",
  async () => {
    const cluster = await Cluster.open();
    const proxies: FaultProxy[] = [];
    const silent: Peer[] = [];
    for (let i = 0; i < SILENT_HOLDERS; i++) {
      proxies.push(await FaultProxy.sound());
      silent.push(await startBehind(cluster, proxies[i]!, `silent-${i}`));
    }
    const [honest, leecher] = await cluster.joinPeers(["honest", "leecher"]);
    await joined(...silent);
    const source = cluster.makeFile("source.bin", MiB);
    const { ticket } = await cluster.publish(honest, source);
    for (const peer of silent) await cluster.publish(peer, source);
    for (const proxy of proxies) proxy.goSilent();
    const askedMs = performance.now();
    const job = await leecher.fetch({ what: ticket, destination: cluster.path("copy.bin") });
    expect(performance.now() - askedMs).toBeLessThan(NOTICE_MS_MAX);
    await job.done;
    expectSameFile(cluster.path("copy.bin"), source);
  },
  FETCH_MS_MAX,
);

describe("with no copy left", () => {
  test.each([
    ["the process of the last holder ends", (proxy: FaultProxy) => proxy.close()],
    ["the cable of the last holder is pulled", (proxy: FaultProxy) => proxy.goSilent()],
  ])(
    "since %s, the fetch names a missing chunk in time and keeps what it has (D7)",
    async (_how, cutOff) => {
      const cluster = await Cluster.open();
      const gate = new GatedStore();
      const proxy = await FaultProxy.sound();
      const holder = await startBehind(cluster, proxy, "holder", { store: gate });
      const leecher = await cluster.joinPeer("leecher");
      await joined(holder);
      const source = cluster.makeFile("source.bin", SIZE);
      const { ticket } = await cluster.publish(holder, source);
      gate.holdAfter(CHUNKS_BEFORE_CUT * CHUNK);
      const copy = cluster.path("copy.bin");
      const job = await leecher.fetch({ what: ticket, destination: copy });
      await untilChunks(job, CHUNKS_BEFORE_CUT - 1);
      const cutMs = performance.now();
      cutOff(proxy);
      await expectError("no_holder", job.done, /chunk \d+ of 64 of source\.bin/);
      expect(performance.now() - cutMs).toBeLessThan(LOSS_NOTICE_MS_MAX);
      const kept = job.progress().chunks;
      expect(kept).toBeGreaterThanOrEqual(CHUNKS_BEFORE_CUT - 1);
      expect(existsSync(copy)).toBe(false);
      expect(
        fetchFilesIn(cluster.folder)
          .map((name) => extname(name))
          .toSorted(),
      ).toEqual([".journal", ".part"]);

      const other = await cluster.joinPeer("other");
      await cluster.publish(other, source);
      const receipt = await fetchTo(leecher, ticket, copy);
      expect(receipt.bytes_resumed).toBe(kept * CHUNK);
      expect(receipt.bytes_fetched).toBe(SIZE - receipt.bytes_resumed);
      expectSameFile(copy, source);
    },
    LOSS_NOTICE_MS_MAX + FETCH_MS_MAX,
  );
});
