/** Bytes from an enemy: whatever comes, the decoder does not throw, does not hang and does not allocate for promises. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { encodeFrame } from "../../src/wire/frame.ts";
import { messageNameById, messageTable } from "../../src/wire/messages.ts";
import { numRuns } from "../core/arbitraries.ts";
import { anyMessage } from "./arbitraries.ts";
import { concat, Recorder, rawFrame } from "./recorder.ts";

const heartbeat = encodeFrame({ type: "HEARTBEAT", request: 1 });
const hex = (digits: string) => Uint8Array.fromHex(digits.replaceAll(" ", ""));
const repeated = (part: string, times: number) => hex(part.repeat(times));

function isReplyId(id: number): boolean {
  const name = messageNameById.get(id);
  return name !== undefined && messageTable[name].kind === "reply";
}

/** Headers in MessagePack that promise more than they hold, nest without end, or name what must not be named. */
const headers: readonly (readonly [what: string, header: Uint8Array])[] = [
  ["an array of 4 billion", hex("dd ffffffff")],
  ["an array of 65535", hex("dc ffff")],
  ["a map of 4 billion", hex("df ffffffff")],
  ["a map of 65535", hex("de ffff")],
  ["a string of 4 GB", hex("db ffffffff")],
  ["a binary of 4 GB", hex("c6 ffffffff")],
  ["an extension of 4 GB", hex("c9 ffffffff 01")],
  ["a field that is an array of 4 billion", hex("81 a772657175657374 dd ffffffff")],
  ["a digest of 4 GB", hex("82 a772657175657374 01 a570726f6f66 c6 ffffffff")],
  ["arrays, 8,000 deep", repeated("91", 8000)],
  ["maps, 2,500 deep", repeated("81a161", 2500)],
  ["arrays of 4 billion, 1,500 deep", repeated("ddffffffff", 1500)],
  ["an empty extension", hex("c7 00 01")],
  ["a timestamp", hex("81 a772657175657374 d6 ff 00000000")],
  ["a timestamp out of range", hex("d7 ff ffffffffffffffff")],
  ["msgpackr's record definition", hex("d4 72 40")],
  ["msgpackr's record definition with keys", hex("d5 72 40 00 91 a161 01")],
  ["msgpackr's record use", hex("40")],
  ["msgpackr's shared structure", hex("c7 02 69 0001")],
  ["msgpackr's error extension", hex("c7 08 65 93 a4 45726f72 a161 c0")],
  [
    "msgpackr's regular expression",
    hex("c7 20 78 92 b8 28612b292b28612b292b28612b292b28612b292b28612b29 a167 c0 c0 c0 c0"),
  ],
  ["msgpackr's set", hex("c7 04 73 93 01 02 03")],
  ["msgpackr's typed array", hex("c7 05 74 06 01020304")],
  ["msgpackr's bundled strings", hex("c8 0006 62 00000001 00")],
  ["msgpackr's pointer", hex("d6 70 00000001")],
  ["msgpackr's big integer", hex("c7 08 42 ffffffffffffffff")],
  ["a prototype", hex("82 a772657175657374 01 a95f5f70726f746f5f5f 81 a8706f6c6c75746564 c3")],
  ["a constructor", hex("82 a772657175657374 01 ab636f6e7374727563746f72 81 a970726f746f74797065 80")],
  ["a key that is a map", hex("81 80 01")],
  ["a key that is an array", hex("81 91 01 01")],
  ["a key that is null", hex("81 c0 01")],
  ["the same key twice", hex("82 a772657175657374 01 a772657175657374 02")],
  ["a string that is not UTF-8", hex("81 a772657175657374 a2 fffe")],
  ["not a number", hex("81 a772657175657374 cb 7ff8000000000000")],
  ["infinity", hex("81 a772657175657374 cb 7ff0000000000000")],
];

