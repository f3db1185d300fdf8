/** The feed keeps a bounded number of recorded events, and sends transient ones at most once a tick. */
import { describe, expect, test } from "bun:test";
import { EVENTS_KEPT_MAX, EventFeed, type FeedEvent, READERS_MAX, TICK_MS } from "../../src/admin/event-feed.ts";
import { expectError } from "../support/errors.ts";

const types = (events: readonly FeedEvent[] | undefined) => events?.map(({ data }) => data.type);

function reader() {
  const events: FeedEvent[] = [];
  return { events, event: (event: FeedEvent) => void events.push(event) };
}

describe("recorded events", () => {
  test("are numbered, dated and given to every reader in order", () => {
    const feed = new EventFeed();
    const [one, other] = [reader(), reader()];
    const stops = [feed.read(one), feed.read(other)];
    feed.emit({ type: "a" });
    feed.emit({ type: "b" });
    for (const { events } of [one, other]) {
      expect(types(events)).toEqual(["a", "b"]);
      expect(new Set(events.map(({ id }) => id)).size).toBe(2);
      for (const { data } of events) expect(Date.parse(data.at!)).toBeGreaterThan(0);
    }
    for (const stop of stops) stop();
    feed.emit({ type: "c" });
    expect(types(one.events)).toEqual(["a", "b"]);
  });

  test("can be read from any of them on", () => {
    const feed = new EventFeed();
    const begin = feed.lastId;
    const ids = ["a", "b", "c"].map((type) => {
      feed.emit({ type });
      return feed.lastId;
    });
    expect(types(feed.since(begin))).toEqual(["a", "b", "c"]);
    expect(types(feed.since(ids[0]!))).toEqual(["b", "c"]);
    expect(types(feed.since(ids[2]!))).toEqual([]);
  });

  test("that are no longer kept, or are of another run, are reported as missed", () => {
    const feed = new EventFeed();
    const begin = feed.lastId;
    feed.emit({ type: "first" });
    const first = feed.lastId;
    for (let index = 0; index < EVENTS_KEPT_MAX; index++) feed.emit({ type: "more" });
    expect(feed.since(begin)).toBeUndefined();
    expect(feed.since(first)).toHaveLength(EVENTS_KEPT_MAX);
    expect(feed.since(new EventFeed().lastId)).toBeUndefined();
    for (const id of ["", "x", `${begin}9999`, "a-1-2"]) expect(feed.since(id)).toBeUndefined();
    expect(types(feed.latest(2))).toEqual(["more", "more"]);
  });
});

describe("transient events", () => {
  test("are sent once a tick for each key, merged, and are not kept", async () => {
    const feed = new EventFeed();
    const one = reader();
    const stop = feed.read(one);
    const join = (waiting: { type: string; sum: number }) => ({ ...waiting, sum: waiting.sum + 1 });
    for (let index = 0; index < 5; index++) feed.emitTransient("key", { type: "p", sum: 1 }, join);
    feed.emitTransient("other", { type: "q" });
    expect(one.events).toEqual([]);
    await Bun.sleep(1.5 * TICK_MS);
    expect(one.events.map(({ id, data }) => ({ id, ...data }))).toEqual([
      { id: null, type: "p", sum: 5 },
      { id: null, type: "q" },
    ] as never);
    expect(feed.latest(10)).toEqual([]);
    stop();
  });

  test("are not sampled while nobody reads", async () => {
    let samples = 0;
    const feed = new EventFeed({ sample: () => void samples++ });
    feed.emitTransient("key", { type: "p" });
    const one = reader();
    const stop = feed.read(one);
    await Bun.sleep(1.5 * TICK_MS);
    expect(one.events).toEqual([]);
    expect(samples).toBe(1);
    stop();
    await Bun.sleep(1.5 * TICK_MS);
    expect(samples).toBe(1);
  });
});

test("there are at most READERS_MAX readers", () => {
  const feed = new EventFeed();
  const stops = Array.from({ length: READERS_MAX }, () => feed.read(reader()));
  expectError("busy", () => feed.read(reader()));
  stops[0]!();
  stops.push(feed.read(reader()));
  for (const stop of stops) stop();
  expect(feed.readerCount).toBe(0);
});
