/**
 * From nothing to the first file on a second machine: two network namespaces joined by a cable are the machines. What a
 * person types is counted, and the time that the machines take for it is measured.
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { atExit } from "./at-exit.ts";
import { assertSame, MiB, makeFile } from "./measure.ts";

/** Of a command, also of one that stays: longer than all of them take together. */
const COMMAND_MS_MAX = 60_000;
const FILE = "photo.bin";
const FILE_BYTES = MiB;
const TOKEN = /p2pfs-join:[\w-]+/;
const JOINED = /joined the tracker/;

/** Why two machines cannot be made here. */
export function missingNamespaces(): string | undefined {
  if (process.getuid?.() !== 0) return "only root makes network namespaces";
  return Bun.which("ip") === null ? "not installed: ip (Debian: apt-get install iproute2)" : undefined;
}

export interface FirstFile {
  /** Typed at the machine that shares, and at the one that fetches. */
  readonly commands: readonly [number, number];
  readonly seconds: number;
}

/** @param atOnce fetches by `peer fetch --join`, without a peer that stays */
export async function firstFile(binary: string, place: string, atOnce: boolean): Promise<FirstFile> {
  const folder = mkdtempSync(join(place, "first-"));
  const machines: Machine[] = [];
  const undo = atExit(() => {
    for (const machine of machines) machine.remove();
    rmSync(folder, { recursive: true, force: true });
  });
  try {
    for (const name of ["a", "b"]) machines.push(new Machine(binary, folder, name));
    const [anna, ben] = machines as [Machine, Machine];
    connect(anna, ben);
    makeFile(join(anna.home, FILE), FILE_BYTES);
    const ownToken = TOKEN.exec(await anna.start(TOKEN, "tracker", "start", "--open"))![0];
    await anna.run("swarm", "join", ownToken);
    await anna.start(JOINED, "peer", "start");
    await anna.run("peer", "publish", FILE);
    const token = TOKEN.exec(await anna.run("swarm", "invite"))![0];
    if (atOnce) await ben.run("peer", "fetch", FILE, "--join", token);
    else {
      await ben.run("swarm", "join", token);
      await ben.start(JOINED, "peer", "start");
      await ben.run("peer", "fetch", FILE, join(ben.home, FILE));
    }
    assertSame(join(anna.home, FILE), join(ben.home, FILE));
    return { commands: [anna.typed, ben.typed], seconds: (anna.spentMs + ben.spentMs) / 1000 };
  } finally {
    undo();
  }
}

/** A network namespace and a home directory. */
class Machine {
  readonly home: string;
  readonly namespace: string;
  readonly #binary: string;
  readonly #children: Subprocess[] = [];
  typed = 0;
  spentMs = 0;

  constructor(binary: string, folder: string, name: string) {
    this.#binary = binary;
    this.home = join(folder, name);
    mkdirSync(this.home);
    this.namespace = `p2pfs-bench-${process.pid}-${name}`;
    ip("netns", "add", this.namespace);
    ip("-n", this.namespace, "link", "set", "lo", "up");
  }

  /** Types a command, and waits for its end. Gives what it printed. */
  async run(...args: string[]): Promise<string> {
    const began = performance.now();
    const child = this.#type(args);
    const [output, problems] = await Promise.all([child.stdout.text(), child.stderr.text()]);
    if ((await child.exited) !== 0) throw new Error(`p2pfs ${args.join(" ")}: ${problems}${output}`);
    this.spentMs += performance.now() - began;
    return output;
  }

  /** Types a command that stays, in a window of its own, and waits until it has printed this. */
  async start(ready: RegExp, ...args: string[]): Promise<string> {
    const began = performance.now();
    const child = this.#type(args);
    this.#children.push(child);
    let output = "";
    const read = async (stream: ReadableStream<Uint8Array>) => {
      const decoder = new TextDecoder();
      for await (const piece of stream) {
        output += decoder.decode(piece, { stream: true });
        if (ready.test(output)) return;
      }
      await new Promise(() => {});
    };
    const ended = child.exited.then(() => {
      throw new Error(`p2pfs ${args.join(" ")} ended:\n${output}`);
    });
    await Promise.race([read(child.stdout), read(child.stderr), ended]);
    this.spentMs += performance.now() - began;
    return output;
  }

  #type(args: readonly string[]): Subprocess<"ignore", "pipe", "pipe"> {
    this.typed++;
    // `ip` becomes the command: its pid is the command's.
    return Bun.spawn(["ip", "netns", "exec", this.namespace, this.#binary, ...args], {
      cwd: this.home,
      env: { HOME: this.home, PATH: process.env.PATH },
      stdio: ["ignore", "pipe", "pipe"],
      timeout: COMMAND_MS_MAX,
      killSignal: "SIGKILL",
    });
  }

  remove(): void {
    for (const child of this.#children) child.kill("SIGKILL");
    Bun.spawnSync(["ip", "netns", "delete", this.namespace]);
  }
}

/** A cable between the two, with addresses that are for documentation (RFC 5737). */
function connect(one: Machine, other: Machine): void {
  ip("-n", one.namespace, "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", other.namespace);
  for (const [index, { namespace }] of [one, other].entries()) {
    ip("-n", namespace, "address", "add", `192.0.2.${index + 1}/24`, "dev", "cable");
    ip("-n", namespace, "link", "set", "cable", "up");
  }
}

function ip(...args: string[]): void {
  const { exitCode, stderr } = Bun.spawnSync(["ip", ...args]);
  if (exitCode !== 0) throw new Error(`ip ${args.join(" ")}: ${stderr}`);
}
