/**
 * What a frame may cost whoever receives it, valid or not: 20 ms and 4 MiB, from its last byte to the message or the
 * fault. Frames are made as large as the limits of their type allow, of the shapes that cost most for their length.
 */

import { heapStats } from "bun:jsc";
import { expect, test } from "bun:test";
import fc from "fast-check";
import { Packr } from "msgpackr";
import { LOCATION_RANGES_MAX } from "../../src/core/limits.ts";
import { KiB, MiB } from "../../src/core/units.ts";
import { encodeFrame, FRAME_PREFIX_BYTES } from "../../src/wire/frame.ts";
import { messageTable } from "../../src/wire/messages.ts";
import { numRuns } from "../core/arbitraries.ts";
import { messageNames, messageOf } from "./arbitraries.ts";
import { Recorder, rawFrame } from "./recorder.ts";

const FRAME_MS_MAX = 20;
const FRAME_MEMORY_MAX = 4 * MiB;
const TIMES_MIN = 3;
const TIMES_MAX = 50;
const UNKNOWN_ID = 0xee;
const pack = (value: unknown) => new Uint8Array(new Packr({ useRecords: false }).pack(value));

/** Items whose bytes are repeated until the header is full; of what is told apart, each is a little different. */
const items: Readonly<Record<string, (index: number) => Uint8Array>> = {
  "empty maps": () => Uint8Array.of(0x80),
  "empty lists": () => Uint8Array.of(0x90),
  "maps of one field": () => pack({ a: 1 }),
  "lists of one value": () => Uint8Array.of(0x91, 0xc0),
  "empty strings": () => Uint8Array.of(0xa0),
  "different strings": (index) => pack(`${index}`),
  "strings beyond ASCII": (index) => pack(`é${index}`),
  nothing: () => Uint8Array.of(0xc0),
  "small numbers": (index) => Uint8Array.of(index & 0x7f),
  ranges: (index) => pack(2 * index),
  "fractions of numbers": (index) => pack(index + 0.5),
  "small binaries": () => Uint8Array.of(0xc4, 1, 7),
  "a bad row": () => pack({ key: "k", fname: "../x", size: -1, path: "" }),
};

/** More items than any header has room for, one behind the other, and where each ends. */
interface Items {
  readonly bytes: Uint8Array;
  readonly ends: readonly number[];
}

function manyOf(item: (index: number) => Uint8Array): Items {
  const bytes = new Uint8Array(600 * KiB);
  const ends: number[] = [];
  for (let end = 0; end < 512 * KiB; ends.push(end)) {
    const next = item(ends.length);
    bytes.set(next, end);
    end += next.length;
  }
  return { bytes, ends };
}

/** A map of every field of the message, the last of them a list filled with these items up to the header's limit. */
function fullHeader(name: (typeof messageNames)[number], { bytes, ends }: Items): Uint8Array {
  const { schema, headerBytesMax } = messageTable[name];
  const fields = Object.keys(schema.entries);
  const last = pack(fields.at(-1));
  const rest = pack(Object.fromEntries(fields.slice(0, -1).map((field) => [field, 1]))).subarray(3);
  const map = Uint8Array.of(0xde, 0, fields.length);
  const list = new Uint8Array(5);
  const bytesMax = headerBytesMax - map.length - rest.length - last.length - list.length;
  const count = ends.findIndex((end) => end > bytesMax);
  list[0] = 0xdd;
  new DataView(list.buffer).setUint32(1, count);
  return Uint8Array.from(Buffer.concat([map, rest, last, list, bytes.subarray(0, ends[count - 1])]));
}

/**
 * What the frame itself costs: the least of several times, since the machine does other things as well. A frame that
 * is not cheap is not cheap once in so many either.
 */
