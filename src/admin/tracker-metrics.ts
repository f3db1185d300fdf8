/** The metrics of a tracker. */
import { SECOND_MS } from "../core/units.ts";
import type { Counts } from "../tracker/registry.ts";
import type { Tracker } from "../tracker/tracker.ts";
import type { Instruments } from "./instruments.ts";

/** A function for the tracker's `observeRequest`: measures requests of peers by type, until the reply. */
export function observeTrackerRequests({ metrics }: Instruments) {
  const durations = metrics.histogram(
    "p2pfs_tracker_request_duration_seconds",
    "Time from a peer's request to its reply, by message type.",
  );
  return (type: string, durationMs: number, granted: boolean) =>
    durations.observe(durationMs / SECOND_MS, { type, result: granted ? "granted" : "refused" });
}

export function addTrackerMetrics(tracker: Tracker, { metrics }: Instruments): { refresh(): Promise<void> } {
  let counts: Counts = { peers: 0, files: 0, contents: 0 };
  metrics.read("p2pfs_peers", "gauge", "Peers that are joined.", () => counts.peers);
  metrics.read("p2pfs_files", "gauge", "Files that are listed.", () => counts.files);
  metrics.read("p2pfs_contents", "gauge", "Different contents among the files.", () => counts.contents);
  metrics.read("p2pfs_connections", "gauge", "Open connections.", () => tracker.backlog.connections);
  metrics.read("p2pfs_waiting_bytes", "gauge", "Bytes that peers have not read yet.", () => tracker.backlog.sendBytes);
  const joins = metrics.counter("p2pfs_peer_joins_total", "Sessions that peers have opened.");
  const leaves = metrics.counter("p2pfs_peer_leaves_total", "Sessions that have ended, by reason.");
  const expiries = metrics.counter("p2pfs_lease_expiries_total", "Peers that were silent for a lease.");
  const publications = metrics.counter("p2pfs_publications_total", "Publications that peers have announced.");
  expiries.add(0);
  tracker.events.subscribe((event) => {
    if (event.type === "peer_joined") joins.add(1);
    else if (event.type === "published") publications.add(1);
    else if (event.type === "peer_left") {
      leaves.add(1, { reason: event.reason });
      if (event.reason === "expired") expiries.add(1);
    }
  });
  return {
    refresh: async () => {
      counts = await tracker.registry.counts();
    },
  };
}
