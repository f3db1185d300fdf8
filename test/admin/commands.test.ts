/** The commands as routes, over the typed client, with real roles behind them. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash, randomBytes } from "node:crypto";
import { existsSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
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
  type Published,
  type PublishProgress,
  peerClient,
} from "../../src/admin/client.ts";
import { FileInfoSchema } from "../../src/core/model.ts";
import { MiB } from "../../src/core/units.ts";
import { FetchProgressSchema, FetchReceiptSchema, PeerStatusSchema, PublishedSchema } from "../../src/peer/types.ts";
import { readAdminFile } from "../../src/store/data-folder.ts";
import { ChunkInfoSchema, PeerInfoSchema, PingResultSchema, TrackerStatusSchema } from "../../src/tracker/types.ts";
import { story } from "../story.ts";
import { openSwarm, type Swarm, until } from "./roles.ts";

const step = story();
let swarm: Swarm;
let seeder: Awaited<ReturnType<Swarm["addPeer"]>>;
let leecher: Awaited<ReturnType<Swarm["addPeer"]>>;
const content = randomBytes(3_000_000);

beforeAll(async () => {
  swarm = await openSwarm();
  seeder = await swarm.addPeer("seeder");
  leecher = await swarm.addPeer("leecher");
});
afterAll(() => swarm.close());

async function publish(client: PeerClient, name: string, bytes: Uint8Array): Promise<Published> {
  const path = join(swarm.folder, `source of ${name}`);
  writeFileSync(path, bytes);
  const lines = linesOf<PublishProgress | Published>(
    client.api.shares.$post({ json: { path, lname: `./${name}`, fname: name } }),
  );
  let last: PublishProgress | Published | undefined;
  for await (const line of lines) last = line;
  return v.parse(PublishedSchema, last);
}

async function fetchAll(
  client: PeerClient,
  json: { what: string; destination?: string; limits?: object },
): Promise<FetchEvent[]> {
  return Array.fromAsync(linesOf<FetchEvent>(client.api.fetches.$post({ json })));
}

describe("a publish and a fetch", () => {
  step("end with what the schemas promise, and the file (F16, F17)", async () => {
    const published = await publish(seeder.client, "a b.bin", content);
    expect(published).toMatchObject({ fname: "a b.bin", path: "./a b.bin", size: content.length });
    const destination = join(swarm.folder, "copy.bin");
    const events = await fetchAll(leecher.client, { what: published.ticket, destination });
    const receipt = v.parse(FetchReceiptSchema, events.at(-1));
    for (const event of events.slice(0, -1)) expect(v.is(FetchProgressSchema, event)).toBe(true);
    expect(receipt).toMatchObject({ destination, size: content.length, bytes_fetched: content.length });
    expect(readFileSync(destination).equals(content)).toBe(true);
    const listed = await answerOf(leecher.client.api.fetches.$get());
    expect(listed).toMatchObject([{ fname: "a b.bin", state: "done", bytes: content.length }]);
  });

  step("into a folder take the name of the file; without a destination, the repository folder", async () => {
    await publish(seeder.client, "inside.bin", content.subarray(0, 10));
    await fetchAll(leecher.client, { what: "inside.bin", destination: swarm.folder });
    expect(statSync(join(swarm.folder, "inside.bin")).size).toBe(10);
    await fetchAll(leecher.client, { what: "inside.bin" });
    expect(statSync(join(leecher.data, "files", "inside.bin")).size).toBe(10);
  });

  step("once more, after the copy was deleted or changed, come from the swarm again", async () => {
    const bytes = randomBytes(200_000);
    await publish(seeder.client, "lost.bin", bytes);
    const destination = join(swarm.folder, "lost copy.bin");
    for (const lose of [() => rmSync(destination), () => renameSync(destination, `${destination}.old`)]) {
      await fetchAll(leecher.client, { what: "lost.bin", destination });
      expect(readFileSync(destination).equals(bytes)).toBe(true);
      lose();
    }
    const receipt = (await fetchAll(leecher.client, { what: "lost.bin", destination })).at(-1);
    expect(receipt).toMatchObject({ event: "receipt", bytes_fetched: bytes.length });
    rmSync(destination);
    await answerOf(seeder.client.api.shares[":fname"].$delete({ param: { fname: "lost.bin" } }));
  });

  step("that fail at once are answered with the status of the table", async () => {
    const response = await leecher.client.api.fetches.$post({ json: { what: "nothing of that name" } });
    expect(response.status as number).toBe(404);
    await expect(fetchAll(leecher.client, { what: "nothing of that name" })).rejects.toMatchObject({
      code: "not_found",
    });
    await expect(fetchAll(seeder.client, { what: "a b.bin" })).rejects.toMatchObject({ code: "refused" });
    const again = seeder.client.api.shares.$post({ json: { path: "/nowhere/x", lname: "x" } });
    await expect(Array.fromAsync(linesOf(again))).rejects.toMatchObject({ code: "not_found" });
  });

  step("that name another tracker are refused", async () => {
    const json = { what: "a b.bin", tracker: { host: "127.0.0.1", port: 9 } };
    expect((await leecher.client.api.fetches.$post({ json })).status as number).toBe(409);
    const same = { host: "localhost", port: swarm.trackerAddress.port };
    const destination = join(swarm.folder, "named tracker.bin");
    const lines = linesOf<FetchEvent>(
      leecher.client.api.fetches.$post({ json: { what: "a b.bin", tracker: same, destination } }),
    );
    expect((await Array.fromAsync(lines)).at(-1)?.event).toBe("receipt");
  });
});

describe("lists", () => {
  step("hold rows of their schemas, in pages (F7, F9–F11, F14, F15)", async () => {
    const { api } = swarm.tracker;
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

  step("refuse a port that is none", async () => {
    const response = await swarm.tracker.api.discover.$get({ query: { host: "127.0.0.1", port: "70000" } });
    expect(response.status as number).toBe(400);
  });
});

describe("single answers", () => {
  step("status and ping are what the schemas promise (F8, R13)", async () => {
    const peerStatus = v.parse(PeerStatusSchema, await answerOf(seeder.client.api.status.$get()));
    expect(peerStatus).toMatchObject({ connected: true, shares: 2, pid: process.pid });
    v.parse(TrackerStatusSchema, await answerOf(swarm.tracker.api.status.$get()));
    const [host, port] = peerStatus.address!.split(":") as [string, string];
    const ping = v.parse(PingResultSchema, await answerOf(swarm.tracker.api.ping.$get({ query: { host, port } })));
    expect(ping).toMatchObject({ address: peerStatus.address!, alive: true });
  });

  step("unpublish and cancel tell what they ended", async () => {
    await publish(seeder.client, "short/lived".replace("/", " "), randomBytes(5));
    const gone = await answerOf(seeder.client.api.shares[":fname"].$delete({ param: { fname: "short lived" } }));
    expect(String(gone.fname)).toBe("short lived");
    const again = seeder.client.api.shares[":fname"].$delete({ param: { fname: "short lived" } });
    await expect(answerOf(again)).rejects.toMatchObject({ code: "not_found" });
    const cancelled = leecher.client.api.fetches[":id"].$delete({ param: { id: "no such" }, query: {} });
    await expect(answerOf(cancelled)).rejects.toMatchObject({ code: "not_found" });
  });

  step("readyz means that the tracker is joined, and metrics are told", async () => {
    const { url, token } = readAdminFile(seeder.data)!;
    const get = (path: string) => fetch(`${url}${path}`, { headers: { Authorization: `Bearer ${token}` } });
    expect(await (await get("/readyz")).json()).toMatchObject({
      ready: true,
      checks: {
        tracker_link: { ok: true },
        event_loop: { ok: true },
        database: { ok: true },
        disk_space: { ok: true },
      },
    });
    const metrics = await (await get("/metrics")).text();
    expect(metrics).toMatch(/^p2pfs_shares 2$/m);
    expect(metrics).toMatch(/^# TYPE p2pfs_sent_bytes_total counter$/m);
  });
});

describe("over HTTP", () => {
  step("the file admin.json leads to the role, and only its owner reads it", async () => {
    const path = join(seeder.data, "admin.json");
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const { api } = peerClient(connectToRunning("peer", seeder.data));
    expect((await answerOf(api.status.$get())).data_folder).toBe(seeder.data);
    const { url } = readAdminFile(seeder.data)!;
    expect((await fetch(`${url}/api/status`)).status).toBe(401);
    expect((await fetch(`${url}/`, { headers: { Host: "evil.example" } })).status).toBe(403);
  });

  step("settings for the world's web do not lead commands astray", async () => {
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

  step("a fetch lasts as long as somebody waits for it, and keeps what it has", async () => {
    const large = Buffer.alloc(8 * MiB, "not very random");
    await publish(seeder.client, "large.bin", large);
    const destination = join(swarm.folder, "large copy.bin");
    // So slow that it is still under way when it is left, on every machine.
    const json = { what: "large.bin", destination, limits: { down_limit: 4 * MiB } };
    const { api } = peerClient(connectToRunning("peer", leecher.data));
    const first = linesOf<FetchEvent>(api.fetches.$post({ json }));
    const second = linesOf<FetchEvent>(api.fetches.$post({ json }));
    const [one, other] = [await first.next(), await second.next()];
    const isRunning = one.value?.event === "progress" && other.value?.event === "progress";
    expect(isRunning).toBe(true);
    expect(one.value.id).toBe(other.value.id);
    await first.return(undefined);
    expect((await second.next()).value?.event).toBe("progress");
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
    const digestOf = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
    expect(digestOf(readFileSync(destination))).toBe(digestOf(large));
  });

  step("what a killed role left behind counts for nothing", async () => {
    const folder = join(swarm.folder, "killed");
    expect(() => connectToRunning("peer", folder)).toThrow(expect.objectContaining({ code: "not_running" }));
    expect(await connectIfRunning("peer", folder)).toBeUndefined();
    await Bun.write(join(folder, "admin.json"), JSON.stringify({ url: "http://127.0.0.1:1", token: "x" }));
    expect(await connectIfRunning("peer", folder)).toBeUndefined();
    const { api } = peerClient(connectToRunning("peer", folder));
    await expect(answerOf(api.status.$get())).rejects.toMatchObject({ code: "not_running" });
  });

  step("a stranger on the role's port is not taken for the role", async () => {
    const stranger = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response("<html>") });
    const folder = join(swarm.folder, "stranger");
    await Bun.write(join(folder, "admin.json"), JSON.stringify({ url: stranger.url.origin, token: "x" }));
    const { api } = peerClient(connectToRunning("peer", folder));
    await expect(answerOf(api.status.$get())).rejects.toMatchObject({ code: "not_running" });
    await stranger.stop(true);
  });

  step("a wrong token is told as such", async () => {
    const folder = join(swarm.folder, "wrong token");
    const { url } = readAdminFile(seeder.data)!;
    await Bun.write(join(folder, "admin.json"), JSON.stringify({ url, token: "x" }));
    const { api } = peerClient(connectToRunning("peer", folder));
    await expect(answerOf(api.status.$get())).rejects.toMatchObject({ code: "unauthorised" });
  });
});

test("shutdown answers first and then ends the role, admin.json included", async () => {
  const guest = await swarm.addPeer("guest");
  const { api } = peerClient(connectToRunning("peer", guest.data));
  expect(await answerOf(api.shutdown.$post())).toEqual({ stopping: true, pid: process.pid });
  await guest.role.shutdownRequested;
  await guest.role.close();
  expect(existsSync(join(guest.data, "admin.json"))).toBe(false);
  const { api: tracker } = swarm.tracker;
  await until(
    "the guest leaves the list",
    async () => (await allPagesOf((query) => tracker.peers.$get({ query }))).length === 2,
  );
});

test("the description has every command, its arguments and its errors", async () => {
  const { url, token } = readAdminFile(seeder.data)!;
  const response = await fetch(`${url}/api/openapi.json`, { headers: { Authorization: `Bearer ${token}` } });
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
