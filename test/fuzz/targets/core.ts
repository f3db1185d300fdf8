/** Contents, names and addresses: what people type, and what other machines name. */
import * as v from "valibot";
import {
  type Address,
  AddressSchema,
  canonicalIp,
  formatHostPort,
  hostOf,
  IpSchema,
  isIp,
  makeAddress,
  parseHostPort,
  portOf,
} from "../../../src/core/address.ts";
import {
  Bitfield,
  type ChunkRanges,
  ChunkRangesSchema,
  clampRanges,
  formatRanges,
  pagesOf,
} from "../../../src/core/bitfield.ts";
import { FileNameSchema, fileNameFault, foldFileName } from "../../../src/core/file-name.ts";
import { printable, printableJson } from "../../../src/core/human.ts";
import { CHUNK_COUNT_MAX, CHUNK_RANGES_MAX, CONTENT_SIZE_MAX, FILE_NAME_BYTES_MAX } from "../../../src/core/limits.ts";
import {
  chunkCountFor,
  chunkCountOf,
  decodeManifest,
  encodeManifest,
  manifestOfFile,
  totalSizeOf,
} from "../../../src/core/manifest.ts";
import { parsePublicationKey, publicationKey } from "../../../src/core/model.ts";
import { parseRateLimit, RateLimitSchema } from "../../../src/core/rate.ts";
import { clipToBytes, fitsBytes } from "../../../src/core/text.ts";
import { formatTicket, parseTicket } from "../../../src/core/ticket.ts";
import { KiB } from "../../../src/core/units.ts";
import { randomBytes } from "../../support/bytes.ts";
import { assert, assertEqual, confined, decode, encode, reading, type Target } from "../target.ts";

export const manifests = [0, 1, 100 * KiB, 3_000 * KiB].map((size) =>
  encodeManifest(manifestOfFile(size, randomBytes(32 * Math.ceil(size / (64 * KiB)), size))),
);

const manifest: Target = {
  name: "manifest",
  inputs: () => manifests,
  run(input) {
    const { value, outcome } = confined(input, (bytes) => reading(["integrity"], () => decodeManifest(bytes)));
    if (value === undefined) return outcome;
    assert(Buffer.compare(encodeManifest(value), input) === 0, "a manifest has two forms, and so two content ids");
    assert(
      chunkCountOf(value) === chunkCountFor(totalSizeOf(value)),
      "it has another number of digests than of chunks",
    );
    assert(totalSizeOf(value) <= CONTENT_SIZE_MAX && chunkCountOf(value) <= CHUNK_COUNT_MAX, "it is too large");
    return outcome;
  },
};

/** Numbers of chunks as 32 bits each. */
const chunkRanges: Target = {
  name: "chunk ranges",
  inputs: () =>
    [[], [0, 0], [0, 99, 120, 120], [3, 5, 7, CHUNK_COUNT_MAX - 1]].map(
      (numbers) => new Uint8Array(Uint32Array.from(numbers).buffer),
    ),
  run(input) {
    const numbers = [...new Uint32Array(input.slice(0, input.length & ~3).buffer)];
    const parsed = v.safeParse(ChunkRangesSchema, numbers);
    if (!parsed.success) return "refused";
    const ranges = parsed.output;
    const field = Bitfield.fromRanges(CHUNK_COUNT_MAX, ranges);
    assertEqual(field.toRanges(), ranges, "the ranges change on their way through a set");
    assert(field.count === countOf(ranges), `${field.count} chunks instead of ${countOf(ranges)}`);
    const pages = pagesOf(ranges);
    assertEqual(pages.flat(), [...ranges], "the pages are not the whole");
    assert(
      pages.every((page) => page.length <= 2 * CHUNK_RANGES_MAX),
      "a page is too long",
    );
    const half = clampRanges(ranges, CHUNK_COUNT_MAX / 2);
    assert(v.is(ChunkRangesSchema, half) && (half.at(-1) ?? 0) < CHUNK_COUNT_MAX / 2, "a part is not as it should be");
    assert(formatRanges(ranges).split(",").length === Math.max(1, ranges.length / 2), "the text has other ranges");
    return `${Math.min(ranges.length, 8)} numbers`;
  },
};

function countOf(ranges: ChunkRanges): number {
  return ranges.reduce((count, number, at) => count + (at % 2 === 0 ? -number : number + 1), 0);
}

/** The size in two bytes, then the bits. */
const bitfield: Target = {
  name: "bitfield",
  inputs: () => [Uint8Array.of(0, 9, 0xff, 0xff), Uint8Array.of(1, 0, 0xa5, 0x5a, 0, 1)],
  run(input) {
    const size = ((input[0] ?? 0) << 8) | (input[1] ?? 0);
    const field = confined(input, (bytes) => new Bitfield(size, bytes.subarray(2)));
    const chunks = [...field];
    assert(chunks.length === field.count, `${chunks.length} chunks, counted as ${field.count}`);
    assert(
      chunks.every((chunk) => chunk >= 0 && chunk < size && field.has(chunk)),
      "it has a chunk that it cannot have",
    );
    const ranges = field.toRanges();
    assertEqual(Bitfield.fromRanges(size, ranges).bytes, field.bytes, "the set changes on its way through ranges");
    return `${field.isFull} ${Math.min(ranges.length, 8)}`;
  },
};

