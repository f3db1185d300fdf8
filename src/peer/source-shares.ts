/**
 * What each source gave to a fetch: those of one address are taken together, and those that came in from one IP. Of
 * those that are gone only the sums are kept, so that one who comes back again and again costs nothing more.
 */
import type { DownloadCounters } from "../swarm/types.ts";
import type { Neighbour } from "./neighbour.ts";
import type { SourceShare } from "./types.ts";

/** Of those that are gone; of more, the earliest are forgotten. */
export const PAST_SHARES_MAX = 1024;

type Given = NonNullable<ReturnType<DownloadCounters["bySource"]["get"]>>;
type Giver = Pick<Neighbour, "culprit" | "end" | "address">;

export class SourceShares {
  readonly #past = new Map<string, SourceShare>();

  /** The source is gone after it gave this. */
  keep(giver: Giver, given: Given): void {
    addTo(this.#past, giver, given);
    if (this.#past.size > PAST_SHARES_MAX) this.#past.delete(this.#past.keys().next().value!);
  }

  /** Together with those that are there. */
  sum(present: Iterable<readonly [Giver, Given]>): SourceShare[] {
    const shares = new Map(this.#past);
    for (const [giver, given] of present) addTo(shares, giver, given);
    return [...shares.values()];
  }
}

function addTo(shares: Map<string, SourceShare>, giver: Giver, { bytes, chunks, rejected }: Given): void {
  const sum = shares.get(giver.culprit) ?? { bytes: 0, chunks: 0, rejected: 0 };
  shares.set(giver.culprit, {
    address: giver.end,
    inbound: giver.address === null,
    bytes: sum.bytes + bytes,
    chunks: sum.chunks + chunks,
    rejected: sum.rejected + rejected,
  });
}
