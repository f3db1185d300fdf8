/** Addresses: one spelling for each, whatever comes in. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import * as v from "valibot";
import {
  AddressSchema,
  canonicalIp,
  formatHostPort,
  hostOf,
  isIp,
  isLoopback,
  isWildcard,
  makeAddress,
  PortSchema,
  parseHostPort,
  portOf,
  sourceOf,
} from "../../src/core/address.ts";
import { address, numRuns } from "./arbitraries.ts";

describe("an address", () => {
  test("is split into host and port, and made of them again", () => {
    fc.assert(
      fc.property(address, (text) => {
        expect(v.parse(AddressSchema, text)).toBe(text);
        expect(makeAddress(hostOf(text), portOf(text))).toBe(text);
        expect(formatHostPort(parseHostPort(text)!)).toBe(text);
      }),
      { numRuns },
    );
  });

  test.each([
    ["10.0.0.7:7700", "10.0.0.7", 7700],
    ["[::1]:1", "::1", 1],
    ["[fe80::1]:65535", "fe80::1", 65_535],
  ])("%s is %s and %d", (text, host, port) => {
    const parsed = v.parse(AddressSchema, text);
    expect([hostOf(parsed), portOf(parsed)]).toEqual([host, port]);
  });

  test.each([
    "",
    "10.0.0.7",
    "10.0.0.7:",
    ":80",
    "10.0.0.7:0",
    "10.0.0.7:65536",
    "10.0.0.7:-1",
    "10.0.0.7:8o",
    "10.0.0.7:80 ",
    " 10.0.0.7:80",
    "10.0.0.256:80",
    "10.0.7:80",
    "example.org:80",
    "localhost:80",
    "::1:80",
    "[::1]",
    "[::1]:",
    "[10.0.0.7]:x",
    "[::g]:80",
    "[]:80",
    "10.0.0.7:80:80",
    "10.0.0.7:800000",
    "10.0.0.7:080",
    "010.0.0.7:80",
    "[FE80::1]:80",
    "[fe80:0::1]:80",
    "[0:0:0:0:0:0:0:1]:80",
    "[::ffff:10.0.0.7]:80",
    "[fe80::1%eth0]:80",
    `${"1".repeat(100)}:80`,
  ])("is not %j", (text) => {
    expect(v.is(AddressSchema, text)).toBe(false);
  });

  test.each([
    ["::ffff:10.0.0.7", "10.0.0.7:80"],
    ["::FFFF:10.0.0.7", "10.0.0.7:80"],
    ["::ffff:a00:7", "10.0.0.7:80"],
    ["0:0:0:0:0:ffff:10.0.0.7", "10.0.0.7:80"],
    ["FE80::1", "[fe80::1]:80"],
    ["fe80:0:0:0:0:0:0:1", "[fe80::1]:80"],
    ["2001:0db8::0001", "[2001:db8::1]:80"],
    ["fe80::1%eth0", "[fe80::1]:80"],
    ["[::1]", "[::1]:80"],
  ])("made from %s is %s", (ip, made) => {
    expect(makeAddress(ip, 80)).toBe(made as never);
  });

  test.each([0, -1, 65_536, 1.5, Number.NaN])("cannot have port %d", (port) => {
    expect(() => makeAddress("10.0.0.7", port)).toThrow();
  });
});

describe("a host and port as typed", () => {
  test.each([
    ["localhost:7700", { host: "localhost", port: 7700 }],
    ["my-host.example.org:0", { host: "my-host.example.org", port: 0 }],
    ["[::1]:7700", { host: "::1", port: 7700 }],
    ["127.0.0.1:65535", { host: "127.0.0.1", port: 65_535 }],
  ])("%s is read", (text, parts) => {
    expect(parseHostPort(text)).toEqual(parts);
    expect(formatHostPort(parts)).toBe(text);
  });

  test.each(["", ":", "a", "a:", ":1", "a:65536", "a:1.5", "a b:1", "::1:80", "[::1:80", "a:b:1", "a:123456"])(
    "%j is refused",
    (text) => {
      expect(parseHostPort(text)).toBeUndefined();
    },
  );

  test("parsing never throws", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => void parseHostPort(text)),
      { numRuns },
    );
  });
});

test("loopback and wildcard hosts are recognised", () => {
  for (const host of ["127.0.0.1", "127.255.0.3", "::1", "localhost"]) expect(isLoopback(host)).toBe(true);
  for (const host of ["128.0.0.1", "10.0.0.1", "::2", "0.0.0.0", "127.evil.example", "1.127.0.0.1"])
    expect(isLoopback(host)).toBe(false);
  for (const host of ["0.0.0.0", "::"]) expect(isWildcard(host)).toBe(true);
  expect(isWildcard("127.0.0.1")).toBe(false);
});

test("an IP is distinguished from a host name", () => {
  for (const ip of ["10.0.0.1", "::1", "fe80::1"]) expect(isIp(ip)).toBe(true);
  for (const name of ["localhost", "", "10.0.0", "1.2.3.4.5", "a:b"]) expect(isIp(name)).toBe(false);
  expect(canonicalIp("::ffff:1.2.3.4")).toBe("1.2.3.4");
});

test("ports are whole numbers of 16 bits", () => {
  for (const port of [0, 1, 65_535]) expect(v.is(PortSchema, port)).toBe(true);
  for (const port of [-1, 65_536, 0.5, "80", Number.NaN]) expect(v.is(PortSchema, port)).toBe(false);
});

test("whatever one machine can have as its addresses is one source", () => {
  expect(sourceOf("10.0.0.7")).toBe("10.0.0.7");
  for (const ip of ["2001:db8:1:2::", "2001:db8:1:2::7", "2001:db8:1:2:3:4:5:6"])
    expect(sourceOf(ip)).toBe("2001:db8:1:2");
  expect(sourceOf("2001:db8:1::2:3:4:5")).toBe("2001:db8:1:0");
  expect(sourceOf("2001:db8::1")).toBe("2001:db8:0:0");
  expect(sourceOf("::1")).toBe("0:0:0:0");
});
