/**
 * The identity of content: chunk sizes, the manifest's canonical bytes and content ids. The golden values are those of
 * protocol version 1; a change to one of them is a new version. They can be computed without our code, e.g. with b3sum.
 */
import { describe, expect, test } from "bun:test";
import { blake3 } from "@napi-rs/blake-hash";
import fc from "fast-check";
import * as v from "valibot";
import { P2pfsError } from "../../src/core/errors.ts";
import { CHUNK_COUNT_AIM, CHUNK_COUNT_MAX, CHUNK_SIZE_MAX, CONTENT_SIZE_MAX } from "../../src/core/limits.ts";
import {
  ContentIdSchema,
  chunkCountFor,
  chunkCountOf,
  chunkLengthAt,
  chunkSizeFor,
  contentIdOf,
  decodeManifest,
  digestOfChunk,
  encodeManifest,
  type Manifest,
  manifestOfFile,
  totalSizeOf,
} from "../../src/core/manifest.ts";
import { GiB, KiB, MiB, TiB } from "../../src/core/units.ts";
import { numRuns } from "./arbitraries.ts";

const digest = (bytes: Uint8Array) => new Uint8Array(blake3(bytes));
const text = (ascii: string) => new TextEncoder().encode(ascii);

/** A manifest of a file of this size with digests that are merely of the right length. */
function manifestOf(size: number): Manifest {
  const digests = new Uint8Array(chunkCountFor(size) * 32).map((_, index) => (index * 7 + size) & 0xff);
  return manifestOfFile(size, digests);
}

/** Whether decoding gives exactly this reason. */
function expectRefused(bytes: Uint8Array, reason = /./): void {
  let thrown: unknown;
  try {
    decodeManifest(bytes);
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(P2pfsError);
  expect(thrown).toMatchObject({ code: "integrity" });
  expect((thrown as P2pfsError).message).toMatch(reason);
}

describe("the chunk size", () => {
  const table: readonly (readonly [sizeMax: number, chunkSize: number])[] = [
    [32 * MiB, 64 * KiB],
    [64 * MiB, 128 * KiB],
    [128 * MiB, 256 * KiB],
    [256 * MiB, 512 * KiB],
    [512 * MiB, MiB],
    [GiB, 2 * MiB],
    [TiB, 4 * MiB],
  ];

  test.each(table)("of up to %d bytes is %d", (sizeMax, chunkSize) => {
    expect(chunkSizeFor(sizeMax)).toBe(chunkSize);
    expect(chunkSizeFor(sizeMax - 1)).toBe(chunkSize);
    if (sizeMax < TiB) expect(chunkSizeFor(sizeMax + 1)).toBe(chunkSize * 2);
  });

  test("of an empty content and of one byte is the smallest", () => {
    expect([chunkSizeFor(0), chunkSizeFor(1)]).toEqual([64 * KiB, 64 * KiB]);
  });

  test("gives few chunks, and covers every byte exactly once", () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (any) => {
        const size = any % (CONTENT_SIZE_MAX + 1);
        const chunkSize = chunkSizeFor(size);
        const count = chunkCountFor(size);
        expect(Math.log2(chunkSize) % 1).toBe(0);
        expect(count).toBeLessThanOrEqual(chunkSize < CHUNK_SIZE_MAX ? CHUNK_COUNT_AIM : CHUNK_COUNT_MAX);
        if (count === 0) return expect(size).toBe(0);
        const lastLength = chunkLengthAt(size, chunkSize, count - 1);
        expect(lastLength).toBeGreaterThan(0);
        expect(lastLength).toBeLessThanOrEqual(chunkSize);
        expect((count - 1) * chunkSize + lastLength).toBe(size);
        if (count > 1) expect(chunkLengthAt(size, chunkSize, 0)).toBe(chunkSize);
      }),
      { numRuns },
    );
  });

  test.each([
    [0, 0],
    [1, 1],
    [64 * KiB, 1],
    [64 * KiB + 1, 2],
    [100 * 64 * KiB, 100],
    [100 * 64 * KiB + 1, 101],
    [200 * 64 * KiB, 200],
    [5 * GiB, 1280],
    [1_000_000_000, 477],
    [CONTENT_SIZE_MAX, CHUNK_COUNT_MAX],
  ])("cuts %d bytes into %d chunks", (size, count) => {
    expect(chunkCountFor(size)).toBe(count);
  });
});

