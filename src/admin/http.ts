/**
 * What the routes of both roles share: how a route declares itself as a command, checks its arguments, answers errors
 * and streams lines. A route of a role's app *is* the command: operation id, Valibot arguments and result. Shell,
 * one-shot command, page and /api/openapi.json all come from that one definition.
 */
import type { Context, ValidationTargets } from "hono";
import { HTTPException } from "hono/http-exception";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { describeRoute, resolver, validator } from "hono-openapi";
import * as v from "valibot";
import { PortSchema } from "../core/address.ts";
import { reportableError } from "../core/defects.ts";
import { errorBody, errorCodes, errorTable, P2pfsError } from "../core/errors.ts";
import type { Log } from "../core/log.ts";
import { ContentIdSchema } from "../core/manifest.ts";
import { HostNameSchema } from "../core/model.ts";
import type { Page } from "../tracker/types.ts";

/** Progress of a stream is sampled this often: 10 lines a second at most. */
const PROGRESS_MS = 100;
export const NDJSON = "application/x-ndjson";

/** Checks and transformations that JSON Schema cannot express are left out of the description. */
const schemaOptions = { options: { errorMode: "ignore" } } as const;

const ErrorBodySchema = v.object({
  error: v.object({ code: v.picklist(errorCodes), message: v.string(), hint: v.string() }),
});

/** A peer as the user names it: IP or host name, and a port where more than one peer has that host. */
export const PeerQuerySchema = v.object({
  host: v.pipe(HostNameSchema, v.minLength(1)),
  port: v.optional(v.pipe(v.string(), v.regex(/^\d{1,5}$/, "expected a port"), v.toNumber(), PortSchema)),
});

export const CursorSchema = v.object({ cursor: v.optional(v.pipe(v.string(), v.maxLength(8192))) });

export function cursorOf({ cursor }: v.InferOutput<typeof CursorSchema>): string | null {
  return cursor ?? null;
}

/** A host and a port that something listens on. */
export const HostPortSchema = v.object({
  host: v.pipe(HostNameSchema, v.minLength(1)),
  port: v.pipe(PortSchema, v.minValue(1)),
});

/** Where to listen; port 0 asks for any free one. */
export const ListenSchema = v.object({ ...HostPortSchema.entries, port: PortSchema });

export const ContentParameterSchema = v.object({ content_id: ContentIdSchema });

export const StoppingSchema = v.object({ stopping: v.literal(true), pid: v.number() });

export function pageOf<Row extends v.GenericSchema>(row: Row) {
  return v.object({ rows: v.array(row), next: v.nullable(v.string()) });
}

/** A page as Hono's types want it: JSON knows no read-only arrays. */
export function mutable<Row>({ rows, next }: Page<Row>): { rows: Row[]; next: string | null } {
  return { rows: rows as Row[], next };
}

/** Declares the route as the command of this name, with what it answers. */
export function command(name: string, summary: string, result: v.GenericSchema) {
  return described({ name, summary, tag: "command" }, "application/json", result);
}

/** Declares a command that answers one JSON value a line: progress, then the result or an error object. */
export function streamingCommand(name: string, summary: string, line: v.GenericSchema) {
  return described({ name, summary, tag: "command" }, NDJSON, v.union([line, ErrorBodySchema]));
}

/** Declares a route that only the page calls, so that there is no command for it. */
export function view(name: string, summary: string, result: v.GenericSchema) {
  return described({ name, summary, tag: "view" }, "application/json", result);
}

/** A view that needs no token. */
export function openView(name: string, summary: string, result: v.GenericSchema) {
  return described({ name, summary, tag: "view", security: [] }, "application/json", result);
}

export function eventStream(name: string, summary: string) {
  return described({ name, summary, tag: "view" }, "text/event-stream", v.string());
}

interface Description {
  readonly name: string;
  readonly summary: string;
  readonly tag: "command" | "view";
  readonly security?: [];
}

function described({ name, summary, tag, security }: Description, mediaType: string, schema: v.GenericSchema) {
  return describeRoute({
    operationId: name,
    summary,
    tags: [tag],
    ...(security === undefined ? {} : { security }),
    responses: {
      200: { description: "Done", content: { [mediaType]: { schema: resolver(schema, schemaOptions) } } },
      default: {
        description: "Failed; the code says why",
        content: { "application/json": { schema: resolver(ErrorBodySchema, schemaOptions) } },
      },
    },
  });
}

/** Checks the arguments of a command; answers `usage` with the reason if they do not fit the schema. */
export function checked<Schema extends v.GenericSchema, Target extends keyof ValidationTargets>(
  target: Target,
  schema: Schema,
) {
  return validator(
    target,
    schema,
    (result) => {
      if (!result.success) throw new P2pfsError("usage", result.error.map(describeIssue).join("; "));
    },
    schemaOptions,
  );
}

interface Issue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

function describeIssue({ message, path = [] }: Issue): string {
  const names = path.map((part) => String(typeof part === "object" ? part.key : part));
  return names.length === 0 ? message : `${names.join(".")}: ${message}`;
}

/** The answer to a request whose route threw. */
export function respondWithFailure(context: Context, thrown: unknown, log: Log): Response {
  if (thrown instanceof HTTPException) return respondWithError(context, asUsage(thrown));
  return respondWithError(context, reportableError(thrown, requestOf(context), log));
}

function requestOf({ req }: Context): string {
  return `${req.method} ${req.routePath}`;
}

/** The JSON form of an error. The status is that of the error table unless HTTP has a more precise one. */
export function respondWithError(context: Context, error: P2pfsError, status?: ContentfulStatusCode): Response {
  return context.json(errorBody(error), status ?? errorTable[error.code].httpStatus);
}

/** Hono's own exceptions are about the request, such as a body that is no JSON. */
function asUsage(exception: HTTPException): P2pfsError {
  return new P2pfsError("usage", exception.message || "the request is malformed", { cause: exception });
}

/**
 * Answers with the items, one JSON value a line. A failure before the first item is answered with its status; a later one
 * is the last line. When the client goes away, the generator is returned, so that its `finally` runs, and `left` is
 * aborted, which the generator can notice while it waits.
 */
export async function respondWithLines<Item>(
  context: Context,
  log: Log,
  items: AsyncGenerator<Item>,
  left = new AbortController(),
): Promise<Response> {
  const encoder = new TextEncoder();
  const encode = (item: unknown) => encoder.encode(`${JSON.stringify(item)}\n`);
  let ahead: IteratorResult<Item> | undefined = await items.next();
  const lines = new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const { done, value } = ahead ?? (await items.next());
        ahead = undefined;
        if (done) controller.close();
        else controller.enqueue(encode(value));
      } catch (thrown) {
        controller.enqueue(encode(errorBody(reportableError(thrown, requestOf(context), log))));
        controller.close();
      }
    },
    async cancel() {
      left.abort();
      await items.return(undefined);
    },
  });
  return context.body(lines, 200, { "Content-Type": NDJSON });
}

/** Yields a sample every PROGRESS_MS while the outcome is pending, and then the outcome. */
export async function* sampledUntil<Progress, Outcome>(
  outcome: Promise<Outcome>,
  sample: () => Progress | undefined,
): AsyncGenerator<Progress | Outcome> {
  const settled = outcome.then((value) => ({ value }));
  // If the reader leaves before the outcome, its rejection is handled elsewhere.
  settled.catch(() => undefined);
  for (;;) {
    const end = await Promise.race([settled, Bun.sleep(PROGRESS_MS)]);
    if (end !== undefined) {
      yield end.value;
      return;
    }
    const progress = sample();
    if (progress !== undefined) yield progress;
  }
}
