/**
 * Fetches that are killed at any moment, damaged or not, and go on: what is right on disk is not fetched again, what is
 * not right is, and no byte is taken on trust.
 */
import { beforeEach, expect, test } from "bun:test";
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, readSync, writeSync } from "node:fs";
import { join } from "node:path";
import { WINDOW_SIZE } from "../../src/core/limits.ts";
import { chunkLengthAt } from "../../src/core/manifest.ts";
import { KiB, MiB } from "../../src/core/units.ts";
import { isChunk } from "../../src/disk/blake3.ts";
import { type HashedFile, hashFile } from "../../src/disk/hash-file.ts";
import { PartFile } from "../../src/disk/part-file.ts";
import { partPathsFor } from "../../src/disk/part-paths.ts";
import type { Peer } from "../../src/peer/peer.ts";
import type { FetchReceipt } from "../../src/peer/types.ts";
import { expectSameFile } from "../support/folder.ts";
import { Cluster } from "../support/roles.ts";
import { seededRandom } from "../swarm/support.ts";

const KILLS = process.env.P2PFS_TEST_LONG === "1" ? 300 : 10;
const KILLS_PER_FETCH_MAX = 5;
const SEED = 4711;
const SIZE = 6 * MiB + 1;
const CHUNK = 64 * KiB;
/** A fetch takes a few tenths of a second; half of the kills come in them, the others anywhere from the start on. */
const BYTES_PER_SECOND = 16 * MiB;
const FETCH_MS = (1000 * SIZE) / BYTES_PER_SECOND;
const START_MS = 400;
const RUN_MS_MAX = 10_000;

let cluster: Cluster;
let seeder: Peer;
let source: string;
let hashed: HashedFile;
let ticket: string;

beforeEach(async () => {
  cluster = await Cluster.open();
  seeder = await cluster.joinPeer("seeder", { limits: { up_limit: BYTES_PER_SECOND } });
  source = cluster.makeFile("source.bin", SIZE);
  hashed = await hashFile(source);
  ({ ticket } = await cluster.publish(seeder, source));
});

/** What the child reports when the first chunk counts. */
const HAS_CHUNKS = /"chunks":[1-9]/;

interface Run {
  /** Chunks of which the process reported last that they count; none where it had not come so far. */
  readonly counted: number;
  /** Chunks that came from the seeder, whether they were written yet or not. */
  readonly arrived: number;
  readonly receipt: FetchReceipt | undefined;
}

/** Fetches in a process of its own; `killAfter` says when to end it, from its start or from its first chunk. */
async function fetchInChild(destination: string, killAfter?: { fromStart: boolean; ms: number }): Promise<Run> {
  const child = Bun.spawn(
    [
      process.execPath,
      join(import.meta.dir, "fetch-child.ts"),
      cluster.trackerAddress,
      ticket,
      destination,
      cluster.folder,
    ],
    { stdio: ["ignore", "pipe", "pipe"], timeout: RUN_MS_MAX, killSignal: "SIGKILL" },
  );
  let timer: Timer | undefined;
  const arm = () => {
    timer ??= setTimeout(() => child.kill("SIGKILL"), killAfter?.ms);
  };
  if (killAfter?.fromStart) arm();
  let output = "";
  const decoder = new TextDecoder();
  for await (const bytes of child.stdout) {
    output += decoder.decode(bytes, { stream: true });
    if (killAfter !== undefined && HAS_CHUNKS.test(output)) arm();
  }
  clearTimeout(timer);
  const exitCode = await child.exited;
  if (killAfter === undefined && exitCode !== 0) throw new Error(`the fetch failed: ${await child.stderr.text()}`);
  // The last line may have been cut off.
  const lines = output
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line) as { chunks?: number; arrived?: number; receipt?: FetchReceipt });
  const last = lines.findLast(({ chunks }) => chunks !== undefined);
  return { counted: last?.chunks ?? 0, arrived: last?.arrived ?? 0, receipt: lines.at(-1)?.receipt };
}

interface Kept {
  /** Chunks that the journal claims. */
  readonly claimed: number;
  /** Those of them whose bytes are right, by the manifest as it is known here. */
  readonly right: number;
  /** One of the right ones, by chance. */
  readonly victim: number | undefined;
}

