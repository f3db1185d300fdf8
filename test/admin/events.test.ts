/** The stream of events over HTTP, as the page reads it. */
import { afterAll, beforeAll, describe, expect } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { answerOf, linesOf } from "../../src/admin/client.ts";
import { TICK_MS } from "../../src/admin/event-feed.ts";
import { MiB } from "../../src/core/units.ts";
import { readAdminFile } from "../../src/store/data-folder.ts";
import { story } from "../story.ts";
import { openSwarm, type Swarm, until } from "./roles.ts";

const step = story();
let swarm: Swarm;
let seeder: Awaited<ReturnType<Swarm["addPeer"]>>;
let leecher: Awaited<ReturnType<Swarm["addPeer"]>>;

beforeAll(async () => {
  swarm = await openSwarm();
  seeder = await swarm.addPeer("seeder");
  leecher = await swarm.addPeer("leecher");
});
afterAll(() => swarm.close());

interface Told {
  readonly id: string;
  readonly atMs: number;
  readonly data: { readonly type: string; readonly [field: string]: unknown };
}

class Stream {
  readonly events: Told[] = [];
  readonly response: Response;
  readonly #leaving: AbortController;
  readonly ended: Promise<void>;

  private constructor(response: Response, leaving: AbortController) {
    this.response = response;
    this.#leaving = leaving;
    this.ended = this.#read();
  }

  static async open(data: string, lastId?: string): Promise<Stream> {
    const { url, token } = readAdminFile(data)!;
    const leaving = new AbortController();
    const headers = { Authorization: `Bearer ${token}`, ...(lastId === undefined ? {} : { "Last-Event-ID": lastId }) };
    const stream = new Stream(await fetch(`${url}/api/events`, { headers, signal: leaving.signal }), leaving);
    await until("the stream greets", () => stream.types.includes("hello"));
    return stream;
  }

  get types(): string[] {
    return this.events.map(({ data }) => data.type);
  }

  of(type: string): Told[] {
    return this.events.filter(({ data }) => data.type === type);
  }

  close(): Promise<void> {
    this.#leaving.abort();
    return this.ended;
  }

  async #read(): Promise<void> {
    let rest = "";
    const decoder = new TextDecoder();
    try {
      for await (const bytes of this.response.body!) {
        const blocks = (rest + decoder.decode(bytes, { stream: true })).split("\n\n");
        rest = blocks.pop()!;
        for (const block of blocks) {
          const data = /^data: (.*)$/m.exec(block)?.[1];
          if (data === undefined) continue;
          expect(/^event: (.*)$/m.exec(block)?.[1]).toBe(JSON.parse(data).type);
          this.events.push({
            id: /^id: (.*)$/m.exec(block)?.[1] ?? "",
            atMs: performance.now(),
            data: JSON.parse(data),
          });
        }
      }
    } catch (thrown) {
      if (!this.#leaving.signal.aborted) throw thrown;
    }
  }
}

let sources = 0;
async function publish(name: string, bytes: number): Promise<void> {
  const path = join(swarm.folder, `source ${sources++}`);
  writeFileSync(path, new Uint8Array(bytes).fill(sources));
  await Array.fromAsync(linesOf(seeder.client.api.shares.$post({ json: { path, lname: name, fname: name } })));
}

