/**
 * The role's event stream. It is read by `fetch`, since EventSource cannot send a token; after a break it goes on with
 * Last-Event-ID. At each `beginning`, a view that keeps a state from events loads it anew.
 */
import { send } from "./api.ts";
import { access } from "./session.ts";
import { Store } from "./store.ts";

const RETRY_FIRST_MS = 500;
const RETRY_MS_MAX = 5000;
/** The stream sends something every 10 s; after a longer silence the connection counts as dead. */
const SILENCE_MS_MAX = 25_000;
const ACTIVITY_MAX = 200;

export interface LiveEvent {
  readonly type: string;
  readonly [field: string]: unknown;
}

export interface Activity {
  readonly at: Date;
  readonly event: LiveEvent;
}

export type Link = "connecting" | "live" | "offline";

export const link = new Store<Link>("connecting");
/** Recorded events, newest first. */
export const activity = new Store<readonly Activity[]>([]);

type Handler = (event: LiveEvent) => void;
const handlers = new Set<Handler>();

/**
 * Subscribes to all events, and to the `hello` at each beginning, before which events may have been missed. Returns a
 * function that ends the subscription.
 */
export function onEvent(handler: Handler): () => void {
  handlers.add(handler);
  return () => handlers.delete(handler);
}

/** Reads the stream until the page is locked. */
export async function followEvents(): Promise<void> {
  let lastId = "";
  let waitMs = RETRY_FIRST_MS;
  while (access.get() === "open") {
    try {
      let isGreeted = false;
      await readStream(lastId, (id, event) => {
        if (id !== "") lastId = id;
        if (event.type === "hello") {
          isGreeted = true;
          waitMs = RETRY_FIRST_MS;
          link.set("live");
        } else if (id !== "") {
          const at = new Date(String(event.at));
          activity.update((all) => [{ at, event }, ...all].slice(0, ACTIVITY_MAX));
        }
        if (isGreeted) for (const handler of [...handlers]) handler(event);
      });
    } catch {
      // Whatever broke the stream, it is opened again.
    }
    if (access.get() !== "open") return;
    link.set("offline");
    await new Promise((resolve) => setTimeout(resolve, waitMs));
    waitMs = Math.min(2 * waitMs, RETRY_MS_MAX);
  }
}

async function readStream(lastId: string, take: (id: string, event: LiveEvent) => void): Promise<void> {
  const silence = new AbortController();
  let timer = setTimeout(() => silence.abort(), SILENCE_MS_MAX);
  const headers = lastId === "" ? {} : { "Last-Event-ID": lastId };
  try {
    const response = await send("/api/events", { headers, signal: silence.signal });
    if (!response.ok || response.body === null) return;
    const text = response.body.pipeThrough(new TextDecoderStream() as TransformStream<Uint8Array, string>).getReader();
    let rest = "";
    for (;;) {
      const { done, value } = await text.read();
      if (done) return;
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENCE_MS_MAX);
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop()!;
      for (const block of blocks) {
        const id = /^id: (.*)$/m.exec(block)?.[1] ?? "";
        const data = /^data: (.*)$/m.exec(block)?.[1];
        if (data !== undefined) take(id, JSON.parse(data) as LiveEvent);
      }
    }
  } finally {
    clearTimeout(timer);
    silence.abort();
  }
}
