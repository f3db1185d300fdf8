/** Rate limits as they are typed: at the start of a peer, for one fetch, and while a peer runs. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { runCli } from "../../src/cli/cli.ts";
import { formatHostPort } from "../../src/core/address.ts";
import { openSwarm, type Swarm } from "../admin/roles.ts";
import { memoryIo } from "./memory-io.ts";

const MiB = 1024 * 1024;

let swarm: Swarm;
let data: string;

beforeAll(async () => {
  swarm = await openSwarm();
  ({ data } = await swarm.addPeer("peer"));
});
afterAll(() => swarm.close());

async function run(args: readonly string[], env: Record<string, string> = {}) {
  const io = memoryIo(swarm.folder, env);
  const code = await runCli(args, io);
  return { code, stdout: io.stdout.text, stderr: io.stderr.text };
}

const limits = async (...args: string[]) => {
  const { code, stdout } = await run(["peer", "limits", ...args, "--json", "--data", data]);
  expect(code).toBe(0);
  return JSON.parse(stdout);
};

test("limits shows, changes what is named, and takes away", async () => {
  expect(await limits()).toEqual({ up_limit: null, down_limit: null });
  expect(await limits("--up-limit", "4MiB/s")).toEqual({ up_limit: 4 * MiB, down_limit: null });
  expect(await limits("--down-limit", "500KB/s")).toEqual({ up_limit: 4 * MiB, down_limit: 500_000 });
  const { stdout } = await run(["peer", "limits", "--data", data]);
  expect(stdout).toBe("sends at most 4.00 MiB/s, receives at most 488 KiB/s\n");
  expect(await limits("--up-limit=none")).toEqual({ up_limit: null, down_limit: 500_000 });
  expect(await limits("--down-limit", "none")).toEqual({ up_limit: null, down_limit: null });
});

test.each([
  ["limits", "--up-limit", "fast"],
  ["limits", "--down-limit", "1"],
  ["start", "--up-limit", "4Mbit/s"],
  ["fetch", "name", "--down-limit", "-1"],
] as string[][])("%s %s %s is a usage error", async (...args: string[]) => {
  const { code, stderr } = await run(["peer", ...args, "--data", data]);
  expect(code).toBe(2);
  expect(stderr).toContain("expected a rate");
});

test("a twin in the environment is read as strictly", async () => {
  const { code, stderr } = await run(["peer", "start", "--data", join(swarm.folder, "other")], {
    P2PFS_UP_LIMIT: "quick",
  });
  expect(code).toBe(2);
  expect(stderr).toContain("P2PFS_UP_LIMIT");
});

test.each(["through the peer that runs", "by a peer of its own"])("a fetch %s keeps to its limit", async (how) => {
  const { data: seederData } = await swarm.addPeer(`seeder ${how}`);
  const fname = `file ${how}`;
  // Three chunks: each is asked for when the one before it is paid for.
  writeFileSync(join(swarm.folder, fname), randomBytes(3 * 64 * 1024));
  await run(["peer", "publish", fname, "--data", seederData]);
  const own = how === "by a peer of its own";
  const where = own
    ? ["--data", join(swarm.folder, "none"), "--tracker", formatHostPort(swarm.trackerAddress)]
    : ["--data", data];
  const destination = join(swarm.folder, `copy ${how}`);
  const fetched = await run(["peer", "fetch", fname, destination, ...where, "--down-limit", "128KiB/s", "--json"]);
  expect(fetched.stderr).toBe("");
  expect(fetched.code).toBe(0);
  const receipt = JSON.parse(fetched.stdout.trimEnd().split("\n").at(-1)!);
  expect(receipt).toMatchObject({ event: "receipt", bytes_fetched: 3 * 64 * 1024 });
  expect(receipt.duration_ms).toBeGreaterThan(800);
});