describe("the manifest", () => {
  test("of a file of three bytes has these bytes and this id", () => {
    const bytes = encodeManifest(manifestOfFile(3, digest(text("abc"))));
    expect(bytes.toHex()).toBe(
      [
        "70327066732f6d31", // "p2pfs/m1"
        "00010000", // chunks of 65536 bytes
        "00000001", // one entry
        "0000000000000003", // of 3 bytes
        "0000", // with an empty path
        "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85", // BLAKE3 of "abc"
      ].join(""),
    );
    const id = contentIdOf(bytes, digest);
    expect(id).toBe("6bbe52edaba536de420e5ff87f97d05242a4ad3294a60da7838df8531136a5f6" as never);
  });

  test("of an empty file has no digest", () => {
    const bytes = encodeManifest(manifestOfFile(0, new Uint8Array()));
    expect(bytes.toHex()).toBe(
      [
        "70327066732f6d31", // "p2pfs/m1"
        "00010000", // chunks of 65536 bytes
        "00000001", // one entry
        "0000000000000000", // of 0 bytes
        "0000", // with an empty path
      ].join(""),
    );
    const id = contentIdOf(bytes, digest);
    expect(id).toBe("09b0b85872609ace0e107bab2583e1d9df30cc7973997794224592a264c7c08f" as never);
  });

  test.each([0, 1, 64 * KiB - 1, 64 * KiB, 64 * KiB + 1, 6_553_600, 6_553_601, 32 * MiB, 32 * MiB + 1, 5 * GiB])(
    "of %d bytes decodes to what was encoded",
    (size) => {
      const manifest = manifestOf(size);
      const decoded = decodeManifest(encodeManifest(manifest));
      expect(decoded).toEqual(manifest);
      expect(totalSizeOf(decoded)).toBe(size);
      expect(chunkCountOf(decoded)).toBe(chunkCountFor(size));
    },
  );

  test("of the largest content stays within its limit", () => {
    const manifest = manifestOfFile(CONTENT_SIZE_MAX, new Uint8Array(CHUNK_COUNT_MAX * 32));
    expect(chunkCountOf(decodeManifest(encodeManifest(manifest)))).toBe(CHUNK_COUNT_MAX);
  });

  test("gives the digest of each chunk", () => {
    const manifest = manifestOf(3 * 64 * KiB);
    expect(digestOfChunk(manifest, 1)).toEqual(manifest.digests.slice(32, 64));
    expect(digestOfChunk(manifest, 2).length).toBe(32);
  });

  test("does not keep the bytes that it was decoded from", () => {
    const bytes = encodeManifest(manifestOf(1));
    const manifest = decodeManifest(bytes);
    const before = manifest.digests.toHex();
    bytes.fill(0);
    expect(manifest.digests.toHex()).toBe(before);
  });

  test("decodes from the middle of a larger buffer", () => {
    const bytes = encodeManifest(manifestOf(100_000));
    const larger = new Uint8Array(bytes.length + 20);
    larger.set(bytes, 13);
    expect(decodeManifest(larger.subarray(13, 13 + bytes.length))).toEqual(manifestOf(100_000));
  });
});

describe("bytes that are no manifest", () => {
  const good = encodeManifest(manifestOf(3 * 64 * KiB + 5));

  /** The good bytes with some of them replaced. */
  function altered(offset: number, hex: string): Uint8Array {
    const bytes = good.slice();
    bytes.set(Uint8Array.fromHex(hex), offset);
    return bytes;
  }

  test("every truncation is refused", () => {
    for (let length = 0; length < good.length; length++) expectRefused(good.slice(0, length));
  });

  test("additional bytes are refused", () => {
    for (const more of [1, 31, 32, 33]) expectRefused(Uint8Array.from([...good, ...new Uint8Array(more)]));
  });

  test("a changed byte is refused unless it is part of a digest", () => {
    for (let offset = 0; offset < good.length; offset++) {
      const bytes = altered(offset, ((good[offset]! ^ 0x01) & 0xff).toString(16).padStart(2, "0"));
      if (offset >= 26) {
        expect(encodeManifest(decodeManifest(bytes))).toEqual(bytes);
        continue;
      }
      try {
        // A size within the same last chunk is another manifest, which stands for another content.
        expect(encodeManifest(decodeManifest(bytes))).toEqual(bytes);
        expect([22, 23]).toContain(offset);
      } catch (error) {
        expect(error).toMatchObject({ code: "integrity" });
      }
    }
  });

  test.each([
    ["another magic", altered(0, "71"), /version 1/],
    ["a later version", altered(7, "32"), /version 1/],
    ["a chunk size that is not the table's", altered(8, "00020000"), /chunk size/],
    ["a chunk size of 0", altered(8, "00000000"), /chunk size/],
    ["no entry", altered(12, "00000000"), /one entry/],
    ["two entries", altered(12, "00000002"), /one entry/],
    ["entries without end", altered(12, "ffffffff"), /one entry/],
    ["a size beyond the largest content", altered(16, "0000010000000001"), /too large/],
    ["a size beyond safe integers", altered(16, "ffffffffffffffff"), /too large/],
    ["a path", altered(24, "0001"), /empty path/],
  ])("%s is refused", (_what, bytes, reason) => {
    expectRefused(bytes, reason);
  });

  test("random bytes are refused, or are a canonical manifest", () => {
    const anyBytes = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.uint8Array({ maxLength: 200 }).map((rest) => Uint8Array.from([...good.subarray(0, 16), ...rest])),
    );
    fc.assert(
      fc.property(anyBytes, (bytes) => {
        try {
          expect(encodeManifest(decodeManifest(bytes))).toEqual(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(P2pfsError);
        }
      }),
      { numRuns: numRuns * 5 },
    );
  });
});

test("a content id is 64 lower-case hex digits", () => {
  expect(v.is(ContentIdSchema, "0123456789abcdef".repeat(4))).toBe(true);
  for (const id of ["", "a".repeat(63), "a".repeat(65), "A".repeat(64), "g".repeat(64), ` ${"a".repeat(63)}`])
    expect(v.is(ContentIdSchema, id)).toBe(false);
});
