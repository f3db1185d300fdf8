/** What the log of a role looks like, as text and as JSON: one line an entry, whatever somebody has put into it. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { LogOutput } from "../../src/cli/log-output.ts";
import { type LogFormat, type LogSettings, logFormats } from "../../src/cli/settings.ts";
import { reportableError } from "../../src/core/defects.ts";
import { type Log, type LogLevel, logLevels, messageOf } from "../../src/core/log.ts";
import { memorySink } from "./memory-io.ts";

/** The lines that are written while the log is used. */
function linesOf(settings: LogSettings, use: (log: Log) => void): string[] {
  const sink = memorySink();
  use(new LogOutput("peer", settings, sink).log);
  expect(sink.text).toMatch(/^(?:.*\n)*$/);
  return sink.text.split("\n").slice(0, -1);
}

const lineOf = (format: LogFormat, use: (log: Log) => void): string => {
  const lines = linesOf({ level: "debug", format }, use);
  expect(lines).toHaveLength(1);
  return lines[0]!;
};

/** A line break, controls in and above ASCII, a bidi override, a line separator, half a surrogate pair. */
const strange = 'a\n"b"\u001b[2J\u009b\u202e\u2028\ud800{path}';
const misleading = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u;

test("text is the level and the message with its fields, and strange text is escaped", () => {
  expect(
    lineOf("text", (log) => log("warn", "{path} is gone: {reason}", { path: strange, reason: "no idea", id: "1" })),
  ).toBe('warn: a\\u{a}"b"\\u{1b}[2J\\u{9b}\\u{202e}\\u{2028}\\u{d800}{path} is gone: no idea');
});

test("JSON has time, level, role and message first, then the fields as they are", () => {
  const before = Date.now();
  const line = lineOf("json", (log) => log("warn", "{path} is gone", { path: strange, chunks: 3, inbound: false }));
  expect(line).not.toMatch(misleading);
  const { time, ...entry } = JSON.parse(line);
  expect(entry).toEqual({
    level: "warn",
    role: "peer",
    message: `${strange} is gone`,
    path: strange,
    chunks: 3,
    inbound: false,
  });
  expect(time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  expect(Date.parse(time)).toBeWithin(before, Date.now() + 1);
  expect(Object.keys(JSON.parse(line)).slice(0, 4)).toEqual(["time", "level", "role", "message"]);
});

test("no field takes the place of time, level, role or message", () => {
  const line = lineOf("json", (log) =>
    log("info", "{role} here", { time: "never", level: 7, role: "x", message: "y" }),
  );
  expect(JSON.parse(line)).toEqual({
    time: expect.stringMatching(/^\d{4}-/),
    level: "info",
    role: "peer",
    message: "x here",
  });
});

test("every line of JSON is an entry with nothing lost, and harmless on a terminal", () => {
  const text = fc.array(fc.integer({ min: 0, max: 0xffff })).map((units) => String.fromCharCode(...units));
  const value = fc.oneof(text, fc.boolean(), fc.double({ noNaN: true, noDefaultInfinity: true }));
  fc.assert(
    fc.property(
      fc.constantFrom(...logLevels),
      text,
      fc.array(fc.tuple(fc.oneof(text, fc.constantFrom("time", "level", "role", "message", "__proto__")), value)),
      (level, message, pairs) => {
        const fields = Object.fromEntries(pairs);
        const line = lineOf("json", (log) => log(level, message, fields));
        expect(line).not.toMatch(misleading);
        const parsed = JSON.parse(line);
        const own = { time: parsed.time, level, role: "peer", message: messageOf(message, fields) };
        // JSON has one zero.
        const given = pairs.map(([name, given]) => [name, given === 0 ? 0 : given] as const);
        expect(new Map(Object.entries(parsed))).toEqual(new Map([...given, ...Object.entries(own)]));
      },
    ),
    { numRuns: 300 },
  );
});

test.each([
  ["debug", ["debug", "info", "warn", "error"]],
  ["info", ["info", "warn", "error"]],
  ["warn", ["warn", "error"]],
  ["error", ["error"]],
] as [LogLevel, string[]][])("from %s on these are written: %j", (level, written) => {
  for (const format of logFormats) {
    const lines = linesOf({ level, format }, (log) => {
      for (const each of logLevels) log(each, "x", {});
    });
    expect(lines.map((line) => (format === "json" ? JSON.parse(line).level : line.split(":")[0]))).toEqual(written);
  }
});

test("a defect is one line of text with its stack, and in JSON a field that keeps the lines", () => {
  const defect = new TypeError("x is no function");
  const report = (log: Log) => void reportableError(defect, "REQUEST_PUBLISH", log);
  const text = lineOf("text", report);
  const reference = /^error: defect ([0-9a-f]{6}) during REQUEST_PUBLISH: TypeError: x is no function at /.exec(
    text,
  )?.[1];
  expect(JSON.parse(lineOf("json", report))).toMatchObject({
    level: "error",
    message: `defect ${reference} during REQUEST_PUBLISH`,
    reference: reference!,
    during: "REQUEST_PUBLISH",
    stack: defect.stack!,
  });
  expect(defect.stack).toContain("\n");
});

test("lines go to the sink that is there at the moment", () => {
  const [first, second] = [memorySink(), memorySink()];
  const output = new LogOutput("tracker", { level: "info", format: "text" }, first);
  output.log("info", "one", {});
  output.sink = second;
  output.log("info", "two", {});
  expect([first.text, second.text]).toEqual(["info: one\n", "info: two\n"]);
});
