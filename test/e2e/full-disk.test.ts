/** Disks that fill up under a peer: reported as a disk error, what was done stays done, and the peer goes on. */
import { beforeEach, expect } from "bun:test";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DEFAULT_TRACKER } from "../../src/core/listening.ts";
import { KiB, MiB } from "../../src/core/units.ts";
import { Peer } from "../../src/peer/peer.ts";
import { openDataFolder } from "../../src/store/data-folder.ts";
import { expectError } from "../support/errors.ts";
import { expectSameFile, fetchFilesIn } from "../support/folder.ts";
import { GatedStore } from "../support/gated-store.ts";
import { Cluster, fetchTo } from "../support/roles.ts";
import { mountTmpfs, needsRoot, remountTmpfs } from "../support/root.ts";
import { until } from "../support/until.ts";

const SIZE = 2 * MiB;

let cluster: Cluster;
/** What the seeder reads through. */
let gate: GatedStore;
let seeder: Peer;
let source: string;
beforeEach(async () => {
  cluster = await Cluster.open();
  gate = new GatedStore();
  seeder = await cluster.joinPeer("seeder", { store: gate });
  source = cluster.makeFile("source.bin", SIZE);
  await cluster.publish(seeder, source);
});

/** A peer whose data folder is a file system of its own, and what fills that. */
async function withSmallData(): Promise<{ readonly leecher: Peer; fill(): void; free(): void }> {
  const home = cluster.path("small");
  mountTmpfs(home, "size=1m,mode=700");
  const leecher = await cluster.joinPeer("small");
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
  return { leecher, fill, free: () => rmSync(filler) };
}

needsRoot(
  "a fetch that ends while the data folder is full is done, and a warning names what is not remembered",
  async () => {
    const { leecher, fill } = await withSmallData();
    gate.holdAfter(0);
    const destination = cluster.path("copy.bin");
    const job = await leecher.fetch({ what: "source.bin", destination });
    fill();
    gate.open();
    expect(await job.done).toMatchObject({ bytes_fetched: SIZE });
    expectSameFile(destination, source);
    expect(job.progress()).toMatchObject({ state: "done", error: null });
    await until("the fetch has ended", () => leecher.status().fetches === 0);
    expect(cluster.log).toContainEqual(expect.stringContaining(`small warn: cannot remember`));
  },
);

needsRoot("a fetch that is stopped while the data folder is full ends as usual", async () => {
  const { leecher, fill } = await withSmallData();
  gate.holdAfter(0);
  const job = await leecher.fetch({ what: "source.bin", destination: cluster.path("copy.bin") });
  fill();
  job.stop();
  await expectError("cancelled", job.done);
  await until("the fetch has ended", () => leecher.status().fetches === 0);
});

needsRoot(
  "a fetch with a full data folder is refused as a disk error, and leaves nothing beside its destination",
  async () => {
    const { leecher, fill, free } = await withSmallData();
    fill();
    const destination = cluster.path("copy.bin");
    await expectError("disk", fetchTo(leecher, "source.bin", destination), "repository.sqlite");
    expect(fetchFilesIn(cluster.folder)).toEqual([]);
    free();
    expect(await fetchTo(leecher, "source.bin", destination)).toMatchObject({ bytes_fetched: SIZE });
  },
);

needsRoot("a publish with a full data folder is refused as a disk error, and is not listed", async () => {
  const { leecher, fill } = await withSmallData();
  fill();
  const other = cluster.makeFile("other.bin", MiB, 2);
  await expectError("disk", cluster.publish(leecher, other));
  await until("other.bin is not listed", async () =>
    (await seeder.listFiles()).rows.every(({ fname }) => fname !== "other.bin"),
  );
});

needsRoot("a fetch onto a disk that fills up ends with a disk error and keeps what has arrived", async () => {
  const leecher = await cluster.joinPeer("leecher");
  const small = cluster.path("small");
  mountTmpfs(small, "size=1m");
  const destination = join(small, "copy.bin");
  await expectError("disk", fetchTo(leecher, "source.bin", destination), "no space is left on the device");
  remountTmpfs(small, "size=8m");
  const receipt = await fetchTo(leecher, "source.bin", destination);
  expect(receipt.bytes_resumed).toBeGreaterThan(0);
  expect(receipt.bytes_resumed + receipt.bytes_fetched).toBe(SIZE);
});

needsRoot("a role whose data folder is full does not start, and says why", async () => {
  const full = cluster.path("full");
  mountTmpfs(full, "size=64k,mode=700");
  writeFileSync(join(full, "filler"), new Uint8Array(64 * KiB));
  const dataFolder = openDataFolder({ role: "peer", flag: full });
  const place = { listen: { host: "127.0.0.1", port: 0 }, tracker: DEFAULT_TRACKER, filesFolder: full };
  const opening = Peer.open({ dataFolder, ...place, advertise: undefined, insecure: false, log: () => {} });
  await expectError("disk", opening, "no space is left");
  dataFolder.close();
});
