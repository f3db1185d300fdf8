/**
 * Runs the transfer engine in a simulated swarm and prints how near to the theoretical bound it comes.
 *
 *   scripts/simulate [NAME=VALUE …] [--svg FILE]
 *   scripts/simulate --cost
 *
 * The names are those of test/sim/scenario.ts, e.g. `leechers=100 churn=0.2 liars=0.05 seed=7`; a list of numbers
 * stands for leecherUp. Holders that are slow, trickle, stall or answer nothing stand beside the seeders, by number:
 * `leechers=1 seederUp=6291456 chunkCount=48 slow=10 slowUp=4096`, `trickle=3`, `stall=3`, `mute=3`. The same seed gives
 * the same run, to the event. `--cost` prints what one decision of the engine costs, by chunks and sources.
 */
import { writeFileSync } from "node:fs";
import { costReport } from "../test/sim/cost.ts";
import { ratioOf, svgReport, textReport } from "../test/sim/report.ts";
import { SCENARIO } from "../test/sim/scenario.ts";
import { simulate } from "../test/sim/swarm.ts";

/** Of what a number, or a list of them, can stand for: `bounds` and `gossip` are for tests. */
const names = Object.entries(SCENARIO).flatMap(([name, value]) => (typeof value === "number" ? [name] : []));

function usage(complaint: string): never {
  console.error(
    `${complaint}\nusage: scripts/simulate [NAME=VALUE …] [--svg FILE] | --cost\nnames: ${names.join(" ")}`,
  );
  process.exit(2);
}

function parseArguments(words: readonly string[]) {
  const scenario: Record<string, number | number[]> = {};
  let svgFile: string | undefined;
  for (let index = 0; index < words.length; index++) {
    const word = words[index]!;
    if (word === "--svg") {
      svgFile = words[++index] ?? usage("--svg needs a file");
      continue;
    }
    const [name = "", value = ""] = word.split("=");
    if (!names.includes(name)) usage(`unknown name: ${name}`);
    const numbers = value.split(",").map(Number);
    if (value === "" || numbers.some(Number.isNaN)) usage(`not a number: ${word}`);
    scenario[name] = numbers.length === 1 ? numbers[0]! : numbers;
  }
  return { scenario, svgFile };
}

const now = () => performance.now();

function run(words: readonly string[]): void {
  const { scenario, svgFile } = parseArguments(words);
  const startedAt = now();
  const result = simulate(scenario);
  console.log(textReport(result, now() - startedAt));
  if (svgFile !== undefined) writeFileSync(svgFile, svgReport(result));
  process.exitCode = result.incomplete.length > 0 || Number.isNaN(ratioOf(result)) ? 1 : 0;
}

const words = process.argv.slice(2);
if (words.length === 1 && words[0] === "--cost") console.log(costReport(now));
else run(words);
