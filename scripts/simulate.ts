/**
 * Runs the transfer engine in a simulated swarm and prints how near to the theoretical bound it comes, or whole systems
 * of trackers and peers, among faults, and prints what did not hold.
 *
 *   scripts/simulate [NAME=VALUE …] [--svg FILE]
 *   scripts/simulate --cost
 *   scripts/simulate system [seeds=N] [from=SEED] [peers=MAX] [trackers=MAX]
 *
 * The names are those of test/sim/scenario.ts, e.g. `leechers=100 churn=0.2 liars=0.05 seed=7`; a list of numbers
 * stands for leecherUp. Holders that are slow, trickle, stall or answer nothing stand beside the seeders, by number:
 * `leechers=1 seederUp=6291456 chunkCount=48 slow=10 slowUp=4096`, `trickle=3`, `stall=3`, `mute=3`. The same seed gives
 * the same run, to the event. A bound of src/swarm/bounds.ts is replaced by its name after `bounds.` (of a fetch),
 * `uploads.` or `gossip.`, e.g. `bounds.windowSize=4`; its docstring there names a run that shows what it is for. `--cost`
 * prints what one decision of the engine costs, by chunks and sources. With one seed, `system` prints its journal as well.
 */
import { writeFileSync } from "node:fs";
import { parseScenario, SCENARIO_USAGE } from "../test/sim/arguments.ts";
import { costReport } from "../test/sim/cost.ts";
import { ratioOf, svgReport, textReport } from "../test/sim/report.ts";
import { simulate } from "../test/sim/swarm.ts";
import { chaos } from "../test/sim/system/chaos.ts";

/** Every so many seeds, the system is a private swarm. */
const PRIVATE_EVERY = 4;

function usage(complaint: string): never {
  console.error(
    `${complaint}\nusage: scripts/simulate [NAME=VALUE …] [--svg FILE] | --cost | system [seeds=N] [from=SEED] [peers=MAX] [trackers=MAX]\n${SCENARIO_USAGE}`,
  );
  process.exit(2);
}

function parseArguments(words: readonly string[]) {
  const rest = [...words];
  const place = rest.indexOf("--svg");
  const [, svgFile] = place < 0 ? [] : rest.splice(place, 2);
  if (place >= 0 && svgFile === undefined) usage("--svg needs a file");
  try {
    return { scenario: parseScenario(rest), svgFile };
  } catch (error) {
    return usage((error as Error).message);
  }
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

/** Exits with 1 where something did not hold. */
function runSystems(words: readonly string[]): void {
  const numbers = { seeds: 1000, from: 1, peers: 5, trackers: 3 };
  for (const word of words) {
    const [name = "", value] = word.split("=");
    if (!Object.hasOwn(numbers, name) || !/^\d+$/.test(value ?? "")) usage(`not a number of system: ${word}`);
    numbers[name as keyof typeof numbers] = Number(value);
  }
  if (numbers.peers < 2 || numbers.trackers < 1) usage("a system has two peers at least, and a tracker");
  const startedAt = now();
  let [faulty, fetched, failed] = [0, 0, 0];
  for (let seed = numbers.from; seed < numbers.from + numbers.seeds; seed++) {
    const isPrivate = seed % PRIVATE_EVERY === 0;
    const result = chaos({ seed, peersMax: numbers.peers, trackersMax: numbers.trackers, isPrivate });
    if (numbers.seeds === 1) console.log(result.journal.join("\n"));
    for (const violation of result.violations) console.log(violation);
    if (result.violations.length > 0) faulty++;
    fetched += result.fetched;
    failed += result.failed;
  }
  const seconds = (now() - startedAt) / 1000;
  console.log(
    `${numbers.seeds} systems in ${seconds.toFixed(1)} s, ${Math.round((60 * numbers.seeds) / seconds)} a minute: ` +
      `${faulty} in which something did not hold; ${fetched} fetches done, ${failed} ended with an error`,
  );
  process.exitCode = faulty > 0 ? 1 : 0;
}

const words = process.argv.slice(2);
if (words[0] === "system") runSystems(words.slice(1));
else if (words.length === 1 && words[0] === "--cost") console.log(costReport(now));
else run(words);
