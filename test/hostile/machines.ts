/** Whole roles on machines of a room, in virtual time. They are closed after the test. */
import type { Address } from "../../src/core/address.ts";
import { MemoryDisk, MemoryStore } from "../../src/disk/memory-store.ts";
import type { Membership } from "../../src/identity/membership.ts";
import { Peer } from "../../src/peer/peer.ts";
import { Tracker, type TrackerOptions } from "../../src/tracker/tracker.ts";
import { closeLater } from "../support/closing.ts";
import type { Room } from "../support/room.ts";

const TRACKER_IP = "10.0.1.1";
export const TRACKER = { host: TRACKER_IP, port: 7700 };
export const TRACKER_ADDRESS = `${TRACKER_IP}:7700` as Address;

/** A tracker, of no swarm unless one is given. */
export function startTracker(
  room: Room,
  options: Partial<TrackerOptions> = {},
  machine = room.machine(TRACKER_IP),
): Tracker {
  const dataFolder = { path: "", databasePath: ":memory:" };
  const insecure = options.swarm === undefined;
  const opening = Tracker.open({ dataFolder, insecure, system: machine.system, log: () => {}, ...options });
  const tracker = closeLater(room.wait(opening), (opened) => room.wait(opened.close()));
  room.wait(tracker.start(TRACKER));
  return tracker;
}

export interface PeerHere {
  readonly disk?: MemoryDisk;
  readonly membership?: Membership;
}

/** A peer that joins the tracker in the background, of no swarm unless it is a member. */
export function startPeer(
  room: Room,
  ip: string,
  { disk = new MemoryDisk(), membership }: PeerHere = {},
  machine = room.machine(ip),
): Peer {
  const { system } = machine;
  const opening = Peer.open({
    dataFolder: undefined,
    filesFolder: "/files",
    listen: { host: ip, port: 7000 },
    advertise: undefined,
    tracker: TRACKER,
    membership,
    insecure: membership === undefined,
    system,
    store: new MemoryStore({ disk, clock: system.clock, accessMs: () => 1 }),
    log: () => {},
  });
  return closeLater(room.wait(opening), (peer) => room.wait(peer.close()));
}
