/**
 * Gives changed inputs to everything that takes bytes or texts of others, guided by which code they reach, and prints what
 * was not taken well.
 *
 *   scripts/fuzz [--for DURATION] [--target NAME]… [--seed N] [--keep N] [--plain]
 *
 * --for DURATION  how long in all: 30s, 10m, 1h; 2m without it
 * --target NAME   only this one, again for several; test/fuzz/targets has them
 * --seed N        the same seed begins with the same inputs
 * --keep N        adds up to N inputs of each target that reached new code to the corpus
 * --plain         without coverage: faster, and the stacks have the lines of the sources
 *
 * An input that was not taken well is put into test/fuzz/corpus, from where every later run, and `scripts/test`, tries it
 * first; then the exit code is 1.
 */
import { parseArgs } from "node:util";
import { Coverage } from "../test/fuzz/instrument.ts";

const { values } = parseArgs({
  options: {
    for: { type: "string", default: "2m" },
    target: { type: "string", multiple: true, default: [] },
    seed: { type: "string", default: "1" },
    keep: { type: "string", default: "0" },
    plain: { type: "boolean", default: false },
  },
});

/** Longer ones are for no repository. */
const KEPT_BYTES_MAX = 4096;

/** Before anything of the program is loaded. */
const coverage = values.plain ? undefined : new Coverage();
const { parseDuration } = await import("../src/cli/settings.ts");
const { fuzz } = await import("../test/fuzz/fuzzer.ts");
const { keep } = await import("../test/fuzz/corpus.ts");
const { targets } = await import("../test/fuzz/targets/index.ts");

const chosen = targets.filter(({ name }) => values.target.length === 0 || values.target.includes(name));
const keptMax = Number(values.keep);
const seed = Number(values.seed);
const unknown = values.target.filter((name) => !targets.some((target) => target.name === name));
if (unknown.length > 0 || !Number.isInteger(seed) || !Number.isInteger(keptMax)) {
  console.error("usage: scripts/fuzz [--for DURATION] [--target NAME]… [--seed N] [--keep N] [--plain]");
  console.error(`targets: ${targets.map(({ name }) => JSON.stringify(name)).join(" ")}`);
  process.exit(2);
}

const endMs = performance.now() + parseDuration(values.for);
let found = 0;
let total = 0;
for (const [index, target] of chosen.entries()) {
  const msMax = (endMs - performance.now()) / (chosen.length - index);
  const { executions, seconds, outcomes, news, finding } = await fuzz(target, { seed, msMax, feedback: coverage });
  total += executions;
  const number = (value: number) => Math.round(value).toLocaleString("en");
  const rate = `${number(executions)} executions, ${number(executions / seconds)}/s`;
  console.log(`${target.name}: ${rate}, ${outcomes} outcomes, ${news.length} inputs kept, ${finding ? 1 : 0} findings`);
  const lasting = target.hasOwnKeys === true ? [] : news.filter((input) => input.length <= KEPT_BYTES_MAX);
  if (keptMax > 0) for (const input of lasting.slice(-keptMax)) keep(target.name, input);
  if (finding === undefined) continue;
  found++;
  console.log(finding.thrown);
  console.log(`  the input: ${keep(target.name, finding.input)}`);
  console.log(`  once more: scripts/fuzz --plain --for 1s --target ${JSON.stringify(target.name)}`);
}
const blocks = coverage === undefined ? "" : `, ${coverage.blocks.toLocaleString("en")} blocks reached`;
console.log(`${total.toLocaleString("en")} executions, ${found} findings${blocks}`);
process.exit(found > 0 ? 1 : 0);
