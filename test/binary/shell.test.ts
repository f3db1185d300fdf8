/** F5 over the executable: the shells of both roles, and bash, at a real pseudo-terminal. */
import { expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Role, Roles } from "../../scripts/lib/roles.ts";
import { GiB, MiB } from "../../src/core/units.ts";
import { openForAll } from "../support/closing.ts";
import { askJson, openExecutable } from "../support/executable.ts";
import { expectSameFile } from "../support/folder.ts";
import { CTRL_C, CTRL_D, CTRL_U, TAB, Terminal, UP } from "../support/terminal.ts";

const FILM_BYTES = 2 * MiB;
/** Of zeros that take no room on the disk, and much longer to hash than the test looks at it. */
const VAST = 256 * GiB;

let roles: Roles;
let folder = "";
let home = "";
let tracker: Role;
let seeder: Role;

openForAll(async () => {
  roles = await openExecutable();
  ({ folder } = roles);
  tracker = await roles.tracker();
  seeder = await roles.peer("seeder", tracker);
  home = join(folder, "home");
  mkdirSync(join(home, "letters"), { recursive: true });
  writeFileSync(join(home, "letters", "to my aunt.txt"), "Dear aunt\n");
  for (const name of ["summer holiday.mp4", "winter holiday.mp4"]) {
    const file = join(folder, name);
    writeFileSync(file, Buffer.alloc(FILM_BYTES, name));
    await askJson(roles, "peer", seeder, "publish", file);
  }
});

function openTerminal(command: readonly string[], env: Record<string, string> = { NO_COLOR: "1" }): Terminal {
  return new Terminal(command, { cwd: home, env: { HOME: home, ...env } });
}

/** Types each text and Tab, or only the key where that ends the line, and waits for the line that comes of it. */
async function complete(terminal: Terminal, steps: readonly [typed: string, line: string][]): Promise<void> {
  for (const [typed, line] of steps) {
    terminal.type(typed);
    if (!["\r", CTRL_C, CTRL_U].includes(typed)) {
      await terminal.see(typed);
      terminal.type(TAB);
    }
    await terminal.seeLine(line);
  }
}

async function openPeer(name: string, ...flags: readonly string[]): Promise<Terminal> {
  const data = ["--data", join(folder, name)];
  const terminal = openTerminal([roles.binary, "peer", "start", "--tracker", tracker.address, ...data, ...flags]);
  await terminal.see("joined the tracker");
  await terminal.seeLine("peer> ");
  return terminal;
}

test("the tracker's shell: start on one address and another, completion, help, a wrong command, Ctrl-C, Ctrl-D (F6)", async () => {
  const data = join(folder, "shell-tracker");
  const terminal = openTerminal([roles.binary, "tracker", "--admin", "127.0.0.1:0", "--data", data]);
  await terminal.see("is not listening yet");
  const run = async (line: string, shown: string) => {
    await terminal.seeLine("tracker> ");
    terminal.type(`${line}\r`);
    await terminal.see(shown);
    await terminal.seeLine("tracker> ");
  };
  await run("start 127.0.0.1 0", "listening on 127.0.0.1:");
  const port = /listening on 127\.0\.0\.1:(\d+)\n/.exec(terminal.screen.text)![1]!;
  await run(`start 127.0.0.1 ${port}`, `listening on 127.0.0.1:${port}`);
  await run("start 127.0.0.1 0 --json", '{"address":"127.0.0.1:');
  terminal.type("list_pe");
  await terminal.seeLine("tracker> list_pe");
  terminal.type(TAB);
  await terminal.seeLine("tracker> list_peers ");
  terminal.type("\r");
  await terminal.see("no peer has joined");
  await terminal.seeLine("tracker> ");
  terminal.type("help pi");
  await terminal.seeLine("tracker> help pi");
  terminal.type(TAB);
  await terminal.seeLine("tracker> help ping ");
  terminal.type("\r");
  await terminal.see("EXAMPLES\r\n  ping 127.0.0.1 41000");
  await run("publish x", "No command registered for `publish`");
  terminal.type(`nonsense${CTRL_C}`);
  await terminal.seeLine("tracker> ");
  terminal.type(CTRL_D);
  expect(await terminal.ended).toBe(2);
  expect(existsSync(join(data, "admin.json"))).toBe(false);
});

test("Tab completes commands, paths with spaces, shared names, and hosts and ports of their publishers", async () => {
  const terminal = await openPeer("completing");
  const [host, port] = seeder.address.split(":") as [string, string];
  await complete(terminal, [
    ["pu", "peer> publish "],
    ["le", "peer> publish letters/"],
    ["t", "peer> publish letters/to\\ my\\ aunt.txt "],
    ["\r", "peer> "],
    ["unp", "peer> unpublish "],
    ["to", "peer> unpublish to\\ my\\ aunt.txt "],
    [CTRL_C, "peer> "],
    ["publish ~/le", "peer> publish ~/letters/"],
    [CTRL_C, "peer> "],
    ["fetch 's", "peer> fetch 'summer holiday.mp4' "],
    ["copy.mp4 1", `peer> fetch 'summer holiday.mp4' copy.mp4 ${host} `],
    [port.slice(0, 1), `peer> fetch 'summer holiday.mp4' copy.mp4 ${host} ${port} `],
    [CTRL_C, "peer> "],
    ["discover --j", "peer> discover --json "],
    [CTRL_C, "peer> "],
  ]);
  expect(terminal.screen.text).toContain("published to my aunt.txt (10 B, 1 chunk)");
  // Where several fit, the common beginning, and with the second Tab all of them.
  terminal.type("lis");
  await terminal.seeLine("peer> lis");
  terminal.type(TAB);
  await terminal.seeLine("peer> list-f");
  terminal.type(TAB);
  await terminal.see("list-fetches");
  await terminal.seeLine("peer> list-f");
  terminal.type(CTRL_C);
  await terminal.seeLine("peer> ");
  terminal.type(CTRL_D);
  expect(await terminal.ended).toBe(0);
});