const ticket: Target = {
  name: "ticket",
  inputs: () =>
    [
      `p2pfs://127.0.0.1:7700/report.pdf?id=${"ab".repeat(32)}`,
      `p2pfs://[::1]:7700/%C3%BC%20b.txt?id=${"0".repeat(64)}`,
      `P2PFS://host.example:1/x%27?id=${"CD".repeat(32)}`,
    ].map(encode),
  run(input) {
    const { value, outcome } = reading(["usage"], () => parseTicket(decode(input)));
    if (value === undefined) return outcome;
    assert(fileNameFault(value.fname) === undefined, `a ticket for ${JSON.stringify(value.fname)}`);
    const text = formatTicket(value);
    assertEqual(parseTicket(text), value, "a ticket changes when it is written again");
    assert(/^[\w:/.%?=~[\]-]+$/.test(text.slice(text.lastIndexOf("/"))), `a shell reads more in ${text}`);
    return outcome;
  },
};

const address: Target = {
  name: "address",
  inputs: () =>
    [
      "127.0.0.1:7700",
      "[fe80::1]:80",
      "host.example:65535",
      "::1",
      "::FFFF:1.2.3.4",
      "10.200.0.254",
      "fe80::1%eth0",
      "localhost",
    ].map(encode),
  run(input) {
    const text = decode(input);
    const canonical = canonicalIp(text);
    if (isIp(canonical)) assertEqual(canonicalIp(canonical), canonical, "a canonical IP has another canonical form");
    if (isIp(canonical) && !canonical.includes(":"))
      assertEqual(canonicalIp(`::ffff:${canonical}`), canonical, "an IPv4 address within IPv6 is another one");
    if (v.is(IpSchema, text)) assertEqual(hostOf(makeAddress(text, 1)), text, "an IP changes in an address");
    const { success: isAddress } = v.safeParse(AddressSchema, text);
    if (isAddress) {
      const found = text as Address;
      assert(portOf(found) > 0, "an address without a port");
      assertEqual(makeAddress(hostOf(found), portOf(found)), found, "an address has two forms");
    }
    const parsed = parseHostPort(text);
    if (parsed === undefined) return "refused";
    assert(parsed.port >= 0 && parsed.port <= 65_535, `the port ${parsed.port}`);
    assertEqual(parseHostPort(formatHostPort(parsed)), parsed, "it changes when it is written again");
    return isAddress ? "an address" : "a host and a port";
  },
};

const fileName: Target = {
  name: "file name",
  inputs: () => ["report.pdf", "ü b.txt", "e\u0301", "CON", "a/b", "..", "x".repeat(255), "\ufdfa"].map(encode),
  run(input) {
    const text = decode(input);
    const fault = fileNameFault(text);
    const parsed = v.safeParse(FileNameSchema, text);
    assert(parsed.success === (fault === undefined), "the schema and the check differ");
    if (!parsed.success) return fault!;
    const name = parsed.output;
    assert(fitsBytes(name, FILE_NAME_BYTES_MAX), "it is too long for a disk");
    assert(!/[/\\:\p{Cc}]/u.test(name) && !/^\.{0,2}$/.test(name), `the name ${JSON.stringify(name)}`);
    assert(v.parse(FileNameSchema, name) === name, "a name changes when it is read again");
    const fold = foldFileName(name);
    assertEqual(foldFileName(fold as typeof name), fold, "the fold of a fold differs");
    return "accepted";
  },
};

const key: Target = {
  name: "publication key",
  inputs: () => ["report.pdf_127.0.0.1_7700", "a_b_fe80::1_80", "_1.2.3.4_1", "x_1.2.3.4_99999"].map(encode),
  run(input) {
    const parsed = parsePublicationKey(decode(input));
    if (parsed === undefined) return "refused";
    const again = parsePublicationKey(publicationKey(parsed.fname, parsed.address));
    assertEqual(again, parsed, "a key changes when it is written again");
    return "accepted";
  },
};

const rate: Target = {
  name: "rate",
  inputs: () => ["4MiB/s", "500KB/s", "1.5 MB/s", "none", "65536", "1024GiB"].map(encode),
  run(input) {
    let bytesPerSecond: number;
    try {
      bytesPerSecond = parseRateLimit(decode(input));
    } catch (thrown) {
      if (!(thrown instanceof SyntaxError)) throw thrown;
      return "refused";
    }
    const stored = bytesPerSecond === Number.POSITIVE_INFINITY ? null : bytesPerSecond;
    assert(v.is(RateLimitSchema, stored), `the rate ${bytesPerSecond}`);
    return stored === null ? "none" : "accepted";
  },
};

const shownText: Target = {
  name: "shown text",
  inputs: () => ["plain", "\u001b[31mred\u0007", "\u202eevil", "ü\ud83d\ude00\u200b", "a\nb\r"].map(encode),
  run(input) {
    const text = decode(input);
    const misleading = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u;
    assert(!misleading.test(printable(text)), "a shown text can mislead");
    const json = printableJson({ [text]: [text] });
    assert(!misleading.test(json), "shown JSON can mislead");
    assertEqual(JSON.parse(json), { [text]: [text] }, "shown JSON has another value");
    const bytesMax = 1 + (input.length >> 1);
    const clipped = clipToBytes(text, bytesMax);
    assert(encode(clipped).length <= bytesMax && text.startsWith(clipped), "a text is clipped wrongly");
    assert(!text.isWellFormed() || clipped.isWellFormed(), "a character is cut in two");
    return `${misleading.test(text)} ${clipped === text}`;
  },
};

export const coreTargets = [manifest, chunkRanges, bitfield, ticket, address, fileName, key, rate, shownText];
