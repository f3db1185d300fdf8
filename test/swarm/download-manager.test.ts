/** The engine of a fetch on a clock of the test: window, deadlines, bad chunks, holders that come and go (D1–D7). */
import { describe, expect, test } from "bun:test";
import { Bitfield } from "../../src/core/bitfield.ts";
import { WINDOW_SIZE } from "../../src/core/limits.ts";
import { DOWNLOAD_BOUNDS } from "../../src/swarm/bounds.ts";
import type { DownloadEffect } from "../../src/swarm/types.ts";
import {
  allOf,
  CHUNK_BYTES,
  chunksIn,
  Driver,
  onlyChunk,
  type RequestEffect,
  rangeOfOne,
  rangesOf,
} from "./support.ts";

const NO_ONE = rangesOf([]);

function last(effects: readonly DownloadEffect[]): DownloadEffect | undefined {
  return effects.at(-1);
}

/** Answers whatever waits, oldest first, each with a chunk that was not given yet where there is a choice. */
function serveAll(driver: Driver, held = new Set<number>()): void {
  for (let steps = 0; steps < 100_000; steps++) {
    const [request] = driver.waiting.values();
    if (request === undefined) return;
    const chunk = chunksIn(request.chunks).find((each) => !held.has(each)) ?? request.chunks[0]!;
    held.add(chunk);
    driver.answer(request, { chunk });
  }
  throw new Error("does not end");
}

describe("a fetch from one source", () => {
  test.each([1, 29, 30, 31, 100, 200, 1000, 1024, 1025])("of %d chunks ends (a multiple of 100 did not)", (count) => {
    const driver = new Driver(count);
    driver.join("a", allOf(count));
    serveAll(driver);
    expect(last(driver.effects)).toEqual({ type: "done" });
    expect(driver.types().filter((type) => type === "write")).toHaveLength(count);
    expect(driver.manager.counters).toMatchObject({ requestsSent: count, rerequests: 0, duplicates: 0 });
    expect(driver.manager.counters.bySource.get("a")).toMatchObject({ chunks: count, bytes: count * 65536 });
    expect(driver.manager.deadline()).toBeUndefined();
  });

  test("of an empty content is done at once", () => {
    const driver = new Driver(0);
    expect(driver.drain()).toEqual([{ type: "done" }]);
    expect(driver.manager.deadline()).toBeUndefined();
  });

  test("whose chunks are all held is done at once", () => {
    expect(new Driver(3, { have: Bitfield.full(3) }).drain()).toEqual([{ type: "done" }]);
  });

  test("requests only missing chunks", () => {
    const driver = new Driver(5, { have: Bitfield.fromRanges(5, rangesOf([0, 3])) });
    driver.join("a", allOf(5));
    expect(driver.waiting.size).toBe(3);
    for (const request of driver.waiting.values()) {
      for (const chunk of chunksIn(request.chunks)) expect([1, 2, 4]).toContain(chunk);
    }
  });

  test("D4: fills the window with the first requests, and refills it by one", () => {
    const driver = new Driver(100);
    driver.join("a", allOf(100));
    expect(driver.waiting.size).toBe(WINDOW_SIZE);
    driver.now = 1;
    driver.answer([...driver.waiting.values()][0]!, { chunk: 7 });
    expect(driver.waiting.size).toBe(WINDOW_SIZE);
  });

  test("is done when the last write has returned, not before", () => {
    const driver = new Driver(1);
    driver.join("a", allOf(1));
    const [request] = driver.waiting.values();
    const bytes = 65536;
    driver.send({ type: "chunk_arrived", source: "a", request: request!.request, chunk: 0, bytes, valid: true });
    expect(last(driver.effects)).toEqual({ type: "write", request: request!.request, chunk: 0 });
    expect(driver.manager.have.count).toBe(0);
    expect(driver.send({ type: "chunk_written", chunk: 0 })).toEqual([{ type: "done" }]);
    expect(driver.manager.have.isFull).toBe(true);
  });

  test("requests nothing while the disk is behind, and does not count that wait as a stall", () => {
    const driver = new Driver(100);
    driver.join("a", allOf(100));
    driver.send({ type: "paused", paused: true });
    const [request] = driver.waiting.values();
    driver.answer(request!);
    driver.advance(60_000);
    driver.join("b", allOf(100));
    expect(driver.waiting.size).toBe(WINDOW_SIZE - 1);
    expect(driver.types()).not.toContain("cancel");
    driver.send({ type: "paused", paused: false });
    expect(driver.waiting.size).toBeLessThanOrEqual(WINDOW_SIZE);
    expect(driver.waitingAt("b").length).toBeGreaterThan(0);
    expect(driver.manager.counters.rerequests).toBe(0);
  });
});

