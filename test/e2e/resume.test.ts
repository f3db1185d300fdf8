/**
 * Fetches that go on with what an earlier process left: none of it is believed, nothing of it that is right is fetched
 * again, and nothing that is wrong is served or gets the file's name.
 */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync, linkSync, readFileSync, renameSync, truncateSync, writeFileSync } from "node:fs";
import { Bitfield, NO_CHUNKS, rangeOfOne } from "../../src/core/bitfield.ts";
import { NOTICE_MS_MAX } from "../../src/core/limits.ts";
import { chunkLengthAt } from "../../src/core/manifest.ts";
import { KiB, MiB } from "../../src/core/units.ts";
import { FileStore } from "../../src/disk/file-store.ts";
import { type HashedFile, hashFile } from "../../src/disk/hash-file.ts";
import { PartFile } from "../../src/disk/part-file.ts";
import { partPathsFor } from "../../src/disk/part-paths.ts";
import type { FetchJob } from "../../src/peer/fetch-job.ts";
import { Library } from "../../src/peer/library.ts";
import type { Peer } from "../../src/peer/peer.ts";
import { openRepository } from "../../src/peer/repository.ts";
import { dial } from "../support/endpoint.ts";
import { serveFake } from "../support/serve-fake.ts";
import { Cluster, errorOf, fetchTo, until } from "./cluster.ts";
import { Rogue } from "./rogue.ts";

const CHUNK = 64 * KiB;
const SIZE = 3 * MiB + 7;
const CHUNK_COUNT = 49;
const every = Array.from({ length: CHUNK_COUNT }, (_, chunk) => chunk);
const DAMAGED = 11;

let cluster: Cluster;
let seeder: Peer;
let leecher: Peer;
let source: string;
let bytes: Uint8Array;
let hashed: HashedFile;
let ticket: string;
let destination: string;
let partPath: string;
beforeEach(async () => {
  cluster = await Cluster.start();
  [seeder, leecher] = (await cluster.startPeers(["seeder", "leecher"])) as [Peer, Peer];
  source = cluster.makeFile("source.bin", SIZE);
  bytes = readFileSync(source);
  hashed = await hashFile(source);
  ({ ticket } = await cluster.publish(seeder, source));
  destination = cluster.path("copy.bin");
  partPath = partPathsFor(destination, hashed.contentId).part;
});
afterEach(() => cluster.close());

const lengthOf = (chunk: number) => chunkLengthAt(SIZE, CHUNK, chunk);

/** A part file with these chunks, as an earlier process leaves it. */
async function leave(chunks: readonly number[]): Promise<void> {
  const { contentId, manifest } = hashed;
  const part = await PartFile.open({ destination, contentId, manifest });
  for (const chunk of chunks) await part.write(chunk, bytes.slice(chunk * CHUNK, chunk * CHUNK + lengthOf(chunk)));
  await part.close();
}

function change(path: string, how: (content: Uint8Array) => void): void {
  const content = readFileSync(path);
  how(content);
  writeFileSync(path, content);
}

const flip = (offset: number) => () => change(partPath, (content) => (content[offset]! ^= 1));
const cutTo = (length: number) => () => truncateSync(partPath, length);

function flipAll(): void {
  change(partPath, (content) => {
    for (const chunk of every) content[chunk * CHUNK]! ^= 1;
  });
}

function exchange(one: number, other: number): void {
  change(partPath, (content) => {
    content.set(bytes.subarray(one * CHUNK, (one + 1) * CHUNK), other * CHUNK);
    content.set(bytes.subarray(other * CHUNK, (other + 1) * CHUNK), one * CHUNK);
  });
}

function expectWhole(): void {
  expect(Buffer.compare(readFileSync(destination), bytes)).toBe(0);
  expect(existsSync(partPath)).toBe(false);
}

