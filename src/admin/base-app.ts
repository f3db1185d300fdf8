/**
 * What the apps of both roles share: the guard, the form of errors, events, health, metrics, the OpenAPI description, the
 * page and the link to it.
 */
import { type Context, Hono } from "hono";
import { generateSpecs } from "hono-openapi";
import * as v from "valibot";
import { P2pfsError } from "../core/errors.ts";
import { VERSION } from "../core/version.ts";
import { Access, CODE_MS_MAX } from "./access.ts";
import { BODY_MS_MAX, guard, limitBody, securityHeaders } from "./auth.ts";
import { respondWithEvents } from "./event-stream.ts";
import { type Check, checkLag, readinessOf } from "./health.ts";
import { checked, eventStream, openView, respondWithError, respondWithFailure } from "./http.ts";
import { Instruments, observeHttp } from "./instruments.ts";
import { respondWithAsset, respondWithPage } from "./page.ts";

export interface RoleAppOptions {
  /** Of admin.json. */
  readonly token: string;
  /** The host that the endpoint is bound to, as the user named it. */
  readonly host: string;
  /** Called once the answer to a shutdown is on its way. */
  readonly onShutdown: () => void;
  /** Where a browser of this machine finds the endpoint; undefined while it is not served. */
  readonly url?: () => string | undefined;
  /** Those of the role; without them the app makes its own. */
  readonly instruments?: Instruments;
  readonly bodyMsMax?: number;
}

/** The options, and what the app makes from them. */
export interface AppSetup extends RoleAppOptions {
  readonly access: Access;
  readonly instruments: Instruments;
}

/** What the shared routes need to know of a role. */
export interface RoleDescription {
  readonly role: "tracker" | "peer";
  /** The role is ready if all of these are ok. */
  readonly checks: Readonly<Record<string, () => Check | Promise<Check>>>;
}

export const DashboardSchema = v.object({
  /** For a browser on this machine. It works once. */
  url: v.string(),
  expires_ms: v.number(),
});

export function setupOf(options: RoleAppOptions): AppSetup {
  const instruments = options.instruments ?? new Instruments();
  return { ...options, instruments, access: new Access(options.token) };
}

/** An app with the guard in place, to which the role's routes are added. */
export function guardedApp(setup: AppSetup) {
  const app = new Hono();
  app.onError((error, context) => respondWithFailure(context, error, setup.instruments.log));
  app.notFound((context) =>
    respondWithError(
      context,
      new P2pfsError("not_found", `there is no ${context.req.method} ${context.req.path}`, {
        hint: "/api/openapi.json lists what there is",
      }),
    ),
  );
  return app.use(
    observeHttp(setup.instruments),
    securityHeaders,
    guard(setup),
    limitBody(setup.bodyMsMax ?? BODY_MS_MAX),
  );
}

/** Answers first and shuts down afterwards. */
export function answerShutdown(context: Context, { onShutdown }: RoleAppOptions) {
  setImmediate(onShutdown);
  return context.json({ stopping: true as const, pid: process.pid });
}

/** Makes a link that lets one page in. The code is in the fragment, which browsers do not send and servers do not log. */
export function answerDashboard(context: Context, { url, access }: AppSetup) {
  const address = url?.();
  if (address === undefined)
    throw new P2pfsError("not_running", "this role has no endpoint that a browser could reach");
  return context.json({ url: `${address}/#code=${access.newCode()}`, expires_ms: CODE_MS_MAX });
}

/** Adds the routes that are no commands: events, the login of pages, health, metrics, the page, the description. */
export function addSharedRoutes(app: Hono, { access, instruments }: AppSetup, description: RoleDescription): void {
  const { feed, metrics, lag } = instruments;
  app.get(
    "/api/events",
    eventStream("events", "What happens, as server-sent events; Last-Event-ID goes on"),
    (context) => respondWithEvents(context, feed),
  );
  app.post(
    "/api/session",
    openView("session", "Swap the code of a dashboard link for a token", v.object({ token: v.string() })),
    checked("json", v.object({ code: v.pipe(v.string(), v.maxLength(100)) })),
    (context) => context.json({ token: access.redeem(context.req.valid("json").code) }),
  );
  app.get("/healthz", (context) => context.text("ok\n", 200, { "Content-Type": "text/plain; charset=utf-8" }));
  app.get("/readyz", async (context) => {
    const readiness = await readinessOf({ event_loop: () => checkLag(lag), ...description.checks });
    return context.json(readiness, readiness.ready ? 200 : 503);
  });
  app.get("/metrics", (context) =>
    context.text(metrics.format(), 200, { "Content-Type": "text/plain; version=0.0.4; charset=utf-8" }),
  );
  app.get("/", (context) => respondWithPage(context, description.role));
  app.get("/assets/:name", (context) => respondWithAsset(context, context.req.param("name")));
  app.get("/api/openapi.json", async (context) =>
    context.json(await describeApi(app, description.role, new URL(context.req.url).origin)),
  );
}

/** @param origin of the request; a client generated from the description then calls this role */
function describeApi(app: Hono, role: RoleDescription["role"], origin: string) {
  return generateSpecs(app, {
    documentation: {
      openapi: "3.1.0",
      info: { title: `p2pfs ${role}`, version: VERSION, description: `Every command of a running p2pfs ${role}.` },
      servers: [{ url: origin, description: `This ${role}, as it was asked` }],
      tags: [
        { name: "command", description: "What the shell and the command line have as well." },
        { name: "view", description: "What the page needs beside them." },
      ],
      components: { securitySchemes: { token: { type: "http", scheme: "bearer" } } },
      security: [{ token: [] }],
    },
    defaultValidationErrorResponse: false,
  });
}
