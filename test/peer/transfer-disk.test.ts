/** A transfer whose disk is slower than its sources: what waits for the disk is bounded, and nobody stays unread. */
import { expect, test } from "bun:test";
import { P2pfsError } from "../../src/core/errors.ts";
import { DIGEST_BYTES } from "../../src/core/limits.ts";
import { contentIdOf, encodeManifest, manifestOfFile } from "../../src/core/manifest.ts";
import { MINUTE_MS, MiB, SECOND_MS } from "../../src/core/units.ts";
import { digest } from "../../src/disk/blake3.ts";
import { BufferPool } from "../../src/disk/buffer-pool.ts";
import { RateLimiter } from "../../src/peer/rate-limiter.ts";
import { Transfer } from "../../src/peer/transfer.ts";
import { Room } from "../support/room.ts";
import { CHUNK, type Content, fileName, holderIn, Parts } from "./parts.ts";

/** As in transfer.ts. */
const UNWRITTEN_BYTES_MAX = 24 * MiB;
const CHUNKS = 512;

/** Zeros, so that one digest is that of each chunk. */
function zeros(): Content {
  const one = new Uint8Array(CHUNK);
  const digests = new Uint8Array(CHUNKS * DIGEST_BYTES);
  const ofOne = digest(one);
  for (let chunk = 0; chunk < CHUNKS; chunk++) digests.set(ofOne, chunk * DIGEST_BYTES);
  const manifest = manifestOfFile(CHUNKS * CHUNK, digests);
  const manifestBytes = encodeManifest(manifest);
  const of = { manifest, manifestBytes, contentId: contentIdOf(manifestBytes, digest), chunkCount: CHUNKS };
  return { bytes: one, size: CHUNKS * CHUNK, chunk: () => one, ...of };
}

/** A transfer from a fast holder to a disk that takes so long for each write. */
function transferring(writeMs: number) {
  const room = new Room();
  const parts = new Parts(room);
  const content = zeros();
  const holder = holderIn(room, "10.0.2.1", content);
  const part = parts.addPart(content);
  parts.accessMs = () => writeMs;
  const buffers = new BufferPool(0);
  const { clock, random } = parts.process.system;
  const transfer = new Transfer({
    clock,
    random,
    contentId: content.contentId,
    fname: fileName("f"),
    manifest: content.manifest,
    part,
    neighbours: parts.neighbours,
    log: parts.log,
    swarms: parts.swarms,
    buffers,
    downThrottle: new RateLimiter(clock),
    // More than 30 small chunks, in place of 30 large ones.
    bounds: { windowSize: CHUNKS },
    findHolders: async () => [],
    gained: () => {},
  });
  const running = transfer.run([holder]);
  running.catch(() => {});
  const neighbour = room.wait(parts.neighbours.reach(holder.address));
  return { room, parts, content, holder, part, buffers, running, transfer, neighbour };
}

test("chunks that wait for the disk are bounded: then sources are not read, and are again when half of it is written", () => {
  const { room, part, buffers, running, neighbour } = transferring(30 * SECOND_MS);
  let takenMax = 0;
  const acquire = buffers.acquire.bind(buffers);
  buffers.acquire = (bytes) => {
    const buffer = acquire(bytes);
    takenMax = Math.max(takenMax, buffers.takenBytes);
    return buffer;
  };
  room.until(() => neighbour.connection.isPaused);
  room.run(20 * SECOND_MS);
  expect([neighbour.connection.isPaused, part.have.count]).toEqual([true, 0]);
  room.wait(running);
  expect(takenMax).toBeGreaterThan(UNWRITTEN_BYTES_MAX);
  expect(takenMax).toBeLessThanOrEqual(UNWRITTEN_BYTES_MAX + 2 * CHUNK);
  expect([part.have.isFull, buffers.takenBytes, neighbour.connection.isPaused]).toEqual([true, 0, false]);
});

test("a source that leaves the swarm while it is not read is read again when the disk has caught up", () => {
  const { room, parts, content, neighbour } = transferring(30 * SECOND_MS);
  room.until(() => neighbour.connection.isPaused);
  // As if LEAVE_SWARM had come right behind the chunk that was one too many.
  parts.swarms.leave(content.contentId, neighbour);
  room.run(MINUTE_MS);
  expect(neighbour.connection.isPaused).toBe(false);
});

test("a stop while the disk is behind leaves nobody unread, and every buffer comes back when its write has ended", () => {
  const { room, buffers, running, transfer, neighbour } = transferring(30 * SECOND_MS);
  room.until(() => neighbour.connection.isPaused);
  transfer.stop(new P2pfsError("cancelled", "enough"));
  room.duration(running);
  expect(neighbour.connection.isPaused).toBe(false);
  expect(buffers.takenBytes).toBeGreaterThan(0);
  room.run(MINUTE_MS);
  expect(buffers.takenBytes).toBe(0);
});