function msOf(frame: Uint8Array): number {
  let leastMs = Number.POSITIVE_INFINITY;
  for (let times = 0; times < TIMES_MIN || (leastMs > FRAME_MS_MAX && times < TIMES_MAX); times++) {
    const recorder = new Recorder({ takePayloads: false });
    const started = performance.now();
    recorder.decoder.push(frame);
    leastMs = Math.min(leastMs, performance.now() - started);
    expect(recorder.messages.length + recorder.faults.length).toBeGreaterThan(0);
  }
  return leastMs;
}

/** What became of the frame is kept while it is measured. The lesser of two, since the first may compile code. */
function memoryOf(frame: Uint8Array): number {
  const measure = () => {
    const recorder = new Recorder({ takePayloads: false });
    const before = heapBytes();
    recorder.decoder.push(frame);
    return heapBytes() - before;
  };
  return Math.min(measure(), measure());
}

/** Collects the garbage first, which takes a while. */
function heapBytes(): number {
  const { heapSize, extraMemorySize } = heapStats();
  return heapSize + extraMemorySize;
}

function expectCheap(what: string, frame: Uint8Array): void {
  const ms = msOf(frame);
  // Nothing in MessagePack becomes more than a hundred bytes a byte.
  const bytes = frame.length * 100 < FRAME_MEMORY_MAX ? 0 : memoryOf(frame);
  if (ms > FRAME_MS_MAX || bytes > FRAME_MEMORY_MAX)
    throw new Error(`${what}: ${frame.length} bytes cost ${ms.toFixed(1)} ms and ${(bytes / MiB).toFixed(1)} MiB`);
}

test.each(Object.entries(items))("no frame full of %s costs much, whatever its type", (_what, item) => {
  const many = manyOf(item);
  for (const name of messageNames) expectCheap(name, rawFrame(messageTable[name].id, fullHeader(name, many)));
  expectCheap("an unknown message", rawFrame(UNKNOWN_ID, fullHeader("HAVE", many)));
});

test("the largest valid frames are decoded within the time limit", () => {
  const request = 1;
  const contentId = "ab".repeat(32);
  const row = {
    key: `${"é".repeat(120)}_10.0.0.1_7000`,
    fname: "é".repeat(120),
    size: 2 ** 40,
    total_chunknum: 262_144,
    path: `/home/anna/${"é".repeat(100)}`,
    address: "[2001:db8::1]:7000",
    content_id: contentId,
    holders: 3,
  };
  const fileList = encodeFrame({
    type: "REPLY_FILE_LIST",
    request,
    file_list: Array(500).fill(row),
    next: null,
  } as never);
  const ranges = (count: number) =>
    Array.from({ length: 2 * count }, (_, index) => 20 * (index >> 1) + 9 * (index & 1));
  const holder = { address: "[2001:db8::1]:7000", chunks: ranges(LOCATION_RANGES_MAX / 50) };
  const location = { type: "REPLY_FILE_LOCATION", request, fileinfo: row, chunkinfo: Array(50).fill(holder) };
  const have = { type: "HAVE", content_id: contentId, chunks: ranges(4096) };
  const frames = { fileList, location: encodeFrame(location as never), have: encodeFrame(have as never) };
  for (const [what, frame] of Object.entries(frames)) {
    expect(Recorder.of(frame).faults).toEqual([]);
    expectCheap(what, frame);
  }
});

test("no frame that is valid, or nearly so, exceeds the limits of time and memory", () => {
  const change = fc.record({ at: fc.nat(), byte: fc.nat({ max: 255 }) });
  const message = fc.constantFrom(...messageNames).chain(messageOf);
  fc.assert(
    fc.property(message, fc.array(change, { maxLength: 3 }), (valid, changes) => {
      const frame = encodeFrame(valid);
      for (const { at, byte } of changes) frame[FRAME_PREFIX_BYTES + (at % (frame.length - FRAME_PREFIX_BYTES))] = byte;
      expectCheap(valid.type, frame);
    }),
    { numRuns },
  );
});
