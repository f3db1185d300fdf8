/**
 * Builds dist/p2pfs and measures it against the clock and against its rivals, side by side on this machine.
 *
 *   scripts/bench [SECTION …] [--rounds N] [--folder DIR]
 *
 * Sections: transfer (1 GiB from one seeder, against curl from nginx), r8 (1,000,000,000 bytes), large (5 GiB, with the
 * memory of both sides), version (the time of --version, against curl's), three (three peers at once, against
 * libtorrent), swarm (64 MiB to up to 16 peers with capped uploads, against the theoretical bound and libtorrent),
 * seeders (1 GiB from four against one), private (what a private swarm costs against plain connections, joins and
 * handshakes of its tracker, first steps in two network namespaces), commands (publish, ping, and lists of 100,000 files), admin (requests to the endpoint during a fetch, the
 * page in Chromium). All of them without an argument. Before each run the outputs are removed and the disk is synced;
 * the two sides take turns at being first; a ratio is the median of those of the rounds.
 * Files lie on disk (--folder, else dist/) and in /dev/shm. Nothing else should run meanwhile.
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync, statfsSync, statSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { build } from "./build.ts";
import { atExit, undoOnSignals } from "./lib/at-exit.ts";
import { benchAdmin } from "./lib/bench-admin.ts";
import { benchPrivate } from "./lib/bench-private.ts";
import { measureCommands } from "./lib/commands.ts";
import {
  assertSame,
  compare,
  GiB,
  list,
  MiB,
  makeFile,
  median,
  peakMemory,
  type Run,
  runTimed,
  seconds,
  settle,
} from "./lib/measure.ts";
import { missingCurlAndNginx, missingLibtorrent, runLibtorrent, startNginx } from "./lib/rivals.ts";
import { type Role, Roles } from "./lib/roles.ts";
import { compareSeeders, compareSwarms } from "./lib/swarm.ts";

const root = dirname(import.meta.dir);
const r8Bytes = 1_000_000_000;
const warmUps = 3;
const versionPairsPerRound = 10;

const { values: options, positionals: asked } = parseArgs({
  options: { rounds: { type: "string", default: "5" }, folder: { type: "string" } },
  allowPositionals: true,
});
const rounds = Number(options.rounds);

/** A place to measure at: its name in the output, and a folder that is removed at the end. */
interface Place {
  readonly name: string;
  readonly folder: string;
}

/** One file, published by one seeder, and what is needed to fetch it. */
interface Share {
  readonly place: Place;
  readonly roles: Roles;
  readonly tracker: Role;
  readonly seeder: Role;
  readonly file: string;
  fetchTo(name: string): Promise<Run>;
  outputsOf(name: string): string[];
}

const name = "bench.bin";

