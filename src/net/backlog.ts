/** What waits in the queues of a role's connections. */
import type { Connection } from "./connection.ts";

export interface Backlog {
  readonly connections: number;
  /** Bytes that wait for the other sides to read. */
  readonly sendBytes: number;
}

export function backlogOf(connections: Iterable<Connection>): Backlog {
  const all = [...connections];
  return { connections: all.length, sendBytes: all.reduce((sum, { sendBytesQueued }) => sum + sendBytesQueued, 0) };
}

/** Whether a request or its answer may have to wait behind chunks, since a frame that has begun is not interrupted. */
export function mayDelayRequests({ isAwaitingReply, payloadFramesQueued }: Connection): boolean {
  return isAwaitingReply || payloadFramesQueued > 0;
}
