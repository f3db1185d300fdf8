/** A private swarm: what encryption costs against plain connections, how fast one tracker lets machines in, first steps. */
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { atExit } from "./at-exit.ts";
import { benchFloods } from "./bench-floods.ts";
import { firstFile, missingNamespaces } from "./first-file.ts";
import {
  assertSame,
  compare,
  cpuSecondsOf,
  GiB,
  list,
  makeFile,
  median,
  runTimed,
  seconds,
  settle,
  watchSteal,
} from "./measure.ts";
import { joinAs, member, privateTracker } from "./members.ts";
import { measureAdmissions } from "./private-admissions.ts";
import { compareCommands, compareMemory, comparePrivateSwarms } from "./private-costs.ts";
import { Roles } from "./roles.ts";

const RATIO_AIM = 1.3;
const JOINS_AIM = 100;
const FILE = "bench.bin";

interface Place {
  readonly name: string;
  readonly folder: string;
}

/** What a person does for the same with other programs, by their documentation; installing it is left out everywhere. */
const rivals = [
  {
    name: "Syncthing",
    source: "https://docs.syncthing.net/intro/getting-started.html",
    there: [
      "syncthing",
      "click Add Remote Device",
      "enter the device ID",
      "select the folder",
      "click Save",
      "cp FILE ~/Sync",
    ],
    here: ["syncthing", "click Add Remote Device", "enter the device ID", "select the folder", "click Save"],
  },
  {
    name: "croc, by way of a public relay, once",
    source: "https://github.com/schollz/croc/blob/main/packaging/croc.1",
    there: ["croc send FILE"],
    here: ["croc", "enter the code", "answer y"],
  },
  {
    name: "croc, with a relay of one's own",
    source: "https://github.com/schollz/croc#self-host-relay",
    there: ["croc relay", "croc --relay HOST:9009 send FILE"],
    here: ["croc --relay HOST:9009", "enter the code", "answer y"],
  },
] as const;

export interface BenchPrivateOptions {
  readonly binary: string;
  readonly places: readonly Place[];
  readonly rounds: number;
  readonly show: (where: string, what: string) => void;
}

type Part = BenchPrivateOptions & { readonly folder: string };

const parts: readonly ((part: Part) => Promise<void>)[] = [
  transfers,
  admissions,
  compareCommands,
  comparePrivateSwarms,
  compareMemory,
  firstFiles,
  benchFloods,
];

/** Each part has a folder in memory, where no disk adds its own time. */
export async function benchPrivate(options: BenchPrivateOptions): Promise<void> {
  for (const part of parts) await inFolder(options.places.at(-1)!.folder, (folder) => part({ ...options, folder }));
}

async function inFolder(place: string, use: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(place, "private-"));
  const undo = atExit(() => rmSync(folder, { recursive: true, force: true }));
  try {
    await use(folder);
  } finally {
    undo();
  }
}

function verdict(reached: boolean): string {
  return reached ? "reached" : "NOT REACHED";
}

async function transfers({ places, ...options }: Part): Promise<void> {
  for (const { name, folder } of places)
    await inFolder(folder, (within) => transfer({ ...options, places, folder: within }, name));
}

interface Measured {
  readonly seconds: number;
  /** CPU time of both sides, which other load on the machine hardly changes. */
  readonly cpuSeconds: number;
}

async function transfer({ binary, folder, rounds, show }: Part, place: string): Promise<void> {
  const roles = new Roles(binary, folder);
  try {
    const file = join(folder, FILE);
    makeFile(file, GiB);
    const steal = watchSteal();
    const cpu = { private: [] as number[], plain: [] as number[] };
    const fetches = { private: await privateFetch(roles, file), plain: await plainFetch(roles, file) };
    const run = (kind: keyof typeof fetches) => async () => {
      const measured = await fetches[kind](join(folder, kind));
      cpu[kind].push(measured.cpuSeconds);
      return measured.seconds;
    };
    await compare(1, run("private"), run("plain"));
    for (const times of Object.values(cpu)) times.length = 0;
    const { ours, theirs, ratio } = await compare(rounds, run("private"), run("plain"));
    const cpuRatio = median(cpu.private.map((value, round) => value / cpu.plain[round]!));
    show(place, `1 GiB private ${seconds(median(ours))} (${list(ours)}), CPU time ${seconds(median(cpu.private))}`);
    show("", `1 GiB plain   ${seconds(median(theirs))} (${list(theirs)}), CPU time ${seconds(median(cpu.plain))}`);
    show("", `ratio ${ratio.toFixed(2)}; aim at most ${RATIO_AIM}: ${verdict(ratio <= RATIO_AIM)}`);
    show("", `ratio of the CPU time of both sides ${cpuRatio.toFixed(2)}; host took ${steal().toFixed(0)} %`);
  } finally {
    await roles.stop();
  }
}

