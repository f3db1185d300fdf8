/** Roles and fetches as processes: input, signals, ends. */
import { describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { formatHostPort } from "../../src/core/address.ts";
import { MiB } from "../../src/core/units.ts";
import { openForAll } from "../support/closing.ts";
import { expectBytes, fetchFilesIn, temporaryFolder } from "../support/folder.ts";
import { lastJson } from "../support/json.ts";
import { AdminRoles } from "../support/roles.ts";
import { until } from "../support/until.ts";
import { main, runToEnd, start } from "./spawn.ts";

let folder: string;
let roles: AdminRoles;
let trackerFlags: string[];

openForAll(async () => {
  folder = temporaryFolder();
  roles = await AdminRoles.open();
  trackerFlags = ["--tracker", formatHostPort(roles.trackerAddress)];
});

const data = (name: string) => ["--data", join(folder, name)];
const startPeer = (name: string) => start(["peer", "start", "--json", ...data(name), ...trackerFlags], { cwd: folder });

/** Gone, or waiting for this test to take its exit code. */
function hasEnded(pid: number): boolean {
  const { stdout } = Bun.spawnSync(["ps", "-o", "stat=", "-p", String(pid)]);
  return /^(?:Z.*)?$/.test(stdout.toString().trim());
}

describe("a role without a terminal", () => {
  test("prints its addresses, goes on after the end of its input, and ends by exit, which waits for it", async () => {
    const role = start(["tracker", "start", "127.0.0.1", "0", "--admin", "127.0.0.1:0", "--json", ...data("t1")]);
    const announced = await role.announced;
    expect(announced).toMatchObject({
      role: "tracker",
      address: expect.stringMatching(/^127\.0\.0\.1:\d+$/),
      admin: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/),
      data_folder: join(folder, "t1"),
      pid: role.pid,
    });
    role.stdin.end();
    await Bun.sleep(100);
    const status = await runToEnd(["tracker", "status", "--json", ...data("t1")]);
    expect(JSON.parse(status.stdout)).toMatchObject({ address: announced.address });
    expect(await runToEnd(["tracker", "exit", "--json", ...data("t1")])).toMatchObject({
      code: 0,
      stdout: `{"stopped":true,"pid":${role.pid}}\n`,
    });
    expect(hasEnded(role.pid)).toBe(true);
    expect((await role.ended).code).toBe(0);
    expect(existsSync(join(folder, "t1", "admin.json"))).toBe(false);
    expect((await runToEnd(["tracker", "status", ...data("t1")])).code).toBe(3);
  });

  test("runs the lines of its input one after another; its exit code is that of the first that failed", async () => {
    writeFileSync(join(folder, "a b.txt"), "text");
    const role = startPeer("piped");
    await role.announced;
    role.stdin.write("# a comment\n\nconnect nowhere\n");
    role.stdin.write("publish 'a b.txt' --json\nfetch missing\nlist_files\nbogus\nexit\nlist_files\n");
    role.stdin.flush();
    const { code, stdout, stderr } = await role.ended;
    expect(code).toBe(2);
    expect(stdout).toContain(`"path":"a b.txt"`);
    expect(stdout.match(/^KEY /gm)).toHaveLength(1);
    expect(stderr.match(/^error: .*/gm)).toEqual([
      "error: the port is missing after nowhere",
      "error: no online peer shares missing",
      "error: No command registered for `bogus`, did you mean `status`?",
    ]);
  });

  test("is a tracker that does not listen before the command `start` (F6)", async () => {
    const role = start(["tracker", "--json", "--admin", "127.0.0.1:0", ...data("t2")]);
    expect(await role.announced).toMatchObject({ address: null });
    role.stdin.write("start 127.0.0.1 0 --json\nstatus --json\nexit\n");
    role.stdin.end();
    const { code, stdout } = await role.ended;
    const [, started, status] = stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(code).toBe(0);
    expect(started.address).toMatch(/^127\.0\.0\.1:\d+$/);
    expect(status).toMatchObject({ address: started.address, listening: true });
  });

  test.each(["SIGTERM", "SIGINT"] as const)("ends cleanly by %s, with code 0", async (signal) => {
    const role = startPeer(signal);
    await role.announced;
    role.kill(signal);
    expect((await role.ended).code).toBe(0);
    expect(readdirSync(join(folder, signal))).not.toContain("admin.json");
  });

  test("refuses its data folder to others, also while it is frozen, and leaves it free when killed", async () => {
    const role = startPeer("locked");
    const { pid } = await role.announced;
    expect((await startPeer("locked").ended).code).toBe(13);
    role.kill("SIGSTOP");
    const second = await startPeer("locked").ended;
    expect(second.code).toBe(13);
    expect(JSON.parse(second.stdout)).toMatchObject({ error: { code: "already_running" } });
    role.kill("SIGKILL");
    await role.ended;
    const third = startPeer("locked");
    expect((await third.announced).pid).not.toBe(pid);
    third.kill("SIGTERM");
    expect((await third.ended).code).toBe(0);
  });
});

