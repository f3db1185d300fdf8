/**
 * Frames on their way into a kernel that takes as many bytes as it likes, when it likes. Here a frame is a letter: its
 * head in upper case, its payload in lower case, so that the bytes sent can be read.
 */
import { expect, test } from "bun:test";
import fc from "fast-check";
import type { P2pfsError } from "../../src/core/errors.ts";
import { KiB, MiB } from "../../src/core/units.ts";
import {
  CONTROL_QUEUE_BYTES_MAX,
  PAYLOAD_FRAMES_MAX,
  type PayloadSource,
  payloadOf,
  SendQueue,
  type Throttle,
} from "../../src/net/send-queue.ts";
import { numRuns } from "../core/arbitraries.ts";
import { Room } from "../support/room.ts";

const bytesOf = (text: string) => new TextEncoder().encode(text);

/** A queue before a kernel with so much room; −1 stands for a closed socket. */
class Desk {
  readonly room = new Room();
  readonly queue: SendQueue;
  readonly broken: P2pfsError[] = [];
  readonly sent: string[] = [];
  /** Lengths of the pieces that the queue tried to write. */
  readonly tried: number[] = [];
  blockedCalls = 0;
  #taken = "";
  #roomBytes: number;

  constructor(roomBytes = Number.POSITIVE_INFINITY) {
    this.#roomBytes = roomBytes;
    this.queue = new SendQueue({
      clock: this.room.machine("10.0.0.1").system.clock,
      write: (bytes) => this.#write(bytes),
      blocked: () => {
        this.blockedCalls++;
      },
      broken: (error) => void this.broken.push(error),
    });
  }

  get taken(): string {
    this.room.run(0);
    return this.#taken;
  }

  /** The kernel has so much room from now on. */
  makeRoom(bytes: number): void {
    this.#roomBytes = bytes;
    if (this.queue.isBlocked) this.queue.drain();
  }

  control(text: string): void {
    this.queue.pushControl(bytesOf(text));
  }

  /** A payload frame, `A` and so many times `a`. */
  payload(
    letter: string,
    count: number,
    { throttle, source }: { throttle?: Throttle; source?: PayloadSource } = {},
  ): void {
    this.queue.pushPayload({
      head: bytesOf(letter.toUpperCase()),
      source: source ?? payloadOf(bytesOf(letter.repeat(count))),
      throttle,
      sent: () => void this.sent.push(letter),
    });
  }

  #write(bytes: Uint8Array): number {
    this.tried.push(bytes.length);
    if (this.#roomBytes < 0) return -1;
    const taken = Math.min(bytes.length, this.#roomBytes);
    this.#roomBytes -= taken;
    this.#taken += new TextDecoder().decode(bytes.subarray(0, taken));
    return taken;
  }
}

test("control frames overtake waiting payload frames, but not one that has begun", () => {
  const desk = new Desk(3);
  desk.payload("a", 5);
  desk.payload("b", 2);
  desk.control("1");
  desk.control("2");
  expect(desk.taken).toBe("12A");
  desk.control("3");
  desk.makeRoom(2);
  expect(desk.taken).toBe("12Aaa");
  desk.makeRoom(100);
  expect(desk.taken).toBe("12Aaaaaa3Bbb");
  expect(desk.sent).toEqual(["a", "b"]);
  expect(desk.queue.isEmpty).toBe(true);
});

test("whatever is pushed when, and however few bytes the kernel takes: every frame whole, each kind in its order", () => {
  const step = fc.oneof(
    fc.record({ type: fc.constant("control" as const), bytes: fc.integer({ min: 1, max: 5 }) }),
    fc.record({ type: fc.constant("payload" as const), bytes: fc.nat({ max: 12 }) }),
    fc.record({ type: fc.constant("room" as const), bytes: fc.nat({ max: 9 }) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 50 }), (steps) => {
      const desk = new Desk(0);
      const controls: string[] = [];
      const payloads: string[] = [];
      for (const each of steps) {
        if (each.type === "room") desk.makeRoom(each.bytes);
        else if (each.type === "control") {
          const frame = `<${String(controls.length % 10).repeat(each.bytes)}>`;
          controls.push(frame);
          desk.control(frame);
        } else if (desk.queue.payloadFramesQueued < PAYLOAD_FRAMES_MAX) {
          const letter = String.fromCharCode(97 + (payloads.length % 26));
          payloads.push(letter.toUpperCase() + letter.repeat(each.bytes));
          desk.payload(letter, each.bytes);
        }
        desk.room.run(0);
      }
      while (!desk.queue.isEmpty) {
        desk.makeRoom(7);
        desk.room.run(0);
      }
      const frames = [...desk.taken.matchAll(/<\d+>|([A-Z])[a-z]*/g)].map(([frame]) => frame);
      expect(frames.filter((frame) => frame.startsWith("<"))).toEqual(controls);
      expect(frames.filter((frame) => !frame.startsWith("<"))).toEqual(payloads);
      expect(frames.join("")).toBe(desk.taken);
      expect(desk.sent.length).toBe(payloads.length);
    }),
    { numRuns },
  );
});

test("frames that are pushed together are written together, up to a bound", () => {
  const desk = new Desk();
  for (let number = 0; number < 9; number++) desk.control(String(number));
  expect(desk.taken).toBe("012345678");
  expect(desk.tried).toEqual([9]);
  for (let number = 0; number < 3; number++) desk.queue.pushControl(new Uint8Array(40 * KiB));
  desk.room.run(0);
  expect(desk.tried.slice(1)).toEqual([40 * KiB, 40 * KiB, 40 * KiB]);
});