/** What a resume starts from; undefined where the file is placed. */
async function whatIsKept(destination: string, random: () => number): Promise<Kept | undefined> {
  if (existsSync(destination)) return undefined;
  const { contentId, manifest } = hashed;
  const part = await PartFile.open({ destination, contentId, manifest });
  try {
    const right: number[] = [];
    for (const chunk of part.doubtful) {
      const bytes = new Uint8Array(chunkLengthAt(SIZE, CHUNK, chunk));
      await part.read(chunk * CHUNK, bytes);
      if (isChunk(bytes, manifest, chunk)) right.push(chunk);
    }
    return { claimed: part.doubtful.count, right: right.length, victim: right[Math.floor(random() * right.length)] };
  } finally {
    await part.close();
  }
}

/** As a failing disk might, or somebody with an editor. */
function flipBit(destination: string, chunk: number, random: () => number): void {
  const { part } = partPathsFor(destination, hashed.contentId);
  const file = openSync(part, "r+");
  const offset = chunk * CHUNK + Math.floor(random() * chunkLengthAt(SIZE, CHUNK, chunk));
  const byte = new Uint8Array(1);
  readSync(file, byte, 0, 1, offset);
  byte[0]! ^= 1 << Math.floor(random() * 8);
  writeSync(file, byte, 0, 1, offset);
  closeSync(file);
}

test(
  `a fetch killed at ${KILLS} moments loses what was on its way at most, and ends with the right bytes`,
  async () => {
    const random = seededRandom(SEED);
    let kills = 0;
    let inMidst = 0;
    let damaged = 0;
    for (let fetch = 0; kills < KILLS; fetch++) {
      const folder = cluster.path(`fetch-${fetch}`);
      mkdirSync(folder);
      const destination = join(folder, "copy.bin");
      const sentBefore = seeder.status().bytes_sent;
      let kept: Kept | undefined = { claimed: 0, right: 0, victim: undefined };
      let killsHere = 0;
      let damagedHere = 0;
      let unwrittenHere = 0;
      // Every other fetch is damaged as well as killed.
      const isDamaged = fetch % 2 === 1;
      while (kills < KILLS && killsHere < KILLS_PER_FETCH_MAX && kept !== undefined) {
        // What is to be damaged has a chunk by then, and is far from its end.
        const fromStart = !isDamaged && random() < 0.5;
        const ms = random() * (isDamaged ? FETCH_MS / 4 : fromStart ? START_MS + FETCH_MS : FETCH_MS);
        const run = await fetchInChild(destination, { fromStart, ms });
        const before: Kept = kept;
        kept = await whatIsKept(destination, random);
        kills++;
        killsHere++;
        if (kept === undefined) break;
        expect(kept.claimed).toBeGreaterThanOrEqual(Math.max(before.claimed, run.counted));
        expect(kept.right).toBeGreaterThanOrEqual(Math.max(before.right, run.counted));
        unwrittenHere += Math.max(0, run.arrived - (kept.right - before.right));
        if (kept.claimed > 0) inMidst++;
        if (!isDamaged || kept.victim === undefined) continue;
        flipBit(destination, kept.victim, random);
        const { right }: Kept = kept;
        kept = (await whatIsKept(destination, random))!;
        damagedHere += right - kept.right;
      }
      if (kept !== undefined) {
        const { receipt } = await fetchInChild(destination);
        const chunksResumed = Math.ceil(receipt!.bytes_resumed / CHUNK);
        expect(chunksResumed).toBe(kept.right);
        expect(receipt!.bytes_resumed + receipt!.bytes_fetched).toBe(SIZE);
      }
      expectSameFile(destination, source);
      // A kill right after the file was placed leaves the journal, which the next fetch to this place would remove.
      if (kept !== undefined) expect(readdirSync(folder)).toEqual(["copy.bin"]);
      const lost = Math.ceil((seeder.status().bytes_sent - sentBefore - SIZE) / CHUNK);
      // Of each process: a window it waited for, one that may have come since its last report, and what had come and
      // waited for the disk, which on a busy machine was as much as 94 chunks.
      expect(lost).toBeLessThanOrEqual(killsHere * 2 * WINDOW_SIZE + unwrittenHere + damagedHere);
      damaged += damagedHere;
    }
    console.log(`${kills} kills, ${inMidst} of them in midst of it, ${damaged} chunks damaged (seed ${SEED})`);
    expect(inMidst).toBeGreaterThan(KILLS / 10);
    expect(damaged).toBeGreaterThan(0);
  },
  KILLS * 3000 + RUN_MS_MAX,
);