describe("a stream", () => {
  step("tells the tracker's joins, leaves and publications", async () => {
    const stream = await Stream.open(swarm.trackerData);
    expect(stream.response.headers.get("Content-Type")).toStartWith("text/event-stream");
    const guest = await swarm.addPeer("guest");
    await publish("one", 10);
    await guest.role.close();
    await until("all is told", () => stream.types.includes("peer_left"));
    expect(stream.of("peer_joined").at(-1)!.data).toMatchObject({ host_name: expect.any(String) });
    expect(stream.of("published").at(-1)!.data).toMatchObject({ size: 10, key: expect.stringContaining("one_") });
    for (const { id, data } of stream.events) {
      if (data.type !== "hello") expect(id === "" || data.at !== undefined).toBe(true);
    }
    await stream.close();
  });

  step("begins with what was before, and goes on where another stopped", async () => {
    const first = await Stream.open(swarm.trackerData);
    expect(first.types.slice(0, -1)).toContain("published");
    expect(first.types.at(-1)).toBe("hello");
    const { id } = first.of("hello")[0]!;
    await first.close();
    await publish("while away", 11);
    const second = await Stream.open(swarm.trackerData, id);
    expect(second.of("published").map(({ data }) => data.size)).toEqual([11]);
    expect(second.of("hello")[0]!.data).toMatchObject({ missed: false });
    await second.close();
    const stranger = await Stream.open(swarm.trackerData, "another-run-7");
    expect(stranger.of("hello")[0]!.data).toMatchObject({ missed: true });
    await stranger.close();
  });

  step("tells a fetch from beginning to end, its progress at most ten times a second, every chunk once", async () => {
    await publish("film", 6 * MiB);
    await answerOf(leecher.client.api.limits.$put({ json: { down_limit: 4 * MiB } }));
    const stream = await Stream.open(leecher.data);
    const json = { what: "film", detached: true };
    const lines = await Array.fromAsync(linesOf<{ event: string }>(leecher.client.api.fetches.$post({ json })));
    expect(lines).toMatchObject([{ event: "progress", fname: "film", state: "running" }]);
    await until("the fetch is done", () => stream.types.includes("fetch_ended"));
    expect(stream.types.indexOf("fetch_started")).toBeLessThan(stream.types.indexOf("fetch_progress"));
    expect(stream.of("fetch_ended")[0]!.data.fetch).toMatchObject({ fname: "film", state: "done", error: null });
    const progress = stream.of("fetch_progress");
    expect(progress.length).toBeGreaterThan(2);
    const spanMs = progress.at(-1)!.atMs - progress[0]!.atMs;
    expect(progress.length).toBeLessThanOrEqual(spanMs / TICK_MS + 2);
    const gained = progress.flatMap(({ data }) => chunksOf(String(data.gained)));
    expect(new Set(gained).size).toBe(gained.length);
    expect(progress.every(({ id }) => id === "")).toBe(true);
    await stream.close();
  });

  step("of a detached fetch that is asked for twice ends with neither of them", async () => {
    await publish("show", 4 * MiB);
    const json = { what: "show" };
    await Array.fromAsync(linesOf(leecher.client.api.fetches.$post({ json: { ...json, detached: true } })));
    const watcher = linesOf<{ event: string }>(leecher.client.api.fetches.$post({ json }));
    await watcher.next();
    await watcher.return(undefined);
    const state = async () =>
      (await answerOf(leecher.client.api.fetches.$get())).find(({ fname }) => fname === "show")?.state;
    expect(await state()).toBe("running");
    await until("it is done", async () => (await state()) === "done");
  });

  step("needs the token, and two hundred idle ones are nothing", async () => {
    const { url } = readAdminFile(leecher.data)!;
    expect((await fetch(`${url}/api/events`)).status).toBe(401);
    const streams = await Promise.all(Array.from({ length: 200 }, () => Stream.open(leecher.data)));
    const before = performance.now();
    await answerOf(leecher.client.api.status.$get());
    expect(performance.now() - before).toBeLessThan(500);
    await publish("seen by all", 12);
    await answerOf(leecher.client.api.connect.$post({ json: swarm.trackerAddress }));
    await Promise.all(streams.map((stream) => stream.close()));
    const { token } = readAdminFile(leecher.data)!;
    await until("the streams are gone", async () => {
      const response = await fetch(`${url}/metrics`, { headers: { Authorization: `Bearer ${token}` } });
      return /^p2pfs_event_streams 0$/m.test(await response.text());
    });
  });
});

function chunksOf(ranges: string): number[] {
  if (ranges === "") return [];
  return ranges.split(",").flatMap((range) => {
    const [first, last = first] = range.split("-").map(Number) as [number, number?];
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
}