const damages: Record<string, { damage: () => void; lost: readonly number[] }> = {
  "nothing wrong": { damage: () => {}, lost: [] },
  "a bit flipped in the first byte": { damage: flip(0), lost: [0] },
  "a bit flipped in the middle": { damage: flip(DAMAGED * CHUNK + 99), lost: [DAMAGED] },
  "a bit flipped in the last byte": { damage: flip(SIZE - 1), lost: [CHUNK_COUNT - 1] },
  "bits flipped in every chunk": { damage: () => flipAll(), lost: every },
  "its end cut off": { damage: cutTo(40 * CHUNK + 1), lost: every.slice(40) },
  "nothing in it": { damage: cutTo(0), lost: every },
  "more than there should be": { damage: () => writeFileSync(partPath, "more", { flag: "a" }), lost: [] },
  "zeros only": { damage: () => writeFileSync(partPath, new Uint8Array(SIZE)), lost: every },
  "two chunks exchanged": { damage: () => exchange(3, 30), lost: [3, 30] },
};
for (const [what, { damage, lost }] of Object.entries(damages)) {
  for (const missing of [[], [DAMAGED + 1]]) {
    test(`a part file with ${what}, ${missing.length} chunks missing, becomes the right file`, async () => {
      await leave(every.filter((chunk) => !missing.includes(chunk)));
      damage();
      const receipt = await fetchTo(leecher, ticket, destination);
      expectWhole();
      const fetched = [...new Set([...lost, ...missing])].reduce((sum, chunk) => sum + lengthOf(chunk), 0);
      expect(receipt).toMatchObject({ bytes_fetched: fetched, bytes_resumed: SIZE - fetched, rejected: 0 });
    });
  }
}

for (const [when, place] of Object.entries({
  "before the part was removed": () => linkSync(partPath, destination),
  "after that": () => renameSync(partPath, destination),
})) {
  test(`a file that was placed and whose process died ${when} is read again before it is called done`, async () => {
    await leave(every);
    place();
    const { bytes_resumed: bytesResumed } = await fetchTo(leecher, ticket, destination);
    expect(bytesResumed).toBe(SIZE);
    expectWhole();
  });

  test(`a file that was placed and whose process died ${when}, damaged since, is mended`, async () => {
    await leave(every);
    place();
    change(destination, (content) => (content[DAMAGED * CHUNK]! ^= 1));
    const { bytes_fetched: bytesFetched } = await fetchTo(leecher, ticket, destination);
    expect(bytesFetched).toBe(CHUNK);
    expectWhole();
  });
}

test("with everything there, no holder needs to be online", async () => {
  await leave(every);
  await cluster.stopPeer(seeder);
  const receipt = await fetchTo(leecher, ticket, destination);
  expect(receipt).toMatchObject({ bytes_fetched: 0, bytes_resumed: SIZE, sources: [] });
  expectWhole();
});

test("with everything there, a fetch that is tried again needs no tracker either", async () => {
  await cluster.stopPeer(seeder);
  await leave([0]);
  const job = await leecher.fetch({ what: ticket, destination });
  expect(await errorOf(job.done)).toMatchObject({ code: "no_holder" });
  await leave(every);
  await cluster.stopTracker();
  try {
    const again = await leecher.retryFetch(job.id);
    expect(await again.done).toMatchObject({ bytes_resumed: SIZE });
    expectWhole();
  } finally {
    await cluster.startTracker();
  }
});

test("D7, R5: damaged and nobody online: told in time, nothing under the final name, the rest is kept", async () => {
  await leave(every);
  flip(DAMAGED * CHUNK)();
  await cluster.stopPeer(seeder);
  const started = performance.now();
  expect(await errorOf(fetchTo(leecher, ticket, destination))).toMatchObject({
    code: "no_holder",
    message: expect.stringContaining(`chunk ${DAMAGED} of ${CHUNK_COUNT}`),
  });
  expect(performance.now() - started).toBeLessThan(NOTICE_MS_MAX);
  expect(existsSync(destination)).toBe(false);
  const back = await cluster.startPeer("seeder");
  await until(() => back.status().connected);
  expect(await fetchTo(leecher, ticket, destination)).toMatchObject({ bytes_fetched: CHUNK });
  expectWhole();
});

