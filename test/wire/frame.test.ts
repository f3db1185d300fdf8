/** Frames: what is encoded is decoded, however the stream is cut; what is no frame is reported as a fault. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Packr } from "msgpackr";
import { encodeFrame, FRAME_BODY_BYTES_MAX, FrameDecoder } from "../../src/wire/frame.ts";
import {
  isRequest,
  type Message,
  type MessageName,
  messageNameById,
  messageTable,
  replyNameOf,
} from "../../src/wire/messages.ts";
import { numRuns } from "../core/arbitraries.ts";
import { anyMessage, messageNames, messageOf } from "./arbitraries.ts";
import { concat, Recorder, rawFrame, welcoming } from "./recorder.ts";

const pack = (value: unknown) => new Uint8Array(new Packr({ useRecords: false }).pack(value));
const heartbeat: Message = { type: "HEARTBEAT", request: 1 };
const heartbeatBytes = encodeFrame(heartbeat);
const UNKNOWN_ID = 0xee;

const chunk: Message<"PEER_REPLY_CHUNK"> = {
  type: "PEER_REPLY_CHUNK",
  request: 7,
  filename: "a" as never,
  content_id: "ab".repeat(32) as never,
  chunknum: 3,
  digest: new Uint8Array(32).fill(1),
};

describe("the message table", () => {
  test("has an id of one byte for every message, each once", () => {
    const ids = messageNames.map((name) => messageTable[name].id as number);
    expect(new Set(ids).size).toBe(ids.length);
    for (const id of ids) expect(Number.isInteger(id) && id > 0 && id < 256).toBe(true);
    expect(messageNameById.size).toBe(ids.length);
    expect(messageNameById.has(UNKNOWN_ID)).toBe(false);
  });

  test("has every message of F20", () => {
    const asked = [
      ...["REGISTER", "PUBLISH", "FILE_LIST", "DISCOVER", "PING_PONG", "FILE_LOCATION"].flatMap((name) => [
        `REQUEST_${name}`,
        `REPLY_${name}`,
      ]),
      ...["REQUEST_CHUNK_REGISTER", "PEER_REQUEST_CHUNK", "PEER_REPLY_CHUNK"],
    ];
    expect(asked.filter((name) => !(name in messageTable))).toEqual([]);
  });

  test("gives every request a reply of its own, and request ids to both", () => {
    const requests = messageNames.filter(isRequest);
    const replies: MessageName[] = requests.map((name) => replyNameOf(name));
    const inTable = messageNames.filter((name) => messageTable[name].kind === "reply" && name !== "ERROR");
    expect(replies.toSorted()).toEqual(inTable.toSorted());
    for (const name of [...requests, ...replies]) expect("request" in messageTable[name].schema.entries).toBe(true);
  });
});

describe("encoding and decoding", () => {
  test.each(messageNames.map((name) => [name]))("%s comes back as it was sent", (name) => {
    fc.assert(
      fc.property(messageOf(name), fc.nat({ max: 300 }), (message, length) => {
        const payload = new Uint8Array(messageTable[name].payloadBytesMax === 0 ? 0 : length).fill(0xa5);
        const recorder = Recorder.of(concat(encodeFrame(message, payload.length), payload));
        expect(recorder.faults).toEqual([]);
        expect(recorder.messages).toEqual([{ message, payload: payload.length > 0 ? payload : undefined }]);
      }),
      { numRuns: Math.ceil(numRuns / 4) },
    );
  });

  test("a HEARTBEAT has these bytes", () => {
    expect(heartbeatBytes.toHex()).toBe(
      [
        "0000000c", // 12 bytes of header and payload
        "05", // HEARTBEAT
        "00000c", // 12 bytes of header
        "de0001", // a map of one pair
        "a772657175657374", // "request"
        "01", // 1
      ].join(""),
    );
  });

  test("a chunk has these bytes", () => {
    const bytes = concat(encodeFrame(chunk, 3), Uint8Array.of(0xaa, 0xbb, 0xcc));
    expect(bytes.toHex()).toBe(
      [
        "0000009a", // 154 bytes of header and payload
        "37", // PEER_REPLY_CHUNK
        "000097", // 151 bytes of header
        "de0005", // a map of five pairs
        "a772657175657374", // "request"
        "07", // 7
        "a866696c656e616d65", // "filename"
        "a161", // "a"
        "aa636f6e74656e745f6964", // "content_id"
        `d940${"6162".repeat(32)}`, // "abab…", 64 digits
        "a86368756e6b6e756d", // "chunknum"
        "03", // 3
        "a6646967657374", // "digest"
        `c420${"01".repeat(32)}`, // 32 bytes
        "aabbcc", // payload
      ].join(""),
    );
    expect(Recorder.of(bytes).messages).toEqual([{ message: chunk, payload: Uint8Array.of(0xaa, 0xbb, 0xcc) }]);
  });

  test("decodes the forms that other encoders write: fixmap, wide integers, unknown keys", () => {
    const fixmap = Uint8Array.fromHex("81a77265717565737401"); // {"request": 1}
    const wide = Uint8Array.fromHex("81a772657175657374cf0000000000000001"); // {"request": 1 as uint64}
    const float = Uint8Array.fromHex("81a772657175657374cb3ff0000000000000"); // {"request": 1.0}
    const extra = Uint8Array.fromHex("82a772657175657374 01a36e6577c3".replaceAll(" ", "")); // {…, "new": true}
    for (const header of [fixmap, wide, float, extra])
      expect(Recorder.of(rawFrame(0x05, header)).messages).toEqual([{ message: heartbeat, payload: undefined }]);
  });

  test("refuses to encode what exceeds the limits of its type", () => {
    expect(() => encodeFrame(heartbeat, 1)).toThrow(RangeError);
    expect(() => encodeFrame(chunk, messageTable.PEER_REPLY_CHUNK.payloadBytesMax + 1)).toThrow(RangeError);
    expect(() => encodeFrame({ type: "ERROR", request: null, code: 1, message: "x".repeat(70_000) })).toThrow(
      RangeError,
    );
  });
});

describe("a stream in pieces", () => {
  const payload = new Uint8Array(50).map((_, index) => index);
  const stream = concat(heartbeatBytes, encodeFrame(chunk, 50), payload, heartbeatBytes);
  const expected = [
    { message: heartbeat, payload: undefined },
    { message: chunk, payload },
    { message: heartbeat, payload: undefined },
  ] as const;

  test("reports the received bytes of a payload while it arrives", () => {
    const recorder = new Recorder();
    expect(recorder.decoder.payloadBytesReceived).toBe(0);
    recorder.decoder.push(concat(heartbeatBytes, encodeFrame(chunk, 100), new Uint8Array(30)));
    expect(recorder.decoder.payloadBytesReceived).toBe(30);
    recorder.decoder.push(new Uint8Array(69));
    expect(recorder.decoder.payloadBytesReceived).toBe(99);
    recorder.decoder.push(new Uint8Array(1));
    expect(recorder.decoder.payloadBytesReceived).toBe(0);
    expect(recorder.messages).toHaveLength(2);
  });

  test("is the same one byte at a time", () => {
    const recorder = Recorder.of(...Array.from(stream, (byte) => Uint8Array.of(byte)));
    expect(recorder.messages).toEqual([...expected]);
    expect(recorder.faults).toEqual([]);
  });

  test("is the same cut at every point", () => {
    for (let cut = 0; cut <= stream.length; cut++) {
      const recorder = Recorder.of(stream.subarray(0, cut), stream.subarray(cut));
      expect(recorder.messages).toEqual([...expected]);
    }
  });

  test("is the same in random pieces, of which none is kept", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(anyMessage, fc.nat({ max: 200 })), { minLength: 1, maxLength: 6 }),
        fc.array(fc.integer({ min: 1, max: 97 }), { minLength: 1, maxLength: 20 }),
        (sent, lengths) => {
          const frames = sent.map(([message, length]) => {
            const bytes = new Uint8Array(messageTable[message.type].payloadBytesMax === 0 ? 0 : length).fill(length);
            return { message, bytes };
          });
          const whole = concat(...frames.flatMap(({ message, bytes }) => [encodeFrame(message, bytes.length), bytes]));
          const recorder = new Recorder();
          let offset = 0;
          for (let turn = 0; offset < whole.length; turn++) {
            const piece = whole.slice(offset, offset + lengths[turn % lengths.length]!);
            offset += piece.length;
            recorder.decoder.push(piece);
            piece.fill(0xff);
          }
          expect(recorder.faults).toEqual([]);
          expect(recorder.messages).toEqual(
            frames.map(({ message, bytes }) => ({ message, payload: bytes.length > 0 ? bytes : undefined })),
          );
        },
      ),
      { numRuns },
    );
  });

  test("may be skipped: the next frame is decoded", () => {
    const recorder = new Recorder({ takePayloads: false });
    recorder.decoder.push(stream);
    expect(recorder.messages.map(({ message }) => message.type)).toEqual([
      "HEARTBEAT",
      "PEER_REPLY_CHUNK",
      "HEARTBEAT",
    ]);
    expect(recorder.messages[1]!.payload).toBeUndefined();
  });

  test("is not decoded further once the decoder is closed", () => {
    const types: string[] = [];
    const decoder = new FrameDecoder({
      ...welcoming,
      openPayload: () => undefined,
      handleFault: () => {},
      handleMessage: (message) => {
        types.push(message.type);
        decoder.close();
      },
    });
    decoder.push(stream);
    decoder.push(stream);
    expect(types).toEqual(["HEARTBEAT"]);
  });

  test("a buffer of another length than the payload throws a RangeError", () => {
    const decoder = new FrameDecoder({
      ...welcoming,
      openPayload: () => new Uint8Array(3),
      handleFault: () => {},
      handleMessage: () => {},
    });
    expect(() => decoder.push(stream)).toThrow(RangeError);
  });
});

describe("a fatal fault ends the stream", () => {
  const nothing = new Uint8Array();
  const headerMax = messageTable.HEARTBEAT.headerBytesMax;

  test.each([
    ["a header longer than the body", rawFrame(0x05, nothing, nothing, { headerBytes: 2, bodyBytes: 1 })],
    ["no header", rawFrame(0x05, nothing, nothing, { headerBytes: 0, bodyBytes: 0 })],
    ["no header but a payload", rawFrame(0x37, nothing, nothing, { headerBytes: 0, bodyBytes: 9 })],
    [
      "a header beyond its limit",
      rawFrame(0x05, nothing, nothing, { headerBytes: headerMax + 1, bodyBytes: headerMax + 1 }),
    ],
    ["a header of 16 MiB", rawFrame(0x17, nothing, nothing, { headerBytes: 0xff_ffff, bodyBytes: 0xff_ffff })],
    ["a payload where there is none", rawFrame(0x05, nothing, nothing, { headerBytes: 10, bodyBytes: 11 })],
    ["a payload beyond its limit", rawFrame(0x37, nothing, nothing, { headerBytes: 10, bodyBytes: 11 + 4 * 2 ** 20 })],
    ["a body of 4 GiB", rawFrame(0x37, nothing, nothing, { headerBytes: 10, bodyBytes: 0xffff_ffff })],
    [
      "a body of 4 GiB of an unknown type",
      rawFrame(UNKNOWN_ID, nothing, nothing, { headerBytes: 10, bodyBytes: 0xffff_ffff }),
    ],
    [
      "an unknown type just too long to skip",
      rawFrame(UNKNOWN_ID, nothing, nothing, { headerBytes: 10, bodyBytes: FRAME_BODY_BYTES_MAX + 1 }),
    ],
    [
      "an unknown type with a header too long to skip",
      rawFrame(UNKNOWN_ID, nothing, nothing, { headerBytes: 2 ** 20 + 1, bodyBytes: 2 ** 20 + 1 }),
    ],
    ["text of another protocol", new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n")],
    ["a TLS hello", Uint8Array.fromHex("16030100ca010000c60303")],
  ])("%s, before anything of that length is allocated", (_what, bytes) => {
    const recorder = new Recorder();
    // The prefix alone decides: no header or payload has come, none can have been made room for.
    recorder.decoder.push(bytes.subarray(0, 8));
    expect(recorder.faults).toMatchObject([{ fatal: true, code: "protocol", request: null }]);
    expect(recorder.payloadBytesAllocated).toBe(0);
    recorder.decoder.push(heartbeatBytes);
    expect(recorder.messages).toEqual([]);
    expect(recorder.faults.length).toBe(1);
  });

  test("a header of exactly the limit is accepted", () => {
    const recorder = Recorder.of(rawFrame(0x05, nothing, nothing, { headerBytes: headerMax, bodyBytes: headerMax }));
    expect(recorder.faults).toEqual([]);
  });
});

describe("any other fault leaves the next frame readable", () => {
  const missing = pack({ request: 9 });
  test.each([
    ["an unknown type", rawFrame(UNKNOWN_ID, pack({ request: 9, what: 1 })), "unknown_message", 9],
    ["an unknown type with a payload", rawFrame(UNKNOWN_ID, pack({}), new Uint8Array(999)), "unknown_message", null],
    ["an unknown type without a request", rawFrame(UNKNOWN_ID, pack("hello")), "unknown_message", null],
    ["a field that is missing", rawFrame(0x18, missing), "protocol", 9],
    ["a field of another type", rawFrame(0x30, pack({ request: 9, content_id: 1 })), "protocol", 9],
    ["a request id below zero", rawFrame(0x05, pack({ request: -1 })), "protocol", null],
    ["a request id of 2^32", rawFrame(0x05, pack({ request: 2 ** 32 })), "protocol", null],
    ["a request id that is a fraction", rawFrame(0x05, pack({ request: 0.5 })), "protocol", null],
    ["a header that is no map", rawFrame(0x05, pack([1])), "protocol", null],
    ["a header that is null", rawFrame(0x05, pack(null)), "protocol", null],
    ["a header that ends early", rawFrame(0x05, heartbeatBytes.slice(8, 15)), "protocol", null],
    [
      "a header with bytes left over",
      rawFrame(0x05, concat(heartbeatBytes.slice(8), Uint8Array.of(1, 2))),
      "protocol",
      1,
    ],
    ["the byte that MessagePack never uses", rawFrame(0x05, Uint8Array.of(0xc1)), "protocol", null],
    ["a bad name", rawFrame(0x14, pack({ request: 9, fname: "../a" })), "protocol", 9],
    ["empty ranges", rawFrame(0x36, pack({ ...chunk, chunknum: [] })), "protocol", 7],
    ["a challenge of 31 bytes", rawFrame(0x20, pack({ request: 9, challenge: new Uint8Array(31) })), "protocol", 9],
    ["a notice that is bad, which has no answer", rawFrame(0x38, pack({ request: "9" })), "protocol", null],
    ["a notice whose request is another's", rawFrame(0x34, pack({ request: 9, content_id: 1 })), "protocol", null],
  ] as const)("%s", (_what, bytes, code, request) => {
    const recorder = Recorder.of(bytes, heartbeatBytes);
    expect(recorder.faults).toMatchObject([{ fatal: false, code, request }]);
    expect(recorder.messages).toEqual([{ message: heartbeat, payload: undefined }]);
    expect(recorder.payloadBytesAllocated).toBe(0);
  });

  test.each([
    ["a digest of 31 bytes", rawFrame(0x21, pack({ request: 9, proof: new Uint8Array(31) }))],
    ["no field but the request", rawFrame(0x37, pack({ request: 9 }), new Uint8Array(1000))],
    ["no request", rawFrame(0x06, pack({}))],
    ...[
      { lease_ms: 99, heartbeat_ms: 100 },
      { lease_ms: 3_600_001, heartbeat_ms: 100 },
      { lease_ms: 1000, heartbeat_ms: 99 },
      { lease_ms: 1000, heartbeat_ms: 600_001 },
    ].map(
      (times) =>
        [
          `lease and heartbeat of ${times.lease_ms} and ${times.heartbeat_ms} ms`,
          rawFrame(0x11, pack({ request: 9, address: "10.0.0.1:7000", ...times })),
        ] as const,
    ),
    ["bytes behind the map", rawFrame(0x06, concat(pack({ request: 9 }), Uint8Array.of(1)))],
  ] as const)("but a reply with %s ends it: its request has no answer to come", (_what, bytes) => {
    const recorder = Recorder.of(bytes, heartbeatBytes);
    expect(recorder.faults).toMatchObject([{ fatal: true, code: "protocol", request: null }]);
    expect(recorder.messages).toEqual([]);
  });
});

describe("the handler of frames", () => {
  test("can refuse a frame by its lengths, before anything is allocated", () => {
    const asked: unknown[] = [];
    const checkFrame = (...frame: unknown[]) => {
      asked.push(frame);
      return "not now";
    };
    const recorder = new Recorder({ checkFrame });
    recorder.decoder.push(encodeFrame(chunk, 50).subarray(0, 8));
    expect(asked).toEqual([["PEER_REPLY_CHUNK", encodeFrame(chunk, 50).length - 8, 50]]);
    expect(recorder.faults).toMatchObject([{ fatal: true, message: "not now" }]);
  });

  test("can refuse a message by its type and request id, before its header is decoded", () => {
    const asked: unknown[] = [];
    const checkHeader = (...header: unknown[]) => {
      asked.push(header);
      return "nobody asked";
    };
    const recorder = new Recorder({ checkHeader });
    recorder.decoder.push(concat(rawFrame(0x37, pack({ request: 7, more: "than it should have" })), heartbeatBytes));
    expect(asked).toEqual([["PEER_REPLY_CHUNK", 7]]);
    expect(recorder.faults).toMatchObject([{ fatal: true, message: "nobody asked" }]);
    expect(recorder.messages).toEqual([]);
  });

  test("can pause after any frame, and continues with the rest", () => {
    const recorder = new Recorder();
    const stream = concat(heartbeatBytes, encodeFrame(chunk, 5), new Uint8Array(5), heartbeatBytes);
    const hadPayloads: boolean[] = [];
    let offset = 0;
    for (let turn = 1; offset < stream.length; turn++) {
      offset += recorder.decoder.push(stream.subarray(offset), (hadPayload) => hadPayloads.push(hadPayload) > 0);
      expect(recorder.messages.length).toBe(turn);
      expect(recorder.decoder.isInFrame).toBe(false);
    }
    expect(hadPayloads).toEqual([false, true, false]);
  });
});