describe("a doubtful chunk, which an earlier process wrote,", () => {
  const doubtful = (...chunks: number[]) => Bitfield.fromRanges(5, rangesOf(chunks));

  test("is not requested, and the fetch is done when all are found right", () => {
    const driver = new Driver(5, { doubtful: doubtful(0, 1, 2, 3, 4) });
    driver.join("a", allOf(5));
    driver.advance(60_000);
    expect(driver.effects).toEqual([]);
    expect(driver.manager.have.count).toBe(0);
    for (let chunk = 0; chunk < 4; chunk++) expect(driver.send({ type: "chunk_written", chunk })).toEqual([]);
    expect(driver.send({ type: "chunk_written", chunk: 4 })).toEqual([{ type: "done" }]);
  });

  test("needs no source to become held", () => {
    const driver = new Driver(5, { doubtful: doubtful(0, 1, 2, 3, 4) });
    driver.advance(60_000);
    for (let chunk = 0; chunk < 5; chunk++) driver.send({ type: "chunk_written", chunk });
    expect(driver.effects).toEqual([{ type: "done" }]);
  });

  test("is requested once it was found damaged, also when all others are held", () => {
    const driver = new Driver(5, { doubtful: doubtful(1, 2, 3, 4) });
    driver.join("a", allOf(5));
    serveAll(driver);
    for (const chunk of [1, 3, 4]) driver.send({ type: "chunk_written", chunk });
    expect(driver.types()).not.toContain("done");
    driver.send({ type: "chunk_lost", chunk: 2 });
    const [request] = driver.waiting.values();
    expect(chunksIn(request!.chunks)).toEqual([2]);
    expect(driver.answer(request!).map(({ type }) => type)).toEqual(["write", "done"]);
    expect(driver.manager.counters).toMatchObject({ requestsSent: 2, rerequests: 0 });
  });

  test("is reported lost once: one that is held or requested by then stays so", () => {
    const driver = new Driver(5, { doubtful: doubtful(1, 2) });
    driver.join("a", allOf(5));
    driver.send({ type: "chunk_written", chunk: 1 });
    driver.send({ type: "chunk_lost", chunk: 1 });
    driver.send({ type: "chunk_lost", chunk: 0 });
    expect(driver.manager.have.has(1)).toBe(true);
    expect([...driver.waiting.values()].some(({ chunks }) => chunksIn(chunks).includes(1))).toBe(false);
    driver.send({ type: "chunk_lost", chunk: 2 });
    serveAll(driver);
    expect(last(driver.effects)).toEqual({ type: "done" });
    expect(driver.manager.counters.duplicates).toBe(0);
  });

  test("D7, R5: that is damaged and never had a holder is reported in time", () => {
    const driver = new Driver(5, { doubtful: doubtful(1, 2) });
    driver.join("a", rangesOf([0, 3, 4]));
    serveAll(driver);
    driver.send({ type: "chunk_written", chunk: 1 });
    driver.send({ type: "chunk_lost", chunk: 2 });
    driver.advance(DOWNLOAD_BOUNDS.noHolderMs);
    expect(last(driver.effects)).toEqual({ type: "failed", code: "no_holder", chunk: 2 });
  });

  test("D7: that is damaged is waited for longer where its holder has just left", () => {
    const driver = new Driver(5, { doubtful: doubtful(2) });
    driver.join("a", allOf(5));
    serveAll(driver);
    driver.gone("a");
    driver.send({ type: "chunk_lost", chunk: 2 });
    driver.advance(DOWNLOAD_BOUNDS.holderLeftMs - 1);
    expect(driver.types()).not.toContain("failed");
    driver.advance(1);
    expect(last(driver.effects)).toEqual({ type: "failed", code: "no_holder", chunk: 2 });
  });

  test("D7, R5: does not delay the report of a missing chunk that never had a holder", () => {
    const driver = new Driver(5, { have: doubtful(0, 1, 2) });
    driver.join("a", rangesOf([0, 1, 2, 3]));
    serveAll(driver);
    driver.advance(DOWNLOAD_BOUNDS.noHolderMs);
    expect(last(driver.effects)).toEqual({ type: "failed", code: "no_holder", chunk: 4 });
  });
});

