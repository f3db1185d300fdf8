/** Results for scripts, as JSON on standard output. */
import { errorBody, type P2pfsError } from "../core/errors.ts";
import { printableJson } from "./format.ts";
import type { Sink } from "./io.ts";

export function writeJson(sink: Sink, value: unknown): void {
  sink.write(`${printableJson(value)}\n`);
}

/** Writes one array with a row on each line, which is readable in a terminal and in a diff. */
export function writeJsonArray(sink: Sink, rows: readonly unknown[]): void {
  sink.write(rows.length === 0 ? "[]\n" : `[${rows.map(printableJson).join(",\n ")}]\n`);
}

export function writeJsonFailure(sink: Sink, failure: P2pfsError): void {
  writeJson(sink, errorBody(failure));
}
