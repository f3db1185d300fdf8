/** Random values of core's types for property tests. */
import fc from "fast-check";
import { type Address, makeAddress } from "../../src/core/address.ts";
import { Bitfield, type ChunkRanges } from "../../src/core/bitfield.ts";
import { type FileName, fileNameFault } from "../../src/core/file-name.ts";
import { CHUNK_COUNT_MAX, CONTENT_SIZE_MAX, PATH_TEXT_BYTES_MAX } from "../../src/core/limits.ts";
import type { ContentId } from "../../src/core/manifest.ts";
import type { PeerId } from "../../src/core/model.ts";

/** The seed of a failing run is printed by fast-check; `numRuns` grows with scripts/test --long. */
export const numRuns = process.env.P2PFS_TEST_LONG === "1" ? 20_000 : 200;

const hex = (digits: number) => fc.stringMatching(new RegExp(`^[0-9a-f]{${digits}}$`));

const ipV6 = fc
  .array(fc.oneof(fc.constant(0), fc.nat({ max: 0xffff })), { minLength: 8, maxLength: 8 })
  .map((groups) => groups.map((group) => group.toString(16)).join(":"));

export const address: fc.Arbitrary<Address> = fc
  .tuple(fc.oneof(fc.ipV4(), ipV6), fc.integer({ min: 1, max: 65_535 }))
  .map(([ip, port]) => makeAddress(ip, port));

export const contentId = hex(64) as fc.Arbitrary<ContentId>;
export const nonce = hex(32);
export const peerId = hex(32) as fc.Arbitrary<PeerId>;
export const size = fc.oneof(
  fc.nat(),
  fc.maxSafeNat().map((value) => value % (CONTENT_SIZE_MAX + 1)),
);
export const chunkCount = fc.nat({ max: CHUNK_COUNT_MAX });
export const chunkNumber = fc.nat({ max: CHUNK_COUNT_MAX - 1 });
export const digest = fc.uint8Array({ minLength: 32, maxLength: 32 });
export const pathText = fc.string({ minLength: 1, maxLength: 60 }).filter((path) => path.length <= PATH_TEXT_BYTES_MAX);

export const fileName = fc
  .string({ unit: "grapheme", minLength: 1, maxLength: 40 })
  .map((name) => name.normalize("NFC"))
  .filter((name) => fileNameFault(name) === undefined) as unknown as fc.Arbitrary<FileName>;

export function chunkRanges({ empty = true } = {}): fc.Arbitrary<ChunkRanges> {
  const small = fc.uniqueArray(fc.nat({ max: 199 }), { minLength: empty ? 0 : 1, maxLength: 100 }).map((chunks) => {
    const field = new Bitfield(200);
    for (const chunk of chunks) field.add(chunk);
    return field.toRanges();
  });
  const large = fc
    .tuple(chunkNumber, chunkNumber)
    .map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as unknown as ChunkRanges);
  return fc.oneof(small, large);
}
