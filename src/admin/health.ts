/**
 * Readiness: whether a role can do its work now, for service managers, monitoring and load balancers. Each check says
 * what it found.
 */
import { statfs } from "node:fs/promises";
import * as v from "valibot";
import { asP2pfsError } from "../core/errors.ts";
import { MiB, SECOND_MS } from "../core/units.ts";
import type { LoopLag } from "./loop-lag.ts";

/** Half of what R5 grants for an answer. */
const LAG_MS_MAX = SECOND_MS;
/** With less free space the next fetch or commit is likely to fail. */
const FREE_BYTES_MIN = 64 * MiB;

export const ReadinessSchema = v.object({
  ready: v.boolean(),
  checks: v.record(v.string(), v.object({ ok: v.boolean(), detail: v.string() })),
});
export type Readiness = v.InferOutput<typeof ReadinessSchema>;

export interface Check {
  readonly ok: boolean;
  readonly detail: string;
}

/** Runs all checks. A check that throws has failed. */
export async function readinessOf(checks: Readonly<Record<string, () => Check | Promise<Check>>>): Promise<Readiness> {
  const done = Object.entries(checks).map(async ([name, check]) => {
    try {
      return [name, await check()] as const;
    } catch (thrown) {
      return [name, { ok: false, detail: asP2pfsError(thrown).message }] as const;
    }
  });
  const results = Object.fromEntries(await Promise.all(done));
  return { ready: Object.values(results).every(({ ok }) => ok), checks: results };
}

export function checkLag(lag: LoopLag): Check {
  return { ok: lag.worstMs < LAG_MS_MAX, detail: `${lag.worstMs.toFixed(0)} ms at worst in the last seconds` };
}

export async function checkWritable(assertWritable: () => void | Promise<void>): Promise<Check> {
  await assertWritable();
  return { ok: true, detail: "a transaction was committed" };
}

/** @param folder undefined for a role without a data folder */
export async function checkSpace(folder: string | undefined): Promise<Check> {
  if (folder === undefined || folder === "") return { ok: true, detail: "nothing is kept" };
  const { bavail, bsize } = await statfs(folder);
  const freeBytes = bavail * bsize;
  return { ok: freeBytes >= FREE_BYTES_MIN, detail: `${Math.floor(freeBytes / MiB)} MiB free at ${folder}` };
}
