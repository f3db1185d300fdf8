/** Tables for people: aligned columns without frames, headings dimmed on a terminal, cells safe to print. */
import Table from "cli-table3";
import { printable } from "./format.ts";
import type { Sink } from "./io.ts";

const BOLD = "\u001b[1m";
const DIM = "\u001b[2m";
const RESET = "\u001b[0m";

export interface Column<Row> {
  readonly heading: string;
  readonly align?: "left" | "right";
  readonly cell: (row: Row) => string;
}

const NO_FRAME = Object.fromEntries(
  [
    ...["top", "top-mid", "top-left", "top-right", "bottom", "bottom-mid", "bottom-left", "bottom-right"],
    ...["left", "left-mid", "mid", "mid-mid", "right", "right-mid"],
  ].map((part) => [part, ""]),
);
const STYLE = { head: [], border: [], "padding-left": 0, "padding-right": 0, compact: true };

export function writeTable<Row>(sink: Sink, columns: readonly Column<Row>[], rows: readonly Row[]): void {
  const table = new Table({
    head: columns.map(({ heading }) => (sink.usesColor ? `${DIM}${heading}${RESET}` : heading)),
    colAligns: columns.map(({ align }) => align ?? "left"),
    chars: { ...NO_FRAME, middle: "  " },
    style: STYLE,
  });
  for (const row of rows) table.push(columns.map(({ cell }) => printable(cell(row))));
  sink.write(`${withoutTrailingSpaces(table.toString())}\n`);
}

/** One `name  value` a line. */
export function writeFacts(sink: Sink, facts: readonly (readonly [name: string, value: string])[]): void {
  const table = new Table({ chars: { ...NO_FRAME, middle: "  " }, style: STYLE });
  for (const [name, value] of facts) table.push([sink.usesColor ? `${DIM}${name}${RESET}` : name, printable(value)]);
  sink.write(`${withoutTrailingSpaces(table.toString())}\n`);
}

export function bold(sink: Sink, text: string): string {
  return sink.usesColor ? `${BOLD}${text}${RESET}` : text;
}

function withoutTrailingSpaces(text: string): string {
  return text.replace(/ +$/gm, "");
}
