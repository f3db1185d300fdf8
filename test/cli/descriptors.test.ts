/** Roles that may open few files only, and are connected to by more than that. */
import { expect, test } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Address } from "../../src/core/address.ts";
import { MiB, SECOND_MS } from "../../src/core/units.ts";
import { randomBytes } from "../support/bytes.ts";
import { temporaryFolder } from "../support/folder.ts";
import { RawPeer } from "../support/raw-peer.ts";
import { until } from "../support/until.ts";
import { type Ended, runToEnd, start } from "./spawn.ts";

const DESCRIPTORS_MAX = 256;
const CONNECTIONS = 400;
/** Of one core, over the time that is measured. A role that tries to accept again and again takes all of it. */
const CPU_SHARE_MAX = 0.5;
const MEASURED_MS = 500;

interface Role {
  readonly pid: number;
  readonly address: Address;
  run(...args: string[]): Promise<Ended>;
  /** Ends it, and gives what it logged. */
  end(): Promise<Ended>;
}

async function startRole(role: "tracker" | "peer", data: string, args: readonly string[]): Promise<Role> {
  const child = start([role, "start", ...args, "--admin", "127.0.0.1:0", "--data", data, "--json"], {
    descriptorsMax: DESCRIPTORS_MAX,
  });
  expect(await child.announced).toBeDefined();
  const run = (...command: string[]) => runToEnd([role, ...command, "--data", data, "--json"]);
  const address = async () => (JSON.parse((await run("status")).stdout) as { address: Address | null }).address;
  await until("its address", async () => (await address()) !== null);
  const end = () => {
    child.kill("SIGTERM");
    return child.ended;
  };
  return { pid: child.pid, address: (await address())!, run, end };
}

/** Opens connections that send HELLO only; some of them may be closed by the other side. */
async function crowd(address: Address): Promise<void> {
  await Promise.all(Array.from({ length: CONNECTIONS }, () => RawPeer.dial(address)));
}

/** Milliseconds of CPU time that the process has taken so far. */
function cpuMsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]!.split(" ");
  const TICK_MS = 10;
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

test(
  "with 256 descriptors and 400 silent connections to each role, CPU stays low and every command works",
  async () => {
    const folder = temporaryFolder();
    const tracker = await startRole("tracker", join(folder, "tracker"), ["127.0.0.1", "0"]);
    const args = ["--tracker", tracker.address];
    const seeder = await startRole("peer", join(folder, "seeder"), args);
    const leecher = await startRole("peer", join(folder, "leecher"), args);
    const all = [tracker, seeder, leecher];
    for (const role of all) await crowd(role.address);
    const before = all.map(({ pid }) => cpuMsOf(pid));
    await Bun.sleep(MEASURED_MS);
    const taken = all.map(({ pid }, index) => cpuMsOf(pid) - before[index]!);
    for (const ms of taken) expect(ms).toBeLessThan(MEASURED_MS * CPU_SHARE_MAX);
    for (const role of all) expect((await role.run("status")).code).toBe(0);
    const source = join(folder, "source.bin");
    writeFileSync(source, randomBytes(MiB, 1));
    for (const role of all) await crowd(role.address);
    expect((await seeder.run("publish", source)).code).toBe(0);
    const copy = join(folder, "copy.bin");
    expect((await leecher.run("fetch", "source.bin", copy)).code).toBe(0);
    expect(existsSync(copy)).toBe(true);
    const { stderr } = await tracker.end();
    expect(stderr.match(/connections/g)).toHaveLength(1);
  },
  20 * SECOND_MS,
);
