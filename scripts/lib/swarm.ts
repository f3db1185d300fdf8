/**
 * Whole swarms over real sockets: every peer a process of the executable, with its upload capped, all leechers told to
 * fetch at one moment. The time of the last to finish is held against the least that is possible at all (Kumar and
 * Ross): the seeder sends everything once, the slowest receives everything, and all capacity together sends one copy
 * to each leecher.
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { loadavg } from "node:os";
import { join } from "node:path";
import { assertSame, cpuSecondsOf, MiB, makeFile, median, settle, watchSteal } from "./measure.ts";
import { member, privateTracker } from "./members.ts";
import { missingLibtorrent, runLibtorrent } from "./rivals.ts";
import { type Role, Roles } from "./roles.ts";

export interface Shape {
  readonly title: string;
  readonly bytes: number;
  /** Upload limits in bytes a second; undefined for none. Every seeder has the file from the start. */
  readonly seeders: readonly (number | undefined)[];
  readonly leechers: readonly (number | undefined)[];
  /** What the ratio to the bound should not exceed. */
  readonly aim?: number;
  /** Whether all are members of a private swarm. */
  readonly isPrivate?: boolean;
}

const capped = (leechers: number, aim: number): Shape => ({
  title: `64 MiB, 1 → ${leechers}, every upload at most 4 MiB/s`,
  bytes: 64 * MiB,
  seeders: [4 * MiB],
  leechers: Array.from({ length: leechers }, () => 4 * MiB),
  aim,
});

export const cappedShapes: readonly Shape[] = [
  capped(8, 1.1),
  capped(4, 1.15),
  capped(16, 1.15),
  {
    title: "64 MiB, 1 → 4, seeder at most 8 MiB/s, leechers 1, 2, 4 and 8 MiB/s",
    bytes: 64 * MiB,
    seeders: [8 * MiB],
    leechers: [1, 2, 4, 8].map((rate) => rate * MiB),
    aim: 1.2,
  },
];

export const oneSeeder: Shape = { title: "1 → 1", bytes: 1024 * MiB, seeders: [undefined], leechers: [undefined] };
export const fourSeeders: Shape = {
  ...oneSeeder,
  title: "4 → 1",
  seeders: [undefined, undefined, undefined, undefined],
};

