/**
 * The feed as server-sent events, for readers that send the token in a header (so `fetch`, not EventSource). Earlier
 * events come first, then `hello` with the id from which the stream goes on; its `missed` says that events were lost, so
 * that the reader loads the state anew. The stream of a reader that is too slow is closed: it comes back with
 * Last-Event-ID and loses nothing.
 */
import type { Context } from "hono";
import { SECOND_MS } from "../core/units.ts";
import type { EventFeed, FeedEvent } from "./event-feed.ts";

/** Interval of comments that keep the connection open and show that the role is alive. */
export const KEEP_ALIVE_MS = 10 * SECOND_MS;
/** How long a reader should wait before it connects again. */
const RETRY_MS = SECOND_MS;
/** Earlier events for a reader without Last-Event-ID, so that a new page has something to show. */
const HISTORY_MAX = 100;
/** Bytes that may be queued for one reader. */
const WAITING_BYTES_MAX = 1024 * 1024;

export function respondWithEvents(context: Context, feed: EventFeed): Response {
  const lastId = context.req.header("last-event-id");
  const encoder = new TextEncoder();
  let leave = () => {};
  const stream = new ReadableStream<Uint8Array>(
    {
      start(controller) {
        const send = (text: string) => {
          controller.enqueue(encoder.encode(text));
          if ((controller.desiredSize ?? 0) > 0) return;
          leave();
          controller.close();
        };
        const before = lastId === undefined ? feed.latest(HISTORY_MAX) : feed.since(lastId);
        const begin = { id: feed.lastId, data: { type: "hello", missed: before === undefined } };
        const stopReading = feed.read({ event: (event) => send(formatEvent(event)) });
        const timer = setInterval(() => send(": still here\n\n"), KEEP_ALIVE_MS);
        leave = () => {
          stopReading();
          clearInterval(timer);
        };
        const replayed = (before ?? []).map(formatEvent).join("");
        send(`retry: ${RETRY_MS}\n\n${replayed}${formatEvent(begin)}`);
      },
      cancel() {
        leave();
      },
    },
    { highWaterMark: WAITING_BYTES_MAX, size: (piece) => piece!.length },
  );
  return context.body(stream, 200, { "Content-Type": "text/event-stream; charset=utf-8" });
}

/** JSON has no line breaks of its own, so that one data line holds it. */
function formatEvent({ id, data }: FeedEvent): string {
  const idLine = id === null ? "" : `id: ${id}\n`;
  return `${idLine}event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`;
}
