/**
 * Trackers and peers as processes of the compiled executable, for the demonstration and the benchmarks. Each has its
 * own data folder and a free port, is waited for by its admin endpoint, and is ended by its own pid.
 */
import { existsSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { atExit } from "./at-exit.ts";
import { lastingPort } from "./ports.ts";

const startMsMax = 10_000;
const stopMsMax = 5_000;
const pollMs = 20;
const commandMsMax = 5 * 60_000;

/** What `status` says, as far as it is used here. */
interface Status {
  readonly address: string | null;
  readonly connected?: boolean;
}

/** Roles see none of the caller's settings (P2PFS_…, proxies). */
const environment = process.env.TMPDIR === undefined ? {} : { TMPDIR: process.env.TMPDIR };

export interface Outcome {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export class Roles {
  readonly binary: string;
  readonly folder: string;
  readonly #running: Role[] = [];

  /** @param folder takes the data folders and logs; whoever made it removes it. */
  constructor(binary: string, folder: string) {
    this.binary = binary;
    this.folder = folder;
  }

  async tracker(name = "tracker"): Promise<Role> {
    return this.start(
      name,
      ["tracker", "start", "127.0.0.1", `${await lastingPort()}`, "--admin", "127.0.0.1:0"],
      (status) => status.address,
    );
  }

  async peer(name: string, tracker: Pick<Role, "address">, flags: readonly string[] = []): Promise<Role> {
    // Later starts take the port that its data folder remembers.
    const needsPort = !existsSync(join(this.folder, name)) && !flags.includes("--listen");
    const listen = needsPort ? ["--listen", `127.0.0.1:${await lastingPort()}`] : [];
    const args = ["peer", "start", "--tracker", tracker.address, ...listen, ...flags];
    return this.start(name, args, (status) => (status.connected === true ? status.address : null));
  }

  /** Runs one command to its end. */
  async run(args: readonly string[]): Promise<Outcome> {
    const child = this.spawn(args);
    const timer = setTimeout(() => child.kill("SIGKILL"), commandMsMax);
    const undo = atExit(() => child.kill("SIGKILL"));
    const [stdout, stderr, exitCode] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
    clearTimeout(timer);
    undo();
    return { exitCode, stdout, stderr };
  }

  /** As `run`, for commands that must succeed; gives what they printed. */
  async ask(args: readonly string[]): Promise<string> {
    const { exitCode, stdout, stderr } = await this.run(args);
    if (exitCode !== 0) throw new Error(`p2pfs ${args.join(" ")} ended with ${exitCode}:\n${stderr}${stdout}`);
    return stdout;
  }

  spawn(args: readonly string[]): Subprocess<"ignore", "pipe", "pipe"> {
    return Bun.spawn([this.binary, ...args], {
      cwd: this.folder,
      env: environment,
      stdio: ["ignore", "pipe", "pipe"],
    });
  }

  /** Ends every role that was started here, the last one first. */
  async stop(): Promise<void> {
    for (const role of this.#running.splice(0).toReversed()) await role.stop();
  }

  /** Starts a role in a data folder of this name and waits until `ready` gives its address, or any other text. */
  async start(name: string, args: readonly string[], ready: (status: Status) => string | null): Promise<Role> {
    const data = join(this.folder, name);
    await mkdir(data, { recursive: true });
    const log = join(this.folder, `${name}.log`);
    const child = Bun.spawn([this.binary, ...args, "--data", data], {
      cwd: data,
      env: environment,
      stdio: ["ignore", Bun.file(log), Bun.file(log)],
    });
    const role = new Role(name, data, child);
    this.#running.push(role);
    await role.waitUntil(ready, log);
    return role;
  }
}

export class Role {
  readonly name: string;
  readonly data: string;
  readonly #child: Subprocess;
  #address = "";

  constructor(name: string, data: string, child: Subprocess) {
    this.name = name;
    this.data = data;
    this.#child = child;
    const undo = atExit(() => child.kill("SIGKILL"));
    void child.exited.then(undo);
  }

  /** `IP:PORT`, as others see it. */
  get address(): string {
    return this.#address;
  }

  get pid(): number {
    return this.#child.pid;
  }

  get exited(): Promise<number> {
    return this.#child.exited;
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  async waitUntil(ready: (status: Status) => string | null, log: string): Promise<void> {
    for (const deadline = performance.now() + startMsMax; performance.now() < deadline; await Bun.sleep(pollMs)) {
      if (this.#child.exitCode !== null) break;
      const status = await this.#status();
      const address = status === undefined ? null : ready(status);
      if (address === null) continue;
      this.#address = address;
      return;
    }
    throw new Error(`${this.name} did not start:\n${await readFile(log, "utf8").catch(() => "")}`);
  }

  /** Asks the admin endpoint; what answers is not looked at. */
  async call(path: string, init: { method?: string; json?: unknown } = {}): Promise<Response> {
    const { url, token } = JSON.parse(await readFile(join(this.data, "admin.json"), "utf8"));
    const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
    const body = init.json === undefined ? null : JSON.stringify(init.json);
    return fetch(new URL(path, url), { method: init.method ?? "GET", headers, body });
  }

  async #status(): Promise<Status | undefined> {
    try {
      const response = await this.call("/api/status");
      return response.ok ? ((await response.json()) as Status) : undefined;
    } catch {
      // Not up yet; the caller's deadline decides.
      return undefined;
    }
  }

  /** Resolves when the process has ended, with its exit code. */
  get ended(): Promise<number> {
    return this.#child.exited;
  }

  async stop(): Promise<void> {
    this.#child.kill("SIGTERM");
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), stopMsMax);
    await this.#child.exited;
    clearTimeout(timer);
  }
}
