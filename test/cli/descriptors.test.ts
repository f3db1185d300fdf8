/** Roles that may open few files only, and are connected to by more than that. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createConnection, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Address, hostOf, portOf } from "../../src/core/address.ts";
import { KiB, SECOND_MS } from "../../src/core/units.ts";
import { encodeFrame } from "../../src/wire/frame.ts";
import { PROTOCOL_VERSION } from "../../src/wire/messages.ts";
import { until } from "../admin/roles.ts";
import { randomBytes } from "../e2e/cluster.ts";
import { type Ended, runToEnd, start } from "./spawn.ts";

const DESCRIPTORS_MAX = 256;
const CONNECTIONS = 400;
/** Of one core, over the time that is looked at. A role that accepts in vain takes all of it. */
const CPU_SHARE_MAX = 0.5;
const LOOKED_AT_MS = 500;

let folder: string;
const sockets: Socket[] = [];
const cleanups: (() => unknown)[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "p2pfs-descriptors-"));
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  rmSync(folder, { recursive: true, force: true });
});

interface Role {
  readonly pid: number;
  readonly address: Address;
  readonly log: () => Promise<Ended>;
  run(...args: string[]): Promise<Ended>;
}

async function startRole(role: "tracker" | "peer", name: string, args: readonly string[]): Promise<Role> {
  const data = join(folder, name);
  const child = start([role, "start", ...args, "--admin", "127.0.0.1:0", "--data", data, "--json"], {
    descriptorsMax: DESCRIPTORS_MAX,
  });
  cleanups.push(() => {
    child.kill("SIGTERM");
    return child.ended;
  });
  const announced = await child.announced;
  const run = (...command: string[]) => runToEnd([role, ...command, "--data", data, "--json"]);
  const status = async () => JSON.parse((await run("status")).stdout) as { address: Address; listen?: Address };
  await until("its address", async () => (await status()).address !== null);
  expect(announced).toBeDefined();
  return {
    pid: child.pid,
    address: (await status()).address,
    run,
    log: () => {
      child.kill("SIGTERM");
      return child.ended;
    },
  };
}

/** Opens connections and says HELLO only; some of them may be closed by the other side. */
async function crowd(address: Address): Promise<void> {
  const opened = Array.from({ length: CONNECTIONS }, () => {
    const socket = createConnection({ host: hostOf(address), port: portOf(address) });
    sockets.push(socket);
    return new Promise<void>((resolve) => {
      socket.once("connect", () => {
        socket.write(
          encodeFrame({ type: "HELLO", version: PROTOCOL_VERSION, role: "peer", agent: "crowd", address: null }),
        );
        resolve();
      });
      socket.on("error", () => resolve());
    });
  });
  await Promise.all(opened);
}

/** Seconds of CPU time that the process has taken so far. */
function cpuMsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]!.split(" ");
  const TICK_MS = 10;
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

test(
  "with 256 descriptors and 400 silent connections to each role, CPU stays low and every command works",
  async () => {
    const tracker = await startRole("tracker", "tracker", ["127.0.0.1", "0"]);
    const args = ["--tracker", tracker.address];
    const seeder = await startRole("peer", "seeder", args);
    const leecher = await startRole("peer", "leecher", args);
    for (const role of [tracker, seeder, leecher]) await crowd(role.address);
    const before = [tracker, seeder, leecher].map(({ pid }) => cpuMsOf(pid));
    await Bun.sleep(LOOKED_AT_MS);
    const taken = [tracker, seeder, leecher].map(({ pid }, index) => cpuMsOf(pid) - before[index]!);
    for (const ms of taken) expect(ms).toBeLessThan(LOOKED_AT_MS * CPU_SHARE_MAX);
    for (const role of [tracker, seeder, leecher]) expect((await role.run("status")).code).toBe(0);
    mkdirSync(join(folder, "files"));
    const source = join(folder, "files", "source.bin");
    writeFileSync(source, randomBytes(1024 * KiB, 1));
    for (const role of [tracker, seeder, leecher]) await crowd(role.address);
    expect((await seeder.run("publish", source)).code).toBe(0);
    const copy = join(folder, "files", "copy.bin");
    expect((await leecher.run("fetch", "source.bin", copy)).code).toBe(0);
    expect(existsSync(copy)).toBe(true);
    const { stderr } = await tracker.log();
    expect(stderr.match(/connections/g)).toHaveLength(1);
  },
  20 * SECOND_MS,
);
