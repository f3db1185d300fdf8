/** Writes lists, results and status, as JSON or as text. */
import { HOLDERS_COUNTED_MAX } from "../core/limits.ts";
import type { FileInfo } from "../core/model.ts";
import type { CliContext, CommonFlags } from "./context.ts";
import { wantsJson } from "./context.ts";
import { formatContentId, formatSize } from "./format.ts";
import { writeJson, writeJsonArray } from "./json.ts";
import type { Column } from "./table.ts";

export const fileColumns: readonly Column<FileInfo>[] = [
  { heading: "KEY", cell: ({ key }) => key },
  { heading: "FNAME", cell: ({ fname }) => fname },
  { heading: "SIZE", align: "right", cell: ({ size }) => formatSize(size) },
  { heading: "CHUNKS", align: "right", cell: ({ total_chunknum }) => String(total_chunknum) },
  { heading: "PATH", cell: ({ path }) => path },
  { heading: "ADDRESS", cell: ({ address }) => address },
  { heading: "CONTENT", cell: ({ content_id }) => formatContentId(content_id) },
  { heading: "HOLDERS", align: "right", cell: ({ holders }) => formatHolders(holders) },
];

/** The tracker stops counting at HOLDERS_COUNTED_MAX. */
function formatHolders(holders: number): string {
  return holders < HOLDERS_COUNTED_MAX ? String(holders) : `${HOLDERS_COUNTED_MAX}+`;
}

/** Writes a list as one JSON array, or as a table, or as the sentence `whenEmpty`. */
export async function writeList<Row>(
  context: CliContext,
  flags: CommonFlags,
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  whenEmpty: string,
): Promise<void> {
  const { stdout } = context.io;
  if (wantsJson(context.io.env, flags)) return writeJsonArray(stdout, rows);
  if (rows.length === 0) return stdout.write(`${whenEmpty}\n`);
  const { writeTable } = await import("./table.ts");
  writeTable(stdout, columns, rows);
}

/** Writes one object as JSON, or as a sentence. */
export function writeResult<Result>(
  context: CliContext,
  flags: CommonFlags,
  result: Result,
  sentence: (result: Result) => string,
): void {
  const { env, stdout } = context.io;
  if (wantsJson(env, flags)) writeJson(stdout, result);
  else stdout.write(`${sentence(result)}\n`);
}

/** Writes one object as JSON, or as lines of name and value. */
export async function writeStatus<Status>(
  context: CliContext,
  flags: CommonFlags,
  status: Status,
  facts: (status: Status) => readonly (readonly [string, string])[],
): Promise<void> {
  const { env, stdout } = context.io;
  if (wantsJson(env, flags)) return writeJson(stdout, status);
  const { writeFacts } = await import("./table.ts");
  writeFacts(stdout, facts(status));
}
