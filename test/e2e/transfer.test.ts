/** Publishing and fetching among real peers: the main job, and the rules around it. */
import { beforeEach, describe, expect, test } from "bun:test";
import { existsSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { NOTICE_MS_MAX } from "../../src/core/limits.ts";
import { RATE_LIMIT_MIN } from "../../src/core/rate.ts";
import { KiB, MiB } from "../../src/core/units.ts";
import type { Peer } from "../../src/peer/peer.ts";
import { expectError } from "../support/errors.ts";
import { expectSameFile, fetchFilesIn } from "../support/folder.ts";
import { GatedStore } from "../support/gated-store.ts";
import { Cluster, fetchTo, hostPortOf, joined, untilChunks } from "../support/roles.ts";
import { until } from "../support/until.ts";

const CHUNK = 64 * KiB;

let cluster: Cluster;
beforeEach(async () => {
  cluster = await Cluster.open();
});

describe("one file from one peer (F16, F17)", () => {
  const sizes = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 100 * CHUNK, 100 * CHUNK + 1, 200 * CHUNK];
  test.each(sizes)("%d bytes", async (size) => {
    const [seeder, leecher] = await cluster.joinPeers(["seeder", "leecher"]);
    const source = cluster.makeFile("source.bin", size);
    const published = await cluster.publish(seeder, source);
    expect(published).toMatchObject({ fname: "source.bin", size, path: source, address: seeder.address! });
    const receipt = await fetchTo(leecher, "source.bin", cluster.path("copy.bin"));
    expectSameFile(cluster.path("copy.bin"), source);
    expect(receipt).toMatchObject({ content_id: published.content_id, bytes_fetched: size, rejected: 0 });
    expect(fetchFilesIn(cluster.folder)).toEqual([]);
  });

  test("a file without a destination is placed in the repository folder", async () => {
    const [seeder, leecher] = await cluster.joinPeers(["seeder", "leecher"]);
    const source = cluster.makeFile("source.bin", 3 * MiB);
    await cluster.publish(seeder, source, "other name.bin");
    await (await leecher.fetch({ what: "other name.bin" })).done;
    expectSameFile(cluster.path("leecher/files/other name.bin"), source);
  });

  test("R1: the tracker lists it within 2 s of the publish", async () => {
    const seeder = await cluster.joinPeer("seeder");
    await cluster.publish(seeder, cluster.makeFile("source.bin", MiB));
    const { rows } = await cluster.tracker.listFiles();
    expect(rows).toMatchObject([{ fname: "source.bin", size: MiB, total_chunknum: 16, holders: 1 }]);
    expect((await seeder.listFiles()).rows).toEqual(rows as never);
  });
});

describe("many at once", () => {
  test("F4, R4: peers fetch many files from each other at the same time", async () => {
    const peers = await cluster.joinPeers(["a", "b", "c", "d", "e"]);
    const files = peers.map((_, index) => cluster.makeFile(`file-${index}`, 2 * MiB + index * 1000, index + 1));
    await Promise.all(peers.map((peer, index) => cluster.publish(peer, files[index]!)));
    // All roles share one event loop, and each fetch has the time of R5 to find its file: those of one peer begin together,
    // and chunks flow when all have begun.
    for (const peer of peers) peer.setLimits({ up_limit: RATE_LIMIT_MIN });
    const begin = async (peer: Peer, source: string) => {
      const copy = cluster.path(`copy ${peers.indexOf(peer)}-${files.indexOf(source)}`);
      return { job: await peer.fetch({ what: basename(source), destination: copy }), source, copy };
    };
    const begun: Awaited<ReturnType<typeof begin>>[] = [];
    for (const [reader, peer] of peers.entries()) {
      const others = files.filter((_, owner) => owner !== reader);
      begun.push(...(await Promise.all(others.map((source) => begin(peer, source)))));
    }
    for (const peer of peers) peer.setLimits({ up_limit: null });
    await Promise.all(begun.map(({ job }) => job.done));
    for (const { source, copy } of begun) expectSameFile(copy, source);
  });

  test("F19: leechers serve what they have, while they fetch and after", async () => {
    const [seeder, ...leechers] = await cluster.joinPeers(["seeder", "a", "b", "c", "d"]);
    const source = cluster.makeFile("source.bin", 4 * MiB);
    const { content_id } = await cluster.publish(seeder, source);
    // All of them are in the swarm before it sends them more than a trickle.
    seeder.setLimits({ up_limit: RATE_LIMIT_MIN });
    const jobs = await Promise.all(
      leechers.map((peer, index) => peer.fetch({ what: "source.bin", destination: cluster.path(`copy-${index}`) })),
    );
    seeder.setLimits({ up_limit: 8 * MiB });
    const receipts = await Promise.all(jobs.map((job) => job.done));
    for (const index of leechers.keys()) expectSameFile(cluster.path(`copy-${index}`), source);
    const fromLeechers = receipts.flatMap(({ sources }) => sources).filter(({ address }) => address !== seeder.address);
    expect(fromLeechers.reduce((sum, share) => sum + share.bytes, 0)).toBeGreaterThan(0);
    const holders = async () => (await cluster.tracker.listFiles()).rows[0]?.holders;
    await until("all five are holders", async () => (await holders()) === 5);

    await cluster.stopPeer(seeder);
    const late = await cluster.joinPeer("late");
    const receipt = await fetchTo(late, "source.bin", cluster.path("copy-late"));
    expectSameFile(cluster.path("copy-late"), source);
    expect(receipt.content_id).toBe(content_id);
    expect(receipt.sources.length).toBeGreaterThan(1);
  });
});

