/** Splitting lines into arguments, names in either spelling, values of flags and of environment variables. */
import { describe, expect, test } from "bun:test";
import {
  hostAndMaybePort,
  hostAndPort,
  parseDuration,
  parseHostAndPort,
  parsePort,
  parseRemote,
  parseSwitch,
  settingOf,
} from "../../src/cli/settings.ts";
import { canonicalArguments } from "../../src/cli/spelling.ts";
import { splitLine, unfinishedLine } from "../../src/cli/split-line.ts";
import { expectError } from "../support/errors.ts";

describe("a line of the shell", () => {
  test.each([
    ["", []],
    ["  list_files  ", ["list_files"]],
    ["publish 'a b.txt' \"c 'd'.txt\"", ["publish", "a b.txt", "c 'd'.txt"]],
    ["publish a\\ b.txt", ["publish", "a b.txt"]],
    ['fetch "say \\"hi\\" \\n"', ["fetch", 'say "hi" \\n']],
    ["fetch 'a\\b'", ["fetch", "a\\b"]],
    ["fetch a''b \"\"", ["fetch", "ab", ""]],
    ["tab\tseparated", ["tab", "separated"]],
    ["ends with \\", ["ends", "with", "\\"]],
  ])("%j is split as in a shell", (line, args) => {
    expect(splitLine(line)).toEqual(args);
  });

  test("with an open quote is refused", () => {
    expectError("usage", () => splitLine("publish 'a b"));
  });
});

describe("a line that is being typed", () => {
  test.each([
    ["fet", [], "fet", "ch", "fetch "],
    ["fetch ", ["fetch"], "", "a b.txt", "fetch a\\ b.txt "],
    ["fetch a\\ b", ["fetch"], "a b", ".txt", "fetch a\\ b.txt "],
    ["fetch 'a b", ["fetch"], "a b", " c.txt", "fetch 'a b c.txt' "],
    ["fetch 'a", ["fetch"], "a", "'s", "fetch 'a'\\''s' "],
    ['fetch "a', ["fetch"], "a", '"\\', 'fetch "a\\"\\\\" '],
    ["fetch 'a b' c", ["fetch", "a b"], "c", "d", "fetch 'a b' cd "],
  ])("%j is completed with the proposal, in its own quotes", (line, args, partial, rest, whole) => {
    const unfinished = unfinishedLine(line);
    expect(unfinished).toMatchObject({ args, partial });
    const completed =
      line.slice(0, line.length - unfinished.typed.length) + unfinished.typed + unfinished.continueWith(rest, true);
    expect(completed).toBe(whole);
    expect(splitLine(completed)).toEqual([...args, partial + rest]);
  });
});

describe("names of commands and flags", () => {
  test("take - and _ alike, up to --", () => {
    const args = ["peer", "list_files", "--seed_for=a_b", "my_file", "--", "--not_a_flag"];
    expect(canonicalArguments(args, 2)).toEqual([
      "peer",
      "list-files",
      "--seed-for=a_b",
      "my_file",
      "--",
      "--not_a_flag",
    ]);
  });

  test("take them in the place of a command as well, which `p2pfs tracker` can do without", () => {
    expect(canonicalArguments(["tracker", "--log_level=a_b", "a_b"], 2)).toEqual(["tracker", "--log-level=a_b", "a_b"]);
  });

  test("leave arguments unchanged that look like a command", () => {
    expect(canonicalArguments(["fetch", "list_files"], 1)).toEqual(["fetch", "list_files"]);
  });
});

describe("values", () => {
  test("durations have a unit, or mean seconds", () => {
    expect(["500ms", "30s", "1.5m", "2h", "1d", "7"].map(parseDuration)).toEqual([
      500, 30_000, 90_000, 7_200_000, 86_400_000, 7000,
    ]);
    for (const text of ["", "1w", "-1s", "s", "1 s", "3651d", "9".repeat(400)])
      expect(() => parseDuration(text)).toThrow("duration");
  });

  test("ports are whole numbers up to 65535", () => {
    expect(["0", "65535"].map(parsePort)).toEqual([0, 65_535]);
    for (const text of ["", "65536", "-1", "1.5", "0x10", "1e3", "abc"]) expect(() => parsePort(text)).toThrow("port");
  });

  test("addresses have a host and a port", () => {
    expect(parseHostAndPort("[::1]:7700")).toEqual({ host: "::1", port: 7700 });
    for (const text of ["localhost", ":1", "::1:1", "a b:1"]) expect(() => parseHostAndPort(text)).toThrow("HOST:PORT");
    expect(() => parseRemote("localhost:0")).toThrow("port 0");
  });

  test("HOST PORT may be one argument HOST:PORT, as in the lists", () => {
    expect(hostAndPort("127.0.0.1", 7700)).toEqual({ host: "127.0.0.1", port: 7700 });
    expect(hostAndPort("127.0.0.1:7700", undefined)).toEqual({ host: "127.0.0.1", port: 7700 });
    expect(hostAndMaybePort("[::1]:7700", undefined)).toEqual({ host: "::1", port: 7700 });
    expect(hostAndMaybePort("laptop", undefined)).toEqual({ host: "laptop" });
    expectError("usage", () => hostAndPort("laptop", undefined));
  });

  test("a flag wins over its environment variable, which is parsed as strictly", () => {
    const env = { P2PFS_LISTEN: "10.0.0.1:1", P2PFS_OPEN: "maybe", P2PFS_FILES: "" };
    expect(settingOf(env, "P2PFS_LISTEN", undefined, parseHostAndPort)).toEqual({ host: "10.0.0.1", port: 1 });
    expect(settingOf(env, "P2PFS_LISTEN", { host: "a", port: 2 }, parseHostAndPort)).toEqual({ host: "a", port: 2 });
    expect(settingOf(env, "P2PFS_FILES", undefined, parseHostAndPort)).toBeUndefined();
    expectError("usage", () => settingOf(env, "P2PFS_OPEN", undefined, parseSwitch), "P2PFS_OPEN");
  });
});
