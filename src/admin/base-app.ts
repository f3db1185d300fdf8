/** The ground that both roles' apps stand on: guard, error shape, health, metrics, the API's description, the page. */
import { type Context, Hono } from "hono";
import { generateSpecs } from "hono-openapi";
import { P2pfsError } from "../core/errors.ts";
import { VERSION } from "../core/version.ts";
import { type GuardOptions, guard, limitBody, securityHeaders } from "./auth.ts";
import { respondWithError } from "./http.ts";
import { formatMetrics, type Metrics } from "./metrics.ts";
import { renderPage } from "./page.ts";

export interface RoleAppOptions extends GuardOptions {
  /** Called once the answer to a shutdown is on its way. */
  readonly onShutdown: () => void;
}

/** What the fixed paths tell of a role. */
export interface RoleFace {
  readonly role: "tracker" | "peer";
  /** Each check by name; the role is ready when all hold. */
  readonly checks: () => Promise<Readonly<Record<string, boolean>>>;
  readonly metrics: () => Promise<Metrics>;
}

/** An app with the guard on, to chain the role's routes to. */
export function guardedApp(options: GuardOptions) {
  const app = new Hono();
  app.onError((error, context) => respondWithError(context, error));
  app.notFound((context) =>
    respondWithError(
      context,
      new P2pfsError("not_found", `there is no ${context.req.method} ${context.req.path}`, {
        hint: "/api/openapi.json lists what there is",
      }),
    ),
  );
  return app.use(securityHeaders, guard(options), limitBody);
}

/** The answer goes out before the role begins to end. */
export function answerShutdown(context: Context, { onShutdown }: RoleAppOptions) {
  setImmediate(onShutdown);
  return context.json({ stopping: true as const, pid: process.pid });
}

/** Adds the fixed paths, which are no commands. */
export function addFixedPaths(app: Hono, face: RoleFace): void {
  app.get("/healthz", (context) => context.text("ok\n", 200, { "Content-Type": "text/plain; charset=utf-8" }));
  app.get("/readyz", async (context) => {
    const checks = await face.checks();
    const ready = Object.values(checks).every(Boolean);
    return context.json({ ready, checks }, ready ? 200 : 503);
  });
  app.get("/metrics", async (context) =>
    context.text(formatMetrics(await face.metrics()), 200, {
      "Content-Type": "text/plain; version=0.0.4; charset=utf-8",
    }),
  );
  app.get("/", (context) => context.html(renderPage(face.role)));
  app.get("/api/openapi.json", async (context) => context.json(await describeApi(app, face.role)));
}

function describeApi(app: Hono, role: RoleFace["role"]) {
  return generateSpecs(app, {
    documentation: {
      openapi: "3.1.0",
      info: { title: `p2pfs ${role}`, version: VERSION, description: `Every command of a running p2pfs ${role}.` },
      components: { securitySchemes: { token: { type: "http", scheme: "bearer" } } },
      security: [{ token: [] }],
    },
    defaultValidationErrorResponse: false,
  });
}