describe("D1, D2: which chunk from whom", () => {
  test("the chunk with the fewest holders comes first", () => {
    const driver = new Driver(4, { windowSize: 1 });
    driver.send({ type: "paused", paused: true });
    driver.join("a", rangesOf([0, 1, 2, 3]));
    driver.join("b", rangesOf([0, 1, 3]));
    driver.join("c", rangesOf([0, 3]));
    driver.join("d", rangesOf([0]));
    driver.send({ type: "paused", paused: false });
    const order: number[] = [];
    while (driver.waiting.size > 0) {
      const [request] = driver.waiting.values();
      order.push(onlyChunk(request!.chunks)!);
      driver.now += 10;
      driver.answer(request!);
    }
    expect(order).toEqual([2, 1, 3, 0]);
  });

  test("HAVE changes which chunk is rarest", () => {
    const driver = new Driver(3, { windowSize: 1, scarceHoldersMax: 0 });
    driver.send({ type: "paused", paused: true });
    driver.join("a", allOf(3));
    driver.join("b", NO_ONE);
    driver.send({ type: "source_has", source: "b", chunks: rangesOf([0, 2]) });
    driver.send({ type: "paused", paused: false });
    const first = [...driver.waiting.values()][0]!;
    if (first.source === "a") expect(onlyChunk(first.chunks)).toBe(1);
    else expect([0, 2]).toContain(onlyChunk(first.chunks)!);
  });

  test("the only holder of several chunks gets choice requests, and the chunk that it chooses is requested from no other source", () => {
    const driver = new Driver(50);
    driver.join("seeder", allOf(50));
    const [request] = driver.waitingAt("seeder");
    expect(chunksIn(request!.chunks).length).toBe(50);
    driver.send({ type: "chunk_opened", source: "seeder", request: request!.request, chunk: 9 });
    driver.join("leecher", rangesOf([9]));
    expect(driver.waitingAt("leecher")).toEqual([]);
  });

  test("a request is cancelled in a full window to make room for a source that would be idle", () => {
    const driver = new Driver(100);
    driver.join("seeder", allOf(100));
    driver.now = 100;
    const effects = driver.join("leecher", rangesOf([4]));
    expect(effects.map((effect) => effect.type)).toContain("cancel");
    expect(driver.waitingAt("leecher")).toMatchObject([{ chunks: rangeOfOne(4) }]);
    expect(driver.waiting.size).toBeLessThanOrEqual(WINDOW_SIZE);
  });
});

