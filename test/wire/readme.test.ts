/** The specification says what the code does: every message, field, limit, error and example of it. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { blake3 } from "@napi-rs/blake-hash";
import * as v from "valibot";
import { errorCodes, errorTable } from "../../src/core/errors.ts";
import { FileNameSchema, fileNameFault, foldFileName } from "../../src/core/file-name.ts";
import { HOLDER_SAMPLE_MAX, HOLDERS_COUNTED_MAX, LOCATION_RANGES_MAX, WINDOW_SIZE } from "../../src/core/limits.ts";
import { chunkSizeFor, contentIdOf, encodeManifest, manifestOfFile } from "../../src/core/manifest.ts";
import { WALK_CHARACTERS_MAX, WALK_MS_MAX, WALK_PAGES_MAX, WALK_ROWS_MAX } from "../../src/core/page-walk.ts";
import { OVERDUE_MAX } from "../../src/net/pending-requests.ts";
import { CANDIDATES_MAX } from "../../src/peer/candidates.ts";
import { COMPLETE_NAMED_MIN, SAMPLE_REUSE_MS } from "../../src/tracker/registry.ts";
import { encodeFrame, FRAME_BODY_BYTES_MAX, UNKNOWN_HEADER_BYTES_MAX } from "../../src/wire/frame.ts";
import { MAP_KEYS_MAX, NESTING_MAX } from "../../src/wire/header-scan.ts";
import {
  type MessageName,
  mayGo,
  messageTable,
  PROTOCOL_VERSION,
  type RequestName,
  replyNameOf,
  STRANGER_HEADER_BYTES_MAX,
} from "../../src/wire/messages.ts";
import { messageNames } from "./arbitraries.ts";

const readme = readFileSync(join(import.meta.dir, "../../src/wire/README.md"), "utf8");
const digest = (bytes: Uint8Array) => new Uint8Array(blake3(bytes));

/** Rows of every table, cells trimmed. */
const rows = readme
  .split("\n")
  .filter((line) => line.startsWith("|"))
  .map((line) =>
    line
      .slice(1, -1)
      .split("|")
      .map((cell) => cell.trim()),
  );

/** Hex at the start of the lines of the code block that begins after these words. */
function exampleAfter(words: string): string {
  const from = readme.indexOf("```", readme.indexOf(words));
  const block = readme.slice(from + 4, readme.indexOf("```", from + 4));
  const parts = block
    .split("\n")
    .map((line) => /^((?:[0-9a-f]{2})+(?: (?:[0-9a-f]{2})+)*)(?: |$)/.exec(line)?.[1] ?? "");
  return parts.join("").replaceAll(" ", "");
}

