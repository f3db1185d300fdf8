/** What the benchmarks share: test files, wall time and peak memory of a process, fair turns, medians of ratios. */
import { randomFillSync } from "node:crypto";
import { closeSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { atExit } from "./at-exit.ts";

export const MiB = 1024 * 1024;
export const GiB = 1024 * MiB;

const blockBytes = 16 * MiB;
const memoryPollMs = 25;
const runMsMax = 5 * 60_000;
/** USER_HZ, in which Linux counts the CPU time of a process. */
const TICKS_A_SECOND = 100;

/** Writes bytes that neither compress nor repeat: one random block, stamped anew every 4 KiB. */
export function makeFile(path: string, bytes: number): void {
  const block = randomFillSync(new Uint8Array(blockBytes));
  const view = new DataView(block.buffer);
  const file = openSync(path, "w");
  for (let offset = 0; offset < bytes; offset += blockBytes) {
    for (let stamp = 0; stamp < blockBytes; stamp += 4096) view.setFloat64(stamp, offset + stamp);
    writeSync(file, block, 0, Math.min(blockBytes, bytes - offset));
  }
  closeSync(file);
}

export interface Run {
  readonly seconds: number;
  /** Peak resident memory (VmHWM) of the process, where it lived long enough to be asked. */
  readonly peakBytes: number;
  readonly cpuSeconds: number;
}

/** Runs a command to its end and measures it from outside, start of the process included. */
export async function runTimed(command: readonly string[], env: Record<string, string> = {}): Promise<Run> {
  const started = performance.now();
  const child = Bun.spawn([...command], { env, stdio: ["ignore", "ignore", "pipe"], timeout: runMsMax });
  const undo = atExit(() => child.kill("SIGKILL"));
  let peakBytes = 0;
  const timer = setInterval(() => {
    peakBytes = Math.max(peakBytes, peakMemory(child.pid));
  }, memoryPollMs);
  const exitCode = await child.exited;
  const seconds = (performance.now() - started) / 1000;
  clearInterval(timer);
  undo();
  if (exitCode !== 0) throw new Error(`${command.join(" ")} ended with ${exitCode}:\n${await child.stderr.text()}`);
  return { seconds, peakBytes, cpuSeconds: Number(child.resourceUsage()?.cpuTime.total ?? 0) / 1e6 };
}

/** CPU time that a running process has used so far, in seconds; to a hundredth. */
export function cpuSecondsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)!.split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_A_SECOND;
}

/** VmHWM in bytes; 0 where there is no such process any more. */
export function peakMemory(pid: number): number {
  try {
    const kilobytes = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
    return Number(kilobytes ?? 0) * 1024;
  } catch {
    return 0;
  }
}

/**
 * How much of this machine's CPU time its host gives to other machines from now on, in percent: a run during which that
 * is much says little. NaN where the system does not tell.
 */
export function watchSteal(): () => number {
  const start = cpuTicks();
  return () => {
    const end = cpuTicks();
    return (100 * (end.stolen - start.stolen)) / (end.all - start.all);
  };
}

function cpuTicks(): { stolen: number; all: number } {
  try {
    const fields = readFileSync("/proc/stat", "utf8").split("\n", 1)[0]!.split(/\s+/).slice(1, 9).map(Number);
    return { stolen: fields[7]!, all: fields.reduce((sum, ticks) => sum + ticks, 0) };
  } catch {
    return { stolen: Number.NaN, all: Number.NaN };
  }
}

/** Before each run: its outputs are gone and nothing is left to be written back. */
export function settle(...outputs: readonly string[]): void {
  for (const output of outputs) rmSync(output, { recursive: true, force: true });
  Bun.spawnSync(["sync"]);
}

export function assertSame(file: string, other: string): void {
  if (Bun.spawnSync(["cmp", file, other]).exitCode !== 0) throw new Error(`${other} differs from ${file}`);
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

export interface Comparison {
  readonly ours: readonly number[];
  readonly theirs: readonly number[];
  /** Median of ours / theirs, round by round. */
  readonly ratio: number;
}

/** Both in every round, the other one first in every second round, so that neither gains by its place. */
export async function compare(
  rounds: number,
  ours: () => Promise<number>,
  theirs: () => Promise<number>,
): Promise<Comparison> {
  const results = { ours: [] as number[], theirs: [] as number[] };
  for (let round = 0; round < rounds; round++) {
    const turns = [["ours", ours] as const, ["theirs", theirs] as const];
    for (const [name, run] of round % 2 === 0 ? turns : turns.toReversed()) results[name].push(await run());
  }
  return { ...results, ratio: median(results.ours.map((value, round) => value / results.theirs[round]!)) };
}

export function seconds(value: number): string {
  return `${value.toFixed(value < 0.1 ? 4 : 2)} s`;
}

export function list(values: readonly number[]): string {
  return values.map((value) => value.toFixed(value < 0.1 ? 4 : 2)).join(" ");
}
