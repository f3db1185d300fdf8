/**
 * Bytes and chunks that a fetch received from its sources, summed by `Neighbour.origin`. Of closed connections only the
 * sums are kept, so that a source that reconnects again and again costs no more memory.
 */
import type { DownloadCounters } from "../swarm/types.ts";
import type { Neighbour } from "./neighbour.ts";
import type { SourceShare } from "./types.ts";

/** Sums kept of sources that are gone; beyond that the oldest are dropped. */
export const PAST_SHARES_MAX = 1024;

type SourceCounters = NonNullable<ReturnType<DownloadCounters["bySource"]["get"]>>;
type Source = Pick<Neighbour, "origin" | "end" | "address">;

export class SourceShares {
  readonly #past = new Map<string, SourceShare>();

  /** Adds the counters of a source that is gone. */
  keep(source: Source, counters: SourceCounters): void {
    addTo(this.#past, source, counters);
    if (this.#past.size > PAST_SHARES_MAX) this.#past.delete(this.#past.keys().next().value!);
  }

  /** Sums over present sources and those that are gone. */
  sum(present: Iterable<readonly [Source, SourceCounters]>): SourceShare[] {
    const shares = new Map(this.#past);
    for (const [source, counters] of present) addTo(shares, source, counters);
    return [...shares.values()];
  }
}

function addTo(shares: Map<string, SourceShare>, source: Source, { bytes, chunks, rejected }: SourceCounters): void {
  const sum = shares.get(source.origin) ?? { bytes: 0, chunks: 0, rejected: 0 };
  shares.set(source.origin, {
    address: source.end,
    inbound: source.address === null,
    bytes: sum.bytes + bytes,
    chunks: sum.chunks + chunks,
    rejected: sum.rejected + rejected,
  });
}