test("a kernel that is full is left alone until it has room, and the queue says since when", () => {
  const desk = new Desk(1);
  desk.room.run(500);
  desk.control("123");
  expect(desk.taken).toBe("1");
  expect([desk.queue.blockedSinceMs, desk.blockedCalls]).toEqual([500, 1]);
  desk.room.run(500);
  desk.control("4");
  expect(desk.taken).toBe("1");
  expect([desk.queue.blockedSinceMs, desk.tried.length]).toEqual([500, 1]);
  desk.makeRoom(10);
  expect(desk.taken).toBe("1234");
  expect(desk.queue.blockedSinceMs).toBeUndefined();
});

test("whoever reads nothing loses the connection once so many control bytes wait, and not before", () => {
  const desk = new Desk(0);
  const frame = new Uint8Array(64 * KiB);
  const frames = CONTROL_QUEUE_BYTES_MAX / frame.length;
  desk.control("x");
  desk.room.run(0);
  for (let count = 0; count < frames; count++) desk.queue.pushControl(frame);
  expect(desk.broken).toEqual([]);
  desk.control("y");
  expect(desk.broken).toMatchObject([{ code: "busy" }]);
  desk.control("z");
  expect([desk.queue.isEmpty, desk.broken.length]).toEqual([true, 1]);
});

test("more payload frames than the bound are a defect of the caller", () => {
  const desk = new Desk(0);
  for (let frame = 0; frame < PAYLOAD_FRAMES_MAX; frame++) desk.payload("a", 1);
  expect(() => desk.payload("b", 1)).toThrow(RangeError);
  desk.room.run(0);
  expect(desk.queue.payloadFramesQueued).toBe(PAYLOAD_FRAMES_MAX);
});

test("a payload is read in pieces, two ahead at most, and only as fast as it is sent", () => {
  const reads: number[] = [];
  const source = {
    bytes: 5 * MiB,
    read: async (offset: number, target: Uint8Array) => {
      reads.push(offset);
      target.fill(97);
    },
  };
  const desk = new Desk(0);
  desk.payload("a", 0, { source });
  desk.room.run(0);
  expect(reads).toEqual([0, 512 * KiB]);
  desk.makeRoom(1 + 512 * KiB);
  desk.room.run(0);
  expect(reads).toEqual([0, 512 * KiB, 1024 * KiB]);
  while (!desk.queue.isEmpty) {
    desk.makeRoom(MiB);
    desk.room.run(0);
  }
  expect(desk.taken.length).toBe(1 + 5 * MiB);
  expect(reads).toEqual(Array.from({ length: 10 }, (_, piece) => piece * 512 * KiB));
});

test("a payload that cannot be read in the midst ends the connection, since its frame cannot be ended otherwise", () => {
  const cause = new Error("EIO");
  const source = {
    bytes: MiB,
    read: async (offset: number) => {
      if (offset > 0) throw cause;
    },
  };
  const desk = new Desk();
  desk.payload("a", 0, { source });
  desk.room.run(0);
  expect(desk.broken).toMatchObject([{ code: "disk" }]);
  expect(desk.broken[0]!.cause).toBe(cause);
  expect(desk.sent).toEqual([]);
});

test("after a close nothing is written and nothing more is read, not even what is being read", () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  let reads = 0;
  const read = () => {
    reads++;
    return promise;
  };
  const desk = new Desk();
  desk.payload("a", 0, { source: { bytes: 5 * MiB, read } });
  expect(desk.taken).toBe("A");
  desk.queue.close();
  resolve();
  desk.control("1");
  desk.payload("b", 1);
  desk.queue.drain();
  expect(desk.taken).toBe("A");
  expect([desk.broken, desk.sent, desk.queue.isEmpty, reads]).toEqual([[], [], true, 1]);
});

test("a socket that is closed takes nothing, and the queue does not try again by itself", () => {
  const desk = new Desk(-1);
  desk.control("1");
  expect(desk.taken).toBe("");
  desk.control("2");
  desk.room.run(1000);
  expect(desk.tried.length).toBe(1);
});

/** Allows what the test sets, and calls whoever waits when it allows more. */
class Valve implements Throttle {
  open = 0;
  spent = 0;
  readonly waiting: (() => void)[] = [];

  allow(resume: () => void): number {
    if (this.open === 0) this.waiting.push(resume);
    return this.open;
  }

  spend(bytes: number): void {
    this.open -= bytes;
    this.spent += bytes;
  }

  let(bytes: number): void {
    this.open = bytes;
    for (const resume of this.waiting.splice(0)) resume();
  }
}

test("a payload under a limit begins when the limit allows, so that control frames do not wait behind it", () => {
  const desk = new Desk();
  const valve = new Valve();
  desk.payload("a", 4, { throttle: valve });
  expect(desk.taken).toBe("");
  desk.control("1");
  expect(desk.taken).toBe("1");
  expect(valve.waiting.length).toBe(1);
  valve.let(3);
  expect(desk.taken).toBe("1Aaaa");
  desk.control("2");
  expect(desk.taken).toBe("1Aaaa");
  valve.let(3);
  expect(desk.taken).toBe("1Aaaaa2");
  expect(valve.spent).toBe(4);
});

test("only what the kernel took is counted against the limit", () => {
  const desk = new Desk(3);
  const valve = new Valve();
  valve.open = 10;
  desk.payload("a", 8, { throttle: valve });
  expect(desk.taken).toBe("Aaa");
  expect(valve.spent).toBe(2);
  desk.makeRoom(3);
  expect(desk.taken).toBe("Aaaaaa");
  expect(valve.spent).toBe(5);
  // The socket is closed.
  desk.makeRoom(-1);
  desk.room.run(0);
  expect(valve.spent).toBe(5);
});
