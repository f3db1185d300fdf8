/**
 * Gives changed inputs to everything that takes bytes or texts of others, and prints what did not take them well.
 *
 *   scripts/fuzz [TARGET …] [--seconds N] [--seed N]
 *
 * All targets of test/fuzz/targets.ts without a name, N seconds each (10 without the flag). What is found is kept in
 * test/fuzz/corpus, from where every later run, and `scripts/test`, tries it again. The same seed makes the same inputs.
 */
import { parseArgs } from "node:util";
import { fuzz, keep } from "../test/fuzz/fuzzer.ts";
import { targets } from "../test/fuzz/targets.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seconds: { type: "string", default: "10" }, seed: { type: "string", default: "1" } },
});
const unknown = positionals.filter((name) => !targets.some((target) => target.name === name));
if (unknown.length > 0 || !(Number(values.seconds) > 0) || !Number.isInteger(Number(values.seed))) {
  console.error(`usage: scripts/fuzz [TARGET …] [--seconds N] [--seed N]`);
  console.error(`targets: ${targets.map(({ name }) => JSON.stringify(name)).join(" ")}`);
  process.exit(2);
}

let found = 0;
let total = 0;
for (const target of targets) {
  if (positionals.length > 0 && !positionals.includes(target.name)) continue;
  const bounds = { seed: Number(values.seed), msMax: 1000 * Number(values.seconds) };
  const { executions, finding } = await fuzz(target, bounds);
  total += executions;
  console.log(
    `${target.name}: ${executions.toLocaleString("en")} executions${finding === undefined ? "" : ", FOUND:"}`,
  );
  if (finding === undefined) continue;
  found++;
  console.log(finding.thrown);
  console.log(`the input is kept in ${keep(finding)}`);
}
console.log(`${total.toLocaleString("en")} executions, ${found} findings`);
process.exitCode = found > 0 ? 1 : 0;
