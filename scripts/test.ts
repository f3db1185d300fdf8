/**
 * Everything that must hold before a change goes in: types, lint and format, the build, all tests. Ends with one line,
 * `N passed, N failed` (and `, N skipped` where there are any), in which types, lint and build count as one check each.
 * --long raises the counts of the random and the fault tests. With CI=true a skipped test fails the run.
 */
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { installPackages } from "./lib/debian.ts";

const root = dirname(import.meta.dir);
const testMsMax = 30_000;
/** A run that hangs is ended, so that it cannot hold a machine of the continuous integration. */
const runMsMax = { short: 10 * 60_000, long: 120 * 60_000 };

const { values: options, positionals: paths } = parseArgs({
  options: { long: { type: "boolean", default: false } },
  allowPositionals: true,
});

interface Tally {
  passed: number;
  failed: number;
  skipped: number;
}

const tally: Tally = { passed: 0, failed: 0, skipped: 0 };

async function check(name: string, command: readonly string[]): Promise<void> {
  const started = performance.now();
  const child = Bun.spawn([...command], { cwd: root, stdio: ["ignore", "inherit", "inherit"] });
  const passed = (await child.exited) === 0;
  tally[passed ? "passed" : "failed"]++;
  console.error(`${passed ? "(pass)" : "(fail)"} ${name} [${((performance.now() - started) / 1000).toFixed(1)} s]`);
}

/** Runs `bun test`, shows what it says and adds its summary to the tally. */
async function runTests(): Promise<void> {
  const child = Bun.spawn([process.execPath, "test", "--timeout", `${testMsMax}`, ...paths], {
    cwd: root,
    env: { ...process.env, ...(options.long ? { P2PFS_TEST_LONG: "1" } : {}) },
    stdin: "ignore",
    stdout: "inherit",
    stderr: "pipe",
    timeout: options.long ? runMsMax.long : runMsMax.short,
    killSignal: "SIGKILL",
  });
  const decoder = new TextDecoder();
  let output = "";
  for await (const piece of child.stderr) {
    process.stderr.write(piece);
    output += decoder.decode(piece, { stream: true });
  }
  const exitCode = await child.exited;
  if (child.signalCode !== null) console.error(`bun test was ended by ${child.signalCode} after the test above`);
  const found = readSummary(output);
  tally.passed += found.passed;
  tally.skipped += found.skipped;
  // A crash or a hang leaves no summary, yet it is a failure.
  tally.failed += found.failed === 0 && exitCode !== 0 ? 1 : found.failed;
  const skips = output.split("\n").filter((line) => /^\((?:skip|todo)\) /.test(line));
  if (skips.length > 0) console.error(`skipped:\n  ${skips.join("\n  ")}`);
}

/**
 * Reads the summary that `bun test` ends with: ` 12 pass`, ` 1 skip`, ` 1 todo`, ` 0 fail`. A run that crashed or was
 * ended has none; then the lines of the tests are counted.
 */
function readSummary(output: string): Tally {
  const summary = output.slice(Math.max(0, output.lastIndexOf("\n\n")));
  const total = (word: string) => Number(new RegExp(`^ (\\d+) ${word}$`, "m").exec(summary)?.[1] ?? 0);
  const lines = (word: string) => output.split("\n").filter((line) => line.startsWith(`(${word}) `)).length;
  const count = /^Ran \d+ tests/m.test(summary) ? total : lines;
  return { passed: count("pass"), failed: count("fail"), skipped: count("skip") + count("todo") };
}

await check("types: tsc --noEmit", [join(root, "node_modules/.bin/tsc"), "--noEmit"]);
await check("types of the page: tsc --noEmit", [
  join(root, "node_modules/.bin/tsc"),
  "--noEmit",
  "--project",
  join(root, "src/admin/ui"),
]);
await check("lint and format: biome check", [join(root, "node_modules/.bin/biome"), "check", "."]);
await check("build: dist/p2pfs", [process.execPath, join(root, "scripts/build.ts")]);
await installPackages();
await runTests();

const skipFails = process.env.CI === "true" && tally.skipped > 0;
if (skipFails) console.error("a skipped test fails the run where CI=true");
const parts = [`${tally.passed} passed`, `${tally.failed} failed`];
if (tally.skipped > 0) parts.push(`${tally.skipped} skipped`);
console.log(parts.join(", "));
process.exitCode = tally.failed > 0 || tally.passed === 0 || skipFails ? 1 : 0;
