/** Keys of publications (decision 7): read back from their right end, whatever the name holds. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import * as v from "valibot";
import { AddressSchema } from "../../src/core/address.ts";
import { CONTENT_SIZE_MAX } from "../../src/core/limits.ts";
import { PathTextSchema, PeerIdSchema, parsePublicationKey, publicationKey, SizeSchema } from "../../src/core/model.ts";
import { address, fileName, numRuns } from "./arbitraries.ts";

describe("a publication's key", () => {
  test("is parsed to the name and address that it was made of", () => {
    fc.assert(
      fc.property(fileName, address, (fname, at) => {
        expect(parsePublicationKey(publicationKey(fname, at))).toEqual({ fname, address: at });
      }),
      { numRuns },
    );
  });

  test.each([
    ["a.txt_10.0.0.7_4000", "a.txt", "10.0.0.7:4000"],
    ["notes_v2_10.0.0.1_80_10.0.0.7_4000", "notes_v2_10.0.0.1_80", "10.0.0.7:4000"],
    ["___10.0.0.7_4000", "__", "10.0.0.7:4000"],
    ["a_::1_4000", "a", "[::1]:4000"],
    ["a_fe80::1_4000", "a", "[fe80::1]:4000"],
    ["_a_80_fe80::2_4000", "_a_80", "[fe80::2]:4000"],
  ])("%s is %s of %s", (key, fname, at) => {
    expect(parsePublicationKey(key)).toEqual({ fname, address: at } as never);
    expect(publicationKey(fname as never, v.parse(AddressSchema, at))).toBe(key);
  });

  test.each([
    "",
    "a",
    "a_10.0.0.7",
    "a_4000",
    "_10.0.0.7_4000",
    "a_10.0.0.7_0",
    "a_10.0.0.7_65536",
    "a_10.0.0.7_123456",
    "a_10.0.0_4000",
    "a_host_4000",
    "a/b_10.0.0.7_4000",
    "a_10.0.0.7_4000 ",
    "nul_10.0.0.7_4000",
    "a\n_10.0.0.7_4000",
  ])("is not %j", (key) => {
    expect(parsePublicationKey(key)).toBeUndefined();
  });
});

test("a peer id is 128 bits in lower-case hex", () => {
  expect(v.is(PeerIdSchema, "0123456789abcdef0123456789abcdef")).toBe(true);
  for (const id of ["", "0".repeat(31), "0".repeat(33), "G".repeat(32), "A".repeat(32)])
    expect(v.is(PeerIdSchema, id)).toBe(false);
});

test("sizes are whole bytes up to the largest content", () => {
  for (const size of [0, 1, 5 * 2 ** 30, CONTENT_SIZE_MAX]) expect(v.is(SizeSchema, size)).toBe(true);
  for (const size of [-1, 0.5, CONTENT_SIZE_MAX + 1, "1", Number.NaN]) expect(v.is(SizeSchema, size)).toBe(false);
});

test("a path is kept as typed", () => {
  for (const path of ["../a b", "/etc/passwd", "C:\\a", "a".repeat(4096)])
    expect(v.parse(PathTextSchema, path)).toBe(path);
  for (const path of ["", "a".repeat(4097)]) expect(v.is(PathTextSchema, path)).toBe(false);
});
