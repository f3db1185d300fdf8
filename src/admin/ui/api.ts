/** Typed calls of the role's routes with the page's token. */
import { type ClientResponse, hc } from "hono/client";
import { PageWalk } from "../../core/page-walk.ts";
import type { PeerApp } from "../peer-app.ts";
import type { TrackerApp } from "../tracker-app.ts";
import { lock, token } from "./session.ts";

/** The error of a route. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly code: string;
  readonly hint: string;

  constructor(code: string, message: string, hint: string) {
    super(message);
    this.code = code;
    this.hint = hint;
  }
}

/** Adds the token. An answer `unauthorised` locks the page. */
export async function send(input: RequestInfo | URL, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  headers.set("Authorization", `Bearer ${token()}`);
  const response = await fetch(input, { ...init, headers }).catch((cause) => {
    if (cause instanceof DOMException && cause.name === "AbortError") throw cause;
    throw new ApiError(
      "not_running",
      "The role does not answer.",
      "It may have ended; the page tries again by itself.",
    );
  });
  if (response.status === 401) lock("The role was started anew, or this page was open for too long.");
  return response;
}

export const peerApi = hc<PeerApp>(location.origin, { fetch: send }).api;
export const trackerApi = hc<TrackerApp>(location.origin, { fetch: send }).api;

/** The answer of a route; its error is thrown as ApiError. */
export async function answerOf<Result>(pending: Promise<ClientResponse<Result>>): Promise<Result> {
  const response = await pending;
  if (!response.ok) throw errorIn(await response.text());
  return (await response.json()) as Result;
}

/** The lines of a streaming route. */
export async function* linesOf<Line>(pending: Promise<Pick<Response, "ok" | "body" | "text">>): AsyncGenerator<Line> {
  const response = await pending;
  if (!response.ok || response.body === null) throw errorIn(await response.text());
  let rest = "";
  const reader = response.body.pipeThrough(new TextDecoderStream() as TransformStream<Uint8Array, string>).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const lines = (rest + value).split("\n");
      rest = lines.pop()!;
      for (const line of lines) {
        const read = JSON.parse(line) as Line | { error: { code: string; message: string; hint: string } };
        if (typeof read === "object" && read !== null && "error" in read && read.error !== null && !("event" in read))
          throw errorIn(line);
        yield read as Line;
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

export interface Page<Row> {
  readonly rows: Row[];
  readonly next: string | null;
}

/** The pages of a list, one after another. */
export async function* pagesOf<Row extends object>(
  ask: (query: { cursor?: string }) => Promise<ClientResponse<Page<Row>>>,
): AsyncGenerator<Row[]> {
  const walk = new PageWalk(performance.now());
  let cursor: string | null = null;
  do {
    const page: Page<Row> = await answerOf(ask(cursor === null ? {} : { cursor }));
    yield page.rows;
    cursor = walk.after(page, performance.now());
  } while (cursor !== null);
}

function errorIn(text: string): ApiError {
  try {
    const { error } = JSON.parse(text) as { error: { code: string; message: string; hint: string } };
    return new ApiError(error.code, error.message, error.hint);
  } catch {
    return new ApiError(
      "internal",
      "The role gave an answer that this page does not understand.",
      "Load the page again.",
    );
  }
}
