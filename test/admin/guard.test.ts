/** Nobody without the token, from another site or under another host name gets anything out of an endpoint. */
import { describe, expect, test } from "bun:test";
import type { Hono } from "hono";
import { createPeerApp } from "../../src/admin/peer-app.ts";
import { createTrackerApp } from "../../src/admin/tracker-app.ts";
import type { Peer } from "../../src/peer/peer.ts";
import type { Tracker } from "../../src/tracker/tracker.ts";
import { openForAll } from "../support/closing.ts";
import { openPeer, openTracker } from "../support/roles.ts";

const token = "right-token";
const authorised = { Authorization: `Bearer ${token}` };
/** With what they answer to somebody without a token: a code that is none, an asset that is none. */
const openRoutes: Readonly<Record<string, number>> = {
  "GET /": 200,
  "GET /healthz": 200,
  "GET /assets/x": 404,
  "POST /api/session": 400,
};

let tracker: Tracker;
let peer: Peer;
let apps: Hono[];
let shutdowns = 0;

function appsBoundTo(host: string): Hono[] {
  const options = { token, host, onShutdown: () => void shutdowns++ };
  return [createTrackerApp(tracker, options), createPeerApp(peer, options)] as unknown as Hono[];
}

openForAll(async () => {
  tracker = await openTracker();
  peer = await openPeer();
  apps = appsBoundTo("127.0.0.1");
});

interface Route {
  readonly app: Hono;
  readonly method: string;
  readonly path: string;
}

function routes(): Route[] {
  return apps.flatMap((app) =>
    app.routes
      .filter(({ method }) => method !== "ALL")
      .map(({ method, path }) => ({ app, method, path: path.replace(/:\w+/g, "x") })),
  );
}

const send = ({ app, method, path }: Route, headers: Record<string, string> = {}) =>
  app.request(path, {
    method,
    headers: { ...(method === "GET" ? {} : { "Content-Type": "application/json" }), ...headers },
  });

describe("every route", () => {
  test("needs the token, except health and the page", async () => {
    const seen = new Set<string>();
    for (const route of routes()) {
      seen.add(route.path);
      const answers = await Promise.all([
        send(route),
        send(route, { Authorization: "Bearer wrong" }),
        send(route, { Authorization: `Bearer ${token}x` }),
        send(route, { Authorization: `Basic ${token}` }),
        send(route, { Authorization: "Bearer " }),
        send({ ...route, path: `${route.path}?token=${token}` }),
      ]);
      const expected = openRoutes[`${route.method} ${route.path}`] ?? 401;
      expect(`${route.method} ${route.path}: ${answers.map(({ status }) => status)}`).toBe(
        `${route.method} ${route.path}: ${Array(answers.length).fill(expected)}`,
      );
    }
    for (const path of ["/api/status", "/api/shutdown", "/api/openapi.json", "/readyz", "/metrics", "/api/fetches"]) {
      expect(seen).toContain(path);
    }
    expect(shutdowns).toBe(0);
  });

  test("answers the unauthorised with nothing else, unknown paths included", async () => {
    for (const app of apps) {
      const answer = await app.request("/api/nothing-there");
      expect(answer.status).toBe(401);
      expect(await answer.json()).toMatchObject({ error: { code: "unauthorised" } });
      expect(answer.headers.get("WWW-Authenticate")).toBe("Bearer");
    }
  });

  test("answers with a strict policy and without CORS, errors included", async () => {
    for (const app of apps) {
      for (const path of ["/", "/healthz", "/api/status", "/api/nothing-there"]) {
        const { headers } = await app.request(path, { headers: path === "/api/status" ? authorised : {} });
        const policy = headers.get("Content-Security-Policy")!;
        expect(policy).toContain("default-src 'none'");
        expect(policy).not.toContain("unsafe");
        expect(headers.get("X-Content-Type-Options")).toBe("nosniff");
        expect(headers.get("Cache-Control")).toBe("no-store");
        expect(headers.get("Access-Control-Allow-Origin")).toBeNull();
      }
    }
  });
});

describe("host names", () => {
  const statusFor = async (app: Hono, host: string) =>
    (await app.request(`http://${host}/api/status`, { headers: authorised })).status;

  test("of this machine are answered, others are not (DNS rebinding)", async () => {
    for (const app of apps) {
      for (const host of ["127.0.0.1:7701", "localhost:7701", "[::1]:7701", "127.0.0.2"]) {
        expect(`${host}: ${await statusFor(app, host)}`).toBe(`${host}: 200`);
      }
      for (const host of ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.7:7701"]) {
        expect(`${host}: ${await statusFor(app, host)}`).toBe(`${host}: 403`);
      }
    }
  });

  test("of an endpoint on every interface are any address, and still no foreign name", async () => {
    for (const app of appsBoundTo("0.0.0.0")) {
      expect(await statusFor(app, "10.0.0.7:7701")).toBe(200);
      expect(await statusFor(app, "evil.example")).toBe(403);
    }
    for (const app of appsBoundTo("admin.example")) expect(await statusFor(app, "admin.example:7701")).toBe(200);
  });

  test("are checked without a token as well, so that a rebound page cannot load", async () => {
    for (const app of apps) expect((await app.request("http://evil.example/")).status).toBe(403);
  });
});

describe("pages of other sites", () => {
  test("are refused by their Origin, even with the token", async () => {
    for (const app of apps) {
      const from = async (origin: string) =>
        (await app.request("http://127.0.0.1:7701/api/status", { headers: { ...authorised, Origin: origin } })).status;
      expect(await from("http://127.0.0.1:7701")).toBe(200);
      for (const origin of ["http://127.0.0.1:8080", "https://127.0.0.1:7701", "http://evil.example", "null"]) {
        expect(`${origin}: ${await from(origin)}`).toBe(`${origin}: 403`);
      }
    }
  });

  test("cannot send a form: only JSON bodies are taken", async () => {
    for (const app of apps) {
      for (const type of ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x"]) {
        const answer = await app.request("/api/shutdown", {
          method: "POST",
          headers: { ...authorised, "Content-Type": type },
          body: "{}",
        });
        expect(answer.status).toBe(415);
      }
    }
    expect(shutdowns).toBe(0);
  });
});

describe("bodies", () => {
  const post = (path: string, body: string) =>
    apps[1]!.request(path, {
      method: "POST",
      headers: { ...authorised, "Content-Type": "application/json" },
      body,
    });

  test("that are too large are refused", async () => {
    expect((await post("/api/connect", JSON.stringify({ host: "x".repeat(100_000), port: 1 }))).status).toBe(413);
  });

  test.each([
    ["no JSON", "{"],
    ["an array", "[]"],
    ["a missing field", '{"host":"a"}'],
    ["a field of another type", '{"host":"a","port":"1"}'],
    ["a port out of range", '{"host":"a","port":65536}'],
    ["an empty host", '{"host":"","port":1}'],
  ])("that are %s are a usage error", async (_case, body) => {
    const answer = await post("/api/connect", body);
    expect(answer.status).toBe(400);
    expect(await answer.json()).toMatchObject({ error: { code: "usage" } });
  });

  test("with a relative path, which would depend on the peer's own folder, are refused", async () => {
    for (const [path, body] of [
      ["/api/shares", { path: "relative.txt", lname: "relative.txt" }],
      ["/api/fetches", { what: "a.txt", destination: "../a.txt" }],
    ] as const) {
      const answer = await post(path, JSON.stringify(body));
      expect(answer.status).toBe(400);
      expect(await answer.text()).toContain("absolute path");
    }
  });
});
