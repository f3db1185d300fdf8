/** Headers as bytes: what is refused before anything is built of them, and that nothing valid is. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Packr } from "msgpackr/pack";
import { Unpackr } from "msgpackr/unpack";
import { encodeFrame, FRAME_PREFIX_BYTES } from "../../src/wire/frame.ts";
import { MAP_KEYS_MAX, NESTING_MAX, scanHeader } from "../../src/wire/header-scan.ts";
import { readHeaderValues } from "../../src/wire/header-values.ts";
import { messageTable } from "../../src/wire/messages.ts";
import { numRuns } from "../core/arbitraries.ts";
import { anyMessage } from "./arbitraries.ts";

const bounds = { valuesMax: 1000, containersMax: 100 };
const packr = new Packr({ useRecords: false });
const unpackr = new Unpackr({ useRecords: false, int64AsType: "number" });
const pack = (value: unknown) => new Uint8Array(packr.pack(value));
const hex = (digits: string) => Uint8Array.fromHex(digits.replaceAll(" ", ""));
const faultOf = (header: Uint8Array, within = bounds) => scanHeader(header, within).fault;

function nested(depth: number): unknown {
  return depth === 0 ? 1 : [nested(depth - 1)];
}

describe("a header is refused", () => {
  test.each([
    ["no map", hex("91 01"), "is not a map"],
    ["nothing", hex("c0"), "is not a map"],
    ["bytes behind its map", hex("80 c0"), "has bytes behind its map"],
    ["a map that ends early", hex("81 a161"), "ends early"],
    ["a string that ends early", hex("81 a161 a5 6162"), "ends early"],
    ["an array that ends early", hex("81 a161 93 01 02"), "ends early"],
    ["a number that ends early", hex("81 a161 cd 01"), "ends early"],
    ["a field twice", hex("82 a161 01 a161 02"), "has a field twice"],
    ["a field twice in an inner map", hex("81 a162 82 a161 01 a161 02"), "has a field twice"],
    ["a field twice in two forms", hex("82 a161 01 d90161 02"), "has a field twice"],
    ["a number for a name", hex("81 01 01"), "has a field whose name is no string"],
    ["a binary for a name", hex("81 c40161 01"), "has a field whose name is no string"],
    ["an overlong form of UTF-8", hex("81 a161 a2 c0af"), "has a string that is not UTF-8"],
    ["a lone surrogate", hex("81 a161 a3 eda080"), "has a string that is not UTF-8"],
    ["a name that is no UTF-8", hex("81 a1ff 01"), "has a string that is not UTF-8"],
    ["UTF-8 that is cut", hex("81 a161 a4 616263c3"), "has a string that is not UTF-8"],
    ["an extension", hex("81 a161 d6ff00000000"), "has an extension type, or a byte that MessagePack never uses"],
    ["the unused byte", hex("81 a161 c1"), "has an extension type, or a byte that MessagePack never uses"],
    ["an array too deep", pack({ a: nested(NESTING_MAX) }), "is nested too deep"],
    ["a map too deep", pack({ a: { a: { a: { a: {} } } } }), "is nested too deep"],
    [
      "too many fields",
      pack(Object.fromEntries(Array.from({ length: MAP_KEYS_MAX + 1 }, (_, index) => [`f${index}`, 0]))),
      `has a map of more than ${MAP_KEYS_MAX} fields`,
    ],
    ["too many values", pack({ a: Array(bounds.valuesMax).fill(0) }), "has more values than its message can have"],
    ["too many lists", pack({ a: Array(bounds.containersMax).fill([]) }), "has more values than its message can have"],
    ["too many maps", pack({ a: Array(bounds.containersMax).fill({}) }), "has more values than its message can have"],
  ])("with %s", (_what, header, fault) => {
    expect(faultOf(header)).toBe(fault);
  });

  test("is not refused just below those bounds", () => {
    expect(faultOf(pack({ a: nested(NESTING_MAX - 1) }))).toBeUndefined();
    expect(faultOf(pack({ a: { a: { a: {} } } }))).toBeUndefined();
    expect(faultOf(pack({ a: Array(bounds.valuesMax - 2).fill(0) }))).toBeUndefined();
    expect(faultOf(pack({ a: Array(bounds.containersMax - 2).fill([]) }))).toBeUndefined();
  });
});

test("every valid message is accepted, and its request id found", () => {
  fc.assert(
    fc.property(anyMessage, (message) => {
      const header = encodeFrame(message).subarray(FRAME_PREFIX_BYTES);
      const request = "request" in message ? message.request : null;
      expect(scanHeader(header, messageTable[message.type])).toEqual({ request });
    }),
    { numRuns: numRuns * 4 },
  );
});

test("accepted headers are decoded as the library decodes them", () => {
  const leaf = fc.oneof(fc.integer(), fc.double(), fc.string({ unit: "binary" }), fc.boolean(), fc.constant(null));
  const value = fc.letrec((tie) => ({
    value: fc.oneof({ depthSize: "small" }, leaf, fc.uint8Array({ maxLength: 9 }), tie("list"), tie("map")),
    list: fc.array(tie("value"), { maxLength: 4 }),
    map: fc.dictionary(fc.string({ maxLength: 4 }), tie("value"), { maxKeys: 4 }),
  })).map;
  const change = fc.record({ at: fc.nat(), byte: fc.nat({ max: 255 }) });
  fc.assert(
    fc.property(value, fc.array(change, { maxLength: 3 }), (fields, changes) => {
      const header = pack(fields);
      for (const { at, byte } of changes) header[at % header.length] = byte;
      if (faultOf(header) !== undefined) return;
      const read = readHeaderValues(header) as { request?: unknown };
      expect(read).toEqual(unpackr.unpack(header));
      const { request } = scanHeader(header, bounds);
      if (request !== null) expect(read.request).toBe(request);
    }),
    { numRuns: numRuns * 20 },
  );
});

describe("a value is read", () => {
  const read = (digits: string) => (readHeaderValues(hex(`81 a161 ${digits}`)) as { a: unknown }).a;

  test.each([
    ["7f", 127],
    ["e0", -32],
    ["ff", -1],
    ["cc ff", 255],
    ["cd ffff", 65_535],
    ["ce ffffffff", 4_294_967_295],
    ["cf 001fffffffffffff", Number.MAX_SAFE_INTEGER],
    ["d0 80", -128],
    ["d1 8000", -32_768],
    ["d2 80000000", -2_147_483_648],
    ["d3 ffffffffffffffff", -1],
    ["ca 3fc00000", 1.5],
    ["cb 3ff8000000000000", 1.5],
    ["c0", null],
    ["c2", false],
    ["c3", true],
    ["a0", ""],
    ["a2 6162", "ab"],
    ["d9 02 c3a9", "é"],
    ["da 0004 f09f8d89", "🍉"],
    ["db 00000003 efbbbf", "\ufeff"],
    ["a1 00", "\0"],
    ["c4 02 0102", Uint8Array.of(1, 2)],
    ["c5 0001 ff", Uint8Array.of(255)],
    ["c6 00000000", new Uint8Array(0)],
    ["92 01 80", [1, {}]],
    ["dc 0001 c0", [null]],
    ["dd 00000001 c0", [null]],
    ["de 0001 a162 01", { b: 1 }],
    ["df 00000001 a162 01", { b: 1 }],
  ])("from %s", (digits, expected) => {
    expect(read(digits)).toEqual(expected);
  });

  test("a header cannot set a prototype", () => {
    const fields = readHeaderValues(hex("82 a95f5f70726f746f5f5f 81a16101 a162 02")) as Record<string, unknown>;
    expect(fields).toEqual({ b: 2 });
    expect(fields.a).toBeUndefined();
  });

  test("a binary value is a copy", () => {
    const header = hex("81 a161 c401 07");
    const { a } = readHeaderValues(header) as { a: Uint8Array };
    header.fill(0);
    expect([...a]).toEqual([7]);
  });
});
