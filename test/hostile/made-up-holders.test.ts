/**
 * Outside of a swarm a peer id costs nothing: one machine makes up 3,000 holders of a content, in virtual time. The
 * honest holder is named all the same, and the fetch ends. In a swarm an id costs a certificate
 * (test/hostile/member.test.ts).
 */
import { expect, test } from "bun:test";
import type { Address } from "../../src/core/address.ts";
import { Bitfield } from "../../src/core/bitfield.ts";
import { type ContentId, chunkCountFor } from "../../src/core/manifest.ts";
import { KiB, MINUTE_MS, SECOND_MS } from "../../src/core/units.ts";
import { MemoryDisk } from "../../src/disk/memory-store.ts";
import type { Connection } from "../../src/net/connection.ts";
import { randomBytes } from "../support/bytes.ts";
import { endpointAt, Room } from "../support/room.ts";
import { peerId } from "../support/values.ts";
import { startPeer, startTracker, TRACKER_ADDRESS } from "./machines.ts";

const MADE_UP = 3000;
/** Of one machine at one tracker. */
const PEERS_PER_MACHINE_MAX = 1000;
/** Fewer than a listener greets at the same time. */
const AT_ONCE = 500;
const SAMPLES = 20;
const SIZE = 640 * KiB;
const bytes = randomBytes(SIZE, 1);
const [seederIp, leecherIp, hostileIp] = ["10.0.0.1", "10.0.0.2", "10.0.9.9"] as const;

/** Each with an address of its own, and with all chunks. @returns how many the tracker has taken */
function makeUpHolders(room: Room, ip: string, content_id: ContentId): number {
  const process = room.machine(ip);
  const chunknum = Bitfield.full(chunkCountFor(SIZE)).toRanges();
  const makeUp = async (index: number): Promise<boolean> => {
    const connection: Connection = await endpointAt(process).dial(TRACKER_ADDRESS, { timeoutMs: MINUTE_MS });
    const address = `${ip}:${10_000 + index}` as Address;
    const timeoutMs = 5 * MINUTE_MS;
    try {
      await connection.request(
        { type: "REQUEST_REGISTER", peer_id: peerId(index + 1), address, advertised: false, host_name: "?" },
        { timeoutMs },
      );
      await connection.request(
        { type: "REQUEST_CHUNK_REGISTER", primary_key: null, content_id, size: SIZE, chunknum, replace: true },
        { timeoutMs },
      );
      return true;
    } catch {
      return false;
    }
  };
  let taken = 0;
  for (let first = 0; first < MADE_UP; first += AT_ONCE) {
    const some = Array.from({ length: AT_ONCE }, (_, index) => makeUp(first + index));
    taken += room.wait(Promise.all(some)).filter(Boolean).length;
  }
  return taken;
}

test.each([
  { where: "of another machine, which take connections and say nothing", ip: hostileIp, listening: MADE_UP },
  { where: "of the honest one's own machine, where it was first", ip: seederIp, listening: 0 },
])("3,000 made-up holders $where, keep nobody from the honest one", ({ ip, listening }) => {
  const room = new Room();
  // Long leases: those who make up holders keep them.
  const hub = startTracker(room, { leaseMs: 60 * MINUTE_MS });
  const disk = new MemoryDisk();
  disk.write("/files/shared", bytes);
  const seeder = startPeer(room, seederIp, { disk });
  room.until(() => seeder.status().connected);
  const share = { path: "/files/shared", lname: "shared", fname: "shared" };
  const { ticket, content_id } = room.wait(seeder.publish(share));
  const taken = makeUpHolders(room, ip, content_id);
  expect(taken).toBe(PEERS_PER_MACHINE_MAX - (ip === seederIp ? 1 : 0));
  const machine = room.machine(ip);
  for (let index = 0; index < listening; index++) room.listenRaw(machine, 10_000 + index);
  let named = 0;
  for (let samples = 0; samples < SAMPLES; samples++) {
    // Samples are kept for a moment.
    room.run(SECOND_MS);
    const { holders } = room.wait(hub.holdersOf(content_id));
    if (holders.some(({ address }) => address === seeder.address)) named++;
  }
  expect(named).toBeGreaterThanOrEqual(SAMPLES - 1);
  const leecher = startPeer(room, leecherIp);
  room.until(() => leecher.status().connected);
  const beganMs = room.now;
  const job = room.wait(leecher.fetch({ what: ticket, destination: "/files/copy" }));
  room.wait(job.done);
  // None of the made-up ones was waited for.
  expect(room.now - beganMs).toBeLessThan(SECOND_MS / 2);
});
