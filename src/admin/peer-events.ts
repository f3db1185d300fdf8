/**
 * The events of a peer in its feed: those of record as they come, and the progress of its running fetches, looked at
 * every tick while somebody reads. Progress names the chunks gained since the tick before, so that a page can draw them
 * without loading the whole set again.
 */
import { Bitfield, formatRanges } from "../core/bitfield.ts";
import type { FetchJob } from "../peer/fetch-job.ts";
import type { Peer } from "../peer/peer.ts";
import type { Instruments } from "./instruments.ts";

/** Ranges in one event; a page that sees `truncated` loads the set. */
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

/** Nothing for a fetch that is looked at for the first time: what it has, a page loads. */
function gainedSince(before: Uint8Array | undefined, have: Bitfield): Bitfield {
  if (before === undefined) return new Bitfield(have.size);
  return new Bitfield(
    have.size,
    have.bytes.map((byte, index) => byte & ~before[index]!),
  );
}