describe("a fetch in the foreground", () => {
  const bytes = Buffer.alloc(4 * MiB, "large");
  /** So that it is still under way when it is ended, on every machine. */
  const slowly = ["--down-limit", "256KiB/s"];

  openForAll(async () => {
    await roles.publish(await roles.addPeer("seeder"), "large.bin", bytes);
  });

  test("that is interrupted keeps what has arrived, says how to go on, and goes on (code 12)", async () => {
    const args = ["peer", "fetch", "large.bin", "--json", ...trackerFlags, ...data("nobody")];
    const fetch = start([...args, ...slowly], { cwd: folder });
    expect(await fetch.announced).toMatchObject({ event: "progress", fname: "large.bin" });
    await fetch.prints(/"chunks":[1-9]/);
    fetch.kill("SIGINT");
    const { code, stdout, stderr } = await fetch.ended;
    expect(code).toBe(12);
    expect(lastJson(stdout)).toMatchObject({ error: { code: "cancelled" } });
    expect(stderr).toMatch(/stopped; .* are kept\nhint: run the same command again/);
    expect(existsSync(join(folder, "large.bin"))).toBe(false);
    const again = await runToEnd(args, { cwd: folder });
    expect(again.code).toBe(0);
    expect(lastJson(again.stdout).bytes_resumed).toBeGreaterThan(0);
    expectBytes(join(folder, "large.bin"), bytes);
    expect(fetchFilesIn(folder)).toEqual([]);
  });

  test("through a running peer is stopped there when its command line is killed", async () => {
    mkdirSync(join(folder, "inbox"));
    const role = startPeer("middle");
    await role.announced;
    const args = ["peer", "fetch", "large.bin", "inbox/copy.bin", "--json", ...data("middle"), ...slowly];
    const fetch = start(args, { cwd: folder });
    await fetch.announced;
    fetch.kill("SIGKILL");
    await fetch.ended;
    await until("the peer has stopped the fetch", async () => {
      const { stdout } = await runToEnd(["peer", "list-fetches", "--json", ...data("middle")]);
      return JSON.parse(stdout)[0].state === "stopped";
    });
    expect(existsSync(join(folder, "inbox/copy.bin"))).toBe(false);
  });
});

test("output to a closed pipe is no failure, output that cannot be written is (code 10)", () => {
  const full = Bun.spawnSync(["bash", "-c", `"$0" "$1" --help > /dev/full`, process.execPath, main], {
    stderr: "pipe",
  });
  expect(full.exitCode).toBe(10);
  expect(full.stderr.toString()).toContain("cannot write the output");
  const { exitCode } = Bun.spawnSync(
    ["bash", "-c", `set -o pipefail; "$0" "$1" --help | head -1`, process.execPath, main],
    { stdout: "ignore" },
  );
  expect(exitCode).toBe(0);
});