describe("chunks announced by HAVE", () => {
  const has = (source: string, chunk: number) => ({ type: "source_has", source, chunks: rangeOfOne(chunk) }) as const;

  test("of an idle source are used at once", () => {
    const driver = new Driver(100);
    driver.join("a", rangesOf([0]));
    driver.join("b", NO_ONE);
    expect(driver.send(has("b", 5))).toContainEqual(expect.objectContaining({ type: "request", source: "b" }));
  });

  test("in a full window wait for the next decision, but not long", () => {
    const driver = new Driver(100);
    driver.join("a", rangesOf(Array.from({ length: 60 }, (_, chunk) => chunk)));
    driver.join("b", NO_ONE);
    expect(driver.waiting.size).toBe(WINDOW_SIZE);
    expect(driver.send(has("b", 80))).toEqual([]);
    expect(driver.manager.deadline()).toBeLessThanOrEqual(driver.now + DOWNLOAD_BOUNDS.pendingHavesMs);
    driver.advance(DOWNLOAD_BOUNDS.pendingHavesMs);
    expect(driver.waitingAt("b").map(({ chunks }) => onlyChunk(chunks))).toEqual([80]);
    expect(driver.waiting.size).toBe(WINDOW_SIZE);
  });

  test("are never more than the bound before they are applied", () => {
    const driver = new Driver(1000, { pendingHavesMax: 10 });
    driver.join("a", allOf(1000));
    driver.join("b", NO_ONE);
    for (let chunk = 0; chunk < 10; chunk++) driver.send(has("b", chunk));
    expect(driver.manager.deadline()).toBeGreaterThan(driver.now + DOWNLOAD_BOUNDS.pendingHavesMs);
  });
});

test("a source that is gone is remembered only if it sent something", () => {
  const driver = new Driver(10);
  for (let index = 0; index < 50; index++) {
    driver.join(`passer-by ${index}`, allOf(10));
    driver.gone(`passer-by ${index}`);
  }
  driver.join("giver", allOf(10));
  driver.answer([...driver.waiting.values()][0]!);
  driver.gone("giver");
  expect([...driver.manager.counters.bySource.keys()]).toEqual(["giver"]);
});

test("the number of remembered sources is bounded", () => {
  const count = 2 * DOWNLOAD_BOUNDS.pastRecordsMax;
  const driver = new Driver(count + 1, { scarceHoldersMax: 0 });
  for (let index = 0; index < count; index++) {
    driver.join(`comes back ${index}`, allOf(count + 1));
    driver.answer([...driver.waiting.values()][0]!);
    driver.gone(`comes back ${index}`);
  }
  expect(driver.manager.counters.bySource.size).toBeLessThanOrEqual(DOWNLOAD_BOUNDS.pastRecordsMax);
});