/** Seconds; downloads are not limited in any shape. */
export function boundOf({ bytes, seeders, leechers }: Shape): number {
  const seeding = sum(seeders.map((rate) => rate ?? Number.POSITIVE_INFINITY));
  const all = seeding + sum(leechers.map((rate) => rate ?? Number.POSITIVE_INFINITY));
  return Math.max(bytes / seeding, (leechers.length * bytes) / all);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

export interface SwarmRun {
  /** Until the last leecher had everything. */
  readonly seconds: number;
  /** Each leecher's own time. */
  readonly each: readonly number[];
  /** Copies of the file that left the seeders. */
  readonly copies: number;
  /** Requested again, as a part of all chunks (N2). */
  readonly rerequested: number;
  /** CPU time of all processes of the swarm meanwhile. */
  readonly cpuSeconds: number;
}

interface Receipt {
  readonly event: string;
  readonly duration_ms: number;
  readonly total_chunknum: number;
  readonly rerequests: number;
  readonly error?: { readonly message: string };
}

const fname = "swarm.bin";

/** Sets the swarm up anew, runs it, checks every copy, takes everything away. */
export async function runSwarm(binary: string, place: string, shape: Shape): Promise<SwarmRun> {
  const folder = mkdtempSync(join(place, "swarm-"));
  const roles = new Roles(binary, folder);
  try {
    const file = join(folder, fname);
    makeFile(file, shape.bytes);
    const tracker = await (shape.isPrivate ? privateTracker(roles) : roles.tracker());
    const start = (kind: string) => (limit: number | undefined, index: number) => {
      const [name, flags] = [`${kind}-${index}`, limit === undefined ? [] : ["--up-limit", `${limit}`]];
      return shape.isPrivate ? member(roles, name, tracker, flags) : roles.peer(name, tracker, flags);
    };
    const seeders = await Promise.all(shape.seeders.map(start("seeder")));
    const leechers = await Promise.all(shape.leechers.map(start("leecher")));
    for (const seeder of seeders) await roles.ask(["peer", "publish", file, fname, "--data", seeder.data]);
    settle();
    const pids = [tracker, ...seeders, ...leechers].map(({ pid }) => pid);
    const before = sum(pids.map(cpuSecondsOf));
    const destinationOf = (leecher: Role) => join(leecher.data, fname);
    const started = performance.now();
    const receipts = await Promise.all(leechers.map((leecher) => fetchBy(leecher, destinationOf(leecher))));
    const seconds = (performance.now() - started) / 1000;
    const cpuSeconds = sum(pids.map(cpuSecondsOf)) - before;
    for (const leecher of leechers) assertSame(file, destinationOf(leecher));
    const sent = await Promise.all(
      seeders.map(async (seeder) => (await (await seeder.call("/api/status")).json()) as { bytes_sent: number }),
    );
    return {
      seconds,
      cpuSeconds,
      each: receipts.map(({ duration_ms }) => duration_ms / 1000),
      copies: sum(sent.map(({ bytes_sent }) => bytes_sent)) / shape.bytes,
      rerequested:
        sum(receipts.map(({ rerequests }) => rerequests)) / sum(receipts.map((receipt) => receipt.total_chunknum)),
    };
  } finally {
    await roles.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function fetchBy(leecher: Role, destination: string): Promise<Receipt> {
  const response = await leecher.call("/api/fetches", { method: "POST", json: { what: fname, destination } });
  const lines = (await response.text()).trimEnd().split("\n");
  const receipt = JSON.parse(lines.at(-1)!) as Receipt;
  if (receipt.event !== "receipt") throw new Error(`${leecher.name}: ${receipt.error?.message}`);
  return receipt;
}

/** The same swarm of libtorrent's; for one seeder and limits on all. */
async function runRival(place: string, shape: Shape): Promise<number> {
  const folder = mkdtempSync(join(place, "libtorrent-"));
  try {
    const file = join(folder, fname);
    makeFile(file, shape.bytes);
    const torrents = join(folder, "torrents");
    mkdirSync(torrents);
    settle();
    const limits = [...shape.seeders, ...shape.leechers].map((limit) => limit ?? 0);
    return await runLibtorrent(file, torrents, shape.leechers.length, limits);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Runs each shape and its rival in turn and prints how far both are from the bound. */
export async function compareSwarms(binary: string, place: string, rounds: number): Promise<void> {
  const missing = missingLibtorrent();
  if (missing !== undefined) console.log(`  libtorrent: ${missing}; p2pfs alone is measured`);
  for (const shape of cappedShapes) {
    const bound = boundOf(shape);
    const steal = watchSteal();
    const ours: SwarmRun[] = [];
    const theirs: number[] = [];
    console.log(`  ${shape.title}; bound ${bound.toFixed(2)} s`);
    for (let round = 0; round < rounds; round++) {
      ours.push(await runSwarm(binary, place, shape));
      if (missing === undefined) theirs.push(await runRival(place, shape));
    }
    const ratio = median(ours.map((run) => run.seconds)) / bound;
    const times = ours.map((run) => run.seconds.toFixed(2)).join(" ");
    const copies = median(ours.map((run) => run.copies)).toFixed(2);
    const rerequested = (100 * median(ours.map((run) => run.rerequested))).toFixed(2);
    const reached = shape.aim === undefined || ratio <= shape.aim ? "reached" : "NOT REACHED";
    console.log(
      `    p2pfs      ${ratio.toFixed(3)} × (${times} s), seeder sent ${copies} copies, ${rerequested} % requested again; aim ${shape.aim}: ${reached}`,
    );
    if (theirs.length > 0) {
      const list = theirs.map((value) => value.toFixed(2)).join(" ");
      console.log(`    libtorrent ${(median(theirs) / bound).toFixed(3)} × (${list} s)`);
    }
    console.log(`    ${machineState(steal)}`);
  }
}

/** Four seeders must not be slower than one; the two take turns. */
export async function compareSeeders(binary: string, place: string, rounds: number): Promise<void> {
  const steal = watchSteal();
  const one: number[] = [];
  const four: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const turns = [[one, oneSeeder] as const, [four, fourSeeders] as const];
    for (const [times, shape] of round % 2 === 0 ? turns : turns.toReversed())
      times.push((await runSwarm(binary, place, shape)).each[0]!);
  }
  const ratio = median(four.map((time, round) => time / one[round]!));
  const list = (times: readonly number[]) => times.map((time) => time.toFixed(2)).join(" ");
  console.log(
    `  1 GiB uncapped: 4 → 1 ${median(four).toFixed(2)} s (${list(four)}), 1 → 1 ${median(one).toFixed(2)} s (${list(one)})`,
  );
  console.log(
    `    ratio ${ratio.toFixed(2)}; aim at most 1: ${ratio <= 1 ? "reached" : "NOT REACHED"}; ${machineState(steal)}`,
  );
}

function machineState(steal: () => number): string {
  return `load ${loadavg()[0]!.toFixed(1)}, CPU time taken by the host ${steal().toFixed(0)} %`;
}
