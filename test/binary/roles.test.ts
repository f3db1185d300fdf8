/** The executable as tracker and peers, on fresh data folders, with an empty environment. */
import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Subprocess } from "bun";
import type { Role, Roles } from "../../scripts/lib/roles.ts";
import { closeLater, closeNow, openForAll } from "../support/closing.ts";
import { askJson, openExecutable, runBinary } from "../support/executable.ts";
import { expectBytes, fetchFilesIn } from "../support/folder.ts";
import { lastJson } from "../support/json.ts";
import { until } from "../support/until.ts";

let roles: Roles;
let folder = "";
let tracker: Role;
let seeder: Role;
let source = "";
const bytes = new Uint8Array(3_000_000).map((_, index) => (index * index) >> 7);

openForAll(async () => {
  roles = await openExecutable();
  ({ folder } = roles);
  tracker = await roles.tracker();
  seeder = await roles.peer("seeder", tracker);
  source = join(folder, "source.bin");
  writeFileSync(source, bytes);
  await askJson(roles, "peer", seeder, "publish", source, "shared.bin");
});

const fetchAs = (name: string, ...words: readonly string[]) =>
  roles.run(["peer", "fetch", ...words, "--tracker", tracker.address, "--data", join(folder, name)]);

/** A peer that makes its own data folder. It is ended by SIGTERM after the test. */
function startPeer(data: string, env: Record<string, string> = {}): Subprocess {
  const args = ["peer", "start", "--tracker", tracker.address, "--data", data];
  return closeLater(
    Bun.spawn([roles.binary, ...args], { cwd: folder, env, stdio: ["ignore", "ignore", "ignore"] }),
    (child) => {
      child.kill("SIGTERM");
      return child.exited;
    },
  );
}

const untilUp = (data: string) => until("admin.json", () => existsSync(join(data, "admin.json")));

/** Also where this process, whose child it is, has not asked for its exit code yet. */
function hasEnded(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).startsWith("Z");
  } catch {
    return true;
  }
}

describe("a fresh data folder", () => {
  test("has an admin.json that only its owner can read", () => {
    for (const role of [tracker, seeder]) expect(statSync(join(role.data, "admin.json")).mode & 0o777).toBe(0o600);
  });

  test("that the role makes has mode 0700", async () => {
    const data = join(folder, "made", "by", "p2pfs");
    const child = startPeer(data);
    await untilUp(data);
    expect(statSync(data).mode & 0o777).toBe(0o700);
    await closeNow(child);
    expect(await child.exited).toBe(0);
  });

  test("13: is refused while a role runs in it", async () => {
    const args = ["peer", "start", "--tracker", tracker.address, "--data", seeder.data];
    const { exitCode, stderr } = await roles.run(args);
    expect(exitCode).toBe(13);
    expect(stderr).toContain(seeder.data);
  });

  test("13: cannot be used by a tracker whose port is taken", async () => {
    const [ip, port] = tracker.address.split(":");
    const args = ["tracker", "start", ip!, port!, "--admin", "127.0.0.1:0", "--data", join(folder, "second")];
    expect((await roles.run(args)).exitCode).toBe(13);
  });
});

describe("a stand-alone fetch", () => {
  test("writes the file, and leaves nothing else", async () => {
    const destination = join(folder, "copy.bin");
    const { exitCode, stdout, stderr } = await fetchAs("alone", "shared.bin", destination, "--json");
    expect([exitCode, stderr]).toEqual([0, expect.any(String)]);
    expectBytes(destination, bytes);
    const receipt = lastJson(stdout);
    expect(receipt).toMatchObject({ event: "receipt", fname: "shared.bin", size: bytes.length, rejected: 0 });
    expect(receipt.sources).toMatchObject([{ address: seeder.address, bytes: bytes.length }]);
    expect(readdirSync(folder)).not.toContain("alone");
    expect(fetchFilesIn(folder)).toEqual([]);
  });

  test("6, R7: does not touch a file that exists", async () => {
    const destination = join(folder, "exists.bin");
    writeFileSync(destination, "mine");
    expect((await fetchAs("alone", "shared.bin", destination)).exitCode).toBe(6);
    expect(await Bun.file(destination).text()).toBe("mine");
  });

  test("10: into a folder that does not exist fails", async () => {
    const { exitCode } = await fetchAs("alone", "shared.bin", join(folder, "nowhere", "a.bin"));
    expect(exitCode).toBe(10);
  });
});

describe("a running peer", () => {
  test("6, R6: does not fetch what it published itself", async () => {
    const { exitCode } = await roles.run([
      "peer",
      "fetch",
      "shared.bin",
      join(folder, "own.bin"),
      "--data",
      seeder.data,
    ]);
    expect(exitCode).toBe(6);
    expect(readdirSync(folder)).not.toContain("own.bin");
  });

  test("6, R3: does not publish one path twice", async () => {
    const { exitCode } = await roles.run(["peer", "publish", source, "again.bin", "--data", seeder.data]);
    expect(exitCode).toBe(6);
  });

  test("refuses to publish a file that does not exist", async () => {
    const args = ["peer", "publish", join(folder, "missing"), "--data", seeder.data];
    const { exitCode, stderr } = await roles.run(args);
    expect([4, 10]).toContain(exitCode);
    expect(stderr).toContain("missing");
  });

  test("without a usable temp folder names TMPDIR, and goes on", async () => {
    const data = join(folder, "no-temp");
    const child = startPeer(data, { TMPDIR: "/nonexistent" });
    await untilUp(data);
    const other = join(folder, "other.bin");
    writeFileSync(other, "other");
    const args = ["peer", "publish", other, "--data", data];
    const { exitCode, stderr } = await runBinary(roles.binary, args, { cwd: folder });
    expect(exitCode).toBe(10);
    expect(stderr).toContain("TMPDIR");
    expect((await roles.run(["peer", "status", "--data", data])).exitCode).toBe(0);
    await closeNow(child);
    expect(await child.exited).toBe(0);
  });

  test("has status and lists as JSON of the contract", async () => {
    const status = await askJson(roles, "peer", seeder, "status");
    expect(status).toMatchObject({ role: "peer", address: seeder.address, connected: true, shares: 1 });
    const files = await askJson(roles, "peer", seeder, "list-files");
    expect(files).toMatchObject([{ fname: "shared.bin", size: bytes.length, path: source, address: seeder.address }]);
    const peers = await askJson(roles, "tracker", tracker, "list-peers");
    expect(peers.map((peer: { address: string }) => peer.address)).toContain(seeder.address);
  });

  test("has ended when exit returns", async () => {
    const peer = await roles.peer("leaving", tracker);
    await roles.ask(["peer", "exit", "--data", peer.data]);
    expect(hasEnded(peer.pid)).toBe(true);
    expect((await roles.run(["peer", "status", "--data", peer.data])).exitCode).toBe(3);
  });
});
