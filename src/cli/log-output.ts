/**
 * Writes the log of a role, an entry a line. LogTape compares the levels and formats the entries. Its loggers are not
 * used: they are configured for the whole process, and one process may run several roles, each with a log of its own.
 */
import { compareLogLevel, getTextFormatter, type LogRecord, type TextFormatter } from "@logtape/logtape";
import { type Log, type LogLevel, messageOf, textOf } from "../core/log.ts";
import { printable, printableJson } from "./format.ts";
import type { Sink } from "./io.ts";
import type { LogFormat, LogSettings } from "./settings.ts";

/** What LogTape calls our levels. */
const tapeLevels = { debug: "debug", info: "info", warn: "warning", error: "error" } as const;

interface Rendering {
  readonly messageOf: typeof messageOf;
  readonly format: TextFormatter;
}

const common = {
  level: (level: LogRecord["level"]) => (level === "warning" ? "warn" : level),
  // `printable` and `printableJson` escape more: bidi characters, for example.
  sanitize: false,
} as const;

const renderings: Readonly<Record<LogFormat, Rendering>> = {
  text: {
    messageOf: textOf,
    format: getTextFormatter({
      ...common,
      timestamp: "none",
      format: ({ level, message }) => `${level}: ${printable(message)}`,
    }),
  },
  json: {
    messageOf,
    format: getTextFormatter({
      ...common,
      timestamp: "rfc3339",
      format: ({ timestamp, level, category, message, record }) => {
        const own = { time: timestamp, level, role: category, message };
        // They come first, and no field replaces one.
        return printableJson({ ...own, ...record.properties, ...own });
      },
    }),
  },
};

export class LogOutput {
  /** Where the lines go from now on. */
  sink: Sink;
  readonly #category: readonly [role: string];
  readonly #lowest: LogLevel;
  readonly #rendering: Rendering;

  constructor(role: "tracker" | "peer", { level, format }: LogSettings, sink: Sink) {
    this.#category = [role];
    this.#lowest = level;
    this.#rendering = renderings[format];
    this.sink = sink;
  }

  readonly log: Log = (level, message, fields) => {
    if (compareLogLevel(tapeLevels[level], tapeLevels[this.#lowest]) < 0) return;
    const record: LogRecord = {
      category: this.#category,
      level: tapeLevels[level],
      message: [this.#rendering.messageOf(message, fields)],
      rawMessage: message,
      timestamp: Date.now(),
      properties: fields,
    };
    this.sink.write(this.#rendering.format(record));
  };
}
