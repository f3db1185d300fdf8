/**
 * How the bytes of one answer come in, as its receiver last told. Bytes and time of one report belong together, so a
 * receiver that was busy for a while makes nobody look slow.
 */

export interface Flow {
  /** When the header was here. */
  readonly since: number;
  readonly bytesTotal: number;
  /** As of the last report, and its time. */
  bytes: number;
  at: number;
}

/** Time that the whole answer takes at its rate so far; undefined where it is too early to tell. */
export function wholeMs({ at, bytes, bytesTotal, since }: Flow, judgeMs: number): number | undefined {
  return at - since < judgeMs ? undefined : ((at - since) * bytesTotal) / Math.max(bytes, 1);
}

/** Time from the last report until all bytes are here, likewise. */
export function leftMs(flow: Flow, judgeMs: number): number | undefined {
  const whole = wholeMs(flow, judgeMs);
  return whole === undefined ? undefined : whole * (1 - flow.bytes / flow.bytesTotal);
}
