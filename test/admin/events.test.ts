/** The stream of events over HTTP, as the page reads it. */
import { describe, expect } from "bun:test";
import { answerOf, linesOf } from "../../src/admin/client.ts";
import { TICK_MS } from "../../src/admin/event-feed.ts";
import { KiB, MiB } from "../../src/core/units.ts";
import { readAdminFile } from "../../src/store/data-folder.ts";
import { closeNow, openForAll } from "../support/closing.ts";
import { AdminRoles, type PeerWithAdmin, requestAs } from "../support/roles.ts";
import { story } from "../support/story.ts";
import { until } from "../support/until.ts";

const step = story();
let roles: AdminRoles;
let seeder: PeerWithAdmin;
let leecher: PeerWithAdmin;

openForAll(async () => {
  roles = await AdminRoles.open();
  seeder = await roles.addPeer("seeder");
  leecher = await roles.addPeer("leecher");
});

interface ReceivedEvent {
  readonly id: string;
  readonly atMs: number;
  readonly data: { readonly type: string; readonly [field: string]: unknown };
}

class Stream {
  readonly events: ReceivedEvent[] = [];
  readonly response: Response;
  readonly #leaving: AbortController;
  readonly ended: Promise<void>;

  private constructor(response: Response, leaving: AbortController) {
    this.response = response;
    this.#leaving = leaving;
    this.ended = this.#read();
  }

  static async open(data: string, lastId?: string): Promise<Stream> {
    const leaving = new AbortController();
    const headers: Record<string, string> = lastId === undefined ? {} : { "Last-Event-ID": lastId };
    const stream = new Stream(await requestAs(data, "/api/events", { headers, signal: leaving.signal }), leaving);
    await until("hello", () => stream.types.includes("hello"));
    return stream;
  }

  get types(): string[] {
    return this.events.map(({ data }) => data.type);
  }

  of(type: string): ReceivedEvent[] {
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

async function publish(fname: string, bytes: number): Promise<void> {
  await roles.publish(seeder, fname, new Uint8Array(bytes).fill(bytes % 251));
}

/** What the leecher receives at most, for all its fetches. */
const limitTo = (down_limit: number | null) => answerOf(leecher.client.api.limits.$put({ json: { down_limit } }));

describe("the event stream", () => {
  step("has the joins, leaves and publications at a tracker", async () => {
    const stream = await Stream.open(roles.trackerData);
    expect(stream.response.headers.get("Content-Type")).toStartWith("text/event-stream");
    const guest = await roles.addPeer("guest");
    await publish("one", 10);
    await closeNow(guest.role);
    await until("peer_left", () => stream.types.includes("peer_left"));
    expect(stream.of("peer_joined").at(-1)!.data).toMatchObject({ host_name: expect.any(String) });
    expect(stream.of("published").at(-1)!.data).toMatchObject({ size: 10, key: expect.stringContaining("one_") });
    for (const { id, data } of stream.events) {
      if (data.type !== "hello") expect(id === "" || data.at !== undefined).toBe(true);
    }
    await stream.close();
  });

  step("begins with the latest events, or after the event that the client received last", async () => {
    const first = await Stream.open(roles.trackerData);
    expect(first.types.slice(0, -1)).toContain("published");
    expect(first.types.at(-1)).toBe("hello");
    const { id } = first.of("hello")[0]!;
    await first.close();
    await publish("while away", 11);
    const second = await Stream.open(roles.trackerData, id);
    expect(second.of("published").map(({ data }) => data.size)).toEqual([11]);
    expect(second.of("hello")[0]!.data).toMatchObject({ missed: false });
    await second.close();
    const stranger = await Stream.open(roles.trackerData, "another-run-7");
    expect(stranger.of("hello")[0]!.data).toMatchObject({ missed: true });
    await stranger.close();
  });

  step("has a fetch from start to end, its progress at most ten times a second, every chunk once", async () => {
    await publish("film", 6 * MiB);
    await limitTo(4 * MiB);
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

  step("is not what a detached fetch depends on, nor is a client that reads its progress", async () => {
    await publish("show", MiB);
    await limitTo(64 * KiB);
    const json = { what: "show" };
    await Array.fromAsync(linesOf(leecher.client.api.fetches.$post({ json: { ...json, detached: true } })));
    const watcher = linesOf<{ event: string }>(leecher.client.api.fetches.$post({ json }));
    await watcher.next();
    await watcher.return(undefined);
    const state = async () =>
      (await answerOf(leecher.client.api.fetches.$get())).find(({ fname }) => fname === "show")?.state;
    expect(await state()).toBe("running");
    await limitTo(null);
    await until("it is done", async () => (await state()) === "done");
  });

  step("needs the token, and two hundred idle ones do not slow the role down", async () => {
    const { url } = readAdminFile(leecher.data)!;
    expect((await fetch(`${url}/api/events`)).status).toBe(401);
    const streams = await Promise.all(Array.from({ length: 200 }, () => Stream.open(leecher.data)));
    const before = performance.now();
    await answerOf(leecher.client.api.status.$get());
    expect(performance.now() - before).toBeLessThan(500);
    await publish("seen by all", 12);
    await answerOf(leecher.client.api.connect.$post({ json: roles.trackerAddress }));
    await Promise.all(streams.map((stream) => stream.close()));
    await until("the streams are gone", async () => {
      const response = await requestAs(leecher.data, "/metrics");
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
