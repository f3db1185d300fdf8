/** Runs a target on changed inputs, and on those of its corpus: inputs that were found once. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { seededRandom } from "../swarm/support.ts";
import { mutated } from "./mutation.ts";
import type { Target } from "./targets.ts";

const CORPUS = join(import.meta.dir, "corpus");
/** Executions between two looks at the clock. */
const BATCH = 64;

export interface Finding {
  readonly target: string;
  readonly input: Uint8Array;
  readonly thrown: unknown;
}

export interface FuzzResult {
  readonly executions: number;
  /** The first one ends the run. */
  readonly finding: Finding | undefined;
}

export interface FuzzBounds {
  readonly seed: number;
  readonly executionsMax?: number;
  readonly msMax?: number;
}

export async function fuzz(target: Target, { seed, executionsMax = Infinity, msMax = Infinity }: FuzzBounds) {
  const random = seededRandom(seed);
  const valid = await target.inputs();
  const known = corpusOf(target.name);
  const inputs = [...valid, ...known];
  const endMs = performance.now() + msMax;
  let executions = 0;
  const attempt = async (input: Uint8Array): Promise<Finding | undefined> => {
    executions++;
    try {
      await target.run(input);
      return undefined;
    } catch (thrown) {
      return { target: target.name, input, thrown };
    }
  };
  let finding: Finding | undefined;
  for (const input of inputs) finding ??= await attempt(input);
  while (finding === undefined && executions < executionsMax) {
    for (let index = 0; index < BATCH && finding === undefined && executions < executionsMax; index++)
      finding = await attempt(mutated(inputs[Math.floor(inputs.length * random())]!, inputs, random));
    if (performance.now() > endMs) break;
  }
  await target.end?.();
  return { executions, finding } satisfies FuzzResult;
}

function corpusOf(name: string): Uint8Array[] {
  const folder = folderOf(name);
  return existsSync(folder) ? readdirSync(folder).map((file) => new Uint8Array(readFileSync(join(folder, file)))) : [];
}

/** From now on every run tries this input. @returns the file */
export function keep({ target, input }: Finding): string {
  const folder = folderOf(target);
  mkdirSync(folder, { recursive: true });
  const file = join(folder, Bun.hash(input).toString(16));
  writeFileSync(file, input);
  return file;
}

function folderOf(name: string): string {
  return join(CORPUS, name.replaceAll(" ", "-"));
}