/** Sets a tracker and a seeder up around a file of this size, and takes everything away again. */
async function withShare(place: Place, bytes: number, use: (share: Share) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(place.folder, "share-"));
  const file = join(folder, name);
  const roles = new Roles(binary, folder);
  const outputsOf = (output: string) => [join(folder, output), join(folder, `${output}.data`)];
  try {
    makeFile(file, bytes);
    const tracker = await roles.tracker();
    const seeder = await roles.peer("seeder", tracker);
    await roles.ask(["peer", "publish", file, name, "--data", seeder.data]);
    const fetchTo = (output: string) => {
      const [destination, data] = outputsOf(output) as [string, string];
      return runTimed([binary, "peer", "fetch", name, destination, "--tracker", tracker.address, "--data", data]);
    };
    await use({ place, roles, tracker, seeder, file, fetchTo, outputsOf });
  } finally {
    await roles.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

function show(where: string, what: string): void {
  console.log(`  ${where.padEnd(9)}${what}`);
}

function verdict(reached: boolean): string {
  return reached ? "reached" : "NOT REACHED";
}

/** One of p2pfs's fetches from a settled state. */
async function fetchSettled({ fetchTo, outputsOf, file }: Share): Promise<Run> {
  const outputs = outputsOf("ours");
  settle(...outputs);
  const run = await fetchTo("ours");
  if (statSync(outputs[0]!).size !== statSync(file).size) throw new Error("the fetched file has another size");
  return run;
}

async function transfer(place: Place): Promise<void> {
  await withShare(place, GiB, async (share) => {
    const missing = missingCurlAndNginx();
    if (missing !== undefined) {
      console.log(`  curl and nginx: ${missing}; p2pfs alone is measured`);
      const runs: number[] = [];
      for (let round = 0; round < rounds; round++) runs.push((await fetchSettled(share)).seconds);
      return show(place.name, `p2pfs ${seconds(median(runs))} (${list(runs)})`);
    }
    const folder = dirname(share.file);
    const nginx = await startNginx(folder, join(folder, "nginx"));
    const theirs = join(folder, "theirs");
    try {
      const result = await compare(
        rounds,
        async () => (await fetchSettled(share)).seconds,
        async () => {
          settle(theirs);
          return (await runTimed(["curl", "-s", "-f", "-o", theirs, `${nginx.url}/${name}`])).seconds;
        },
      );
      assertSame(share.file, join(folder, "ours"));
      assertSame(share.file, theirs);
      show(place.name, `p2pfs ${seconds(median(result.ours))} (${list(result.ours)})`);
      show("", `curl  ${seconds(median(result.theirs))} (${list(result.theirs)})`);
      show("", `ratio ${result.ratio.toFixed(2)}; aim at most 1.2: ${verdict(result.ratio <= 1.2)}`);
    } finally {
      await nginx.stop();
    }
  });
}

async function r8(place: Place): Promise<void> {
  await withShare(place, r8Bytes, async (share) => {
    const runs: number[] = [];
    for (let round = 0; round < rounds; round++) runs.push((await fetchSettled(share)).seconds);
    assertSame(share.file, share.outputsOf("ours")[0]!);
    const worst = Math.max(...runs);
    show(place.name, `median ${seconds(median(runs))}, worst ${seconds(worst)} (${list(runs)})`);
    show("", `aim below 2 s: ${verdict(worst < 2)}`);
  });
}

async function large(place: Place): Promise<void> {
  const bytes = 5 * GiB;
  const { bavail, bsize } = statfsSync(place.folder);
  if (bavail * bsize < 2.2 * bytes) return show(place.name, "left out: fewer than 11 GiB are free");
  await withShare(place, bytes, async (share) => {
    const published = peakMemory(share.seeder.pid);
    const runs: Run[] = [];
    for (let round = 0; round < rounds; round++) runs.push(await fetchSettled(share));
    assertSame(share.file, share.outputsOf("ours")[0]!);
    const times = runs.map((run) => run.seconds);
    const fetcher = Math.max(...runs.map((run) => run.peakBytes));
    const seeder = peakMemory(share.seeder.pid);
    const mebibytes = (value: number) => `${(value / MiB).toFixed(0)} MiB`;
    show(place.name, `median ${seconds(median(times))}, worst ${seconds(Math.max(...times))} (${list(times)})`);
    show(
      "",
      `peak memory: fetching ${mebibytes(fetcher)}, serving ${mebibytes(seeder)} (after publish ${mebibytes(published)})`,
    );
    const reached = Math.max(...times) < 15 && Math.max(fetcher, seeder) <= 300e6;
    show("", `aim below 15 s, 300 MB on either side: ${verdict(reached)}`);
  });
}

async function version(): Promise<void> {
  const ours = async () => (await runTimed([binary, "--version"])).seconds;
  if (Bun.which("curl") === null) {
    const runs: number[] = [];
    for (let turn = 0; turn < rounds * versionPairsPerRound; turn++) runs.push(await ours());
    return show("", `p2pfs ${seconds(median(runs))}; curl is not installed`);
  }
  const theirs = async () => (await runTimed(["curl", "--version"])).seconds;
  await compare(warmUps, ours, theirs);
  const result = await compare(rounds * versionPairsPerRound, ours, theirs);
  show("", `p2pfs ${seconds(median(result.ours))}, curl ${seconds(median(result.theirs))}`);
  show("", `ratio ${result.ratio.toFixed(2)}; aim at most 2: ${verdict(result.ratio <= 2)}`);
}

async function three(place: Place): Promise<void> {
  const leechers = ["one", "two", "three"];
  await withShare(place, GiB, async (share) => {
    const ours = async () => {
      settle(...leechers.flatMap(share.outputsOf));
      const started = performance.now();
      await Promise.all(leechers.map(share.fetchTo));
      return (performance.now() - started) / 1000;
    };
    const missing = missingLibtorrent();
    if (missing !== undefined) {
      console.log(`  libtorrent: ${missing}; p2pfs alone is measured`);
      const runs: number[] = [];
      for (let round = 0; round < rounds; round++) runs.push(await ours());
      return show(place.name, `p2pfs ${seconds(median(runs))} (${list(runs)})`);
    }
    const torrents = join(dirname(share.file), "libtorrent");
    const result = await compare(rounds, ours, async () => {
      settle(torrents);
      mkdirSync(torrents);
      return runLibtorrent(share.file, torrents, leechers.length);
    });
    for (const leecher of leechers) assertSame(share.file, share.outputsOf(leecher)[0]!);
    show(place.name, `p2pfs      ${seconds(median(result.ours))} (${list(result.ours)})`);
    show("", `libtorrent ${seconds(median(result.theirs))} (${list(result.theirs)})`);
    show("", `ratio ${result.ratio.toFixed(2)}; aim at most 0.33: ${verdict(result.ratio <= 1 / 3)}`);
  });
}

/** Several processes and little data: only in memory, where no disk adds its own time. */
async function swarm(places: readonly Place[]): Promise<void> {
  const { folder } = places.at(-1)!;
  await compareSwarms(binary, folder, rounds);
}

async function seeders(places: readonly Place[]): Promise<void> {
  await compareSeeders(binary, places.at(-1)!.folder, rounds);
}

interface Section {
  readonly title: string;
  run(places: readonly Place[]): Promise<void>;
}

async function commands([place]: readonly Place[]): Promise<void> {
  const folder = mkdtempSync(join(place!.folder, "commands-"));
  await measureCommands(binary, folder, (what) => show(place!.name, what));
  rmSync(folder, { recursive: true, force: true });
}

function atEach(run: (place: Place) => Promise<void>): Section["run"] {
  return async (places) => {
    for (const place of places) await run(place);
  };
}

const sections: Readonly<Record<string, Section>> = {
  version: { title: "--version, the whole process", run: version },
  transfer: { title: "1 GiB from one seeder, the whole process, against curl from nginx", run: atEach(transfer) },
  r8: { title: "R8: 1,000,000,000 bytes from one seeder", run: atEach(r8) },
  large: { title: "R9: 5 GiB from one seeder", run: atEach(large) },
  three: { title: "1 GiB to three peers at once from one seeder, against libtorrent", run: atEach(three) },
  commands: { title: "how fast commands answer, and the lists of 100,000 files", run: commands },
  swarm: { title: "swarms of processes, each upload capped, against the least time possible", run: swarm },
  seeders: { title: "1 GiB from four seeders, against one", run: seeders },
  private: {
    title: "a private swarm against plain connections; joins and handshakes of one tracker; the first file",
    run: (places) => benchPrivate({ binary, places, rounds, show }),
  },
  admin: {
    title: "the endpoint and the page: requests, their cost to a fetch, weight, time, 100,000 files",
    run: (places) => benchAdmin({ binary, folder: places.at(-1)!.folder, rounds, show }),
  },
};

function fail(message: string): never {
  console.error(message);
  process.exit(2);
}

const wrong = asked.find((section) => !Object.hasOwn(sections, section));
if (wrong !== undefined) fail(`there is no section ${wrong}; there are ${Object.keys(sections).join(", ")}`);
if (!Number.isInteger(rounds) || rounds < 1) fail("--rounds takes a whole number from 1");
const binary = await build();

undoOnSignals();
const onDisk = options.folder ?? join(root, "dist");
const places: Place[] = [{ name: "disk", folder: mkdtempSync(join(onDisk, "bench-")) }];
if (existsSync("/dev/shm")) places.push({ name: "/dev/shm", folder: mkdtempSync("/dev/shm/p2pfs-bench-") });

const removePlaces = atExit(() => {
  for (const { folder } of places) rmSync(folder, { recursive: true, force: true });
});

console.log(
  `${cpus()[0]?.model ?? "?"}, ${cpus().length} cores, ${(totalmem() / GiB).toFixed(0)} GiB; ${rounds} rounds`,
);
try {
  for (const [section, { title, run }] of Object.entries(sections)) {
    if (asked.length > 0 && !asked.includes(section)) continue;
    console.log(`${section}: ${title}`);
    await run(places);
  }
} finally {
  removePlaces();
}