describe("D3, D5, D6: pending requests", () => {
  test("of a source that is gone go to others", () => {
    const driver = new Driver(10);
    driver.join("a", allOf(10));
    driver.join("b", allOf(10));
    expect(driver.waitingAt("a").length).toBeGreaterThan(0);
    driver.gone("a");
    expect(driver.waitingAt("a")).toEqual([]);
    serveAll(driver);
    expect(last(driver.effects)).toEqual({ type: "done" });
    expect(driver.manager.counters.bySource.get("b")!.chunks).toBe(10);
  });

  test("of a stalled source go to others; its late answers are used", () => {
    const driver = new Driver(6, { scarceHoldersMax: 0 });
    driver.send({ type: "paused", paused: true });
    driver.join("slow", allOf(6));
    driver.join("quick", allOf(6));
    driver.send({ type: "paused", paused: false });
    const [late] = driver.waitingAt("slow");
    expect(late).toBeDefined();
    driver.advance(2000);
    const [alive] = driver.waitingAt("quick");
    const opened = { source: "quick", request: alive!.request };
    driver.send({ type: "chunk_opened", ...opened, chunk: onlyChunk(alive!.chunks)! });
    driver.send({ type: "chunk_progress", ...opened, bytes: 1 });
    driver.advance(2100);
    expect(driver.waitingAt("slow")).toEqual([]);
    expect(driver.waitingAt("quick")).toHaveLength(6);
    const effects = driver.answer(late!);
    expect(effects).toContainEqual({ type: "write", request: late!.request, chunk: late!.chunks[0]! });
    serveAll(driver);
    expect(last(driver.effects)).toEqual({ type: "done" });
    expect(driver.types().filter((type) => type === "write")).toHaveLength(6);
  });

  test("are answered once: a duplicate is discarded", () => {
    const driver = new Driver(1);
    driver.join("slow", allOf(1));
    const [late] = driver.waitingAt("slow");
    driver.join("quick", allOf(1));
    driver.advance(4100);
    const [other] = driver.waitingAt("quick");
    const bytes = 65536;
    driver.send({ type: "chunk_arrived", source: "quick", request: other!.request, chunk: 0, bytes, valid: true });
    const effects = driver.answer(late!);
    expect(effects).toEqual([{ type: "discard", request: late!.request, chunk: 0 }]);
    expect(driver.manager.counters.duplicates).toBe(1);
  });

  test("are sent again to a busy source, later each time, but not to one that has not the chunk", () => {
    const driver = new Driver(1);
    driver.join("a", allOf(1));
    const waits: number[] = [];
    for (let round = 0; round < 5; round++) {
      const [request] = driver.waiting.values();
      const refusedAt = driver.now;
      driver.refuse(request!, true);
      expect(driver.waiting.size).toBe(0);
      while (driver.waiting.size === 0) {
        driver.now = driver.manager.deadline()!;
        driver.send({ type: "tick" });
      }
      waits.push(driver.now - refusedAt);
    }
    expect(waits[0]).toBeGreaterThanOrEqual(100);
    expect(waits[4]!).toBeGreaterThan(4 * waits[0]!);
    const [request] = driver.waiting.values();
    driver.refuse(request!, false);
    const effects = driver.advance(6000);
    expect(driver.waiting.size).toBe(0);
    expect(last(effects)).toEqual({ type: "failed", code: "no_holder", chunk: 0 });
  });

  test("that are overtaken again and again go to another source", () => {
    const driver = new Driver(200, { scarceHoldersMax: 0 });
    driver.join("unfair", allOf(200));
    const [victim] = driver.waitingAt("unfair");
    const chunk = onlyChunk(victim!.chunks)!;
    for (let answered = 0; answered <= 31; answered++) {
      driver.now += 1;
      driver.answer(driver.waitingAt("unfair").find((request) => request !== victim)!);
    }
    expect(driver.effects).toContainEqual({ type: "cancel", source: "unfair", request: victim!.request });
    expect(driver.manager.have.has(chunk)).toBe(false);
  });

  test("move from a slow source to an idle one at the end, and are cancelled at the slow one", () => {
    const driver = new Driver(40, { scarceHoldersMax: 0 });
    driver.join("quick", allOf(40));
    driver.join("slow", allOf(40));
    for (let steps = 0; driver.waitingAt("quick").length > 0 && steps < 100; steps++) {
      driver.now += 1;
      driver.answer(driver.waitingAt("quick")[0]!);
    }
    const before = driver.waitingAt("slow").length;
    expect(before).toBeGreaterThan(0);
    driver.advance(1000);
    for (let steps = 0; !driver.types().includes("done") && steps < 100; steps++) {
      const [request] = driver.waitingAt("quick");
      if (request !== undefined) driver.answer(request);
      driver.advance(20);
    }
    expect(last(driver.effects)).toEqual({ type: "done" });
    expect(driver.manager.counters.bySource.get("quick")!.chunks).toBe(40);
    expect(driver.manager.counters.duplicates).toBe(0);
  });
});

