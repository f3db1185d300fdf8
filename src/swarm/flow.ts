/**
 * How the bytes of one answer come in, by the receiver's last report. A report carries its own time, so that a receiver
 * that was busy for a while makes no source look slow.
 */

/** Bytes and time are those of the last report. */
export interface Flow {
  /** When the header was here. */
  readonly since: number;
  readonly bytesTotal: number;
  readonly bytes: number;
  readonly at: number;
}

/** A new report, in the same object: reports are frequent. Bytes never become fewer, nor more than the chunk has. */
export function reportFlow(flow: Flow, bytes: number, now: number): "grown" | "unchanged" {
  const mutable = flow as { -readonly [Name in keyof Flow]: Flow[Name] };
  const isMore = bytes > flow.bytes;
  mutable.bytes = Math.min(Math.max(bytes, flow.bytes), flow.bytesTotal);
  mutable.at = now;
  return isMore ? "grown" : "unchanged";
}

/** Time that the whole answer takes at its rate so far; undefined where it is too early to tell. */
export function wholeMs({ at, bytes, bytesTotal, since }: Flow, judgeMs: number): number | undefined {
  return at - since < judgeMs ? undefined : ((at - since) * bytesTotal) / Math.max(bytes, 1);
}

/** Time from the last report until all bytes are here; undefined likewise. */
export function leftMs(flow: Flow, judgeMs: number): number | undefined {
  const whole = wholeMs(flow, judgeMs);
  return whole === undefined ? undefined : whole * (1 - flow.bytes / flow.bytesTotal);
}
