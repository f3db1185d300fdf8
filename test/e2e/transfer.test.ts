/** Publishing and fetching among real peers: the main job, and the rules around it. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { hostOf, portOf } from "../../src/core/address.ts";
import { NOTICE_MS_MAX } from "../../src/core/limits.ts";
import { RATE_LIMIT_MIN } from "../../src/core/rate.ts";
import { KiB, MiB } from "../../src/core/units.ts";
import { Cluster, errorOf, fetchTo, until } from "./cluster.ts";

let cluster: Cluster;
beforeEach(async () => {
  cluster = await Cluster.start();
});
afterEach(() => cluster.close());

function expectSameFile(a: string, b: string): void {
  expect(Buffer.compare(readFileSync(a), readFileSync(b))).toBe(0);
}

describe("one file from one peer (F16, F17)", () => {
  const sizes = [0, 1, 64 * KiB - 1, 64 * KiB, 64 * KiB + 1, 100 * 64 * KiB, 100 * 64 * KiB + 1, 200 * 64 * KiB];
  test.each(sizes)("%d bytes", async (size) => {
    const [seeder, leecher] = await cluster.startPeers(["seeder", "leecher"]);
    const source = cluster.makeFile("source.bin", size);
    const published = await cluster.publish(seeder!, source);
    expect(published).toMatchObject({ fname: "source.bin", size, path: source, address: seeder!.address! });
    const receipt = await fetchTo(leecher!, "source.bin", cluster.path("copy.bin"));
    expectSameFile(source, cluster.path("copy.bin"));
    expect(receipt).toMatchObject({ content_id: published.content_id, bytes_fetched: size, rejected: 0 });
    expect(readdirSync(cluster.folder).filter((name) => name.startsWith(".p2pfs"))).toEqual([]);
  });

  test("a file without a destination lands in the repository folder", async () => {
    const [seeder, leecher] = await cluster.startPeers(["seeder", "leecher"]);
    const source = cluster.makeFile("source.bin", 3 * MiB);
    await cluster.publish(seeder!, source, "other name.bin");
    await (await leecher!.fetch({ what: "other name.bin" })).done;
    expectSameFile(source, cluster.path("leecher/files/other name.bin"));
  });

  test("R1: the tracker lists it within 2 s of the publish", async () => {
    const [seeder] = await cluster.startPeers(["seeder"]);
    await cluster.publish(seeder!, cluster.makeFile("source.bin", MiB));
    const { rows } = await cluster.tracker.listFiles();
    expect(rows).toMatchObject([{ fname: "source.bin", size: MiB, total_chunknum: 16, holders: 1 }]);
    expect((await seeder!.listFiles()).rows).toEqual(rows as never);
  });
});

describe("many at once", () => {
  test("F4, R4: peers fetch many files from each other at the same time", async () => {
    const peers = await cluster.startPeers(["a", "b", "c", "d", "e"]);
    const files = peers.map((_, index) => cluster.makeFile(`file-${index}`, 2 * MiB + index * 1000, index + 1));
    await Promise.all(peers.map((peer, index) => cluster.publish(peer, files[index]!)));
    // All roles share one event loop: chunks flow when every fetch has found its file, for which it has the time of R5.
    for (const peer of peers) peer.setLimits({ up_limit: RATE_LIMIT_MIN });
    const wanted = peers.flatMap((peer, reader) =>
      files.flatMap((source, owner) => (owner === reader ? [] : [{ peer, source, owner, reader }])),
    );
    const fetches = wanted.map(async ({ peer, source, owner, reader }) => {
      const copy = cluster.path(`copy-${owner}-${reader}`);
      return { job: await peer.fetch({ what: `file-${owner}`, destination: copy }), source, copy };
    });
    const begun = await Promise.all(fetches);
    for (const peer of peers) peer.setLimits({ up_limit: null });
    await Promise.all(begun.map(({ job }) => job.done));
    for (const { source, copy } of begun) expectSameFile(source, copy);
  });

  test("F19: downloaders serve what they have, while they download and after", async () => {
    const peers = await cluster.startPeers(["seeder", "a", "b", "c", "d"]);
    const [seeder, ...leechers] = peers;
    const source = cluster.makeFile("source.bin", 24 * MiB);
    const { content_id } = await cluster.publish(seeder!, source);
    const receipts = await Promise.all(
      leechers.map((peer, index) => fetchTo(peer, "source.bin", cluster.path(`copy-${index}`))),
    );
    for (const index of leechers.keys()) expectSameFile(source, cluster.path(`copy-${index}`));
    const fromLeechers = receipts
      .flatMap((receipt) => receipt.sources)
      .filter((source) => source.address !== seeder!.address);
    expect(fromLeechers.reduce((sum, share) => sum + share.bytes, 0)).toBeGreaterThan(0);
    await until(async () => (await cluster.tracker.listFiles()).rows[0]?.holders === 5);

    await cluster.stopPeer(seeder!);
    const late = await cluster.startPeer("late");
    await until(() => late.status().connected);
    const receipt = await fetchTo(late, "source.bin", cluster.path("copy-late"));
    expectSameFile(source, cluster.path("copy-late"));
    expect(receipt.content_id).toBe(content_id);
    expect(receipt.sources.length).toBeGreaterThan(1);
  });

  test("the same content to the same destination joins the running fetch; to another one it is copied locally", async () => {
    const [seeder, leecher] = await cluster.startPeers(["seeder", "leecher"]);
    const source = cluster.makeFile("source.bin", 8 * MiB);
    await cluster.publish(seeder!, source);
    const request = { what: "source.bin", destination: cluster.path("copy-1") };
    const [one, same] = await Promise.all([leecher!.fetch(request), leecher!.fetch(request)]);
    expect(same).toBe(one);
    const other = await leecher!.fetch({ what: "source.bin", destination: cluster.path("copy-2") });
    await one.done;
    expect(await other.done).toMatchObject({ bytes_copied: 8 * MiB, bytes_fetched: 0 });
    expectSameFile(source, cluster.path("copy-2"));
  });
});

describe("rules", () => {
  test("R2: a name is shared once by one peer, case and normalisation aside; two peers may use the same", async () => {
    const [one, two] = await cluster.startPeers(["one", "two"]);
    const first = cluster.makeFile("first", 1000, 1);
    const second = cluster.makeFile("second", 1000, 2);
    await cluster.publish(one!, first, "Name.bin");
    expect(await errorOf(cluster.publish(one!, second, "name.BIN"))).toMatchObject({ code: "refused" });
    await cluster.publish(two!, second, "Name.bin");
    expect((await cluster.tracker.listFiles()).rows).toHaveLength(2);
  });

  test("R3: a path is shared once, also through a symlink", async () => {
    const [peer] = await cluster.startPeers(["peer"]);
    const path = cluster.makeFile("file", 1000);
    await cluster.publish(peer!, path, "one");
    symlinkSync(path, cluster.path("link"));
    expect(await errorOf(cluster.publish(peer!, path, "two"))).toMatchObject({ code: "refused" });
    expect(await errorOf(cluster.publish(peer!, cluster.path("link"), "two"))).toMatchObject({ code: "refused" });
  });

  test("R6: a peer cannot fetch what only it published", async () => {
    const [peer] = await cluster.startPeers(["peer"]);
    await cluster.publish(peer!, cluster.makeFile("file", 1000));
    expect(await errorOf(peer!.fetch({ what: "file", destination: cluster.path("copy") }))).toMatchObject({
      code: "refused",
    });
  });

  test("R7: an existing destination is refused and left as it is", async () => {
    const [seeder, leecher] = await cluster.startPeers(["seeder", "leecher"]);
    await cluster.publish(seeder!, cluster.makeFile("file", 1000));
    writeFileSync(cluster.path("there"), "mine");
    const error = await errorOf(fetchTo(leecher!, "file", cluster.path("there")));
    expect(error).toMatchObject({ code: "refused" });
    expect(readFileSync(cluster.path("there"), "utf8")).toBe("mine");
  });

  test("R5: no such file is told within 2 s", async () => {
    const [peer] = await cluster.startPeers(["peer"]);
    const started = performance.now();
    expect(await errorOf(peer!.fetch({ what: "nothing" }))).toMatchObject({ code: "not_found" });
    expect(performance.now() - started).toBeLessThan(NOTICE_MS_MAX);
  });

  test("decision 3: different files of one name are ambiguous until an address or a ticket says which", async () => {
    const [one, two, leecher] = await cluster.startPeers(["one", "two", "leecher"]);
    const first = cluster.makeFile("first", 1000, 1);
    const second = cluster.makeFile("second", 1000, 2);
    await cluster.publish(one!, first, "name");
    const { ticket } = await cluster.publish(two!, second, "name");
    expect(await errorOf(leecher!.fetch({ what: "name" }))).toMatchObject({ code: "ambiguous" });
    const from = { host: hostOf(one!.address!), port: portOf(one!.address!) };
    await (await leecher!.fetch({ what: "name", from, destination: cluster.path("copy-1") })).done;
    expectSameFile(first, cluster.path("copy-1"));
    await fetchTo(leecher!, ticket, cluster.path("copy-2"));
    expectSameFile(second, cluster.path("copy-2"));
  });

  test("a source that changed since it was published is not served; the fetch is told and leaves nothing", async () => {
    const [seeder, leecher] = await cluster.startPeers(["seeder", "leecher"]);
    const source = cluster.makeFile("source.bin", 2 * MiB);
    await cluster.publish(seeder!, source);
    writeFileSync(source, "something else");
    const started = performance.now();
    const error = await errorOf(fetchTo(leecher!, "source.bin", cluster.path("copy")));
    expect(error).toMatchObject({ code: "no_holder" });
    expect(performance.now() - started).toBeLessThan(NOTICE_MS_MAX + 500);
    expect(existsSync(cluster.path("copy"))).toBe(false);
  });
});

describe("restarts and losses", () => {
  test("a peer comes back with its port, its shares and its downloads", async () => {
    const [seeder, leecher] = await cluster.startPeers(["seeder", "leecher"]);
    const source = cluster.makeFile("source.bin", 3 * MiB);
    await cluster.publish(seeder!, source);
    await fetchTo(leecher!, "source.bin", cluster.path("copy"));
    const { address } = leecher!;
    await Promise.all([cluster.stopPeer(seeder!), cluster.stopPeer(leecher!)]);
    const again = await cluster.startPeer("leecher");
    await until(() => again.status().connected);
    expect(again.address).toBe(address);
    const third = await cluster.startPeer("third");
    await until(() => third.status().connected);
    await fetchTo(third, "source.bin", cluster.path("copy-3"));
    expectSameFile(source, cluster.path("copy-3"));
  });

  test("a tracker that restarts finds everybody again, and fetches do not notice", async () => {
    const [seeder, leecher] = await cluster.startPeers(["seeder", "leecher"]);
    const source = cluster.makeFile("source.bin", 32 * MiB);
    await cluster.publish(seeder!, source);
    const job = await leecher!.fetch({ what: "source.bin", destination: cluster.path("copy") });
    await cluster.stopTracker();
    await job.done;
    expectSameFile(source, cluster.path("copy"));
    expect(await errorOf(seeder!.listFiles())).toMatchObject({ code: "tracker_unreachable" });
    await cluster.startTracker();
    await until(() => seeder!.status().connected && leecher!.status().connected, 10_000);
    expect((await seeder!.listFiles()).rows).toMatchObject([{ fname: "source.bin", holders: 2 }]);
  });

  test("D7: when the last holder goes, the fetch ends with the chunk's name and keeps what it has", async () => {
    const [seeder, leecher] = await cluster.startPeers(["seeder", "leecher"]);
    const source = cluster.makeFile("source.bin", 64 * MiB);
    await cluster.publish(seeder!, source);
    const job = await leecher!.fetch({ what: "source.bin", destination: cluster.path("copy") });
    await until(() => job.progress().chunks > 10);
    await cluster.stopPeer(seeder!);
    const error = await errorOf(job.done);
    expect(error).toMatchObject({ code: "no_holder", message: expect.stringContaining("chunk") });
    expect(existsSync(cluster.path("copy"))).toBe(false);

    const back = await cluster.startPeer("seeder");
    await until(() => back.status().connected);
    const receipt = await fetchTo(leecher!, "source.bin", cluster.path("copy"));
    expect(receipt.bytes_resumed).toBeGreaterThan(10 * 64 * KiB - 1);
    expect(receipt.bytes_resumed + receipt.bytes_fetched).toBe(64 * MiB);
    expectSameFile(source, cluster.path("copy"));
  }, 15_000);

  test("stop keeps the part file, cancel deletes it", async () => {
    const [seeder, leecher] = await cluster.startPeers(["seeder", "leecher"]);
    await cluster.publish(seeder!, cluster.makeFile("source.bin", 64 * MiB));
    const parts = () => readdirSync(cluster.folder).filter((name) => name.startsWith(".p2pfs"));
    const start = async () => {
      const job = await leecher!.fetch({ what: "source.bin", destination: cluster.path("copy") });
      await until(() => job.progress().chunks > 0);
      return job;
    };
    const stopped = await start();
    stopped.stop();
    expect(await errorOf(stopped.done)).toMatchObject({ code: "cancelled" });
    expect(parts().length).toBeGreaterThan(0);
    const cancelled = await start();
    cancelled.cancel();
    expect(await errorOf(cancelled.done)).toMatchObject({ code: "cancelled" });
    expect(parts()).toEqual([]);
  });
});