describe("a source that is slow beside a fast one", () => {
  /** Asks both, then has the slow one open a chunk and the fast one answer all that it is asked for. */
  function beside(chunkCount: number): { driver: Driver; opened: RequestEffect; chunk: number } {
    const driver = new Driver(chunkCount, { scarceHoldersMax: 0 });
    driver.send({ type: "paused", paused: true });
    driver.join("slow", allOf(chunkCount));
    driver.join("fast", allOf(chunkCount));
    driver.send({ type: "paused", paused: false });
    const opened = driver.waitingAt("slow")[0]!;
    const chunk = onlyChunk(opened.chunks)!;
    driver.send({ type: "chunk_opened", source: "slow", request: opened.request, chunk });
    return { driver, opened, chunk };
  }

  function serveFast(driver: Driver, ms: number, slow: RequestEffect, bytesAt: (ms: number) => number): void {
    for (const endMs = driver.now + ms; driver.now < endMs; ) {
      driver.advance(10);
      const request = driver.waitingAt("fast")[0];
      if (request !== undefined) driver.answer(request);
      driver.send({ type: "chunk_progress", source: "slow", request: slow.request, bytes: bytesAt(driver.now) });
    }
  }

  test("loses a trickling chunk in the endgame, long before it counts as silent", () => {
    const { driver, opened, chunk } = beside(40);
    serveFast(driver, 1000, opened, (ms) => Math.floor(ms / 1000));
    expect(driver.effects).toContainEqual({ type: "cancel", source: "slow", request: opened.request });
    expect(driver.manager.have.has(chunk)).toBe(true);
    expect(last(driver.effects)).toEqual({ type: "done" });
  });

  test("keeps a chunk of which little is missing", () => {
    const { driver, opened } = beside(40);
    serveFast(driver, 1000, opened, (ms) => Math.min(CHUNK_BYTES - 1, CHUNK_BYTES * 0.95 + ms / 10));
    expect(driver.effects).not.toContainEqual({ type: "cancel", source: "slow", request: opened.request });
    expect(last(driver.answer(opened))).toEqual({ type: "done" });
    expect(driver.manager.counters.duplicates).toBe(0);
  });

  test("is used for what it delivers late, where that is still missing", () => {
    const { driver, opened, chunk } = beside(60);
    for (const ms of [100, 200, 300]) {
      driver.advance(100);
      driver.send({ type: "chunk_progress", source: "slow", request: opened.request, bytes: ms / 100 });
    }
    const effects = driver.answer(opened);
    expect(effects).toContainEqual({ type: "write", request: opened.request, chunk });
  });

  test("has one request at a time while the fast one is there, and a full window when it is alone", () => {
    const { driver, opened } = beside(400);
    serveFast(driver, 2500, opened, (ms) => ms);
    expect(driver.waitingAt("slow").length).toBeLessThanOrEqual(1 + WINDOW_SIZE / 2);
    driver.answer(opened);
    serveFast(driver, 100, opened, () => 0);
    driver.gone("fast");
    driver.advance(10_000);
    expect(driver.waitingAt("slow").length).toBeGreaterThan(0);
  });

  test("does not fill the window at the cost of a fast one", () => {
    const driver = new Driver(400, { scarceHoldersMax: 0 });
    driver.join("slow", allOf(400));
    expect(driver.waitingAt("slow")).toHaveLength(WINDOW_SIZE);
    const opened = driver.waitingAt("slow")[0]!;
    const chunk = onlyChunk(opened.chunks)!;
    driver.send({ type: "chunk_opened", source: "slow", request: opened.request, chunk });
    driver.join("fast", allOf(400));
    serveFast(driver, 1000, opened, () => 1);
    expect(driver.waitingAt("fast").length).toBeGreaterThanOrEqual(2);
    expect(driver.manager.have.count).toBeGreaterThan(90);
  });

  test("causes a bounded number of moves for each chunk, however many sources trickle", () => {
    const sources = Array.from({ length: 20 }, (_, index) => `trickle ${index}`);
    const driver = new Driver(1, { scarceHoldersMax: 0 });
    for (const source of sources) driver.join(source, allOf(1));
    for (let steps = 0; steps < 1000; steps++) {
      for (const { source, request } of driver.waiting.values()) {
        driver.send({ type: "chunk_opened", source, request, chunk: 0 });
        driver.send({ type: "chunk_progress", source, request, bytes: 1 });
      }
      driver.advance(100);
    }
    expect(driver.manager.counters.requestsSent).toBeLessThanOrEqual(1 + 2 * DOWNLOAD_BOUNDS.movesMax);
  });
});

