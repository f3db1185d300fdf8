/**
 * Everything that must hold before a change goes in: types, lint and format, the build, all tests. Ends with one line,
 * `N passed, N failed` (and `, N skipped` where there are any), in which types, lint and build count as one check each.
 *
 * --long          raises the counts of the random and the fault tests
 * --repeat N      runs the tests N times, a line for each run, and adds them up; one failure fails the whole
 * --busy          keeps every core busy meanwhile, as on a machine that has other things to do
 * --shuffle [SEED]  runs files, and the tests of each, in random order; the seed is told, and gives the same order again
 *
 * With CI=true a skipped test fails the run.
 */
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { BusyCores } from "./lib/busy-cores.ts";
import { installPackages } from "./lib/debian.ts";

const root = dirname(import.meta.dir);
const testMsMax = 60_000;
/** A run that hangs is ended, so that it cannot hold a machine of the continuous integration. */
const runMsMax = { short: 10 * 60_000, long: 120 * 60_000 };
/** Which file takes how long, as measured; the slowest begin first. */
const timings = join(root, "dist/test-timings.json");

/** Beyond one for each core: that many files wait at any time, for sockets, children and clocks. */
const filesWaiting = 2;

/** Files that measure how long something takes: they have the machine for themselves, after the others. */
const alone = [
  "binary/notices",
  "e2e/floods",
  "e2e/floods-private",
  "e2e/limits",
  "e2e/slow-holders",
  "hostile/member",
  "hostile/tracker",
  "tracker/registry-cost",
  "wire/cost",
].map((name) => `test/${name}.test.ts`);

const { values: options, positionals: paths } = parseArgs({
  args: withOptionalSeed(process.argv.slice(2)),
  options: {
    long: { type: "boolean", default: false },
    repeat: { type: "string", default: "1" },
    busy: { type: "boolean", default: false },
    shuffle: { type: "string" },
  },
  allowPositionals: true,
});

/** The seed of --shuffle may be left out, which parseArgs does not know. */
function withOptionalSeed(words: readonly string[]): string[] {
  return words.flatMap((word, index) => {
    if (word === "--shuffle")
      return /^\d+$/.test(words[index + 1] ?? "") ? [] : [`--shuffle=${Date.now() % 1_000_000}`];
    return words[index - 1] === "--shuffle" && /^\d+$/.test(word) ? [`--shuffle=${word}`] : [word];
  });
}

interface Tally {
  passed: number;
  failed: number;
  skipped: number;
}

const nothing: Tally = { passed: 0, failed: 0, skipped: 0 };

function sum(one: Tally, other: Tally): Tally {
  return {
    passed: one.passed + other.passed,
    failed: one.failed + other.failed,
    skipped: one.skipped + other.skipped,
  };
}

function sentenceOf({ passed, failed, skipped }: Tally): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`;
}

const secondsSince = (startedMs: number) => `${((performance.now() - startedMs) / 1000).toFixed(1)} s`;

async function check(name: string, command: readonly string[]): Promise<Tally> {
  const startedMs = performance.now();
  const child = Bun.spawn([...command], { cwd: root, stdio: ["ignore", "inherit", "inherit"] });
  const passed = (await child.exited) === 0;
  console.error(`${passed ? "(pass)" : "(fail)"} ${name} [${secondsSince(startedMs)}]`);
  return { ...nothing, [passed ? "passed" : "failed"]: 1 };
}

/** Types, lint and build. */
async function checkSources(): Promise<Tally> {
  const tsc = [join(root, "node_modules/.bin/tsc"), "--noEmit"];
  const checks = [
    ["types: tsc --noEmit", tsc],
    ["types of the page: tsc --noEmit", [...tsc, "--project", join(root, "src/admin/ui")]],
    ["lint and format: biome check", [join(root, "node_modules/.bin/biome"), "check", "."]],
    ["build: dist/p2pfs", [process.execPath, join(root, "scripts/build.ts")]],
  ] as const;
  let tally = nothing;
  for (const [name, command] of checks) tally = sum(tally, await check(name, command));
  return tally;
}

/**
 * All tests once: more files at a time than there are cores, since they wait most of the time, then those that measure.
 * On busy cores the files take turns, so that what the contract gives a time for has a core then as well. Named files take
 * turns too.
 */
async function runTests(seed: number | undefined): Promise<Tally> {
  const order = seed === undefined ? [] : ["--randomize", `--seed=${seed}`];
  if (paths.length > 0) return runFiles([...order, ...paths]);
  const filesAtATime = options.busy ? 1 : availableParallelism() + filesWaiting;
  const together = [`--parallel=${filesAtATime}`, ...alone.map((path) => `--path-ignore-patterns=${path}`)];
  const measured = seed === undefined ? [`--timings=${timings}`, "--update-timings"] : [];
  return sum(await runFiles([...together, ...measured, ...order]), await runFiles([...order, ...alone]));
}

/** Runs `bun test`, shows what it says and reads its summary. */
async function runFiles(args: readonly string[]): Promise<Tally> {
  const child = Bun.spawn([process.execPath, "test", "--timeout", `${testMsMax}`, ...args], {
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
  const skips = new Set(output.split("\n").filter((line) => /^\((?:skip|todo)\) /.test(line)));
  if (skips.size > 0) console.error(`skipped:\n  ${[...skips].join("\n  ")}`);
  // A crash or a hang leaves no summary, yet it is a failure.
  return found.failed === 0 && exitCode !== 0 ? { ...found, failed: 1 } : found;
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

const repeat = Number(options.repeat);
const firstSeed = options.shuffle === undefined ? undefined : Number(options.shuffle);
if (!Number.isInteger(repeat) || repeat < 1) throw new Error("--repeat takes a number of runs, at least 1");

let tally = await checkSources();
await installPackages();
const busyCores = options.busy ? BusyCores.start(availableParallelism()) : undefined;
const runs: string[] = [];
for (let run = 0; run < repeat; run++) {
  const startedMs = performance.now();
  const seed = firstSeed === undefined ? undefined : firstSeed + run;
  const found = await runTests(seed);
  tally = sum(tally, found);
  const how = `${options.busy ? ", busy" : ""}${seed === undefined ? "" : `, --shuffle ${seed}`}`;
  runs.push(`run ${run + 1} of ${repeat}${how}: ${sentenceOf(found)} [${secondsSince(startedMs)}]`);
  if (repeat > 1 || seed !== undefined) console.error(runs.at(-1));
}
await busyCores?.stop();
if (repeat > 1) console.error(runs.join("\n"));

const skipFails = process.env.CI === "true" && tally.skipped > 0;
if (skipFails) console.error("a skipped test fails the run where CI=true");
console.log(sentenceOf(tally));
process.exitCode = tally.failed > 0 || tally.passed === 0 || skipFails ? 1 : 0;
