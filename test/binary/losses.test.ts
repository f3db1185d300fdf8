/** Processes of the executable that are killed or run out of space while others rely on them. */
import { beforeEach, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Role, Roles } from "../../scripts/lib/roles.ts";
import { KiB, MiB } from "../../src/core/units.ts";
import { randomBytes } from "../support/bytes.ts";
import { askJson, openExecutable, startFetch } from "../support/executable.ts";
import { expectSameFile, fetchFilesIn } from "../support/folder.ts";
import { lastJson } from "../support/json.ts";
import { mountTmpfs, needsRoot, remountTmpfs } from "../support/root.ts";
import { until } from "../support/until.ts";

const SIZE = 4 * MiB;
const CHUNK = 64 * KiB;

let roles: Roles;
let folder: string;
let tracker: Role;
let source: string;
beforeEach(async () => {
  roles = await openExecutable();
  ({ folder } = roles);
  tracker = await roles.tracker();
  source = join(folder, "source.bin");
  writeFileSync(source, randomBytes(SIZE, 7));
}, 60_000);

/** So slow that a fetch lasts until it is ended, or `release` is called. */
async function slowSeeder(name = "seeder"): Promise<Role> {
  const seeder = await roles.peer(name, tracker, ["--up-limit", "256KiB/s"]);
  await askJson(roles, "peer", seeder, "publish", source, "shared.bin");
  return seeder;
}

const release = (seeder: Role) => askJson(roles, "peer", seeder, "limits", "--up-limit", "none");

/** A fetch by a peer of its own. */
const fetchAlone = (name: string) =>
  startFetch(
    roles,
    ...["shared.bin", join(folder, name)],
    ...["--tracker", tracker.address, "--data", join(folder, `${name}.data`)],
  );

const expectWhole = (name: string) => expectSameFile(join(folder, name), source);

test("D6, N1: a seeder that is killed during three fetches is replaced by another", async () => {
  const [seeder, other] = [await slowSeeder(), await slowSeeder("other")];
  const names = ["one", "two", "three"];
  const fetches = names.map(fetchAlone);
  await Promise.all(fetches.map((fetch) => fetch.untilChunks()));
  process.kill(seeder.pid, "SIGKILL");
  await release(other);
  for (const fetch of fetches) expect((await fetch.ended).exitCode).toBe(0);
  for (const name of names) expectWhole(name);
}, 60_000);

/** Kills a fetch when chunks have arrived. */
async function killedFetch(): Promise<void> {
  const fetch = fetchAlone("copy");
  await fetch.untilChunks();
  fetch.process.kill("SIGKILL");
  await fetch.ended;
  expect(existsSync(join(folder, "copy"))).toBe(false);
}

/** Fetches the same again, and gives the receipt. */
async function fetchAgain() {
  const { exitCode, stdout } = await fetchAlone("copy").ended;
  expect(exitCode).toBe(0);
  const receipt = lastJson(stdout);
  expect(receipt.bytes_resumed + receipt.bytes_fetched).toBe(SIZE);
  expectWhole("copy");
  return receipt;
}

test("a fetch that is killed resumes from its part file alone", async () => {
  const seeder = await slowSeeder();
  await killedFetch();
  await release(seeder);
  expect((await fetchAgain()).bytes_resumed).toBeGreaterThan(0);
  expect(fetchFilesIn(folder)).toEqual([]);
}, 60_000);

test("F21: a part file that is damaged in every chunk between the kill and the next try becomes the right file", async () => {
  const seeder = await slowSeeder();
  await killedFetch();
  const part = readdirSync(folder).find((name) => name.endsWith(".part"))!;
  const bytes = readFileSync(join(folder, part));
  for (let offset = 0; offset < bytes.length; offset += CHUNK) bytes[offset]! ^= 1;
  writeFileSync(join(folder, part), bytes);
  await release(seeder);
  expect((await fetchAgain()).bytes_resumed).toBe(0);
}, 60_000);

test("a tracker that is killed during a fetch is not missed, and knows everything when it is started again", async () => {
  const seeder = await slowSeeder();
  const fetch = fetchAlone("copy");
  await fetch.untilChunks();
  process.kill(tracker.pid, "SIGKILL");
  await release(seeder);
  expect((await fetch.ended).exitCode).toBe(0);
  expectWhole("copy");
  const [host, port] = tracker.address.split(":") as [string, string];
  await roles.start("tracker", ["tracker", "start", host, port, "--admin", "127.0.0.1:0"], (status) => status.address);
  const listed = async () => (await roles.run(["peer", "list-files", "--json", "--data", seeder.data])).stdout;
  await until("shared.bin is listed", async () => (await listed()).includes("shared.bin"));
  expect(JSON.parse(await listed())).toMatchObject([{ fname: "shared.bin", address: seeder.address }]);
}, 60_000);

needsRoot(
  "10: a disk that fills up ends the fetch, keeps its part file, and leaves the peer running",
  async () => {
    await release(await slowSeeder());
    const small = join(folder, "small");
    mountTmpfs(small, "size=1m");
    const leecher = await roles.peer("leecher", tracker);
    const copy = join(small, "copy");
    const fetch = () => roles.run(["peer", "fetch", "shared.bin", copy, "--json", "--data", leecher.data]);
    const full = await fetch();
    expect(full.exitCode).toBe(10);
    expect(full.stderr).toContain("space");
    expect(existsSync(copy)).toBe(false);
    remountTmpfs(small, "size=16m");
    expect(lastJson((await fetch()).stdout).bytes_resumed).toBeGreaterThan(0);
    expectSameFile(copy, source);
  },
  60_000,
);