test("does not make the last request move to and fro between idle sources", () => {
  const driver = new Driver(60, { scarceHoldersMax: 0 });
  for (const source of ["a", "b", "c"]) driver.join(source, allOf(60));
  for (let steps = 0; driver.waiting.size > 1 && steps < 200; steps++) {
    driver.now += 30;
    driver.answer([...driver.waiting.values()][0]!);
  }
  const before = driver.manager.counters.requestsSent;
  driver.advance(10_000);
  expect(driver.manager.counters.requestsSent - before).toBeLessThan(50);
  driver.advance(400_000);
  expect(last(driver.effects)).toMatchObject({ type: "failed" });
});

describe("F21: damaged and unrequested chunks", () => {
  test("a bad chunk is requested from another holder, and a source is banned after a bounded number of them", () => {
    const driver = new Driver(40);
    driver.send({ type: "paused", paused: true });
    driver.join("liar", allOf(40));
    driver.join("honest", allOf(40));
    driver.send({ type: "paused", paused: false });
    for (let steps = 0; steps < 1000 && driver.waiting.size > 0; steps++) {
      driver.now += 1;
      const [request] = driver.waiting.values();
      const effects = driver.answer(request!, { valid: request!.source === "honest" });
      if (request!.source === "honest") continue;
      const bad = request!.chunks[0]!;
      expect(effects).toContainEqual({ type: "discard", request: request!.request, chunk: bad });
      for (const again of driver.waitingAt("liar")) expect(chunksIn(again.chunks)).not.toContain(bad);
    }
    expect(last(driver.effects)).toEqual({ type: "done" });
    expect(driver.effects).toContainEqual({ type: "drop", source: "liar", reason: "integrity" });
    expect(driver.manager.counters.chunksRejected).toBe(3);
    expect(driver.manager.counters.bySource.get("liar")).toMatchObject({ chunks: 0, rejected: 3 });
  });

  test("a banned source that joins again is dropped again", () => {
    const driver = new Driver(3);
    driver.join("liar", allOf(3));
    while (driver.waiting.size > 0) driver.answer([...driver.waiting.values()][0]!, { valid: false });
    expect(driver.join("liar", allOf(3))).toContainEqual({ type: "drop", source: "liar", reason: "integrity" });
    expect(driver.waiting.size).toBe(0);
  });

  test("the only holder gets another try, since a line can flip bits", () => {
    const driver = new Driver(1);
    driver.join("a", allOf(1));
    driver.answer([...driver.waiting.values()][0]!, { valid: false });
    expect(last(driver.answer([...driver.waiting.values()][0]!))).toEqual({ type: "done" });
  });

  test("when every holder sent bad chunks, the fetch ends with integrity within the time of R5", () => {
    const driver = new Driver(5);
    driver.join("liar", allOf(5));
    while (driver.waiting.size > 0) driver.answer([...driver.waiting.values()][0]!, { valid: false });
    expect(last(driver.advance(2000))).toEqual({ type: "failed", code: "integrity", chunk: 0 });
  });

  test("a chunk of the wrong length is bad", () => {
    const driver = new Driver(1);
    driver.join("a", allOf(1));
    driver.answer([...driver.waiting.values()][0]!, { bytes: 1 });
    expect(driver.manager.counters.chunksRejected).toBe(1);
  });

  test("unrequested chunks are discarded, and their sender is banned after a bounded number", () => {
    const driver = new Driver(100, { scarceHoldersMax: 0 });
    driver.join("a", allOf(100));
    const [first, second] = driver.waiting.values();
    driver.answer(first!, { chunk: onlyChunk(second!.chunks)! });
    const unasked = { source: "a", chunk: 5, bytes: 65536, valid: true };
    expect(driver.send({ type: "chunk_arrived", request: 999, ...unasked })).toEqual([
      { type: "discard", request: 999, chunk: 5 },
    ]);
    expect(driver.send({ type: "chunk_arrived", request: 998, ...unasked })).toContainEqual({
      type: "drop",
      source: "a",
      reason: "protocol",
    });
    expect(driver.types()).not.toContain("write");
  });
});

