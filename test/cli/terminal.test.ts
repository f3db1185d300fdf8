/** What a person at a terminal sees: the prompt, its editing, and progress bars; under a real pseudo-terminal. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openSwarm, type Swarm } from "../admin/roles.ts";
import { main } from "./spawn.ts";
import { CTRL_C, Terminal } from "./terminal.ts";

const SIZE = 12 * 1024 * 1024;
/** So that there is time for all that is to be seen during a fetch, on every machine. */
const SLOWLY = ["--down-limit", "8MiB/s"];
/** Of zeros that take no room on the disk, and longer to hash than the test looks at it. */
const VAST = 256 * 1024 ** 3;

let swarm: Swarm;
let trackerFlag: string[];

beforeAll(async () => {
  swarm = await openSwarm();
  trackerFlag = ["--tracker", `${swarm.trackerAddress.host}:${swarm.trackerAddress.port}`];
});
afterAll(() => swarm.close());

const open = (args: readonly string[]) =>
  new Terminal([process.execPath, main, ...args], {
    cwd: swarm.folder,
    env: { ...process.env, NO_COLOR: undefined },
  });

test("publish shows a bar while it reads, and in the end what it made; Ctrl-C ends it", async () => {
  const { data } = await swarm.addPeer("publisher");
  const path = join(swarm.folder, "vast.bin");
  writeFileSync(path, "");
  truncateSync(path, VAST);
  const vast = open(["peer", "publish", path, "--data", data]);
  expect(await vast.see("of 256 GiB")).toMatch(/publish [━╌]{30} \d+ %/);
  vast.type(CTRL_C);
  await vast.see("publishing");
  expect(await vast.ended).toBe(12);

  // One that is over at once has no need of a bar.
  writeFileSync(path, "small");
  const small = open(["peer", "publish", path, "small.bin", "--data", data]);
  await small.see(" (5 B, 1 chunk)");
  await small.see("p2pfs://");
  expect(await small.ended).toBe(0);
});

test("fetch shows a bar, Ctrl-C keeps what arrived; in the shell of a peer the prompt stays usable meanwhile", async () => {
  const { data } = await swarm.addPeer("seeder");
  const source = join(swarm.folder, "source.bin");
  writeFileSync(source, Buffer.alloc(SIZE, "source"));
  expect(await open(["peer", "publish", source, "big.bin", "--data", data]).ended).toBe(0);

  const { client } = await swarm.addPeer("other");
  const nobody = ["--data", join(swarm.folder, "nobody"), "--log-level", "debug"];
  const fetch = open(["peer", "fetch", "big.bin", ...nobody, ...trackerFlag, ...SLOWLY]);
  await fetch.see("debug: fetching big.bin to ");
  expect(await fetch.see("1 source")).toMatch(/fetch [━╌]{30} \d+ %/);
  // Somebody else who fetches it connects, which is logged while the bar is drawn.
  const others = client.api.fetches.$post({ json: { what: "big.bin" } }).then((lines) => lines.text());
  await fetch.see("debug: the connection with ");
  await fetch.see("% ");
  expect(fetch.screen.text).not.toMatch(/^.+debug: |^debug: .*[━╌]/m);
  fetch.type(CTRL_C);
  await fetch.see("run the same command again to go on");
  expect(await fetch.ended).toBe(12);
  await others;
  expect(existsSync(join(swarm.folder, "big.bin"))).toBe(false);

  const shell = open(["peer", "start", "--data", join(swarm.folder, "shell"), ...trackerFlag, ...SLOWLY]);
  await shell.see("peer> ");
  await shell.see("joined the tracker");
  shell.type("fetch big.bin copy.bin\r");
  await shell.see("copy.bin");
  expect(await shell.see("peer> ")).not.toContain("fetched");
  await shell.see("fetched copy.bin: 12.0 MiB");
  await shell.see("peer> ");
  shell.type("list_fetches\r");
  await shell.see("done");
  shell.type("exit\r");
  expect(await shell.ended).toBe(0);
});