test("what is doubtful is had by nobody's reckoning: not offered, not read, not counted", async () => {
  await leave(every);
  const { contentId, manifest } = hashed;
  const part = await PartFile.open({ destination, contentId, manifest });
  const repository = openRepository(":memory:");
  const library = new Library(repository, new FileStore());
  try {
    library.addPart(contentId, part);
    expect(library.offer(contentId)?.have.count).toBe(0);
    expect(() => library.chunkLength(contentId, 0)).toThrow(expect.objectContaining({ code: "not_found" }));
    const reading = library.read(contentId, 0, 0, new Uint8Array(1));
    expect(await errorOf(reading)).toMatchObject({ code: "not_found" });
  } finally {
    repository.close();
    await part.close();
  }
});

test("a damaged chunk is told of to nobody and sent to nobody while the check runs; what is right is", async () => {
  await leave(every);
  flip(DAMAGED * CHUNK)();
  await cluster.stopPeer(seeder);
  const job = await leecher.fetch({ what: ticket, destination });
  const told = new Bitfield(CHUNK_COUNT);
  const local = { role: "peer", agent: "third", address: null } as const;
  const third = await dial(leecher.status().listen, { local, timeoutMs: NOTICE_MS_MAX });
  serveFake(third, { notice: (message) => message.type === "HAVE" && told.addRanges(message.chunks) });
  const content = { content_id: hashed.contentId };
  const joined = await third.request({ type: "REQUEST_JOIN_SWARM", ...content, chunks: NO_CHUNKS });
  told.addRanges(joined.chunks);
  const ask = (chunk: number) =>
    third.request(
      { type: "PEER_REQUEST_CHUNK", filename: job.fname, ...content, chunknum: rangeOfOne(chunk) },
      { openPayload: (_message, length) => new Uint8Array(length) },
    );
  await until(() => told.count === CHUNK_COUNT - 1);
  expect(await ask(DAMAGED + 1)).toMatchObject({ chunknum: DAMAGED + 1 });
  expect(await errorOf(ask(DAMAGED))).toMatchObject({ code: "not_found" });
  expect(await errorOf(job.done)).toMatchObject({ code: "no_holder" });
  expect(told.has(DAMAGED)).toBe(false);
  third.close();
});

test("a member that joins while the check runs is told of every chunk that was found right", async () => {
  await leave(every.slice(1));
  await cluster.stopPeer(seeder);
  let job: FetchJob | undefined;
  const rogue = await Rogue.start({
    tracker: cluster.trackerAddress,
    path: source,
    answer: (chunk, content) => ({ chunk, bytes: content }),
    beforeJoinReply: () => until(() => job?.progress().chunks === CHUNK_COUNT - 1),
  });
  try {
    job = await leecher.fetch({ what: ticket, destination });
    expect(await job.done).toMatchObject({ bytes_fetched: CHUNK });
    await until(() => rogue.told.isFull);
  } finally {
    rogue.close();
  }
});

test("a fetch that is stopped while it is checked ends", async () => {
  await leave(every);
  const job = await leecher.fetch({ what: ticket, destination });
  job.stop();
  expect(await errorOf(job.done)).toMatchObject({ code: "cancelled" });
  expect(existsSync(destination)).toBe(false);
  expect(await fetchTo(leecher, ticket, destination)).toMatchObject({ bytes_resumed: SIZE });
});

test("what is held locally as well is taken from there where the part file is damaged", async () => {
  const other = cluster.path("other.bin");
  await fetchTo(leecher, ticket, other);
  await leave(every.slice(1));
  flip(DAMAGED * CHUNK)();
  await cluster.stopPeer(seeder);
  const receipt = await fetchTo(leecher, ticket, destination);
  expect(receipt).toMatchObject({ bytes_copied: 2 * CHUNK, bytes_resumed: SIZE - 2 * CHUNK, bytes_fetched: 0 });
  expectWhole();
});
