/**
 * Forwards the events of a peer to its feed, and every tick, while the feed has readers, the progress of its running
 * fetches. Progress names the chunks gained since the previous tick, so that the page does not load the whole set again.
 */
import { Bitfield, formatRanges } from "../core/bitfield.ts";
import type { FetchJob } from "../peer/fetch-job.ts";
import type { Peer } from "../peer/peer.ts";
import type { Instruments } from "./instruments.ts";

/** Ranges in one event; `truncated` asks the page to load the set. */
const RANGES_MAX = 512;

export function forwardPeerEvents(peer: Peer, { feed, sampleBy }: Pick<Instruments, "feed" | "sampleBy">): void {
  const seen = new WeakMap<FetchJob, Uint8Array>();
  peer.events.subscribe((event) => feed.emit(event));
  sampleBy(() => {
    for (const job of peer.runningFetches) {
      const gained = gainedSince(seen.get(job), job.have);
      seen.set(job, job.have.bytes.slice());
      const ranges = gained.toRanges(RANGES_MAX);
      feed.emitTransient(job.id, {
        type: "fetch_progress",
        fetch: job.progress(),
        gained: formatRanges(ranges),
        truncated: ranges.length === 2 * RANGES_MAX,
        source_shares: job.shares(),
      });
    }
  });
}

/** Empty for a fetch that is new here: the page loads its state. */
function gainedSince(before: Uint8Array | undefined, have: Bitfield): Bitfield {
  if (before === undefined) return new Bitfield(have.size);
  return new Bitfield(
    have.size,
    have.bytes.map((byte, index) => byte & ~before[index]!),
  );
}
