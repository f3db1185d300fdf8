/** Processes of the executable that are killed, frozen or run out of space while others rely on them. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { type Role, Roles } from "../../scripts/lib/roles.ts";
import { NOTICE_MS_MAX } from "../../src/core/limits.ts";
import { MiB } from "../../src/core/units.ts";
import { randomBytes } from "../e2e/cluster.ts";
import { removeFolder, temporaryFolder, upToDateBinary } from "./binary.ts";

const SIZE = 48 * MiB;
/** So slow that a fetch lasts seconds, in which something can happen to it. */
const SLOW = ["--up-limit", "16MiB/s"];

let folder: string;
let roles: Roles;
let tracker: Role;
let source: string;
beforeEach(async () => {
  const binary = await upToDateBinary();
  folder = await temporaryFolder();
  roles = new Roles(binary, folder);
  tracker = await roles.tracker();
  source = join(folder, "source.bin");
  writeFileSync(source, randomBytes(SIZE, 7));
}, 60_000);
afterEach(async () => {
  await roles.stop();
  await removeFolder(folder);
}, 30_000);

async function slowSeeder(name = "seeder"): Promise<Role> {
  const seeder = await roles.peer(name, tracker, SLOW);
  await roles.ask(["peer", "publish", source, "shared.bin", "--data", seeder.data]);
  return seeder;
}

type Fetch = Subprocess<"ignore", "pipe", "pipe">;

/** A stand-alone fetch, one event a line. */
function spawnFetch(name: string): Fetch {
  const destination = join(folder, name);
  return roles.spawn([
    ...["peer", "fetch", "shared.bin", destination, "--json"],
    ...["--tracker", tracker.address, "--data", join(folder, `${name}.data`)],
  ]);
}

/** Resolves when chunks of this fetch are on disk, which its part file beside the destination shows. */
async function underWay(fetch: Fetch): Promise<void> {
  const reader = fetch.stdout.getReader();
  const decoder = new TextDecoder();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) throw new Error("the fetch ended before it was under way");
    const lines = decoder.decode(value).split("\n");
    if (lines.some((line) => /"chunks":[1-9]/.test(line))) break;
  }
  reader.releaseLock();
}

/** The last line of what is still to come. */
async function lastLine(fetch: Fetch): Promise<Record<string, unknown>> {
  const text = await new Response(fetch.stdout).text();
  return JSON.parse(text.trim().split("\n").at(-1)!);
}

function expectWhole(name: string): void {
  expect(Buffer.compare(readFileSync(join(folder, name)), readFileSync(source))).toBe(0);
}

test("D6, N1: a seeder killed in the midst of three fetches is made up for by another", async () => {
  const seeder = await slowSeeder();
  await slowSeeder("other");
  const fetches = ["one", "two", "three"].map((name) => spawnFetch(name));
  await Promise.all(fetches.map(underWay));
  process.kill(seeder.pid, "SIGKILL");
  for (const fetch of fetches) expect(await fetch.exited).toBe(0);
  for (const name of ["one", "two", "three"]) expectWhole(name);
}, 60_000);

test("a fetch that is killed goes on where it was, from its part file alone", async () => {
  await slowSeeder();
  const killed = spawnFetch("copy");
  await underWay(killed);
  killed.kill("SIGKILL");
  await killed.exited;
  expect(existsSync(join(folder, "copy"))).toBe(false);
  const again = spawnFetch("copy");
  const receipt = await lastLine(again);
  expect(await again.exited).toBe(0);
  expect(receipt.bytes_resumed).toBeGreaterThan(0);
  expect(Number(receipt.bytes_resumed) + Number(receipt.bytes_fetched)).toBe(SIZE);
  expectWhole("copy");
  expect(readdirSync(folder).filter((name) => name.startsWith(".p2pfs"))).toEqual([]);
}, 60_000);

