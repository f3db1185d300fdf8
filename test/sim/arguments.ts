/** A scenario as words: `leechers=100 churn=0.2 bounds.windowSize=4`. */
import { DOWNLOAD_BOUNDS, GOSSIP_BOUNDS, UPLOAD_BOUNDS } from "../../src/swarm/bounds.ts";
import { SCENARIO, type Scenario } from "./scenario.ts";

/** The names that take a number, or a list of numbers. */
const NAMES = Object.entries(SCENARIO).flatMap(([name, value]) => (typeof value === "number" ? [name] : []));
const BOUND_NAMES = {
  bounds: Object.keys(DOWNLOAD_BOUNDS),
  uploads: Object.keys(UPLOAD_BOUNDS),
  gossip: Object.keys(GOSSIP_BOUNDS),
};
type BoundGroup = keyof typeof BOUND_NAMES;

export const SCENARIO_USAGE = [
  `names: ${NAMES.join(" ")}`,
  ...Object.entries(BOUND_NAMES).map(([group, names]) => `${group}. followed by: ${names.join(" ")}`),
].join("\n");

function isBoundGroup(word: string): word is BoundGroup {
  return Object.hasOwn(BOUND_NAMES, word);
}

/** Throws an Error with a sentence for the user. */
export function parseScenario(words: readonly string[]): Partial<Scenario> {
  const scenario: Record<string, number | number[]> = {};
  const bounds: Record<BoundGroup, Record<string, number>> = { bounds: {}, uploads: {}, gossip: {} };
  for (const word of words) {
    const [name = "", value = ""] = word.split("=");
    const numbers = value.split(",").map(Number);
    if (value === "" || numbers.some(Number.isNaN)) throw new Error(`not a number: ${word}`);
    const [group = "", bound = ""] = name.split(".");
    if (NAMES.includes(name)) scenario[name] = numbers.length === 1 ? numbers[0]! : numbers;
    else if (isBoundGroup(group) && BOUND_NAMES[group].includes(bound)) bounds[group][bound] = numbers[0]!;
    else throw new Error(`unknown name: ${name}`);
  }
  return { ...scenario, ...bounds };
}
