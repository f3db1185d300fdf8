/** The OpenAPI description of both roles is consistent and complete. */
import { beforeAll, describe, expect, test } from "bun:test";
import type { Hono } from "hono";
import { createPeerApp } from "../../src/admin/peer-app.ts";
import { createTrackerApp } from "../../src/admin/tracker-app.ts";
import { errorCodes } from "../../src/core/errors.ts";
import type { Peer } from "../../src/peer/peer.ts";
import type { Tracker } from "../../src/tracker/tracker.ts";
import { openForAll } from "../support/closing.ts";
import { openPeer, openTracker } from "../support/roles.ts";

const METHODS = ["get", "put", "post", "delete"];
let tracker: Tracker;
let peer: Peer;
openForAll(async () => {
  tracker = await openTracker();
  peer = await openPeer();
});

interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly tags: readonly string[];
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly schema: object }[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: object }>> };
  readonly responses: Readonly<
    Record<
      string,
      { readonly description: string; readonly content: Readonly<Record<string, { readonly schema: object }>> }
    >
  >;
}

interface Description {
  readonly openapi: string;
  readonly info: { readonly title: string; readonly version: string };
  readonly servers: readonly { readonly url: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

function appOf(role: "tracker" | "peer"): Hono {
  const options = { token: "t", host: "127.0.0.1", onShutdown: () => undefined };
  return (role === "tracker" ? createTrackerApp(tracker, options) : createPeerApp(peer, options)) as unknown as Hono;
}

describe.each(["tracker", "peer"] as const)("the OpenAPI description of the %s", (role) => {
  let app: Hono;
  let description: Description;
  let operations: { path: string; method: string; operation: Operation }[];

  beforeAll(async () => {
    app = appOf(role);
    const answer = await app.request("/api/openapi.json", { headers: { Authorization: "Bearer t" } });
    description = (await answer.json()) as Description;
    operations = Object.entries(description.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
    );
  });

  test("is OpenAPI 3.1 with a unique name, a summary and a tag for every operation", () => {
    expect(description.openapi).toMatch(/^3\.1\.\d+$/);
    const ids = operations.map(({ operation }) => operation.operationId);
    expect(new Set(ids).size).toBe(ids.length);
    for (const { method, operation } of operations) {
      expect(METHODS).toContain(method);
      expect(operation.summary.length).toBeGreaterThan(5);
      expect(["command", "view"]).toContain(operation.tags[0]!);
    }
  });

  test("names the server by the address that was asked, so that a client made from it calls this role", async () => {
    const address = "http://127.0.0.1:4711";
    const headers = { Authorization: "Bearer t", Host: "127.0.0.1:4711" };
    const answer = await app.request(`${address}/api/openapi.json`, { headers });
    expect(((await answer.json()) as Description).servers).toMatchObject([{ url: address }]);
    expect(description.servers).toHaveLength(1);
  });

  test("has every route below /api, and nothing else", () => {
    const registered = app.routes
      .filter(({ method, path }) => method !== "ALL" && path.startsWith("/api/") && path !== "/api/openapi.json")
      .map(({ method, path }) => `${method} ${path.replace(/:(\w+)/g, "{$1}")}`);
    const described = operations.map(({ method, path }) => `${method.toUpperCase()} ${path}`);
    expect(described.toSorted()).toEqual([...new Set(registered)].toSorted());
  });

  test("declares every part of a path as a parameter, and the reverse", () => {
    for (const { path, operation } of operations) {
      const inPath = [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]!);
      const declared = (operation.parameters ?? []).filter((parameter) => parameter.in === "path");
      expect(declared.map(({ name }) => name).toSorted()).toEqual(inPath.toSorted());
    }
  });

  test("has every schema, and the errors of the error table", () => {
    expect(JSON.stringify(description)).not.toContain('"$ref"');
    for (const { operation } of operations) {
      const { 200: done, default: failed } = operation.responses;
      for (const { schema } of Object.values(done!.content)) expect(Object.keys(schema).length).toBeGreaterThan(0);
      for (const code of errorCodes)
        expect(JSON.stringify(failed!.content["application/json"]!.schema)).toContain(`"${code}"`);
      for (const { schema } of Object.values(operation.requestBody?.content ?? {}))
        expect(Object.keys(schema).length).toBeGreaterThan(0);
    }
  });
});