describe("D7: a chunk that nobody owns", () => {
  test("R5: with no source at all, holders are searched and the fetch fails within 2 s", () => {
    const driver = new Driver(10);
    expect(driver.manager.deadline()).toBeLessThanOrEqual(0);
    const effects = driver.advance(1499);
    const calls = effects.filter((effect) => effect.type === "find_holders").length;
    expect(calls).toBeGreaterThanOrEqual(2);
    expect(calls).toBeLessThanOrEqual(4);
    expect(driver.advance(501)).toEqual([{ type: "failed", code: "no_holder", chunk: 0 }]);
  });

  test("R5: the lowest such chunk is named, also while others arrive", () => {
    const driver = new Driver(100, { windowSize: 1 });
    driver.send({ type: "tick" });
    driver.join("a", rangesOf([...Array(100).keys()].filter((chunk) => chunk !== 41 && chunk !== 77)));
    while (!driver.types().includes("failed")) {
      driver.advance(100);
      const [request] = driver.waiting.values();
      if (request !== undefined) driver.answer(request);
    }
    expect(last(driver.effects)).toEqual({ type: "failed", code: "no_holder", chunk: 41 });
    expect(driver.now).toBeLessThanOrEqual(2000);
  });

  test("a chunk whose holder has left is waited for longer", () => {
    const driver = new Driver(3);
    driver.join("a", allOf(3));
    driver.gone("a");
    expect(driver.advance(4900).some((effect) => effect.type === "failed")).toBe(false);
    expect(last(driver.advance(200))).toEqual({ type: "failed", code: "no_holder", chunk: 0 });
  });

  test("a holder that joins in time is used", () => {
    const driver = new Driver(3);
    driver.join("a", allOf(3));
    driver.gone("a");
    driver.advance(3000);
    driver.join("b", allOf(3));
    serveAll(driver);
    expect(last(driver.effects)).toEqual({ type: "done" });
  });

  test("while sources still announce chunks, the missing one is waited for", () => {
    const driver = new Driver(20);
    driver.join("leecher", NO_ONE);
    for (let chunk = 0; chunk < 19; chunk++) {
      driver.advance(1000);
      driver.send({ type: "source_has", source: "leecher", chunks: rangeOfOne(chunk) });
      serveAll(driver);
    }
    expect(driver.types()).not.toContain("failed");
    expect(last(driver.advance(2000))).toEqual({ type: "failed", code: "no_holder", chunk: 19 });
  });

  test("a holder that is silent is given up in the end", () => {
    const driver = new Driver(2);
    driver.join("silent", allOf(2));
    driver.advance(120_000);
    expect(driver.effects).toContainEqual({ type: "drop", source: "silent", reason: "stalled" });
    expect(last(driver.effects)).toEqual({ type: "failed", code: "no_holder", chunk: 0 });
  });

  test("a chunk that is being written when the fetch fails is kept", () => {
    const driver = new Driver(2);
    driver.join("a", rangesOf([1]));
    const [request] = driver.waiting.values();
    const bytes = 65536;
    driver.send({ type: "chunk_arrived", source: "a", request: request!.request, chunk: 1, bytes, valid: true });
    expect(last(driver.advance(2000))).toMatchObject({ type: "failed", chunk: 0 });
    expect(driver.send({ type: "chunk_written", chunk: 1 })).toEqual([]);
    expect(driver.manager.have.has(1)).toBe(true);
  });
});
