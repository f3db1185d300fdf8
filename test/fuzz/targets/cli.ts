/** What people and scripts type: lines of the shell, and values of flags and of environment variables. */
import {
  hostAndMaybePort,
  parseCount,
  parseDuration,
  parseHostAndPort,
  parsePort,
  parseRemote,
  parseSwitch,
} from "../../../src/cli/settings.ts";
import { splitLine, unfinishedLine } from "../../../src/cli/split-line.ts";
import { assert, assertEqual, decode, encode, reading, type Target } from "../target.ts";

const line: Target = {
  name: "command line",
  inputs: () => ['fetch \'a b\' "c\\"d" e\\ f', "publish ~/x --json", "'", '"\\', "a\\", "  "].map(encode),
  run(input) {
    const text = decode(input);
    const { value, outcome } = reading(["usage"], () => splitLine(text));
    const { args, partial, typed, continueWith } = unfinishedLine(text);
    assert(text.endsWith(typed), "what was typed last is not the end of the line");
    if (value !== undefined && partial !== "")
      assertEqual([...args, partial], value, "an unfinished line has other words");
    // A backslash at the very end escapes what is typed next.
    if (!text.endsWith("\\")) {
      const rest = ` x'"\\`;
      const whole = splitLine(text + continueWith(rest, true));
      assertEqual(whole, [...args, `${partial}${rest}`], "a completion is read as something else");
    }
    return value === undefined ? outcome : `${Math.min(value.length, 4)} words`;
  },
};

const parsers: Readonly<Record<string, (text: string) => unknown>> = {
  duration: (text) => inBounds(parseDuration(text)),
  count: (text) => inBounds(parseCount(text)),
  port: (text) => inBounds(parsePort(text)),
  switch: parseSwitch,
  "listening address": (text) => inBounds(parseHostAndPort(text).port),
  tracker: (text) => inBounds(parseRemote(text).port),
};

function inBounds(value: number): void {
  assert(Number.isSafeInteger(value) && value >= 0, `the number ${value}`);
}

const setting: Target = {
  name: "setting",
  inputs: () => ["500ms", "1.5h", "90d", "12", "0", "yes", "OFF", "[::1]:80", "host:1"].map(encode),
  run(input) {
    const text = decode(input);
    const taken = Object.entries(parsers).filter(([, parse]) => {
      try {
        parse(text);
        return true;
      } catch (thrown) {
        if (thrown instanceof SyntaxError) return false;
        throw thrown;
      }
    });
    const { host, port } = hostAndMaybePort(text, undefined);
    assert(typeof host === "string" && (port === undefined || port <= 65_535), "a peer is named by something else");
    return taken.map(([name]) => name).join(", ");
  },
};

export const cliTargets = [line, setting];