describe("rules", () => {
  test("R2: a name is shared once by one peer, case and normalisation aside; two peers may use the same", async () => {
    const [one, two] = await cluster.joinPeers(["one", "two"]);
    const first = cluster.makeFile("first", 1000, 1);
    const second = cluster.makeFile("second", 1000, 2);
    await cluster.publish(one, first, "Name.bin");
    await expectError("refused", cluster.publish(one, second, "name.BIN"));
    await cluster.publish(two, second, "Name.bin");
    expect((await cluster.tracker.listFiles()).rows).toHaveLength(2);
  });

  test("R3: a path is shared once, also through a symlink", async () => {
    const peer = await cluster.joinPeer("peer");
    const path = cluster.makeFile("file", 1000);
    await cluster.publish(peer, path, "one");
    symlinkSync(path, cluster.path("link"));
    await expectError("refused", cluster.publish(peer, path, "two"));
    await expectError("refused", cluster.publish(peer, cluster.path("link"), "two"));
  });

  test("R6: a peer cannot fetch what only it published", async () => {
    const peer = await cluster.joinPeer("peer");
    await cluster.publish(peer, cluster.makeFile("file", 1000));
    await expectError("refused", peer.fetch({ what: "file", destination: cluster.path("copy") }));
  });

  test("R7: an existing destination is refused and left as it is", async () => {
    const [seeder, leecher] = await cluster.joinPeers(["seeder", "leecher"]);
    await cluster.publish(seeder, cluster.makeFile("file", 1000));
    writeFileSync(cluster.path("there"), "mine");
    await expectError("refused", fetchTo(leecher, "file", cluster.path("there")));
    expect(readFileSync(cluster.path("there"), "utf8")).toBe("mine");
  });

  test("R5: an unknown name is reported within 2 s", async () => {
    const peer = await cluster.joinPeer("peer");
    const started = performance.now();
    await expectError("not_found", peer.fetch({ what: "nothing" }));
    expect(performance.now() - started).toBeLessThan(NOTICE_MS_MAX);
  });

  test("decision 3: different files of one name are ambiguous until an address or a ticket says which", async () => {
    const [one, two, leecher] = await cluster.joinPeers(["one", "two", "leecher"]);
    const first = cluster.makeFile("first", 1000, 1);
    const second = cluster.makeFile("second", 1000, 2);
    await cluster.publish(one, first, "name");
    const { ticket } = await cluster.publish(two, second, "name");
    await expectError("ambiguous", leecher.fetch({ what: "name" }));
    const from = hostPortOf(one.address!);
    await (await leecher.fetch({ what: "name", from, destination: cluster.path("copy-1") })).done;
    expectSameFile(cluster.path("copy-1"), first);
    await fetchTo(leecher, ticket, cluster.path("copy-2"));
    expectSameFile(cluster.path("copy-2"), second);
  });

  test("a shared file that changed since it was published is not served; the fetch fails and leaves nothing", async () => {
    const [seeder, leecher] = await cluster.joinPeers(["seeder", "leecher"]);
    const source = cluster.makeFile("source.bin", 2 * MiB);
    await cluster.publish(seeder, source);
    writeFileSync(source, "something else");
    await expectError("no_holder", fetchTo(leecher, "source.bin", cluster.path("copy")));
    expect(existsSync(cluster.path("copy"))).toBe(false);
  });
});