type Fetch = (output: string) => Promise<Measured>;

async function plainFetch(roles: Roles, file: string): Promise<Fetch> {
  const tracker = await roles.tracker("plain-tracker");
  const seeder = await roles.peer("plain-seeder", tracker);
  await roles.ask(["peer", "publish", file, FILE, "--data", seeder.data]);
  const flags = ["--tracker", tracker.address, "--data", join(roles.folder, "plain-leecher")];
  return (output) => measureFetch(roles, file, seeder.pid, output, flags);
}

async function privateFetch(roles: Roles, file: string): Promise<Fetch> {
  const tracker = await privateTracker(roles, "private-tracker");
  const seeder = await member(roles, "private-seeder", tracker);
  await roles.ask(["peer", "publish", file, FILE, "--data", seeder.data]);
  const flags = ["--data", await joinAs(roles, "private-leecher", tracker)];
  return (output) => measureFetch(roles, file, seeder.pid, output, flags);
}

async function measureFetch(
  { binary }: Roles,
  file: string,
  seeder: number,
  output: string,
  flags: readonly string[],
): Promise<Measured> {
  settle(output);
  const before = cpuSecondsOf(seeder);
  const run = await runTimed([binary, "peer", "fetch", FILE, output, ...flags]);
  const served = cpuSecondsOf(seeder) - before;
  assertSame(file, output);
  settle(output);
  return { seconds: run.seconds, cpuSeconds: run.cpuSeconds + served };
}

async function admissions({ folder, rounds, show }: Part): Promise<void> {
  const { joins, handshakes } = await measureAdmissions(folder, rounds);
  const line = (values: readonly number[]) =>
    `${Math.min(...values).toFixed(0)} / ${median(values).toFixed(0)} / ${Math.max(...values).toFixed(0)} a second`;
  show("joins", `${line(joins.perSecond)} (minimum / median / maximum), both sides on this machine`);
  show(
    "",
    `CPU time of the tracker ${joins.cpuMs.toFixed(1)} ms each: ${(1000 / joins.cpuMs).toFixed(0)} on a core of its own`,
  );
  show("", `aim at least ${JOINS_AIM} a second: ${verdict(median(joins.perSecond) >= JOINS_AIM)}`);
  show("members", `${line(handshakes.perSecond)} connect, greet and close`);
  show("", `CPU time of the tracker ${handshakes.cpuMs.toFixed(1)} ms each`);
}

async function firstFiles({ binary, folder, rounds, show }: Part): Promise<void> {
  const missing = missingNamespaces();
  if (missing !== undefined) return show("start", `left out: ${missing}`);
  const ways = { "with a peer that stays": false, "by peer fetch --join": true };
  for (const [title, atOnce] of Object.entries(ways)) {
    const runs = [];
    for (let round = 0; round < rounds; round++) runs.push(await firstFile(binary, folder, atOnce));
    const [sharing, fetching] = runs[0]!.commands;
    const times = runs.map((run) => run.seconds);
    show("start", `to the first file of another machine, ${title}:`);
    show("", `${sharing} commands there, ${fetching} here, ${seconds(median(times))} of the machines (${list(times)})`);
  }
  for (const { name, source, there, here } of rivals) {
    show("", `${name}: steps for the same (not measured; ${source}):`);
    show("", `  there, ${there.length}: ${there.join("; ")}`);
    show("", `  here, ${here.length}: ${here.join("; ")}`);
  }
}
