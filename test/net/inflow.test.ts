/**
 * What one socket received is handled in turns of about a millisecond, in its order, whatever the pieces are. Time is
 * spent by the handlers: each frame says how long it takes.
 */
import { expect, test } from "bun:test";
import fc from "fast-check";
import type { Clock } from "../../src/core/clock.ts";
import type { ContentId } from "../../src/core/manifest.ts";
import { Inflow, LAST_BYTES_MAX, TURN_MS_MAX } from "../../src/net/inflow.ts";
import { LoopTurns } from "../../src/net/loop-turns.ts";
import { encodeFrame } from "../../src/wire/frame.ts";
import type { Message } from "../../src/wire/messages.ts";
import { numRuns } from "../core/arbitraries.ts";
import { Room } from "../support/room.ts";
import { concat } from "../wire/recorder.ts";

const contentId = "ab".repeat(32) as ContentId;

/** A small frame; its number is in it. */
const small = (number: number) => encodeFrame({ type: "CANCEL", request: number });
const withPayload = (number: number, bytes: number) =>
  concat(
    encodeFrame({ type: "REPLY_MANIFEST", request: number, content_id: contentId }, bytes),
    new Uint8Array(bytes).fill(number),
  );
const numberOf = (message: Message) => ("request" in message ? message.request : null);

/** A machine on which handling takes time. */
class Desk {
  readonly room = new Room();
  readonly clock: Clock;
  readonly turns: LoopTurns;
  readonly handled: string[] = [];
  #spentMs = 0;

  constructor() {
    const { clock } = this.room.machine("10.0.0.1").system;
    this.clock = { ...clock, now: () => clock.now() + this.#spentMs };
    this.turns = new LoopTurns(this.clock);
  }

  spend(ms: number): void {
    this.#spentMs += ms;
  }

  socket(name: string, costMs: (number: number) => number, onFrame: (number: number) => void = () => {}): Socket {
    return new Socket(this, name, costMs, onFrame);
  }
}

class Socket {
  readonly inflow: Inflow;
  readonly calls: string[] = [];
  readonly thrown: unknown[] = [];

  constructor(desk: Desk, name: string, costMs: (number: number) => number, onFrame: (number: number) => void) {
    this.inflow = new Inflow({
      handler: {
        checkFrame: () => undefined,
        checkHeader: () => undefined,
        openPayload: (_message, bytes) => new Uint8Array(bytes),
        handleMessage: (message) => {
          const number = numberOf(message)!;
          desk.handled.push(`${name}${number}`);
          desk.spend(costMs(number));
          onFrame(number);
        },
        handleFault: ({ message }) => {
          throw new Error(message);
        },
      },
      clock: desk.clock,
      turns: desk.turns,
      pause: () => void this.calls.push("pause"),
      resume: () => void this.calls.push("resume"),
      failed: (thrown) => void this.thrown.push(thrown),
    });
  }
}

const numbers = (count: number, from = 1) => Array.from({ length: count }, (_, index) => from + index);

test("a turn ends after a millisecond of small frames; the rest waits, and the socket is not read meanwhile", () => {
  const desk = new Desk();
  const { inflow, calls } = desk.socket("a", () => 0.4);
  inflow.push(concat(...numbers(8).map(small)));
  expect(desk.handled).toEqual(["a1", "a2", "a3"]);
  expect(calls).toEqual(["pause"]);
  desk.room.run(1);
  expect(desk.handled).toEqual(numbers(8).map((number) => `a${number}`));
  expect(calls).toEqual(["pause", "resume"]);
});

test("sockets with more than a turn's worth are served one after another, one turn of the event loop each", () => {
  const desk = new Desk();
  const [a, b] = ["a", "b"].map((name) => desk.socket(name, () => 2));
  for (const { inflow } of [a!, b!]) inflow.push(concat(...numbers(4).map(small)));
  desk.room.run(1);
  expect(desk.handled.join(" ")).toBe("a1 b1 a2 b2 a3 b3 a4 b4");
});

test("a socket with one quick frame is served at once, however much waits of another", () => {
  const desk = new Desk();
  const [flood, honest] = ["f", "h"].map((name) => desk.socket(name, () => 2));
  flood!.inflow.push(concat(...numbers(50).map(small)));
  honest!.inflow.push(small(1));
  expect(desk.handled).toEqual(["f1", "h1"]);
});

test("frames with a payload do not count, since this side asked for them", () => {
  const desk = new Desk();
  const { inflow, calls } = desk.socket("a", () => 5);
  inflow.push(concat(...numbers(4).map((number) => withPayload(number, 100))));
  expect(desk.handled.length).toBe(4);
  expect(calls).toEqual([]);
});

test("what arrives while earlier bytes wait is handled after them", () => {
  const desk = new Desk();
  const { inflow } = desk.socket("a", () => 2);
  inflow.push(concat(small(1), small(2)));
  inflow.push(small(3).subarray(0, 5));
  inflow.push(concat(small(3).subarray(5), small(4)));
  expect(desk.handled).toEqual(["a1"]);
  desk.room.run(1);
  expect(desk.handled).toEqual(["a1", "a2", "a3", "a4"]);
});

test("whatever the pieces and the time that frames take: every frame once, in order, and in the end the socket is read", () => {
  const frames = fc.array(fc.record({ costMs: fc.constantFrom(0, 0.3, 0.8, 1.5), hasPayload: fc.boolean() }), {
    minLength: 1,
    maxLength: 30,
  });
  fc.assert(
    fc.property(
      frames,
      fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1 }),
      fc.boolean(),
      (all, cuts, isSlow) => {
        const desk = new Desk();
        const { inflow, calls } = desk.socket("a", (number) => all[number - 1]!.costMs);
        const bytes = concat(
          ...all.map(({ hasPayload }, at) => (hasPayload ? withPayload(at + 1, 70) : small(at + 1))),
        );
        for (let start = 0, cut = 0; start < bytes.length; cut++) {
          const end = start + cuts[cut % cuts.length]!;
          // The piece is valid during the call only.
          const piece = bytes.slice(start, end);
          inflow.push(piece);
          piece.fill(0xee);
          start = end;
          if (isSlow) desk.room.run(1);
        }
        desk.room.run(5);
        expect(desk.handled).toEqual(numbers(all.length).map((number) => `a${number}`));
        expect(inflow.bytesReceived).toBe(bytes.length);
        expect(calls.filter((call) => call === "pause").length).toBe(calls.filter((call) => call === "resume").length);
        expect(inflow.partialSinceMs).toBeUndefined();
      },
    ),
    { numRuns },
  );
});

