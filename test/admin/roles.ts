/** Real roles with their endpoints, in folders that go with the test. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { answerOf, type PeerClient, peerClient, type TrackerClient, trackerClient } from "../../src/admin/client.ts";
import type { RunningRole } from "../../src/admin/host.ts";
import { openPeer } from "../../src/admin/open-peer.ts";
import { openTracker } from "../../src/admin/open-tracker.ts";
import { type HostPort, parseHostPort } from "../../src/core/address.ts";

const anyPort: HostPort = { host: "127.0.0.1", port: 0 };
const log = () => undefined;
/** For what takes a moment; longer than any machine needs, since nothing depends on how long it takes. */
const SOON_MS_MAX = 20_000;

export interface Swarm {
  readonly folder: string;
  readonly trackerAddress: HostPort;
  readonly trackerData: string;
  readonly tracker: TrackerClient;
  readonly trackerRole: RunningRole;
  /** One more peer, joined to the tracker; its data folder is `folder/name`. */
  addPeer(name: string): Promise<{ client: PeerClient; role: RunningRole; data: string }>;
  close(): Promise<void>;
}

/** A tracker that listens, and a place for peers. */
export async function openSwarm(): Promise<Swarm> {
  const folder = mkdtempSync(join(tmpdir(), "p2pfs-admin-"));
  const trackerData = join(folder, "tracker");
  const trackerRole = await openTracker({ dataFolder: trackerData, admin: anyPort, open: false, log });
  const roles: RunningRole[] = [trackerRole];
  const tracker = trackerClient(trackerRole.connection);
  const { address } = await answerOf(tracker.api.start.$post({ json: anyPort }));
  const trackerAddress = parseHostPort(address)!;
  return {
    folder,
    trackerAddress,
    trackerData,
    tracker,
    trackerRole,
    addPeer: async (name) => {
      const data = join(folder, name);
      const role = await openPeer({
        dataFolder: data,
        filesFolder: undefined,
        listen: anyPort,
        advertise: undefined,
        tracker: trackerAddress,
        admin: anyPort,
        open: false,
        log,
      });
      roles.push(role);
      const client = peerClient(role.connection);
      await answerOf(client.api.connect.$post({ json: trackerAddress }));
      return { client, role, data };
    },
    close: async () => {
      await Promise.all(roles.map((role) => role.close()));
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Whatever becomes true soon. */
export async function until(what: string | (() => string), holds: () => Promise<boolean> | boolean): Promise<void> {
  const deadline = performance.now() + SOON_MS_MAX;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`not in time: ${typeof what === "string" ? what : what()}`);
    await Bun.sleep(10);
  }
}
