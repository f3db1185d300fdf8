/** Rate limits as they are typed: at the start of a peer, for one fetch, and while a peer runs. */
import { expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { formatHostPort } from "../../src/core/address.ts";
import { KiB, MiB } from "../../src/core/units.ts";
import { openForAll } from "../support/closing.ts";
import { lastJson } from "../support/json.ts";
import { AdminRoles } from "../support/roles.ts";
import { runHere } from "./memory-io.ts";

let roles: AdminRoles;
let data: string;

openForAll(async () => {
  roles = await AdminRoles.open();
  ({ data } = await roles.addPeer("peer"));
});

const run = (args: readonly string[], env?: Record<string, string>) => runHere(roles.folder, args, env);

const limits = async (...args: string[]) => {
  const { code, stdout } = await run(["peer", "limits", ...args, "--json", "--data", data]);
  expect(code).toBe(0);
  return JSON.parse(stdout);
};

test("`limits` shows the limits, changes those that are named, and removes them by none", async () => {
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

test("the environment variable of a limit is checked as strictly as its flag", async () => {
  const { code, stderr } = await run(["peer", "start", "--data", join(roles.folder, "other")], {
    P2PFS_UP_LIMIT: "quick",
  });
  expect(code).toBe(2);
  expect(stderr).toContain("P2PFS_UP_LIMIT");
});

test.each(["through the peer that runs", "by a peer of its own"])("a fetch %s keeps to its limit", async (how) => {
  const fname = `file ${how}`;
  // Three chunks: each is asked for when the one before it is paid for.
  await roles.publish(await roles.addPeer(`seeder ${how}`), fname, randomBytes(3 * 64 * KiB));
  const own = how === "by a peer of its own";
  const where = own
    ? ["--data", join(roles.folder, "none"), "--tracker", formatHostPort(roles.trackerAddress)]
    : ["--data", data];
  const destination = join(roles.folder, `copy ${how}`);
  const fetched = await run(["peer", "fetch", fname, destination, ...where, "--down-limit", "128KiB/s", "--json"]);
  expect(fetched.stderr).toBe("");
  expect(fetched.code).toBe(0);
  const receipt = lastJson(fetched.stdout);
  expect(receipt).toMatchObject({ event: "receipt", bytes_fetched: 3 * 64 * KiB });
  expect(receipt.duration_ms).toBeGreaterThan(800);
});
