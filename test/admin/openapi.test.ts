/** The description of both roles' routes holds together: what it refers to is there, and it forgets no route. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Hono } from "hono";
import { createPeerApp } from "../../src/admin/peer-app.ts";
import { createTrackerApp } from "../../src/admin/tracker-app.ts";
import { errorCodes } from "../../src/core/errors.ts";
import { Peer } from "../../src/peer/peer.ts";
import { type DataFolder, openDataFolder } from "../../src/store/data-folder.ts";
import { Tracker } from "../../src/tracker/tracker.ts";
import { removeFolder, temporaryFolder } from "../binary/binary.ts";

const METHODS = ["get", "put", "post", "delete"];
const log = () => undefined;
let folder = "";
let dataFolder: DataFolder;
let tracker: Tracker;
let peer: Peer;

beforeAll(async () => {
  folder = await temporaryFolder();
  dataFolder = openDataFolder({ role: "tracker", flag: folder });
  tracker = await Tracker.open({ dataFolder, log });
  const anyPort = { host: "127.0.0.1", port: 0 };
  const dead = { host: "127.0.0.1", port: 1 };
  const options = { dataFolder: undefined, filesFolder: folder, advertise: undefined, open: false, log };
  peer = await Peer.open({ ...options, listen: anyPort, tracker: dead });
});
afterAll(async () => {
  await peer.close();
  await tracker.close();
  dataFolder.close();
  await removeFolder(folder);
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

describe.each(["tracker", "peer"] as const)("of the %s", (role) => {
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

  test("it is OpenAPI 3.1 with every operation named once, summed up and tagged", () => {
    expect(description.openapi).toMatch(/^3\.1\.\d+$/);
    const ids = operations.map(({ operation }) => operation.operationId);
    expect(new Set(ids).size).toBe(ids.length);
    for (const { method, operation } of operations) {
      expect(METHODS).toContain(method);
      expect(operation.summary.length).toBeGreaterThan(5);
      expect(["command", "view"]).toContain(operation.tags[0]!);
    }
  });

  test("it names the server, as it was asked: whoever makes a client from it calls this role", async () => {
    const address = "http://127.0.0.1:4711";
    const headers = { Authorization: "Bearer t", Host: "127.0.0.1:4711" };
    const answer = await app.request(`${address}/api/openapi.json`, { headers });
    expect(((await answer.json()) as Description).servers).toMatchObject([{ url: address }]);
    expect(description.servers).toHaveLength(1);
  });

  test("every route below /api is in it, and nothing else", () => {
    const registered = app.routes
      .filter(({ method, path }) => method !== "ALL" && path.startsWith("/api/") && path !== "/api/openapi.json")
      .map(({ method, path }) => `${method} ${path.replace(/:(\w+)/g, "{$1}")}`);
    const described = operations.map(({ method, path }) => `${method.toUpperCase()} ${path}`);
    expect(described.toSorted()).toEqual([...new Set(registered)].toSorted());
  });

  test("every part of a path is a parameter, and the reverse", () => {
    for (const { path, operation } of operations) {
      const inPath = [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]!);
      const declared = (operation.parameters ?? []).filter((parameter) => parameter.in === "path");
      expect(declared.map(({ name }) => name).toSorted()).toEqual(inPath.toSorted());
    }
  });

  test("every schema is there, and the errors are those of the table", () => {
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
