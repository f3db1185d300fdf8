/**
 * The shipped executable, for tests that run it as a user would: in an empty folder, with an empty environment. It is
 * built anew where a source file is newer, so that a test never speaks of yesterday's code.
 */
import { statSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Glob } from "bun";
import { build } from "../../scripts/build.ts";
import type { Outcome } from "../../scripts/lib/roles.ts";

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

/** A folder of its own for one test file. */
export function temporaryFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), "p2pfs-binary-"));
}

export function removeFolder(folder: string): Promise<void> {
  return rm(folder, { recursive: true, force: true });
}

export interface RunOptions {
  readonly cwd: string;
  readonly env?: Record<string, string>;
}

/** Runs one command of the executable to its end. */
export async function runBinary(
  binary: string,
  args: readonly string[],
  { cwd, env = {} }: RunOptions,
): Promise<Outcome & { readonly ms: number }> {
  const started = performance.now();
  const child = Bun.spawn([binary, ...args], { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
  const [stdout, stderr, exitCode] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { exitCode, stdout, stderr, ms: performance.now() - started };
}