/** What stands under a message's heading. */
function sectionOf(name: string): string {
  const from = readme.indexOf(`\n#### ${name}\n`);
  if (from < 0) return "";
  const until = readme.slice(from + 1).search(/\n#{1,4} /);
  return readme.slice(from, until < 0 ? undefined : from + 1 + until);
}

test.each(messageNames.map((name) => [name]))("%s is documented with its id, kind and fields", (name) => {
  const { id, kind, schema } = messageTable[name];
  const row = rows.find((cells) => cells[1] === name);
  expect(row?.[0]).toBe(`0x${id.toString(16).padStart(2, "0")}`);
  expect(row?.[3]).toBe(kind === "request" ? `request → ${replyNameOf(name as RequestName)}` : kind);
  const roles = { T: "tracker", P: "peer" } as const;
  for (const from of ["T", "P"] as const)
    for (const to of ["T", "P"] as const)
      expect([from, to, ["both", `${from} → ${to}`, `any → ${to}`, `${from} → any`].includes(row![2]!)]).toEqual([
        from,
        to,
        mayGo(messageTable[name].way, roles[from], roles[to]),
      ]);
  const section = sectionOf(name);
  const missing = Object.keys(schema.entries).filter((field) => !section.includes(`\`${field}\``));
  expect(missing).toEqual([]);
});

test("every documented message exists", () => {
  const documented = rows.filter((cells) => /^0x[0-9a-f]{2}$/.test(cells[0]!)).map((cells) => cells[1]!);
  expect(documented.toSorted()).toEqual(messageNames.toSorted());
  const sections = [...readme.matchAll(/^#### (.+)$/gm)].map((match) => match[1]!);
  expect(sections.toSorted()).toEqual(messageNames.toSorted());
});

test("every error is documented with its wire id", () => {
  const documented = rows.filter((cells) => /^\d+$/.test(cells[0]!) && /^`\w+`$/.test(cells[1]!));
  const expected = errorCodes.map((code) => {
    const { wireId, retryable } = errorTable[code];
    return [`${wireId}`, `\`${code}\``, retryable ? "yes" : "no"];
  });
  const byId = (a: (string | undefined)[], b: (string | undefined)[]) => Number(a[0]) - Number(b[0]);
  expect(documented.map((cells) => [cells[0], cells[1], cells[3]])).toEqual(expected.toSorted(byId));
});

test("the table of chunk sizes is that of the code", () => {
  const units: Readonly<Record<string, number>> = { KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 };
  const bytes = (text: string) => {
    const [value, unit] = text.split(" ");
    return Number(value) * (units[unit!] ?? Number.NaN);
  };
  const table = rows.filter((cells) => cells.length === 2 && cells.every((cell) => /^\d+ [KMGT]iB$/.test(cell)));
  expect(table.length).toBe(7);
  for (const [upTo, chunkSize] of table) expect(chunkSizeFor(bytes(upTo!))).toBe(bytes(chunkSize!));
});

test("the limits are those of the code", () => {
  const all = messageNames.map((name) => [name, messageTable[name]] as const);
  const documented = new Map(
    rows
      .filter((cells) => cells.length === 3 && /^\d+ bytes$/.test(cells[1]!))
      .flatMap(([names, header, payload]) => names!.split(", ").map((name) => [name, { header, payload }] as const)),
  );
  for (const [name, { headerBytesMax, payloadBytesMax }] of all) {
    const expected = {
      header: `${headerBytesMax} bytes`,
      payload: payloadBytesMax === 0 ? "none" : `${payloadBytesMax} bytes`,
    };
    expect([name, documented.get(name) ?? documented.get("every other")]).toEqual([name, expected]);
  }
  const valuesOf = (names: string) => {
    const row = rows.find((cells) => cells.length === 3 && cells[0] === names && /^\d+$/.test(cells[1]!));
    return row?.slice(1).map(Number);
  };
  const boundsOf = (name: MessageName) => [messageTable[name].valuesMax, messageTable[name].containersMax];
  expect(valuesOf("REPLY_FILE_LIST, REPLY_DISCOVER")).toEqual(boundsOf("REPLY_FILE_LIST"));
  expect(valuesOf("REPLY_FILE_LOCATION")).toEqual(boundsOf("REPLY_FILE_LOCATION"));
  expect(valuesOf("the five with chunk ranges")).toEqual(boundsOf("HAVE"));
  expect(valuesOf("every other")).toEqual(boundsOf("HELLO"));
  expect(readme).toContain(`${LOCATION_RANGES_MAX} chunk ranges over all its holders`);
  expect(readme).toContain(`nested at most ${NESTING_MAX} deep`);
  expect(readme).toContain(`a map has at most ${MAP_KEYS_MAX} keys`);
  expect(readme).toContain(`takes headers of up to ${STRANGER_HEADER_BYTES_MAX} bytes only`);
  expect(readme).toContain(`ours does at ${OVERDUE_MAX}`);
  expect(readme).toContain(`${FRAME_BODY_BYTES_MAX} bytes, with a header of up to ${UNKNOWN_HEADER_BYTES_MAX} bytes`);
  expect(readme).toContain(`at most ${WINDOW_SIZE} chunk requests`);
  expect(readme).toContain(`The protocol of p2pfs, version ${PROTOCOL_VERSION}`);
});

test("the bounds of a list are those of the code", () => {
  const bounds = `${WALK_ROWS_MAX} rows, ${WALK_PAGES_MAX} pages, ${WALK_CHARACTERS_MAX} UTF-16 units of text or ${WALK_MS_MAX} ms`;
  expect(readme.replace(/\s+/g, " ")).toContain(bounds);
  expect(readme).toContain(`the first ${CANDIDATES_MAX} publications of a name`);
});

test("the numbers of a location reply are those of the code", () => {
  expect(readme).toContain(`at most ${HOLDER_SAMPLE_MAX} rows`);
  expect(readme).toContain(`counted up to ${HOLDERS_COUNTED_MAX}`);
  expect(readme).toContain(`In a sample are ${COMPLETE_NAMED_MIN} holders of the whole content`);
  expect(readme).toContain(`repeat a sample for ${SAMPLE_REUSE_MS} ms`);
});

test("the frames of the examples are what the encoder writes", () => {
  expect(exampleAfter("A HEARTBEAT whose request id is 1")).toBe(
    encodeFrame({ type: "HEARTBEAT", request: 1 }).toHex(),
  );
  const hello = encodeFrame({
    type: "HELLO",
    version: 1,
    role: "peer",
    agent: "p2pfs/0.1.0",
    address: "10.0.0.7:4000" as never,
  });
  expect(exampleAfter("A peer at 10.0.0.7:4000 says")).toBe(hello.toHex());
});

test("the manifests of the examples are what the code makes", () => {
  const abc = encodeManifest(manifestOfFile(3, digest(new TextEncoder().encode("abc"))));
  expect(exampleAfter("The file of the three bytes `abc`")).toBe(abc.toHex());
  expect(readme).toContain(contentIdOf(abc, digest));
  expect(readme).toContain(contentIdOf(encodeManifest(manifestOfFile(0, new Uint8Array())), digest));
});

test("the proof of the example is HMAC-SHA256 over the challenge, keyed by the peer id", () => {
  const key = Uint8Array.fromHex("000102030405060708090a0b0c0d0e0f");
  const proof = new Bun.CryptoHasher("sha256", key).update(new Uint8Array(32).fill(0xab)).digest("hex");
  expect(readme).toContain(proof);
});

/** The code points of each block of the kind, as one set. */
function documentedCodePoints(): Set<number>[] {
  return [...readme.matchAll(/```code-points\n([^`]+)```/g)].map((block) => {
    const points = new Set<number>();
    for (const range of block[1]!.trim().split(/\s+/)) {
      const [first, last = first] = range.split("-").map((hex) => Number.parseInt(hex, 16));
      for (let point = first!; point <= last!; point++) points.add(point);
    }
    return points;
  });
}

test("the characters that file names must not have are those of the code", () => {
  const [control, invisible] = documentedCodePoints();
  const differing: string[] = [];
  for (let point = 0; point <= 0x10_ffff; point++) {
    const character = String.fromCodePoint(point);
    const fault = fileNameFault(`a${character}b`);
    const expected = control!.has(point) ? "control" : invisible!.has(point) ? "invisible" : undefined;
    const isOther = /[/\\:]|\p{Cs}/u.test(character);
    if (!isOther && (expected === undefined ? fault !== undefined : !fault?.includes(expected)))
      differing.push(point.toString(16));
  }
  expect(differing).toEqual([]);
});

test("the invisible characters of this version of Unicode are in the list", () => {
  const [control, invisible] = documentedCodePoints();
  const missing: string[] = [];
  for (let point = 0; point <= 0x10_ffff; point++) {
    const character = String.fromCodePoint(point);
    if (/\p{Cf}/u.test(character) && !invisible!.has(point)) missing.push(point.toString(16));
    if (/[\p{Cc}\p{Zl}\p{Zp}]/u.test(character) !== control!.has(point)) missing.push(point.toString(16));
  }
  expect(missing).toEqual([]);
  expect(readme).toContain(`category Cf in Unicode ${Number.parseInt(process.versions.unicode!, 10)}`);
});

test("the device names are those of the code", () => {
  const sentence = readme.slice(readme.indexOf("is the name of a Windows device")).split(";", 1)[0]!;
  const quoted = [...sentence.matchAll(/`([^`]+)`/g)].map((match) => match[1]!);
  const words = quoted.filter((word) => /^(?:con|prn|aux|nul|conin\$|conout\$)$/.test(word));
  const digits = quoted.find((word) => word.startsWith("0 1"))!.split(" ");
  const devices = new Set([...words, ...["com", "lpt"].flatMap((port) => digits.map((digit) => `${port}${digit}`))]);
  expect(devices.size).toBe(6 + 2 * 13);
  for (const device of devices)
    for (const name of [device, device.toUpperCase(), `${device}.txt`, `${device}  .txt`])
      expect([name, fileNameFault(name)]).toEqual([name, "a name cannot be that of a Windows device"]);
  for (const name of ["com", "lpt", "com10", "comx", "com⁴", "nulx", "con txt", "con\u00a0.txt", "conin"])
    expect([name, fileNameFault(name)]).toEqual([name, undefined]);
});

test("R2: the names that are equal except for case are those of the table", () => {
  const table = rows.filter((cells) => cells.length === 3 && /^(?:yes|no)$/.test(cells[2]!));
  expect(table.length).toBeGreaterThan(5);
  for (const [one, other, equal] of table) {
    const [a, b] = [one!, other!].map((cell) => foldFileName(v.parse(FileNameSchema, cell.slice(1, -1))));
    expect([one, other, a === b ? "yes" : "no"]).toEqual([one, other, equal]);
  }
});
