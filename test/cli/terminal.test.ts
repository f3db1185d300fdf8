/** What a person at a terminal sees: the prompt, its editing, and progress bars; under a real pseudo-terminal. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openSwarm, type Swarm, until } from "../admin/roles.ts";
import { main } from "./spawn.ts";

const CTRL_C = "\u0003";
const CTRL_D = "\u0004";
const SIZE = 300 * 1024 * 1024;

let swarm: Swarm;
let trackerFlag: string[];

beforeAll(async () => {
  swarm = await openSwarm();
  trackerFlag = ["--tracker", `${swarm.trackerAddress.host}:${swarm.trackerAddress.port}`];
});
afterAll(() => swarm.close());

class Terminal {
  text = "";
  readonly #child: Bun.Subprocess;

  constructor(words: readonly string[]) {
    const decoder = new TextDecoder();
    this.#child = Bun.spawn([process.execPath, main, ...words], {
      cwd: swarm.folder,
      env: { ...process.env, TERM: "xterm", NO_COLOR: undefined },
      terminal: {
        cols: 120,
        rows: 30,
        data: (_terminal, bytes) => {
          this.text += decoder.decode(bytes, { stream: true });
        },
      },
    });
  }

  get ended(): Promise<number> {
    return this.#child.exited;
  }

  /** Waits for text to appear after what was seen before. Returns what came before it. */
  async see(expected: string): Promise<string> {
    await until(`${JSON.stringify(expected)} in ${JSON.stringify(this.text.slice(-2000))}`, () =>
      this.text.includes(expected),
    );
    const before = this.text.slice(0, this.text.indexOf(expected));
    this.text = this.text.slice(before.length + expected.length);
    return before;
  }

  type(text: string): void {
    this.#child.terminal!.write(text);
  }
}

test("the shell of a tracker: start, lists, help, a slip, Ctrl-C, Ctrl-D (F5, F6)", async () => {
  const terminal = new Terminal(["tracker", "--admin", "127.0.0.1:0", "--data", join(swarm.folder, "t")]);
  await terminal.see("is not listening yet");
  await terminal.see("tracker> ");
  terminal.type("start 127.0.0.1 0\r");
  await terminal.see("listening on 127.0.0.1:");
  terminal.type("list_peers\r");
  await terminal.see("no peer has joined");
  terminal.type("help ping\r");
  await terminal.see("EXAMPLES\r\n  ping 127.0.0.1 41000");
  terminal.type("lst_files\r");
  await terminal.see("did you mean `list-files`?");
  await terminal.see("tracker> ");
  terminal.type(`nonsense${CTRL_C}`);
  await terminal.see("\r\n");
  terminal.type("status\r");
  await terminal.see("peers");
  await terminal.see("tracker> ");
  terminal.type(CTRL_D);
  expect(await terminal.ended).toBe(2);
});

test("publish and fetch show bars; in the shell of a peer the prompt stays usable during a fetch", async () => {
  const { data } = await swarm.addPeer("seeder");
  writeFileSync(join(swarm.folder, "source.bin"), Buffer.alloc(SIZE, "source"));
  const publish = new Terminal(["peer", "publish", "source.bin", "big.bin", "--data", data]);
  await publish.see("publish ━");
  await publish.see("of 300 MiB");
  await publish.see("p2pfs://");
  expect(await publish.ended).toBe(0);

  const fetch = new Terminal(["peer", "fetch", "big.bin", "--data", join(swarm.folder, "nobody"), ...trackerFlag]);
  await fetch.see("1 source");
  fetch.type(CTRL_C);
  await fetch.see("run the same command again to go on");
  expect(await fetch.ended).toBe(12);
  expect(existsSync(join(swarm.folder, "big.bin"))).toBe(false);

  const shell = new Terminal(["peer", "start", "--data", join(swarm.folder, "shell"), ...trackerFlag]);
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
