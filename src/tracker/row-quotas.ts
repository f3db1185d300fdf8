/** Counts what each online peer has in the registry, so that no peer fills it. */
import { P2pfsError } from "../core/errors.ts";

/** Of one peer. A list of so many names is long, but a tracker can still page through it. */
export const ROW_QUOTAS = { publications: 250_000, holdings: 500_000 };
export type RowKind = keyof typeof ROW_QUOTAS;
/** Of a further process of a member, which is there for a fetch: however many a member starts, they fill nothing. */
export const FURTHER_PROCESS_QUOTAS = { publications: 100, holdings: 10_000 };

export class RowQuotas {
  readonly #quotas: typeof ROW_QUOTAS;
  /** By the registry's row ids of peers. */
  readonly #counts = new Map<number, Record<RowKind, number>>();
  readonly #further = new Set<number>();

  constructor(quotas = ROW_QUOTAS) {
    this.#quotas = quotas;
  }

  /** The peer is online, and has so many rows. @param isFurther whether it is a further process of a member */
  open(peer: number, counts: Record<RowKind, number>, isFurther = false): void {
    this.#counts.set(peer, { ...counts });
    if (isFurther) this.#further.add(peer);
  }

  close(peer: number): void {
    this.#counts.delete(peer);
    this.#further.delete(peer);
  }

  /** Throws `refused` where the peer can have no more rows. */
  assertRoom(peer: number, kind: RowKind): void {
    const quota = this.#further.has(peer) ? FURTHER_PROCESS_QUOTAS[kind] : this.#quotas[kind];
    if ((this.#counts.get(peer)?.[kind] ?? 0) < quota) return;
    throw new P2pfsError("refused", `a tracker keeps at most ${quota} ${kind} of one peer`, {
      hint: "unpublish what nobody needs any more",
    });
  }

  /** After the commit. */
  add(peer: number, kind: RowKind, rows: number): void {
    const counts = this.#counts.get(peer);
    if (counts !== undefined) counts[kind] = Math.max(0, counts[kind] + rows);
  }
}
