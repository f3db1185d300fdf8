/** A fetch whose holders never deliver ends, and one whose holder is merely slow does not (D7, R5). */
import { describe, expect, test } from "bun:test";
import { KiB, MINUTE_MS, MiB, SECOND_MS } from "../../src/core/units.ts";
import { DOWNLOAD_BOUNDS } from "../../src/swarm/bounds.ts";
import { allOf, CHUNK_BYTES, Driver, onlyChunk, type RequestEffect, rangeOfOne } from "./support.ts";

const { unprovenMs } = DOWNLOAD_BOUNDS;
const SLACK_MS = 20 * SECOND_MS;
const STEP_MS = 500;

function failed(driver: Driver): boolean {
  return driver.types().includes("failed");
}

/** Lets a sole holder misbehave until the fetch ends, and returns when. */
function endMs(driver: Driver, misbehave: (step: number) => void, limitMs = 20 * MINUTE_MS): number {
  for (let step = 0; !failed(driver); step++) {
    if (driver.now > limitMs) throw new Error("the fetch does not end");
    misbehave(step);
    if (!failed(driver)) driver.advance(STEP_MS);
  }
  return driver.now;
}

function open(driver: Driver, request: RequestEffect): void {
  const chunk = onlyChunk(request.chunks) ?? request.chunks[0]!;
  driver.send({ type: "chunk_opened", source: request.source, request: request.request, chunk });
}

describe("a fetch from a sole holder that never delivers ends when the holder", () => {
  const silent = () => {};
  const stalling = (driver: Driver) => {
    const [first] = driver.waiting.values();
    if (first !== undefined) open(driver, first);
  };
  const trickling = (driver: Driver, step: number) => {
    const [first] = driver.waiting.values();
    if (first === undefined) return;
    open(driver, first);
    driver.send({ type: "chunk_progress", source: "sole", request: first.request, bytes: step });
  };
  const busy = (driver: Driver) => {
    for (const request of [...driver.waiting.values()]) if (!failed(driver)) driver.refuse(request, true);
  };
  const lying = (driver: Driver, step: number) => {
    const [first] = driver.waiting.values();
    if (first !== undefined && step === 0) driver.answer(first, { valid: false });
  };

  test.each<[string, (driver: Driver, step: number) => void]>([
    ["is silent", silent],
    ["stalls within a chunk", stalling],
    ["trickles", trickling],
    ["is always busy", busy],
    ["sends something damaged and then nothing", lying],
  ])("that %s: no_holder names the lowest missing chunk, and what is here is kept", (_how, misbehave) => {
    const driver = new Driver(4);
    driver.join("sole", allOf(4));
    driver.answer([...driver.waiting.values()][0]!, { chunk: 0 });
    // A silent one is dropped on the way, and comes back.
    const ended = endMs(driver, (step) => {
      if (driver.types().at(-1) === "find_holders" || driver.types().at(-1) === "drop") driver.join("sole", allOf(4));
      misbehave(driver, step);
    });
    expect(ended).toBeLessThanOrEqual(unprovenMs + SLACK_MS);
    expect(ended).toBeGreaterThanOrEqual(unprovenMs);
    expect(driver.effects.at(-1)).toEqual({ type: "failed", code: "no_holder", chunk: 1 });
    expect(driver.manager.have.count).toBe(1);
  });

  test("leaves and comes back again and again", () => {
    const driver = new Driver(4);
    const ended = endMs(driver, () => {
      driver.join("sole", allOf(4));
      driver.gone("sole");
    });
    expect(ended).toBeLessThanOrEqual(DOWNLOAD_BOUNDS.holderLeftMs + SECOND_MS);
  });

  test("refuses the chunk and announces it again", () => {
    const driver = new Driver(1);
    driver.join("sole", allOf(1));
    const ended = endMs(driver, () => {
      const [request] = driver.waiting.values();
      if (request !== undefined) driver.refuse(request, false);
      if (!failed(driver)) driver.send({ type: "source_has", source: "sole", chunks: rangeOfOne(0) });
    });
    expect(ended).toBeLessThanOrEqual(unprovenMs + SLACK_MS);
  });

  test("leaves one chunk out while others bring the rest", () => {
    const driver = new Driver(3, { scarceHoldersMax: 0 });
    driver.join("mute", rangeOfOne(2));
    driver.join("honest", [0, 1] as never);
    for (const request of driver.waitingAt("honest")) {
      driver.advance(30 * SECOND_MS);
      driver.answer(request);
    }
    const provenAt = driver.now;
    expect(endMs(driver, silent) - provenAt).toBeLessThanOrEqual(unprovenMs + SLACK_MS);
    expect(driver.effects.at(-1)).toMatchObject({ type: "failed", chunk: 2 });
  });
});

