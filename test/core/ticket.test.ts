/** Tickets survive any legal name, and nothing else passes for one. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import * as v from "valibot";
import { P2pfsError } from "../../src/core/errors.ts";
import { FileNameSchema, fileNameFault } from "../../src/core/file-name.ts";
import { ContentIdSchema } from "../../src/core/manifest.ts";
import { formatTicket, looksLikeTicket, parseTicket } from "../../src/core/ticket.ts";
import { expectError } from "../support/errors.ts";

const contentId = v.parse(ContentIdSchema, "0123456789abcdef".repeat(4));
const fileName = (name: string) => v.parse(FileNameSchema, name);

describe("a ticket", () => {
  test("has the form of the contract, with the name percent-encoded", () => {
    const ticket = { tracker: { host: "tracker.example", port: 7700 }, fname: fileName("été 1?#&%.bin"), contentId };
    expect(formatTicket(ticket)).toBe(`p2pfs://tracker.example:7700/%C3%A9t%C3%A9%201%3F%23%26%25.bin?id=${contentId}`);
    expect(parseTicket(formatTicket(ticket))).toEqual(ticket);
  });

  test("has no character that a shell expands, except its question mark", () => {
    const text = formatTicket({ tracker: { host: "h", port: 1 }, fname: fileName("it's (1)! $x*.txt"), contentId });
    expect(text).toBe(`p2pfs://h:1/it%27s%20%281%29%21%20%24x%2A.txt?id=${contentId}`);
  });

  test("keeps an IPv6 tracker in brackets", () => {
    const ticket = { tracker: { host: "fe80::1", port: 1 }, fname: fileName("a"), contentId };
    expect(formatTicket(ticket)).toBe(`p2pfs://[fe80::1]:1/a?id=${contentId}`);
    expect(parseTicket(formatTicket(ticket))).toEqual(ticket);
  });

  test("of every valid name is parsed to the same", () => {
    fc.assert(
      fc.property(
        fc
          .string({ unit: "grapheme", minLength: 1, maxLength: 40 })
          .filter((name) => fileNameFault(name) === undefined),
        (name) => {
          const ticket = { tracker: { host: "10.0.0.7", port: 65_535 }, fname: fileName(name), contentId };
          expect(parseTicket(formatTicket(ticket))).toEqual(ticket);
        },
      ),
    );
  });

  test("is parsed with upper-case scheme and digits, as mail programs and people write them", () => {
    const parsed = parseTicket(`P2PFS://localhost:7700/a?id=${contentId.toUpperCase()}`);
    expect(parsed.contentId).toBe(contentId);
    expect(looksLikeTicket("P2PFS://x")).toBe(true);
    expect(looksLikeTicket("p2pfs.txt")).toBe(false);
  });

  test.each([
    ["no id", "p2pfs://localhost:7700/a"],
    ["a short id", "p2pfs://localhost:7700/a?id=0123"],
    ["no port", `p2pfs://localhost/a?id=${contentId}`],
    ["port 0", `p2pfs://localhost:0/a?id=${contentId}`],
    ["port 65536", `p2pfs://localhost:65536/a?id=${contentId}`],
    ["no name", `p2pfs://localhost:7700/?id=${contentId}`],
    ["a name that climbs out", `p2pfs://localhost:7700/..%2Fa?id=${contentId}`],
    ["a name that is a path", `p2pfs://localhost:7700/a/b?id=${contentId}`],
    ["a name in broken percent-encoding", `p2pfs://localhost:7700/%C3?id=${contentId}`],
    ["another scheme", `http://localhost:7700/a?id=${contentId}`],
    ["more parameters", `p2pfs://localhost:7700/a?id=${contentId}&x=1`],
  ])("with %s is refused as usage", (_case, text) => {
    expect(() => parseTicket(text)).toThrow(P2pfsError);
    expectError("usage", () => parseTicket(text));
  });
});
