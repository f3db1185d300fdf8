/** The executable as tracker and peers, on fresh data folders, with an empty environment. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Role, Roles } from "../../scripts/lib/roles.ts";
import { NOTICE_MS_MAX } from "../../src/core/limits.ts";
import { removeFolder, runBinary, temporaryFolder, upToDateBinary } from "./binary.ts";

let roles: Roles;
let folder = "";
let tracker: Role;
let seeder: Role;
let source = "";
const bytes = new Uint8Array(3_000_000).map((_, index) => (index * index) >> 7);

beforeAll(async () => {
  const binary = await upToDateBinary();
  folder = await temporaryFolder();
  roles = new Roles(binary, folder);
  tracker = await roles.tracker();
  seeder = await roles.peer("seeder", tracker);
  source = join(folder, "source.bin");
  writeFileSync(source, bytes);
  await roles.ask(["peer", "publish", source, "shared.bin", "--data", seeder.data]);
}, 60_000);

afterAll(async () => {
  await roles?.stop();
  await removeFolder(folder);
}, 30_000);

const fetchAs = (name: string, ...words: readonly string[]) =>
  roles.run(["peer", "fetch", ...words, "--tracker", tracker.address, "--data", join(folder, name)]);

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
  test("is for its owner alone, and so is the key to the admin endpoint", () => {
    for (const role of [tracker, seeder]) expect(statSync(join(role.data, "admin.json")).mode & 0o777).toBe(0o600);
  });

  test("that the role makes has mode 0700", async () => {
    const data = join(folder, "made", "by", "p2pfs");
    const child = roles.spawn(["peer", "start", "--tracker", tracker.address, "--data", data]);
    try {
      for (let turn = 0; turn < 500 && !statSync(join(data, "admin.json"), { throwIfNoEntry: false }); turn++)
        await Bun.sleep(10);
      expect(statSync(data).mode & 0o777).toBe(0o700);
    } finally {
      child.kill("SIGTERM");
    }
    expect(await child.exited).toBe(0);
  });

  test("13: is refused to a second role", async () => {
    const args = ["peer", "start", "--tracker", tracker.address, "--data", seeder.data];
    const { exitCode, stderr } = await roles.run(args);
    expect(exitCode).toBe(13);
    expect(stderr).toContain(seeder.data);
  });

  test("13: a port in use is refused", async () => {
    const [ip, port] = tracker.address.split(":");
    const args = ["tracker", "start", ip!, port!, "--admin", "127.0.0.1:0", "--data", join(folder, "second")];
    expect((await roles.run(args)).exitCode).toBe(13);
  });
});

describe("a stand-alone fetch", () => {
  test("gives the bytes, and leaves nothing else", async () => {
    const destination = join(folder, "copy.bin");
    const { exitCode, stdout, stderr } = await fetchAs("alone", "shared.bin", destination, "--json");
    expect([exitCode, stderr]).toEqual([0, expect.any(String)]);
    expect(await Bun.file(destination).bytes()).toEqual(bytes);
    const receipt = JSON.parse(stdout.trimEnd().split("\n").at(-1)!);
    expect(receipt).toMatchObject({ event: "receipt", fname: "shared.bin", size: bytes.length, rejected: 0 });
    expect(receipt.sources).toMatchObject([{ address: seeder.address, bytes: bytes.length }]);
    expect(readdirSync(folder)).not.toContain("alone");
    expect(readdirSync(folder).filter((name) => name.startsWith(".p2pfs"))).toEqual([]);
  });

  test("6, R7: does not touch a file that exists", async () => {
    const destination = join(folder, "exists.bin");
    writeFileSync(destination, "mine");
    expect((await fetchAs("alone", "shared.bin", destination)).exitCode).toBe(6);
    expect(await Bun.file(destination).text()).toBe("mine");
  });

  test("4, R5: of an unknown name says so in time", async () => {
    const started = performance.now();
    const { exitCode } = await fetchAs("alone", "unknown.bin", join(folder, "unknown.bin"));
    expect(exitCode).toBe(4);
    expect(performance.now() - started).toBeLessThan(NOTICE_MS_MAX);
    expect(readdirSync(folder)).not.toContain("unknown.bin");
  });

  test("10: into a folder that is not there", async () => {
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

  test("publishes no file that is not there", async () => {
    const args = ["peer", "publish", join(folder, "missing"), "--data", seeder.data];
    const { exitCode, stderr } = await roles.run(args);
    expect([4, 10]).toContain(exitCode);
    expect(stderr).toContain("missing");
  });

  test("without a usable temp folder says TMPDIR, and stays up", async () => {
    const data = join(folder, "no-temp");
    const child = Bun.spawn([roles.binary, "peer", "start", "--tracker", tracker.address, "--data", data], {
      cwd: folder,
      env: { TMPDIR: "/nonexistent" },
      stdio: ["ignore", "ignore", "pipe"],
    });
    try {
      for (let turn = 0; turn < 500 && !statSync(join(data, "admin.json"), { throwIfNoEntry: false }); turn++)
        await Bun.sleep(10);
      const other = join(folder, "other.bin");
      writeFileSync(other, "other");
      const { exitCode, stderr } = await runBinary(roles.binary, ["peer", "publish", other, "--data", data], {
        cwd: folder,
      });
      expect(exitCode).toBe(10);
      expect(stderr).toContain("TMPDIR");
      expect((await roles.run(["peer", "status", "--data", data])).exitCode).toBe(0);
    } finally {
      child.kill("SIGTERM");
    }
    expect(await child.exited).toBe(0);
  });

  test("status and lists are JSON as contracted", async () => {
    const status = JSON.parse(await roles.ask(["peer", "status", "--data", seeder.data, "--json"]));
    expect(status).toMatchObject({ role: "peer", address: seeder.address, connected: true, shares: 1 });
    const files = JSON.parse(await roles.ask(["peer", "list-files", "--data", seeder.data, "--json"]));
    expect(files).toMatchObject([{ fname: "shared.bin", size: bytes.length, path: source, address: seeder.address }]);
    const peers = JSON.parse(await roles.ask(["tracker", "list-peers", "--data", tracker.data, "--json"]));
    expect(peers.map((peer: { address: string }) => peer.address)).toContain(seeder.address);
  });

  test("exit ends the role before it returns", async () => {
    const peer = await roles.peer("leaving", tracker);
    await roles.ask(["peer", "exit", "--data", peer.data]);
    expect(hasEnded(peer.pid)).toBe(true);
    expect((await roles.run(["peer", "status", "--data", peer.data])).exitCode).toBe(3);
  });
});