describe("a fetch from a sole holder that is slow goes on", () => {
  /** Serves one chunk at this rate, in portions, ten a second; whether it came to its end. */
  function serve(driver: Driver, bytesPerSecond: number, portionBytes: number, chunkBytes: number): boolean {
    const [request] = driver.waiting.values();
    open(driver, request!);
    const startMs = driver.now;
    for (let bytes = 0; bytes < chunkBytes; ) {
      const sent = ((driver.now - startMs) / SECOND_MS) * bytesPerSecond + portionBytes;
      bytes = Math.min(Math.floor(sent / portionBytes) * portionBytes, chunkBytes);
      const progress = { source: "slow", request: request!.request, bytes } as const;
      driver.send({ type: "chunk_progress", ...progress });
      driver.advance(SECOND_MS);
      if (failed(driver)) return false;
    }
    driver.answer(request!, { bytes: chunkBytes });
    return true;
  }

  test.each([
    ["64 KiB at 4 KiB/s", 64 * KiB, 4 * KiB],
    ["64 KiB at 1 KiB/s", 64 * KiB, 1 * KiB],
    ["64 KiB at half of 1 KiB/s, the other half of which another peer gets", 64 * KiB, 600],
    ["4 MiB at 1 KiB/s", 4 * MiB, 1 * KiB],
  ])("%s", (_what, chunkBytes, bytesPerSecond) => {
    const driver = new Driver(2, { chunkLength: () => chunkBytes, scarceHoldersMax: 0 });
    driver.join("slow", allOf(2));
    expect(serve(driver, bytesPerSecond, 4 * KiB, chunkBytes)).toBe(true);
    expect(serve(driver, bytesPerSecond, 4 * KiB, chunkBytes)).toBe(true);
    expect(driver.effects.at(-1)).toEqual({ type: "done" });
  });

  test("and ends where a chunk at that rate never becomes whole", () => {
    const driver = new Driver(1);
    driver.join("sole", allOf(1));
    const [request] = driver.waiting.values();
    open(driver, request!);
    const ended = endMs(driver, () => {
      const bytes = Math.min(driver.now, CHUNK_BYTES - 1);
      driver.send({ type: "chunk_progress", source: "sole", request: request!.request, bytes });
    });
    expect(ended).toBeLessThanOrEqual(unprovenMs + 128 * SECOND_MS + SLACK_MS);
  });
});

test("time in which the fetch holds its requests back is not counted", () => {
  const driver = new Driver(2, { silenceDropMs: 20 * MINUTE_MS });
  driver.join("sole", allOf(2));
  driver.advance(SECOND_MS);
  driver.send({ type: "paused", paused: true });
  driver.advance(10 * MINUTE_MS);
  expect(failed(driver)).toBe(false);
  driver.send({ type: "paused", paused: false });
  driver.advance(unprovenMs - 2 * SECOND_MS);
  expect(failed(driver)).toBe(false);
});

test("R5: a chunk that never had a holder is reported within 2 s although a holder of others is silent", () => {
  const driver = new Driver(2);
  driver.join("silent", rangeOfOne(0));
  driver.advance(2 * SECOND_MS);
  expect(driver.effects.at(-1)).toEqual({ type: "failed", code: "no_holder", chunk: 1 });
});
