/** The commands as routes, over the typed client, with real roles behind them. */
import { describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { existsSync, renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import {
  allPagesOf,
  answerOf,
  connectIfRunning,
  connectToRunning,
  type FetchEvent,
  linesOf,
  type PeerClient,
  peerClient,
} from "../../src/admin/client.ts";
import { FileInfoSchema } from "../../src/core/model.ts";
import { KiB, MiB } from "../../src/core/units.ts";
import { FetchProgressSchema, FetchReceiptSchema, PeerStatusSchema } from "../../src/peer/types.ts";
import { readAdminFile } from "../../src/store/data-folder.ts";
import { ChunkInfoSchema, PeerInfoSchema, PingResultSchema, TrackerStatusSchema } from "../../src/tracker/types.ts";
import { closeLater, closeNow, openForAll } from "../support/closing.ts";
import { expectError } from "../support/errors.ts";
import { expectBytes } from "../support/folder.ts";
import { AdminRoles, type PeerWithAdmin, requestAs } from "../support/roles.ts";
import { story } from "../support/story.ts";
import { until } from "../support/until.ts";

const step = story();
let roles: AdminRoles;
let seeder: PeerWithAdmin;
let leecher: PeerWithAdmin;
const content = randomBytes(3_000_000);

openForAll(async () => {
  roles = await AdminRoles.open();
  seeder = await roles.addPeer("seeder");
  leecher = await roles.addPeer("leecher");
});

async function fetchAll(
  client: PeerClient,
  json: { what: string; destination?: string; limits?: object },
): Promise<FetchEvent[]> {
  return Array.fromAsync(linesOf<FetchEvent>(client.api.fetches.$post({ json })));
}

describe("a publish and a fetch", () => {
  step("give results of the schemas, and the file (F16, F17)", async () => {
    const published = await roles.publish(seeder, "a b.bin", content);
    expect(published).toMatchObject({ fname: "a b.bin", path: "./a b.bin", size: content.length });
    const destination = join(roles.folder, "copy.bin");
    const events = await fetchAll(leecher.client, { what: published.ticket, destination });
    const receipt = v.parse(FetchReceiptSchema, events.at(-1));
    for (const event of events.slice(0, -1)) expect(v.is(FetchProgressSchema, event)).toBe(true);
    expect(receipt).toMatchObject({ destination, size: content.length, bytes_fetched: content.length });
    expectBytes(destination, content);
    const listed = await answerOf(leecher.client.api.fetches.$get());
    expect(listed).toMatchObject([{ fname: "a b.bin", state: "done", bytes: content.length }]);
  });

  step("into a folder use the name of the file; without a destination, the repository folder", async () => {
    await roles.publish(seeder, "inside.bin", content.subarray(0, 10));
    await fetchAll(leecher.client, { what: "inside.bin", destination: roles.folder });
    expect(statSync(join(roles.folder, "inside.bin")).size).toBe(10);
    await fetchAll(leecher.client, { what: "inside.bin" });
    expect(statSync(join(leecher.data, "files", "inside.bin")).size).toBe(10);
  });

  step("fetch from the swarm again after the copy was deleted or moved", async () => {
    const bytes = randomBytes(200_000);
    await roles.publish(seeder, "lost.bin", bytes);
    const destination = join(roles.folder, "lost copy.bin");
    for (const lose of [() => rmSync(destination), () => renameSync(destination, `${destination}.old`)]) {
      await fetchAll(leecher.client, { what: "lost.bin", destination });
      expectBytes(destination, bytes);
      lose();
    }
    const receipt = (await fetchAll(leecher.client, { what: "lost.bin", destination })).at(-1);
    expect(receipt).toMatchObject({ event: "receipt", bytes_fetched: bytes.length });
    rmSync(destination);
    await answerOf(seeder.client.api.shares[":fname"].$delete({ param: { fname: "lost.bin" } }));
  });

  step("that fail at once have the HTTP status of the error table", async () => {
    const response = await leecher.client.api.fetches.$post({ json: { what: "nothing of that name" } });
    expect(response.status as number).toBe(404);
    await expectError("not_found", fetchAll(leecher.client, { what: "nothing of that name" }));
    await expectError("refused", fetchAll(seeder.client, { what: "a b.bin" }));
    const again = seeder.client.api.shares.$post({ json: { path: "/nowhere/x", lname: "x" } });
    await expectError("not_found", Array.fromAsync(linesOf(again)));
  });

  step("that name another tracker than the peer's are refused", async () => {
    const json = { what: "a b.bin", tracker: { host: "127.0.0.1", port: 9 } };
    expect((await leecher.client.api.fetches.$post({ json })).status as number).toBe(409);
    const same = { host: "localhost", port: roles.trackerAddress.port };
    const destination = join(roles.folder, "named tracker.bin");
    const lines = linesOf<FetchEvent>(
      leecher.client.api.fetches.$post({ json: { what: "a b.bin", tracker: same, destination } }),
    );
    expect((await Array.fromAsync(lines)).at(-1)?.event).toBe("receipt");
  });
});

describe("lists", () => {
  step("have rows of their schemas, in pages (F7, F9–F11, F14, F15)", async () => {
    const { api } = roles.tracker;
    const peers = await allPagesOf((query) => api.peers.$get({ query }));
    expect(v.parse(v.array(PeerInfoSchema), peers)).toHaveLength(2);
    const files = await allPagesOf((query) => api.files.$get({ query }));
    expect(v.parse(v.array(FileInfoSchema), files).map(({ fname }) => String(fname))).toContain("a b.bin");
    const chunks = await allPagesOf((query) => api.chunks.$get({ query }));
    expect(v.parse(v.array(ChunkInfoSchema), chunks).length).toBeGreaterThanOrEqual(files.length);
    expect(await allPagesOf((query) => leecher.client.api.files.$get({ query }))).toEqual(files);
    const { address } = await answerOf(seeder.client.api.status.$get());
    const [host, port] = address!.split(":") as [string, string];
    expect(await allPagesOf((page) => api.discover.$get({ query: { host, port, ...page } }))).toEqual(files);
    expect(await allPagesOf((page) => leecher.client.api.discover.$get({ query: { host, port, ...page } }))).toEqual(
      files,
    );
  });

  step("refuse an invalid port", async () => {
    const response = await roles.tracker.api.discover.$get({ query: { host: "127.0.0.1", port: "70000" } });
    expect(response.status as number).toBe(400);
  });
});

describe("single answers", () => {
  step("status and ping have their schemas (F8, R13)", async () => {
    const peerStatus = v.parse(PeerStatusSchema, await answerOf(seeder.client.api.status.$get()));
    expect(peerStatus).toMatchObject({ connected: true, shares: 2, pid: process.pid });
    v.parse(TrackerStatusSchema, await answerOf(roles.tracker.api.status.$get()));
    const [host, port] = peerStatus.address!.split(":") as [string, string];
    const ping = v.parse(PingResultSchema, await answerOf(roles.tracker.api.ping.$get({ query: { host, port } })));
    expect(ping).toMatchObject({ address: peerStatus.address!, alive: true });
  });

  step("unpublish and cancel give what they ended, and not_found the second time", async () => {
    await roles.publish(seeder, "short lived", randomBytes(5));
    const gone = await answerOf(seeder.client.api.shares[":fname"].$delete({ param: { fname: "short lived" } }));
    expect(String(gone.fname)).toBe("short lived");
    const again = seeder.client.api.shares[":fname"].$delete({ param: { fname: "short lived" } });
    await expectError("not_found", answerOf(again));
    const cancelled = leecher.client.api.fetches[":id"].$delete({ param: { id: "no such" }, query: {} });
    await expectError("not_found", answerOf(cancelled));
  });

  step("/readyz says that the tracker is joined, and /metrics has the counters", async () => {
    expect(await (await requestAs(seeder.data, "/readyz")).json()).toMatchObject({
      ready: true,
      checks: {
        tracker_link: { ok: true },
        event_loop: { ok: true },
        database: { ok: true },
        disk_space: { ok: true },
      },
    });
    const metrics = await (await requestAs(seeder.data, "/metrics")).text();
    expect(metrics).toMatch(/^p2pfs_shares 2$/m);
    expect(metrics).toMatch(/^# TYPE p2pfs_sent_bytes_total counter$/m);
  });
});

describe("over HTTP", () => {
  step("admin.json leads to the role, and only its owner can read it", async () => {
    const path = join(seeder.data, "admin.json");
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const { api } = peerClient(connectToRunning("peer", seeder.data));
    expect((await answerOf(api.status.$get())).data_folder).toBe(seeder.data);
    const { url } = readAdminFile(seeder.data)!;
    expect((await fetch(`${url}/api/status`)).status).toBe(401);
    expect((await fetch(`${url}/`, { headers: { Host: "evil.example" } })).status).toBe(403);
  });

  step("HTTP_PROXY is not used for the admin endpoint", async () => {
    const before = process.env.HTTP_PROXY;
    process.env.HTTP_PROXY = "http://127.0.0.1:1";
    try {
      const { api } = peerClient(connectToRunning("peer", seeder.data));
      expect((await answerOf(api.status.$get())).role).toBe("peer");
    } finally {
      if (before === undefined) delete process.env.HTTP_PROXY;
      else process.env.HTTP_PROXY = before;
    }
  });

  step("a fetch runs as long as a client reads its events, then stops and keeps what has arrived", async () => {
    const large = Buffer.alloc(4 * MiB, "not very random");
    await roles.publish(seeder, "large.bin", large);
    const destination = join(roles.folder, "large copy.bin");
    const json = { what: "large.bin", destination };
    // So slow that it is still under way when it is left, on every machine.
    const slowly = { ...json, limits: { down_limit: 256 * KiB } };
    const { api } = peerClient(connectToRunning("peer", leecher.data));
    const first = linesOf<FetchEvent>(api.fetches.$post({ json: slowly }));
    const second = linesOf<FetchEvent>(api.fetches.$post({ json: slowly }));
    const [one, other] = [await first.next(), await second.next()];
    const isRunning = one.value?.event === "progress" && other.value?.event === "progress";
    expect(isRunning).toBe(true);
    expect(one.value.id).toBe(other.value.id);
    await first.return(undefined);
    let next = await second.next();
    expect(next.value?.event).toBe("progress");
    while (next.value?.event === "progress" && next.value.chunks === 0) next = await second.next();
    await second.return(undefined);
    await until("the fetch is stopped", async () => {
      const fetches = await answerOf(api.fetches.$get());
      return fetches.some(({ id, state }) => id === one.value.id && state === "stopped");
    });
    expect(existsSync(destination)).toBe(false);
    const events = await fetchAll(leecher.client, json);
    const receipt = v.parse(FetchReceiptSchema, events.at(-1));
    expect(receipt.bytes_resumed).toBeGreaterThan(0);
    expect(receipt.bytes_resumed + receipt.bytes_fetched).toBe(large.length);
    expectBytes(destination, large);
  });

  step("the admin.json that a killed role left is not_running", async () => {
    const folder = join(roles.folder, "killed");
    expectError("not_running", () => connectToRunning("peer", folder));
    expect(await connectIfRunning("peer", folder)).toBeUndefined();
    await Bun.write(join(folder, "admin.json"), JSON.stringify({ url: "http://127.0.0.1:1", token: "x" }));
    expect(await connectIfRunning("peer", folder)).toBeUndefined();
    const { api } = peerClient(connectToRunning("peer", folder));
    await expectError("not_running", answerOf(api.status.$get()));
  });

  step("another server on the role's port is not taken for the role", async () => {
    const stranger = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response("<html>") });
    closeLater(stranger, () => stranger.stop(true));
    const folder = join(roles.folder, "stranger");
    await Bun.write(join(folder, "admin.json"), JSON.stringify({ url: stranger.url.origin, token: "x" }));
    const { api } = peerClient(connectToRunning("peer", folder));
    await expectError("not_running", answerOf(api.status.$get()));
  });

  step("a wrong token is unauthorised", async () => {
    const folder = join(roles.folder, "wrong token");
    const { url } = readAdminFile(seeder.data)!;
    await Bun.write(join(folder, "admin.json"), JSON.stringify({ url, token: "x" }));
    const { api } = peerClient(connectToRunning("peer", folder));
    await expectError("unauthorised", answerOf(api.status.$get()));
  });
});

test("shutdown answers first and then ends the role, admin.json included", async () => {
  const guest = await roles.addPeer("guest");
  const { api } = peerClient(connectToRunning("peer", guest.data));
  expect(await answerOf(api.shutdown.$post())).toEqual({ stopping: true, pid: process.pid });
  await guest.role.shutdownRequested;
  await closeNow(guest.role);
  expect(existsSync(join(guest.data, "admin.json"))).toBe(false);
  const { api: tracker } = roles.tracker;
  await until(
    "the guest leaves the list",
    async () => (await allPagesOf((query) => tracker.peers.$get({ query }))).length === 2,
  );
});

test("the OpenAPI description has every command with its arguments and errors", async () => {
  const response = await requestAs(seeder.data, "/api/openapi.json");
  const { openapi, paths } = (await response.json()) as {
    openapi: string;
    paths: Record<string, Record<string, { operationId: string; requestBody?: unknown; responses: object }>>;
  };
  expect(openapi).toStartWith("3.1");
  for (const [path, operations] of Object.entries(paths)) {
    expect(path).toStartWith("/api/");
    for (const operation of Object.values(operations)) {
      expect(operation.operationId).toMatch(/^[a-z_]+$/);
      expect(Object.keys(operation.responses)).toEqual(["200", "default"]);
    }
  }
  expect(JSON.stringify(paths["/api/fetches"]!.post!.requestBody)).toContain("destination");
});
