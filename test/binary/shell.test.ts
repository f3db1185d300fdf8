/** F5 over the executable: both shells and bash, at a real pseudo-terminal, as somebody in front of it sees them. */
import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { type Role, Roles } from "../../scripts/lib/roles.ts";
import { CTRL_C, CTRL_D, CTRL_U, TAB, Terminal, UP } from "../cli/terminal.ts";
import { removeFolder, temporaryFolder, upToDateBinary } from "./binary.ts";

const MiB = 1024 * 1024;
const bigBytes = 24 * MiB;

let roles: Roles;
let folder = "";
let home = "";
let tracker: Role;
let seeder: Role;
const open: Terminal[] = [];

beforeAll(async () => {
  const binary = await upToDateBinary();
  folder = await temporaryFolder();
  roles = new Roles(binary, folder);
  tracker = await roles.tracker();
  seeder = await roles.peer("seeder", tracker);
  home = join(folder, "home");
  mkdirSync(join(home, "letters"), { recursive: true });
  writeFileSync(join(home, "letters", "to my aunt.txt"), "Dear aunt\n");
  for (const name of ["summer holiday.mp4", "winter holiday.mp4"]) {
    const file = join(folder, name);
    writeFileSync(file, Buffer.alloc(bigBytes, name));
    await roles.ask(["peer", "publish", file, "--data", seeder.data]);
  }
}, 60_000);

afterEach(() => {
  for (const terminal of open.splice(0)) terminal.kill();
});

afterAll(async () => {
  await roles?.stop();
  await removeFolder(folder);
}, 30_000);

function openTerminal(command: readonly string[], env: Record<string, string> = { NO_COLOR: "1" }): Terminal {
  const terminal = new Terminal(command, { cwd: home, env: { HOME: home, ...env } });
  open.push(terminal);
  return terminal;
}

async function openPeer(name: string, ...flags: readonly string[]): Promise<Terminal> {
  const data = ["--data", join(folder, name)];
  const terminal = openTerminal([roles.binary, "peer", "start", "--tracker", tracker.address, ...data, ...flags]);
  await terminal.see("joined the tracker");
  await terminal.seeLine("peer> ");
  return terminal;
}

test("the tracker's shell: start, the same address again, another one, a slip, help, Ctrl-C, Ctrl-D (F6)", async () => {
  const data = join(folder, "shell-tracker");
  const terminal = openTerminal([roles.binary, "tracker", "--admin", "127.0.0.1:0", "--data", data]);
  await terminal.see("is not listening yet");
  await terminal.seeLine("tracker> ");
  terminal.type("start 127.0.0.1 0\r");
  await terminal.see("listening on 127.0.0.1:");
  await terminal.seeLine("tracker> ");
  const port = /listening on 127\.0\.0\.1:(\d+)\n/.exec(terminal.screen.text)![1]!;
  await terminal.seeLine("tracker> ");
  terminal.type(`start 127.0.0.1 ${port}\r`);
  await terminal.see(`listening on 127.0.0.1:${port}`);
  await terminal.seeLine("tracker> ");
  terminal.type("start 127.0.0.1 0 --json\r");
  await terminal.see('{"address":"127.0.0.1:');
  await terminal.seeLine("tracker> ");
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
  terminal.type("publish x\r");
  await terminal.see("No command registered for `publish`");
  await terminal.seeLine("tracker> ");
  terminal.type(`nonsense${CTRL_C}`);
  await terminal.seeLine("tracker> ");
  terminal.type(CTRL_D);
  expect(await terminal.ended).toBe(2);
  expect(existsSync(join(data, "admin.json"))).toBe(false);
});

test("completion: commands, paths with blanks, shared names, hosts and ports of who shares them", async () => {
  const terminal = await openPeer("completing");
  const [host, port] = seeder.address.split(":") as [string, string];
  const steps: readonly [typed: string, then: string][] = [
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
  ];
  for (const [typed, then] of steps) {
    terminal.type(typed);
    if (typed !== "\r" && typed !== CTRL_C) {
      await terminal.see(typed);
      terminal.type(TAB);
    }
    await terminal.seeLine(then);
  }
  expect(terminal.screen.text).toContain("published to my aunt.txt (10 B, 1 chunk)");
  // Where several fit, the common beginning, and with the second Tab all of them.
  terminal.type("list-f");
  await terminal.seeLine("peer> list-f");
  terminal.type(TAB);
  await Bun.sleep(100);
  terminal.type(TAB);
  await terminal.see("list-fetches");
  await terminal.seeLine("peer> list-f");
  terminal.type(CTRL_C);
  await terminal.seeLine("peer> ");
  terminal.type(CTRL_D);
  expect(await terminal.ended).toBe(0);
});

test("history: Up brings back what was typed, also at the next start", async () => {
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

test("fetches run in the background, a line of progress each, and the prompt stays usable (F4, F5, F17)", async () => {
  const terminal = await openPeer("fetching", "--down-limit", "12MiB/s");
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
  terminal.type("halfway");
  await terminal.see("fetched one.mp4: 24.0 MiB");
  await terminal.seeLine("peer> halfway");
  expect(terminal.screen.text).not.toMatch(/\n1: summer.*\npeer> halfway$/);
  expect(existsSync(join(home, "two.mp4"))).toBe(false);
  terminal.type(`${CTRL_C}exit\r`);
  // The first that failed is the fetch that was cancelled, but it was not waited for.
  expect(await terminal.ended).toBe(0);
  expect(readFileSync(join(home, "one.mp4")).equals(readFileSync(join(folder, "summer holiday.mp4")))).toBe(true);
});

test("Ctrl-C ends a publish in the foreground: nothing is shared, and the prompt is back", async () => {
  const large = join(folder, "large.bin");
  // Sparse: 6 GiB take seconds to hash, and no room.
  await Bun.$`truncate -s 6G ${large}`.quiet();
  const terminal = await openPeer("publishing");
  terminal.type(`publish ${large}\r`);
  await terminal.see("publish ");
  await terminal.see("of 6.00 GiB");
  terminal.type(CTRL_C);
  await terminal.see("was stopped");
  await terminal.seeLine("peer> ");
  terminal.type("status --json\r");
  await terminal.see('"shares":0');
  terminal.type(CTRL_D);
  expect(await terminal.ended).toBe(12);
});

test("colours are for terminals, and NO_COLOR takes them away there", async () => {
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
  const steps: readonly [typed: string, then: string][] = [
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
  ];
  for (const [typed, then] of steps) {
    terminal.type(typed);
    // Ctrl-C would clear the line as well; where bash is not reading just then, it tells so with the next key only.
    if (typed !== CTRL_U) {
      await terminal.see(typed);
      terminal.type(TAB);
    }
    await terminal.seeLine(then);
  }
});
