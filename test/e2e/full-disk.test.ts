/** Disks that fill up under a peer: it is told as such, what was done stays done, and the peer goes on. */
import { afterEach, beforeEach, expect } from "bun:test";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DEFAULT_TRACKER } from "../../src/core/listening.ts";
import { KiB, MiB } from "../../src/core/units.ts";
import { Peer } from "../../src/peer/peer.ts";
import { openDataFolder } from "../../src/store/data-folder.ts";
import { needsRoot, withMount } from "../disk/fixtures.ts";
import { Cluster, errorOf, fetchTo, until } from "./cluster.ts";

const SIZE = 2 * MiB;

let cluster: Cluster;
let seeder: Peer;
let source: string;
beforeEach(async () => {
  cluster = await Cluster.start();
  [seeder] = (await cluster.startPeers(["seeder"])) as [Peer];
  source = cluster.makeFile("source.bin", SIZE);
  await cluster.publish(seeder, source);
});
afterEach(() => cluster.close());

/** A peer whose data folder is a file system of its own. */
async function withSmallData(
  body: (leecher: Peer, fill: () => void, free: () => void) => Promise<void>,
): Promise<void> {
  const home = cluster.path("small");
  await withMount(home, "size=1m,mode=700", async () => {
    const leecher = await cluster.startPeer("small");
    await until(() => leecher.status().connected);
    const filler = join(home, "filler");
    const fill = () => {
      for (const bytes of [64 * KiB, 4 * KiB, 1]) {
        try {
          for (;;) writeFileSync(filler, new Uint8Array(bytes), { flag: "a" });
        } catch {
          // Full, but for less than this.
        }
      }
    };
    try {
      await body(leecher, fill, () => rmSync(filler));
    } finally {
      await cluster.stopPeer(leecher);
    }
  });
}

needsRoot("a fetch that ends when the data folder is full is done, and a warning says what is not remembered", () =>
  withSmallData(async (leecher, fill) => {
    seeder.setLimits({ up_limit: 512 * KiB });
    const destination = cluster.path("copy.bin");
    const job = await leecher.fetch({ what: "source.bin", destination });
    fill();
    seeder.setLimits({ up_limit: null });
    expect(await job.done).toMatchObject({ bytes_fetched: SIZE });
    expect(Buffer.compare(readFileSync(destination), readFileSync(source))).toBe(0);
    expect(job.progress()).toMatchObject({ state: "done", error: null });
    await until(() => leecher.status().fetches === 0);
    expect(cluster.log).toContainEqual(expect.stringContaining(`small warn: cannot remember`));
  }),
);

needsRoot("a fetch that fails when the data folder is full fails as it would have", () =>
  withSmallData(async (leecher, fill) => {
    seeder.setLimits({ up_limit: 512 * KiB });
    const job = await leecher.fetch({ what: "source.bin", destination: cluster.path("copy.bin") });
    fill();
    job.stop();
    expect(await errorOf(job.done)).toMatchObject({ code: "cancelled" });
    await until(() => leecher.status().fetches === 0);
  }),
);

needsRoot(
  "a fetch with a full data folder is refused as a fault of the disk, and leaves nothing beside its destination",
  () =>
    withSmallData(async (leecher, fill, free) => {
      fill();
      const destination = cluster.path("copy.bin");
      expect(await errorOf(fetchTo(leecher, "source.bin", destination))).toMatchObject({
        code: "disk",
        message: expect.stringContaining("repository.sqlite"),
      });
      expect(readdirSync(cluster.folder).filter((name) => name.startsWith(".p2pfs"))).toEqual([]);
      free();
      expect(await fetchTo(leecher, "source.bin", destination)).toMatchObject({ bytes_fetched: SIZE });
    }),
);

needsRoot("a publish with a full data folder is refused as a fault of the disk, and is not listed", () =>
  withSmallData(async (leecher, fill) => {
    fill();
    const other = cluster.makeFile("other.bin", MiB, 2);
    expect(await errorOf(cluster.publish(leecher, other))).toMatchObject({ code: "disk" });
    await until(async () => (await seeder.listFiles()).rows.every(({ fname }) => fname !== "other.bin"));
  }),
);

needsRoot("a fetch onto a disk that fills up ends with a fault of the disk and keeps what arrived", async () => {
  const leecher = await cluster.startPeer("leecher");
  await until(() => leecher.status().connected);
  const small = cluster.path("small");
  await withMount(small, "size=1m", async () => {
    const destination = join(small, "copy.bin");
    const error = await errorOf(fetchTo(leecher, "source.bin", destination));
    expect(error).toMatchObject({ code: "disk", message: expect.stringContaining("no space is left on the device") });
    expect(Bun.spawnSync(["mount", "-o", "remount,size=8m", small]).success).toBe(true);
    const receipt = await fetchTo(leecher, "source.bin", destination);
    expect(receipt.bytes_resumed).toBeGreaterThan(0);
    expect(receipt.bytes_resumed + receipt.bytes_fetched).toBe(SIZE);
  });
});

needsRoot("a role whose data folder is full does not start, and says why", async () => {
  const full = cluster.path("full");
  await withMount(full, "size=64k,mode=700", async () => {
    writeFileSync(join(full, "filler"), new Uint8Array(64 * KiB));
    const dataFolder = openDataFolder({ role: "peer", flag: full });
    const place = { listen: { host: "127.0.0.1", port: 0 }, tracker: DEFAULT_TRACKER, filesFolder: full };
    const opening = Peer.open({ dataFolder, ...place, advertise: undefined, open: false, log: () => {} });
    expect(await errorOf(opening)).toMatchObject({
      code: "disk",
      message: expect.stringContaining("no space is left"),
    });
    dataFolder.close();
  });
});
