/** Results for scripts: one JSON value, or one a line, on standard output. */
import { errorBody, type P2pfsError } from "../core/errors.ts";
import { printableJson } from "./format.ts";
import type { Sink } from "./io.ts";

export function writeJson(sink: Sink, value: unknown): void {
  sink.write(`${printableJson(value)}\n`);
}

/** One array, a row a line, so that it reads well in a terminal and in a diff too. */
export function writeJsonArray(sink: Sink, rows: readonly unknown[]): void {
  sink.write(rows.length === 0 ? "[]\n" : `[${rows.map(printableJson).join(",\n ")}]\n`);
}

export function writeJsonFailure(sink: Sink, failure: P2pfsError): void {
  writeJson(sink, errorBody(failure));
}