test("Up shows earlier lines, also those of the last start", async () => {
  const first = await openPeer("remembering");
  first.type("status --json\r");
  await first.see('"role":"peer"');
  await first.seeLine("peer> ");
  first.type("list_fetches\r");
  await first.see("nothing has been fetched");
  await first.seeLine("peer> ");
  first.type(UP);
  await first.seeLine("peer> list_fetches");
  first.type(`${CTRL_C}${CTRL_D}`);
  expect(await first.ended).toBe(0);
  const file = join(folder, "remembering", "history");
  expect(readFileSync(file, "utf8")).toBe("status --json\nlist_fetches\n");
  expect(statSync(file).mode & 0o777).toBe(0o600);

  const second = await openPeer("remembering");
  second.type(UP);
  await second.seeLine("peer> list_fetches");
  second.type(UP);
  await second.seeLine("peer> status --json");
  // Edited in the middle: Home, a letter, and away with it.
  second.type("\u0001x");
  await second.seeLine("peer> xstatus --json");
  second.type("\u0008\r");
  await second.see('"role":"peer"');
  second.type("exit\r");
  expect(await second.ended).toBe(0);
});

test("fetches run in the background with a progress line each, and the prompt stays usable (F4, F5, F17)", async () => {
  const terminal = await openPeer("fetching", "--down-limit", "128KiB/s");
  terminal.type("fetch 'summer holiday.mp4' one.mp4\r");
  await terminal.see("1: summer holiday.mp4 ");
  terminal.type("fetch 'winter holiday.mp4' two.mp4\r");
  await terminal.see("2: winter holiday.mp4 ");
  terminal.type("stat");
  await terminal.seeLine("peer> stat");
  expect(terminal.screen.text).toMatch(
    /\n1: summer holiday\.mp4 [━╌]+ \d+ % .*\n2: winter holiday\.mp4 [━╌]+ \d+ % .*\npeer> stat$/,
  );
  terminal.type("us --json\r");
  await terminal.see('"fetches":2');
  await terminal.seeLine("peer> ");
  terminal.type("cancel 2\r");
  await terminal.see("fetch 2 is cancelled");
  await terminal.seeLine("peer> ");
  terminal.type("limits --down-limit none\r");
  await terminal.see("receives as fast as it can");
  terminal.type("halfway");
  await terminal.see("fetched one.mp4: 2.00 MiB");
  await terminal.seeLine("peer> halfway");
  expect(terminal.screen.text).not.toMatch(/\n1: summer.*\npeer> halfway$/);
  expect(existsSync(join(home, "two.mp4"))).toBe(false);
  terminal.type(`${CTRL_C}exit\r`);
  // The first that failed is the fetch that was cancelled, but it was not waited for.
  expect(await terminal.ended).toBe(0);
  expectSameFile(join(home, "one.mp4"), join(folder, "summer holiday.mp4"));
});

test("Ctrl-C ends a publish: nothing is shared, and the prompt is back", async () => {
  const vast = join(folder, "vast.bin");
  writeFileSync(vast, "");
  truncateSync(vast, VAST);
  const terminal = await openPeer("publishing");
  terminal.type(`publish ${vast}\r`);
  await terminal.see("publish ");
  await terminal.see("of 256 GiB");
  terminal.type(CTRL_C);
  await terminal.see("was stopped");
  await terminal.seeLine("peer> ");
  terminal.type("status --json\r");
  await terminal.see('"shares":0');
  terminal.type(CTRL_D);
  expect(await terminal.ended).toBe(12);
});

test("errors are coloured on terminals only, and not with NO_COLOR", async () => {
  const words = [roles.binary, "peer", "fecth"];
  const red = "\u001b[31m";
  await openTerminal(words, {}).see(`${red}error:`);
  expect(await openTerminal(words, { NO_COLOR: "1" }).see("hint:")).not.toContain(red);
  expect((await roles.run(["peer", "fecth"])).stderr).not.toContain("\u001b");
});

test("bash completes p2pfs by what `p2pfs completion bash` prints", async () => {
  const env = { PATH: `${dirname(roles.binary)}:/usr/bin:/bin`, PS1: "$ ", P2PFS_DATA: seeder.data };
  const terminal = openTerminal(["bash", "--norc", "--noprofile", "-i"], env);
  await terminal.seeLine("$ ");
  terminal.type("bind 'set bell-style none'; source <(p2pfs completion bash)\r");
  await terminal.see("bash)");
  await terminal.seeLine("$ ");
  // Ctrl-C would clear the line as well; where bash is not reading just then, it says so with the next key only.
  await complete(terminal, [
    ["p2pfs pe", "$ p2pfs peer "],
    ["unp", "$ p2pfs peer unpublish "],
    ["su", "$ p2pfs peer unpublish summer\\ holiday.mp4 "],
    [CTRL_U, "$ "],
    ["p2pfs peer publish le", "$ p2pfs peer publish letters/"],
    ["t", "$ p2pfs peer publish letters/to\\ my\\ aunt.txt "],
    [CTRL_U, "$ "],
    ["p2pfs peer start --trac", "$ p2pfs peer start --tracker "],
    [CTRL_U, "$ "],
    ["p2pfs tracker list_c", "$ p2pfs tracker list_chunkinfo "],
    [CTRL_U, "$ "],
  ]);
});