test("a frame is late from its first byte on, not from its last", () => {
  const desk = new Desk();
  const { inflow } = desk.socket("a", () => 0);
  const frame = small(1);
  expect(inflow.partialSinceMs).toBeUndefined();
  for (const at of numbers(frame.length - 1, 0)) {
    inflow.push(frame.subarray(at, at + 1));
    expect([inflow.partialSinceMs, inflow.lastReceivedMs]).toEqual([0, desk.clock.now()]);
    desk.room.run(1000);
  }
  inflow.push(concat(frame.subarray(frame.length - 1), small(2).subarray(0, 3)));
  expect(inflow.partialSinceMs).toBe((frame.length - 1) * 1000);
  inflow.push(small(2).subarray(3));
  expect(inflow.partialSinceMs).toBeUndefined();
});

test("after a close nothing is handled any more: neither what waited, nor the rest of the piece, nor what arrives", () => {
  const desk = new Desk();
  const waiting = desk.socket("a", () => 2);
  waiting.inflow.push(concat(small(1), small(2)));
  waiting.inflow.close();
  waiting.inflow.push(small(3));
  const inTheMidst = desk.socket(
    "b",
    () => 0,
    (number) => number === 2 && inTheMidst.inflow.close(),
  );
  inTheMidst.inflow.push(concat(...numbers(4).map(small)));
  desk.room.run(1);
  expect(desk.handled).toEqual(["a1", "b1", "b2"]);
});

test("what a handler throws is handed over, at once or in a later turn, and harms no other socket", () => {
  const desk = new Desk();
  const fail = (number: number) => {
    if (number === 2) throw new TypeError("a defect");
  };
  const [now, later, other] = [
    desk.socket("a", () => 0, fail),
    desk.socket("b", () => 2, fail),
    desk.socket("c", () => 2),
  ];
  for (const { inflow } of [now, later, other]) inflow.push(concat(small(1), small(2), small(3)));
  desk.room.run(1);
  expect([now, later].map(({ thrown }) => thrown)).toEqual([[new TypeError("a defect")], [new TypeError("a defect")]]);
  expect(other.thrown).toEqual([]);
  expect(desk.handled.filter((name) => name.startsWith("c"))).toEqual(["c1", "c2", "c3"]);
});

test("a socket that closes has its last frames handled, since one of them says why; not if they are many", () => {
  const desk = new Desk();
  const cost = TURN_MS_MAX + 1;
  const [few, many] = [desk.socket("few", () => cost), desk.socket("many", () => cost)];
  few.inflow.push(concat(small(1), small(2), small(3)));
  many.inflow.push(concat(small(1), new Uint8Array(LAST_BYTES_MAX + 1)));
  expect(desk.handled).toEqual(["few1", "many1"]);
  few.inflow.end();
  many.inflow.end();
  expect(desk.handled).toEqual(["few1", "many1", "few2", "few3"]);
  expect(many.thrown).toEqual([]);
});
