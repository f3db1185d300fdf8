/** Opens a tracker with its admin endpoint. */
import type { HostPort } from "../core/address.ts";
import type { Log } from "../core/log.ts";
import { askRenewal } from "../peer/join-swarm.ts";
import { type DataFolder, openDataFolder } from "../store/data-folder.ts";
import type { SwarmOptions } from "../tracker/private-swarm.ts";
import { Tracker } from "../tracker/tracker.ts";
import { openRole, type RunningRole } from "./host.ts";
import { Instruments } from "./instruments.ts";
import { foundSwarmIn, membershipFor } from "./membership.ts";
import { createTrackerApp } from "./tracker-app.ts";
import { observeTrackerRequests } from "./tracker-metrics.ts";

export interface OpenTrackerOptions {
  readonly dataFolder: string | undefined;
  readonly admin: HostPort;
  /** Without a swarm, whether other machines are let in all the same. */
  readonly insecure: boolean;
  /** Whether the admin endpoint may listen beyond loopback. */
  readonly open: boolean;
  readonly log: Log;
}

/** The tracker does not listen before its `start` is called. */
export async function openTracker({
  dataFolder,
  admin,
  open,
  insecure,
  log,
}: OpenTrackerOptions): Promise<RunningRole> {
  const instruments = new Instruments();
  return openRole({
    instruments,
    folder: openDataFolder({ role: "tracker", flag: dataFolder }),
    admin,
    open,
    openRole: (folder) =>
      Tracker.open({
        dataFolder: folder,
        swarm: swarmOf(folder, insecure),
        foundSwarm: async () => {
          await foundSwarmIn(folder);
          return swarmOf(folder, insecure)!;
        },
        insecure,
        log: instruments.logTo(log),
        observeRequest: observeTrackerRequests(instruments),
      }),
    createApp: createTrackerApp,
  });
}

function swarmOf({ membership: files }: DataFolder, insecure: boolean): SwarmOptions | undefined {
  const membership = membershipFor(files, "tracker", insecure);
  if (membership === undefined) return undefined;
  return {
    membership,
    authorityKey: files.readAuthorityKey(membership),
    keep: (renewed) => files.write(renewed),
    askRenewal,
  };
}