test("F21: a part file that is damaged between the kill and the next try still becomes the right file", async () => {
  await slowSeeder();
  const killed = spawnFetch("copy");
  await underWay(killed);
  killed.kill("SIGKILL");
  await killed.exited;
  const part = readdirSync(folder).find((name) => name.endsWith(".part"))!;
  const bytes = readFileSync(join(folder, part));
  for (let offset = 0; offset < SIZE; offset += MiB) bytes[offset]! ^= 1;
  writeFileSync(join(folder, part), bytes);
  const again = spawnFetch("copy");
  const receipt = await lastLine(again);
  expect(await again.exited).toBe(0);
  expect(Number(receipt.bytes_resumed) + Number(receipt.bytes_fetched)).toBe(SIZE);
  expectWhole("copy");
}, 60_000);

test("a tracker killed in the midst of a fetch is not missed; started again, it knows everything", async () => {
  const seeder = await slowSeeder();
  const fetch = spawnFetch("copy");
  await underWay(fetch);
  process.kill(tracker.pid, "SIGKILL");
  expect(await fetch.exited).toBe(0);
  expectWhole("copy");
  const address = tracker.address.split(":");
  const restarted = roles.spawn([
    ...["tracker", "start", address[0]!, address[1]!],
    ...["--admin", "127.0.0.1:0", "--data", tracker.data],
  ]);
  try {
    const listed = async () => (await roles.run(["peer", "list-files", "--json", "--data", seeder.data])).stdout;
    for (let turn = 0; turn < 100 && !(await listed()).includes("shared.bin"); turn++) await Bun.sleep(50);
    expect(JSON.parse(await listed())).toMatchObject([{ fname: "shared.bin", address: seeder.address }]);
  } finally {
    restarted.kill("SIGTERM");
    await restarted.exited;
  }
}, 60_000);

test("7, R5: a tracker that hangs rather than refuses is told of within 2 s", async () => {
  const seeder = await slowSeeder();
  process.kill(tracker.pid, "SIGSTOP");
  try {
    const commands = [
      ["peer", "fetch", "shared.bin", join(folder, "copy"), "--tracker", tracker.address, "--data", join(folder, "x")],
      ["peer", "fetch", "other.bin", join(folder, "copy"), "--data", seeder.data],
      ["peer", "list-files", "--data", seeder.data],
    ];
    for (const command of commands) {
      const started = performance.now();
      const { exitCode, stderr } = await roles.run(command);
      expect(performance.now() - started).toBeLessThan(NOTICE_MS_MAX);
      expect({ exitCode, stderr }).toMatchObject({ exitCode: 7, stderr: expect.stringContaining(tracker.address) });
    }
  } finally {
    process.kill(tracker.pid, "SIGCONT");
  }
}, 60_000);

const canMount = process.getuid?.() === 0 && process.platform === "linux";
test.skipIf(!canMount)(
  "10: a disk that fills up ends the fetch, keeps its part, and leaves the peer up",
  async () => {
    await slowSeeder();
    const small = join(folder, "small");
    mkdirSync(small);
    const mount = (options: string) => Bun.spawnSync(["mount", "-t", "tmpfs", "-o", options, "p2pfs-test", small]);
    expect(mount("size=16m").success).toBe(true);
    try {
      const leecher = await roles.peer("leecher", tracker);
      const fetch = () =>
        roles.run(["peer", "fetch", "shared.bin", join(small, "copy"), "--json", "--data", leecher.data]);
      const full = await fetch();
      expect(full.exitCode).toBe(10);
      expect(full.stderr).toContain("space");
      expect(existsSync(join(small, "copy"))).toBe(false);
      expect(mount("remount,size=128m").success).toBe(true);
      const receipt = JSON.parse((await fetch()).stdout.trim().split("\n").at(-1)!);
      expect(receipt.bytes_resumed).toBeGreaterThan(0);
      expect(Buffer.compare(readFileSync(join(small, "copy")), readFileSync(source))).toBe(0);
    } finally {
      Bun.spawnSync(["umount", "-l", small]);
    }
  },
  60_000,
);
