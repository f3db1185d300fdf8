/** How members of a private swarm are served while somebody floods its tracker, or a peer, against how they are without. */
import { SECOND_MS } from "../../src/core/units.ts";
import { FloodTest, floods, type Served, type Target } from "./floods.ts";

const NAMES = 1_000_000;
const MEASURED_MS = 8 * SECOND_MS;
const SERVED_PART_AIM = 0.8;
/** The members are at 127.0.0.1. */
const sources = { "another address": "127.0.0.2", "the members' address": "127.0.0.1" };

export interface BenchFloodsOptions {
  readonly folder: string;
  readonly show: (where: string, what: string) => void;
}

export async function benchFloods({ folder, show }: BenchFloodsOptions): Promise<void> {
  let test: FloodTest | undefined;
  try {
    test = await FloodTest.open(folder, NAMES);
    for (const target of ["tracker", "peer"] as const) await benchTarget(test, target, show);
  } finally {
    await test?.close();
  }
}

async function benchTarget(test: FloodTest, target: Target, show: BenchFloodsOptions["show"]): Promise<void> {
  const usual = await test.usual(target, MEASURED_MS);
  show(`${target} flooded`, `by nobody: ${sentenceOf(usual)}`);
  for (const flood of floods) {
    if (!flood.targets.includes(target)) continue;
    for (const [where, from] of Object.entries(sources).slice(0, flood.isBySource ? 2 : 1)) {
      const served = await test.under(target, flood, from, MEASURED_MS);
      const part = Math.min(served.requests / usual.requests, served.arrivals / usual.arrivals);
      const verdict = part >= SERVED_PART_AIM ? "reached" : `NOT REACHED (${SERVED_PART_AIM})`;
      show("", `${flood.connections} × ${flood.kind} from ${where}: ${sentenceOf(served)}; ${verdict}`);
    }
  }
}

function sentenceOf({ requests, arrivals, p99Ms, processor }: Served): string {
  const percent = (part: number) => `${(100 * part).toFixed(1)} %`;
  return `served ${percent(requests)} of requests (99 % within ${p99Ms.toFixed(0)} ms) and ${percent(arrivals)} of arrivals; ${processor.toFixed(2)} processors`;
}
