/**
 * Who may use a role's admin endpoint. Denied by default: all routes need a token except the few listed here, which show
 * nothing secret. The Host allow-list stops DNS rebinding, the Origin check stops pages of other sites, and a mutation
 * takes JSON only, which a form of another site cannot send. There is no CORS, and there are no cookies.
 */
import type { Context, MiddlewareHandler } from "hono";
import { canonicalIp, isIp, isLoopback, isWildcard } from "../core/address.ts";
import { P2pfsError } from "../core/errors.ts";
import { KiB, SECOND_MS } from "../core/units.ts";
import type { Access } from "./access.ts";
import { respondWithError } from "./http.ts";

const BODY_BYTES_MAX = 64 * KiB;
/** A body that takes longer is refused, so that nobody holds connections by sending slowly. */
export const BODY_MS_MAX = 10 * SECOND_MS;
/** The page and its assets, liveness, and the login by a one-time code. */
const OPEN_ROUTES = /^GET (?:\/|\/healthz|\/assets\/[\w.-]+)$|^POST \/api\/session$/;
/** A name or an IP literal, with or without a port (RFC 9110, section 7.2). */
const HOST_AND_PORT = /^(?:\[[\da-f:.]+\]|[\w.-]+)(?::\d*)?$/i;
const SAFE_METHODS: ReadonlySet<string> = new Set(["GET", "HEAD"]);
const CONTENT_SECURITY_POLICY =
  "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

export interface GuardOptions {
  readonly access: Access;
  /** The host that the endpoint is bound to, as the user named it. */
  readonly host: string;
}

/** On every response, errors included. */
export const securityHeaders: MiddlewareHandler = async (context, next) => {
  await next();
  context.header("Content-Security-Policy", CONTENT_SECURITY_POLICY);
  context.header("X-Content-Type-Options", "nosniff");
  context.header("Referrer-Policy", "no-referrer");
  context.header("Cross-Origin-Resource-Policy", "same-origin");
  context.header("Cross-Origin-Opener-Policy", "same-origin");
  if (!context.res.headers.has("Cache-Control")) context.header("Cache-Control", "no-store");
};

export function guard({ access, host }: GuardOptions): MiddlewareHandler {
  return async (context, next) => {
    const asked = hostAsked(context);
    if (asked === undefined)
      return respondWithError(context, new P2pfsError("usage", "the request must name one host, in one Host header"));
    if (!isAllowedHost(asked, host)) return forbid(context, `no endpoint for the host ${asked}`);
    const origin = context.req.header("origin");
    if (origin !== undefined && origin !== new URL(context.req.url).origin)
      return forbid(context, "requests from pages of other sites are not answered");
    if (!OPEN_ROUTES.test(`${context.req.method} ${context.req.path}`) && !access.lets(tokenOf(context))) {
      context.header("WWW-Authenticate", "Bearer");
      return respondWithError(context, new P2pfsError("unauthorised", "this needs the token of the running role"));
    }
    if (!SAFE_METHODS.has(context.req.method) && !hasJsonBody(context))
      return respondWithError(context, new P2pfsError("usage", "only JSON bodies are taken"), 415);
    return next();
  };
}

/** Reads the body before the route runs, and refuses one that is too large or too slow. */
export function limitBody(bodyMsMax: number): MiddlewareHandler {
  return async (context, next) => {
    const { raw } = context.req;
    if (raw.body === null) return next();
    const body = await readWithin(raw.body, bodyMsMax);
    if (body === "large") return respondWithError(context, new P2pfsError("usage", "the body is too large"), 413);
    if (body === "late") return respondWithError(context, new P2pfsError("usage", "the body came too slowly"), 408);
    context.req.raw = new Request(raw, { body });
    return next();
  };
}

async function readWithin(body: ReadableStream<Uint8Array>, msMax: number): Promise<Blob | "large" | "late"> {
  const late = Promise.withResolvers<"late">();
  const timer = setTimeout(() => late.resolve("late"), msMax);
  const reader = body.getReader();
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  try {
    for (let bytes = 0; ; ) {
      const read = await Promise.race([reader.read(), late.promise]);
      if (read === "late") return "late";
      if (read.done) return new Blob(pieces);
      bytes += read.value.length;
      if (bytes > BODY_BYTES_MAX) return "large";
      pieces.push(new Uint8Array(read.value));
    }
  } finally {
    clearTimeout(timer);
    // The rest of the body is not needed.
    reader.cancel().catch(() => undefined);
  }
}

function tokenOf(context: Context): string {
  return /^Bearer +(\S+)$/i.exec(context.req.header("authorization") ?? "")?.[1] ?? "";
}

/**
 * The host that the request names. Undefined without a Host header, with a malformed one, or with several, which arrive
 * here as one text. A call within this process names the host in its URL only.
 */
function hostAsked(context: Context): string | undefined {
  const header = context.req.header("host");
  if (header !== undefined && !HOST_AND_PORT.test(header)) return undefined;
  const url = URL.parse(context.req.url);
  return url === null ? undefined : canonicalIp(url.hostname);
}

/** DNS cannot rebind an IP literal, so an endpoint on all interfaces accepts any of them. */
function isAllowedHost(asked: string, bound: string): boolean {
  if (isLoopback(asked) || asked === canonicalIp(bound)) return true;
  return isWildcard(bound) && isIp(asked);
}

/** True without a body too: what such a request can change, its token has authorised. */
function hasJsonBody(context: Context): boolean {
  const type = context.req.header("content-type");
  if (type === undefined) return context.req.raw.body === null;
  return /^application\/json\s*(?:;|$)/i.test(type);
}

function forbid(context: Context, message: string): Response {
  return respondWithError(context, new P2pfsError("unauthorised", message), 403);
}
