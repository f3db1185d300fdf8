/** Entries of the log as text: fields in their places, a stack in one line. */
import { expect, test } from "bun:test";
import { type Log, messageOf, textOf } from "../../src/core/log.ts";

test("a message has its fields in their places, and others are left out", () => {
  const fields = { tracker: "127.0.0.1:7700", connections_max: 64, is_open: true };
  expect(messageOf("joined {tracker}, {connections_max} {is_open}", fields)).toBe("joined 127.0.0.1:7700, 64 true");
  expect(messageOf("nothing to say", fields)).toBe("nothing to say");
});

test("a field is not read as a message, whatever somebody has put into it", () => {
  expect(messageOf("{fname} is {state}", { fname: "{state} $& {fname}", state: "done" })).toBe(
    "{state} $& {fname} is done",
  );
  expect(messageOf("{toString} {fname}", { fname: "a" })).toBe("{toString} a");
});

test("a stack follows in the same line; other text keeps its line breaks", () => {
  expect(textOf("{path} is gone", { path: "a\nb" })).toBe("a\nb is gone");
  expect(textOf("defect during {during}", { during: "a test", stack: "Error: x\n    at a\n    at b\n" })).toBe(
    "defect during a test: Error: x at a at b ",
  );
});

test("a message that names a field which is not given does not compile", () => {
  const log: Log = () => undefined;
  log("info", "{tracker} and {address}", { tracker: "a", address: "b", more: 1 });
  // @ts-expect-error
  log("info", "{tracker} and {address}", { tracker: "a" });
  // @ts-expect-error
  log("info", "{tracker}", { tracker: { host: "a" } });
  // @ts-expect-error
  log("notice", "a level that there is not", {});
});
