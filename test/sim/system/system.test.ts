/** Whole systems in virtual time: whatever happens, nothing wrong counts, and afterwards everything works again. */
import { expect, test } from "bun:test";
import { SECOND_MS } from "../../../src/core/units.ts";
import { MemoryDisk } from "../../../src/disk/memory-store.ts";
import type { Peer, PeerBacklog } from "../../../src/peer/peer.ts";
import type { Tracker } from "../../../src/tracker/tracker.ts";
import { chaos } from "./chaos.ts";
import { FILES_FOLDER, type World } from "./world.ts";

const IS_LONG = process.env.P2PFS_TEST_LONG === "1";
const SEEDS = IS_LONG ? 20_000 : 200;
const SEED_MS_MAX = 2000;
/** Every so many systems, one is a private swarm. */
const PRIVATE_EVERY = 4;
const LARGE_SEEDS = IS_LONG ? 200 : 3;
const LARGE_PEERS = 50;
const LARGE_SEED_MS_MAX = 20_000;

test(
  `${SEEDS} systems of up to three trackers and five peers, among breaking connections, frozen and dying processes and nonsense`,
  async () => {
    let fetched = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      const result = chaos({ seed, isPrivate: seed % PRIVATE_EVERY === 0 });
      expect(result.violations).toEqual([]);
      fetched += result.fetched;
      // Rejections that nobody handles are noticed in a turn of the real event loop.
      await new Promise(setImmediate);
    }
    expect(fetched).toBeGreaterThan(SEEDS);
  },
  SEEDS * SEED_MS_MAX,
);

test(
  `${LARGE_SEEDS} systems of up to three trackers and ${LARGE_PEERS} peers`,
  () => {
    for (let index = 1; index <= LARGE_SEEDS; index++) {
      const seed = index * (LARGE_PEERS - 1) - 1;
      const isPrivate = index % 3 === 0;
      expect(chaos({ seed, peersMax: LARGE_PEERS, isPrivate }).violations).toEqual([]);
    }
  },
  LARGE_SEEDS * LARGE_SEED_MS_MAX,
);

test("the same seed gives the same run, to the event", () => {
  expect(chaos({ seed: 7 })).toEqual(chaos({ seed: 7 }));
  expect(chaos({ seed: 8, isPrivate: true })).toEqual(chaos({ seed: 8, isPrivate: true }));
});

function replaceBacklog(role: Peer | Tracker, part: Partial<PeerBacklog>): void {
  const { backlog } = role;
  Object.defineProperty(role, "backlog", { get: () => ({ ...backlog, ...part }) });
}

/** Defects, one for each thing that has to hold, and what is said of them. */
const canaries: Readonly<Record<string, readonly [(world: World) => void, RegExp]>> = {
  "a file that differs from its content": [
    ({ hosts }) => {
      for (const { disk } of hosts) {
        const write = disk.write.bind(disk);
        disk.write = (path, bytes) => {
          if (path.startsWith(FILES_FOLDER)) bytes[0]! ^= 1;
          return write(path, bytes);
        };
      }
    },
    /differs from what was published/,
  ],
  "a fetch without a notice": [
    ({ hosts }) => {
      for (const { peer } of hosts) peer!.fetch = () => new Promise(() => {});
    },
    /the start of the last fetch of .* took longer/,
  ],
  "a fetch that does not end": [
    ({ hosts }) => {
      for (const { peer } of hosts) {
        const fetch = peer!.fetch.bind(peer);
        peer!.fetch = async (...request) =>
          Object.create(await fetch(...request), { done: { value: new Promise(() => {}) } });
      }
    },
    /the last fetch of .* took longer/,
  ],
  "a fetch that fails although somebody has the content": [
    ({ hosts }) => {
      for (const { peer } of hosts) peer!.fetch = () => Promise.reject(new Error("no reason"));
    },
    /the start of the last fetch of .* failed/,
  ],
  "a peer that is delisted": [
    ({ clock, registry, trackers }) => {
      const delist = async () => {
        for (const peer of (await registry.listPeers(null)).rows)
          for (const { tracker } of trackers) await registry.leave(peer, tracker!.id, 0);
      };
      clock.after(15 * SECOND_MS, () => void delist());
    },
    /is not listed/,
  ],
  "a peer that does not join again": [
    ({ hosts, network, clock }) => {
      for (const { ip, home } of hosts) network.partition(ip, home.ip, clock.now);
    },
    /has not joined again/,
  ],
  "a buffer that is not returned": [
    ({ hosts }) => {
      for (const { peer } of hosts) replaceBacklog(peer!, { bufferBytesTaken: 65_536 });
    },
    /ended with 65536 bytes of buffers in use/,
  ],
  "a fetch with too many buffers": [
    ({ hosts }) => replaceBacklog(hosts[0]!.peer!, { bufferBytesTaken: 2 ** 30 }),
    /has 1073741824 bytes of buffers in use/,
  ],
  "a queue of requests without end": [
    ({ hosts }) => replaceBacklog(hosts[0]!.peer!, { uploads: 20_000 }),
    /has 20000 requests waiting/,
  ],
  "bytes that nobody reads, without end": [
    ({ hosts }) => replaceBacklog(hosts[0]!.peer!, { sendBytes: 2 ** 40 }),
    /bytes waiting in \d+ connections/,
  ],
  "connections without end": [
    ({ trackers }) => replaceBacklog(trackers[0]!.tracker!, { connections: 1000 }),
    /has 1000 connections/,
  ],
  "a removed member that is still there": [
    ({ hosts }) => {
      hosts[0]!.isRevoked = true;
    },
    /was removed and is still there/,
  ],
  "a defect in the log": [(world) => world.log("peer error: defect 123456 during a fetch"), /defect 123456/],
};

test("a chunk that counts although its bytes are wrong is noticed", () => {
  const bytesOf = MemoryDisk.prototype.unfinishedBytes;
  MemoryDisk.prototype.unfinishedBytes = function (...names) {
    return bytesOf.apply(this, names)?.map((byte) => byte ^ 1);
  };
  try {
    // In each of these seeds somebody looks while a fetch has some of its chunks.
    const violations = [15, 20, 27, 36, 38].flatMap((seed) => chaos({ seed }).violations);
    expect(violations.join("\n")).toMatch(/counts chunk \d+ of file-\d+, whose bytes are wrong/);
  } finally {
    MemoryDisk.prototype.unfinishedBytes = bytesOf;
  }
});

test.each(Object.entries(canaries))("%s is noticed", (_name, [sabotage, complaint]) => {
  const seeds = [3, 5, 8];
  const violations = seeds.flatMap((seed) => chaos({ seed, chaosMs: 5 * SECOND_MS, sabotage }).violations);
  expect(violations.join("\n")).toMatch(complaint);
});
