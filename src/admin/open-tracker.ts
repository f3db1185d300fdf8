/** Opens a tracker with its admin endpoint. */
import type { HostPort } from "../core/address.ts";
import type { Log } from "../core/log.ts";
import { openDataFolder } from "../store/data-folder.ts";
import { Tracker } from "../tracker/tracker.ts";
import { openRole, type RunningRole } from "./host.ts";
import { Instruments } from "./instruments.ts";
import { createTrackerApp } from "./tracker-app.ts";
import { observeTrackerRequests } from "./tracker-metrics.ts";

export interface OpenTrackerOptions {
  readonly dataFolder: string | undefined;
  readonly admin: HostPort;
  readonly open: boolean;
  readonly log: Log;
}

/** The tracker does not listen before its `start` is called. */
export async function openTracker({ dataFolder, admin, open, log }: OpenTrackerOptions): Promise<RunningRole> {
  const instruments = new Instruments();
  return openRole({
    instruments,
    folder: openDataFolder({ role: "tracker", flag: dataFolder }),
    admin,
    open,
    openRole: (folder) =>
      Tracker.open({
        dataFolder: folder,
        open,
        log: instruments.logTo(log),
        observeRequest: observeTrackerRequests(instruments),
      }),
    createApp: createTrackerApp,
  });
}
