/**
 * The shipped executable, for tests that run it as a user would: in a folder of its own, with an empty environment. It is
 * built anew where a source file is newer, so that a test never speaks of yesterday's code.
 */
import { statSync } from "node:fs";
import { dirname, join } from "node:path";
import { Glob, type Subprocess } from "bun";
import { build } from "../../scripts/build.ts";
import { type Outcome, type Role, Roles } from "../../scripts/lib/roles.ts";
import { closeLater } from "./closing.ts";
import { temporaryFolder } from "./folder.ts";
import { until } from "./until.ts";

const root = dirname(dirname(import.meta.dir));
const sources = ["src/**", "package.json", "bun.lock", "scripts/build.ts"];

function modifiedMs(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

/** Path of the executable, up to date. */
export async function upToDateBinary(): Promise<string> {
  const path = join(root, "dist/p2pfs");
  const built = modifiedMs(path);
  const files = sources.flatMap((pattern) => [...new Glob(pattern).scanSync({ cwd: root, absolute: true })]);
  return files.some((file) => modifiedMs(file) > built) ? build() : path;
}

/** Roles of the executable in a new folder. What was started through them is ended after the test. */
export async function openExecutable(): Promise<Roles> {
  return closeLater(new Roles(await upToDateBinary(), temporaryFolder()), (roles) => roles.stop());
}

/** A fetch of the executable in a process of its own, with --json. */
export interface FetchProcess {
  readonly process: Subprocess<"ignore", "pipe", "pipe">;
  /** Waits until chunks have arrived. */
  untilChunks(): Promise<void>;
  readonly ended: Promise<Outcome>;
}

/** Begins `p2pfs peer fetch` with these words. It is killed after the test. */
export function startFetch(roles: Roles, ...words: readonly string[]): FetchProcess {
  const child = closeLater(roles.spawn(["peer", "fetch", ...words, "--json"]), (child) => {
    child.kill("SIGKILL");
    return child.exited;
  });
  let stdout = "";
  const reading = (async () => {
    const decoder = new TextDecoder();
    for await (const bytes of child.stdout) stdout += decoder.decode(bytes, { stream: true });
  })();
  const hasChunks = () => {
    if (child.exitCode !== null) throw new Error(`the fetch ended: ${stdout}`);
    return /"chunks":[1-9]/.test(stdout);
  };
  const end = async () => {
    const [exitCode, stderr] = await Promise.all([child.exited, child.stderr.text(), reading]);
    return { exitCode, stdout, stderr };
  };
  return { process: child, untilChunks: () => until("chunks of the fetch", hasChunks), ended: end() };
}

export interface RunOptions {
  readonly cwd: string;
  readonly env?: Record<string, string>;
}

/** Runs one command of the executable to its end, outside of the roles' folder or with settings in its environment. */
export async function runBinary(
  binary: string,
  args: readonly string[],
  { cwd, env = {} }: RunOptions,
): Promise<Outcome> {
  const child = Bun.spawn([binary, ...args], { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
  const [stdout, stderr, exitCode] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { exitCode, stdout, stderr };
}

/** Asks a running role with --json; gives the value that it prints. */
export async function askJson(
  roles: Roles,
  kind: "tracker" | "peer",
  role: Pick<Role, "data">,
  ...words: readonly string[]
) {
  return JSON.parse(await roles.ask([kind, ...words, "--json", "--data", role.data]));
}
