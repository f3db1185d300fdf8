/**
 * Fetches that resume what an earlier process left: none of it is believed, nothing of it that is right is fetched again,
 * and nothing that is wrong is served or gets the file's name.
 */
import { beforeEach, expect, test } from "bun:test";
import { existsSync, linkSync, readFileSync, renameSync, truncateSync, writeFileSync } from "node:fs";
import { Bitfield, NO_CHUNKS, rangeOfOne } from "../../src/core/bitfield.ts";
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
import { closeLater } from "../support/closing.ts";
import { expectError } from "../support/errors.ts";
import { FakeHolder } from "../support/fake-holder.ts";
import { expectBytes } from "../support/folder.ts";
import { dialAs, helloOf } from "../support/protocol-peer.ts";
import { Cluster, fetchTo } from "../support/roles.ts";
import { until } from "../support/until.ts";

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
  cluster = await Cluster.open();
  [seeder, leecher] = await cluster.joinPeers(["seeder", "leecher"]);
  source = cluster.makeFile("source.bin", SIZE);
  bytes = readFileSync(source);
  hashed = await hashFile(source);
  ({ ticket } = await cluster.publish(seeder, source));
  destination = cluster.path("copy.bin");
  partPath = partPathsFor(destination, hashed.contentId).part;
});

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
  expectBytes(destination, bytes);
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
  "before the part file was removed": () => linkSync(partPath, destination),
  "after that": () => renameSync(partPath, destination),
})) {
  test(`a file that was placed and whose process died ${when} is verified before the fetch is done`, async () => {
    await leave(every);
    place();
    const { bytes_resumed: bytesResumed } = await fetchTo(leecher, ticket, destination);
    expect(bytesResumed).toBe(SIZE);
    expectWhole();
  });

  test(`a file that was placed and whose process died ${when}, damaged since, is fetched where it is damaged`, async () => {
    await leave(every);
    place();
    change(destination, (content) => (content[DAMAGED * CHUNK]! ^= 1));
    const { bytes_fetched: bytesFetched } = await fetchTo(leecher, ticket, destination);
    expect(bytesFetched).toBe(CHUNK);
    expectWhole();
  });
}

test("a part file with every chunk becomes the file without any holder online", async () => {
  await leave(every);
  await cluster.stopPeer(seeder);
  const receipt = await fetchTo(leecher, ticket, destination);
  expect(receipt).toMatchObject({ bytes_fetched: 0, bytes_resumed: SIZE, sources: [] });
  expectWhole();
});

test("a part file with every chunk becomes the file on a retry without the tracker", async () => {
  await cluster.stopPeer(seeder);
  await leave([0]);
  const job = await leecher.fetch({ what: ticket, destination });
  await expectError("no_holder", job.done);
  await leave(every);
  await cluster.stopTracker();
  const again = await leecher.retryFetch(job.id);
  expect(await again.done).toMatchObject({ bytes_resumed: SIZE });
  expectWhole();
});

test("D7: a damaged chunk and no holder online: the notice names it, nothing is under the final name, the rest is kept", async () => {
  await leave(every);
  flip(DAMAGED * CHUNK)();
  await cluster.stopPeer(seeder);
  await expectError("no_holder", fetchTo(leecher, ticket, destination), `chunk ${DAMAGED} of ${CHUNK_COUNT}`);
  expect(existsSync(destination)).toBe(false);
  await cluster.joinPeer("seeder");
  expect(await fetchTo(leecher, ticket, destination)).toMatchObject({ bytes_fetched: CHUNK });
  expectWhole();
});

test("a doubtful chunk is not held: not offered, not read, not counted", async () => {
  await leave(every);
  const { contentId, manifest } = hashed;
  const part = await PartFile.open({ destination, contentId, manifest });
  closeLater(part, () => part.close());
  const repository = closeLater(openRepository(":memory:"), (repository) => repository.close());
  const library = new Library(repository, new FileStore());
  library.addPart(contentId, part);
  expect(library.offer(contentId)?.have.count).toBe(0);
  expectError("not_found", () => library.chunkLength(contentId, 0));
  await expectError("not_found", library.read(contentId, 0, 0, new Uint8Array(1)));
});

test("while the check runs a damaged chunk is neither announced nor sent; those that are right are", async () => {
  await leave(every);
  flip(DAMAGED * CHUNK)();
  await cluster.stopPeer(seeder);
  const job = await leecher.fetch({ what: ticket, destination });
  const announced = new Bitfield(CHUNK_COUNT);
  const third = await dialAs(helloOf("peer"), leecher.status().listen, {
    notice: (message) => message.type === "HAVE" && announced.addRanges(message.chunks),
  });
  const content = { content_id: hashed.contentId };
  const joined = await third.request({ type: "REQUEST_JOIN_SWARM", ...content, chunks: NO_CHUNKS });
  announced.addRanges(joined.chunks);
  const ask = (chunk: number) =>
    third.request(
      { type: "PEER_REQUEST_CHUNK", filename: job.fname, ...content, chunknum: rangeOfOne(chunk) },
      { openPayload: (_message, length) => new Uint8Array(length) },
    );
  await until("all others are announced", () => announced.count === CHUNK_COUNT - 1);
  expect(await ask(DAMAGED + 1)).toMatchObject({ chunknum: DAMAGED + 1 });
  await expectError("not_found", ask(DAMAGED));
  await expectError("no_holder", job.done);
  expect(announced.has(DAMAGED)).toBe(false);
});

test("a member that joins while the check runs is announced every chunk that was found right", async () => {
  await leave(every.slice(1));
  await cluster.stopPeer(seeder);
  let job: FetchJob | undefined;
  const holder = await FakeHolder.start({
    tracker: cluster.trackerAddress,
    path: source,
    answer: (chunk, content) => ({ chunk, bytes: content }),
    beforeJoinReply: () => until("all is checked", () => job?.progress().chunks === CHUNK_COUNT - 1),
  });
  job = await leecher.fetch({ what: ticket, destination });
  expect(await job.done).toMatchObject({ bytes_fetched: CHUNK });
  await until("every chunk is announced", () => holder.announced.isFull);
});

test("a fetch that is stopped while its part file is checked ends as cancelled", async () => {
  await leave(every);
  const job = await leecher.fetch({ what: ticket, destination });
  job.stop();
  await expectError("cancelled", job.done);
  expect(existsSync(destination)).toBe(false);
  expect(await fetchTo(leecher, ticket, destination)).toMatchObject({ bytes_resumed: SIZE });
});

test("chunks that are damaged in the part file are copied from a local copy of the content", async () => {
  const other = cluster.path("other.bin");
  await fetchTo(leecher, ticket, other);
  await leave(every.slice(1));
  flip(DAMAGED * CHUNK)();
  await cluster.stopPeer(seeder);
  const receipt = await fetchTo(leecher, ticket, destination);
  expect(receipt).toMatchObject({ bytes_copied: 2 * CHUNK, bytes_resumed: SIZE - 2 * CHUNK, bytes_fetched: 0 });
  expectWhole();
});