test("a peer that starts again has its port, its shares and its fetched files", async () => {
  const [seeder, leecher] = await cluster.joinPeers(["seeder", "leecher"]);
  const source = cluster.makeFile("source.bin", 3 * MiB);
  await cluster.publish(seeder, source);
  await fetchTo(leecher, "source.bin", cluster.path("copy"));
  const { address } = leecher;
  await Promise.all([cluster.stopPeer(seeder), cluster.stopPeer(leecher)]);
  const again = await cluster.joinPeer("leecher");
  expect(again.address).toBe(address);
  const third = await cluster.joinPeer("third");
  await fetchTo(third, "source.bin", cluster.path("copy-3"));
  expectSameFile(cluster.path("copy-3"), source);
});

describe("while a fetch is under way", () => {
  const SIZE = 2 * MiB;
  /** What the seeder sends before the gate holds it. */
  const CHUNKS_SENT = 11;
  let gate: GatedStore;
  let seeder: Peer;
  let leecher: Peer;
  let source: string;
  beforeEach(async () => {
    gate = new GatedStore();
    seeder = await cluster.joinPeer("seeder", { store: gate });
    leecher = await cluster.joinPeer("leecher");
    source = cluster.makeFile("source.bin", SIZE);
    await cluster.publish(seeder, source);
    gate.holdAfter(CHUNKS_SENT * CHUNK);
  });

  const fetch = (destination = "copy") => leecher.fetch({ what: "source.bin", destination: cluster.path(destination) });

  async function heldFetch() {
    const job = await fetch();
    await untilChunks(job, CHUNKS_SENT - 1);
    expect(job.progress().state).toBe("running");
    return job;
  }

  test("another of the same content to the same destination joins it; one to another destination copies locally", async () => {
    const [one, same] = await Promise.all([fetch(), fetch()]);
    expect(same).toBe(one);
    const other = await fetch("copy-2");
    gate.open();
    await one.done;
    expect(await other.done).toMatchObject({ bytes_copied: SIZE, bytes_fetched: 0 });
    expectSameFile(cluster.path("copy-2"), source);
  });

  test("the tracker may stop: the fetch goes on, and all register again when it is back", async () => {
    const job = await heldFetch();
    await cluster.stopTracker();
    gate.open();
    await job.done;
    expectSameFile(cluster.path("copy"), source);
    await expectError("tracker_unreachable", seeder.listFiles());
    await cluster.startTracker();
    await joined(seeder, leecher);
    expect((await seeder.listFiles()).rows).toMatchObject([{ fname: "source.bin", holders: 2 }]);
  });

  test("D7: when the last holder goes, it ends with the name of a chunk and keeps what has arrived", async () => {
    const job = await heldFetch();
    await cluster.stopPeer(seeder);
    await expectError("no_holder", job.done, /chunk \d+ of 32 of source\.bin/);
    expect(existsSync(cluster.path("copy"))).toBe(false);

    await cluster.joinPeer("seeder");
    const receipt = await fetchTo(leecher, "source.bin", cluster.path("copy"));
    expect(receipt.bytes_resumed).toBeGreaterThanOrEqual((CHUNKS_SENT - 1) * CHUNK);
    expect(receipt.bytes_resumed + receipt.bytes_fetched).toBe(SIZE);
    expectSameFile(cluster.path("copy"), source);
  }, 15_000);

  test("stop keeps the part file, cancel deletes it", async () => {
    const stopped = await heldFetch();
    stopped.stop();
    await expectError("cancelled", stopped.done);
    expect(fetchFilesIn(cluster.folder)).not.toEqual([]);
    gate.open();
    gate.holdAfter(CHUNKS_SENT * CHUNK);
    const cancelled = await fetch();
    await untilChunks(cancelled, CHUNKS_SENT);
    cancelled.cancel();
    await expectError("cancelled", cancelled.done);
    expect(fetchFilesIn(cluster.folder)).toEqual([]);
  });
});
