/** The metrics of a peer. */
import type { FetchJob } from "../peer/fetch-job.ts";
import type { Peer } from "../peer/peer.ts";
import type { Instruments } from "./instruments.ts";

const RESULTS = ["verified", "rejected"] as const;

interface Moved {
  readonly chunks: number;
  readonly bytes: number;
  readonly rejected: number;
}

export function addPeerMetrics(peer: Peer, { metrics }: Instruments): void {
  metrics.read("p2pfs_tracker_connected", "gauge", "Whether the tracker is joined.", () =>
    Number(peer.status().connected),
  );
  metrics.read("p2pfs_shares", "gauge", "Files that this peer publishes.", () => peer.status().shares);
  metrics.read("p2pfs_contents", "gauge", "Contents that this peer serves.", () => peer.status().contents);
  metrics.read("p2pfs_fetches", "gauge", "Fetches that run.", () => peer.status().fetches);
  metrics.read("p2pfs_sent_bytes_total", "counter", "Chunk bytes sent to other peers.", () => peer.status().bytes_sent);
  metrics.read(
    "p2pfs_received_bytes_total",
    "counter",
    "Bytes received from other peers.",
    () => peer.status().bytes_received,
  );
  metrics.read("p2pfs_connections", "gauge", "Open connections.", () => peer.backlog.connections);
  metrics.read("p2pfs_waiting_bytes", "gauge", "Bytes that others have not read yet.", () => peer.backlog.sendBytes);
  metrics.read("p2pfs_waiting_uploads", "gauge", "Chunks that others wait for.", () => peer.backlog.uploads);
  metrics.read("p2pfs_buffer_bytes", "gauge", "Chunk buffers in use.", () => peer.backlog.bufferBytesTaken);
  const ended = metrics.counter("p2pfs_fetches_ended_total", "Fetches that have ended, by how.");
  const neighbours = metrics.counter("p2pfs_peer_connections_total", "Connections with other peers, by what happened.");
  const links = metrics.counter("p2pfs_tracker_joins_total", "Times that the tracker was joined.");
  let before: Moved = { chunks: 0, bytes: 0, rejected: 0 };
  const moved = () => [...peer.runningFetches].reduce(addJob, before);
  metrics.read(
    "p2pfs_fetched_chunks_total",
    "counter",
    "Chunks that arrived, by whether their digest was right.",
    () => {
      const { chunks, rejected } = moved();
      return RESULTS.map((result) => [{ result }, result === "verified" ? chunks : rejected]);
    },
  );
  metrics.read("p2pfs_fetched_bytes_total", "counter", "Verified bytes of chunks that arrived.", () => moved().bytes);
  peer.events.subscribe((event) => {
    if (event.type === "peer_joined") neighbours.add(1, { event: "joined" });
    else if (event.type === "peer_left") neighbours.add(1, { event: "left" });
    else if (event.type === "tracker_joined") links.add(1);
    else if (event.type === "fetch_ended") {
      ended.add(1, { state: event.fetch.state });
      before = addJob(before, peer.findFetch(event.fetch.id));
    }
  });
}

function addJob(sum: Moved, job: FetchJob): Moved {
  return job.shares().reduce(
    (total, share) => ({
      chunks: total.chunks + share.chunks,
      bytes: total.bytes + share.bytes,
      rejected: total.rejected + share.rejected,
    }),
    sum,
  );
}
