/** What a person at a terminal sees: the prompt, its editing, and progress bars; under a real pseudo-terminal. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openSwarm, type Swarm } from "../admin/roles.ts";
import { main } from "./spawn.ts";
import { CTRL_C, Terminal } from "./terminal.ts";

const SIZE = 300 * 1024 * 1024;

let swarm: Swarm;
let trackerFlag: string[];

beforeAll(async () => {
  swarm = await openSwarm();
  trackerFlag = ["--tracker", `${swarm.trackerAddress.host}:${swarm.trackerAddress.port}`];
});
afterAll(() => swarm.close());

const open = (words: readonly string[]) =>
  new Terminal([process.execPath, main, ...words], {
    cwd: swarm.folder,
    env: { ...process.env, NO_COLOR: undefined },
  });

test("publish and fetch show bars; in the shell of a peer the prompt stays usable during a fetch", async () => {
  const { data } = await swarm.addPeer("seeder");
  writeFileSync(join(swarm.folder, "source.bin"), Buffer.alloc(SIZE, "source"));
  const publish = open(["peer", "publish", "source.bin", "big.bin", "--data", data]);
  await publish.see("publish ━");
  await publish.see("of 300 MiB");
  await publish.see("p2pfs://");
  expect(await publish.ended).toBe(0);

  const fetch = open(["peer", "fetch", "big.bin", "--data", join(swarm.folder, "nobody"), ...trackerFlag]);
  await fetch.see("1 source");
  fetch.type(CTRL_C);
  await fetch.see("run the same command again to go on");
  expect(await fetch.ended).toBe(12);
  expect(existsSync(join(swarm.folder, "big.bin"))).toBe(false);

  const shell = open(["peer", "start", "--data", join(swarm.folder, "shell"), ...trackerFlag]);
  await shell.see("peer> ");
  await shell.see("joined the tracker");
  shell.type("fetch big.bin copy.bin\r");
  await shell.see("copy.bin");
  expect(await shell.see("peer> ")).not.toContain("fetched");
  await shell.see("fetched copy.bin: 300 MiB");
  await shell.see("peer> ");
  shell.type("list_fetches\r");
  await shell.see("done");
  shell.type("exit\r");
  expect(await shell.ended).toBe(0);
});
