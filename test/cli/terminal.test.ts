/** What a person at a terminal sees: the prompt, its editing, and progress bars; under a real pseudo-terminal. */
import { expect, test } from "bun:test";
import { existsSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { formatHostPort } from "../../src/core/address.ts";
import { GiB, MiB } from "../../src/core/units.ts";
import { openForAll } from "../support/closing.ts";
import { AdminRoles } from "../support/roles.ts";
import { CTRL_C, Terminal } from "../support/terminal.ts";
import { main } from "./spawn.ts";

const SIZE = 2 * MiB;
/** So that there is time for all that is to be seen during a fetch, on every machine. */
const SLOWLY = ["--down-limit", "256KiB/s"];
/** Of zeros that take no room on the disk, and much longer to hash than the test looks at it. */
const VAST = 256 * GiB;

let roles: AdminRoles;
let trackerFlag: string[];

openForAll(async () => {
  roles = await AdminRoles.open();
  trackerFlag = ["--tracker", formatHostPort(roles.trackerAddress)];
});

const open = (args: readonly string[]) =>
  new Terminal([process.execPath, main, ...args], {
    cwd: roles.folder,
    env: { ...process.env, NO_COLOR: undefined },
  });

test("publish shows a progress bar while it hashes, and what it published at the end; Ctrl-C ends it", async () => {
  const { data } = await roles.addPeer("publisher");
  const path = join(roles.folder, "vast.bin");
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

test("fetch shows a progress bar, Ctrl-C keeps what has arrived; in the shell the prompt stays usable meanwhile", async () => {
  await roles.publish(await roles.addPeer("seeder"), "big.bin", Buffer.alloc(SIZE, "source"));

  const other = await roles.addPeer("other");
  const nobody = ["--data", join(roles.folder, "nobody"), "--log-level", "debug"];
  const fetch = open(["peer", "fetch", "big.bin", ...nobody, ...trackerFlag, ...SLOWLY]);
  await fetch.see("debug: fetching big.bin to ");
  expect(await fetch.see("1 source")).toMatch(/fetch [━╌]{30} \d+ %/);
  // Somebody else who fetches it connects, which is logged while the bar is drawn.
  const others = other.client.api.fetches.$post({ json: { what: "big.bin" } }).then((lines) => lines.text());
  await fetch.see("debug: the connection with ");
  await fetch.see("% ");
  expect(fetch.screen.text).not.toMatch(/^.+debug: |^debug: .*[━╌]/m);
  fetch.type(CTRL_C);
  await fetch.see("run the same command again to go on");
  expect(await fetch.ended).toBe(12);
  await others;
  expect(existsSync(join(roles.folder, "big.bin"))).toBe(false);

  const shell = open(["peer", "start", "--data", join(roles.folder, "shell"), ...trackerFlag, ...SLOWLY]);
  await shell.see("peer> ");
  await shell.see("joined the tracker");
  shell.type("fetch big.bin copy.bin\r");
  await shell.see("copy.bin");
  expect(await shell.see("peer> ")).not.toContain("fetched");
  shell.type("limits --down-limit none\r");
  await shell.see("fetched copy.bin: 2.00 MiB");
  await shell.see("peer> ");
  shell.type("list_fetches\r");
  await shell.see("done");
  shell.type("exit\r");
  expect(await shell.ended).toBe(0);
});