describe("a hostile header", () => {
  test.each(headers)(
    "%s is a fault or a message, and the next frame is read unless a reply was bad",
    (_what, header) => {
      for (const id of [0x05, 0x17, 0x21, 0x34, 0x37, 0xee]) {
        const recorder = Recorder.of(rawFrame(id, header), heartbeat);
        const isReply = isReplyId(id);
        if (isReply && recorder.faults.length > 0) {
          expect(recorder.faults).toMatchObject([{ fatal: true }]);
          expect(recorder.messages).toEqual([]);
          continue;
        }
        expect(recorder.faults.every((fault) => !fault.fatal)).toBe(true);
        expect(recorder.messages.at(-1)!.message).toEqual({ type: "HEARTBEAT", request: 1 });
        expect(recorder.messages.length + recorder.faults.length).toBe(2);
      }
    },
  );

  test("cannot change a prototype", () => {
    for (const [, header] of headers) Recorder.of(rawFrame(0x05, header));
    expect("polluted" in {}).toBe(false);
    const prototype = hex("82 a772657175657374 01 a95f5f70726f746f5f5f 81 a8706f6c6c75746564 c3");
    const { messages } = Recorder.of(rawFrame(0x05, prototype));
    for (const { message } of messages) expect(message).toEqual({ type: "HEARTBEAT", request: 1 });
  });

  test("cannot give the message another type", () => {
    const header = hex("82 a772657175657374 01 a474797065 a6 43414e43454c"); // {"request": 1, "type": "CANCEL"}
    expect(Recorder.of(rawFrame(0x05, header)).messages[0]!.message.type).toBe("HEARTBEAT");
  });

  test("does not affect the decoder of other connections", () => {
    const defining = hex("d5 72 40 00 91 a772657175657374 01");
    Recorder.of(rawFrame(0x05, defining));
    expect(Recorder.of(rawFrame(0x05, hex("40"))).messages).toEqual([]);
    expect(Recorder.of(heartbeat).messages.length).toBe(1);
  });
});

describe("random bytes", () => {
  const ids = fc.constantFrom(...messageNameById.keys(), 0x00, 0xee, 0xff);

  test("as a stream never throw", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 100 }), { maxLength: 10 }), (pieces) => {
        const recorder = Recorder.of(...pieces);
        expect(recorder.faults.filter((fault) => fault.fatal).length).toBeLessThanOrEqual(1);
      }),
      { numRuns: numRuns * 5 },
    );
  });

  test("as a header never throw, and the next frame is read unless a reply was bad", () => {
    fc.assert(
      fc.property(ids, fc.uint8Array({ minLength: 1, maxLength: 120 }), (id, header) => {
        const recorder = Recorder.of(rawFrame(id, header), heartbeat);
        if (isReplyId(id) && recorder.faults.length > 0) expect(recorder.faults[0]!.fatal).toBe(true);
        else expect(recorder.messages.at(-1)!.message.type).toBe("HEARTBEAT");
      }),
      { numRuns: numRuns * 10 },
    );
  });

  test("in place of some bytes of a good frame never throw", () => {
    const change = fc.record({ at: fc.nat(), byte: fc.nat({ max: 255 }) });
    fc.assert(
      fc.property(anyMessage, fc.array(change, { minLength: 1, maxLength: 4 }), (message, changes) => {
        const bytes = encodeFrame(message);
        for (const { at, byte } of changes) bytes[at % bytes.length] = byte;
        const recorder = Recorder.of(bytes);
        expect(recorder.messages.length + recorder.faults.length).toBeLessThanOrEqual(2);
      }),
      { numRuns: numRuns * 10 },
    );
  });

  test("cut off a good stream never throw and deliver whole frames only", () => {
    fc.assert(
      fc.property(anyMessage, fc.nat(), (message, at) => {
        const whole = concat(heartbeat, encodeFrame(message));
        const cut = at % whole.length;
        const recorder = Recorder.of(whole.subarray(0, cut));
        expect(recorder.messages.length).toBe(cut < heartbeat.length ? 0 : 1);
        expect(recorder.faults).toEqual([]);
      }),
      { numRuns },
    );
  });
});
