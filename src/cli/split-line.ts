/** Splits a line into arguments as a shell would, with quotes and backslashes. */
import { P2pfsError } from "../core/errors.ts";

export function splitLine(line: string): string[] {
  const { args, arg, quote } = scan(line);
  if (quote !== undefined) throw new P2pfsError("usage", `a quote ${quote} is not closed`);
  return arg === undefined ? args : [...args, arg];
}

/** A line that is still being typed. */
export interface UnfinishedLine {
  /** The complete arguments before the last one. */
  readonly args: readonly string[];
  /** The last argument without and with its quotes and backslashes; both empty after a blank. */
  readonly partial: string;
  readonly typed: string;
  /** Text to be typed after the last argument, quoted as that is; `isWhole` ends the argument with a blank. */
  continueWith(rest: string, isWhole: boolean): string;
}

export function unfinishedLine(line: string): UnfinishedLine {
  const { args, arg = "", quote, start } = scan(line);
  return {
    args,
    partial: arg,
    typed: line.slice(start),
    continueWith: (rest, isWhole) => quoted(rest, quote) + (isWhole ? `${quote ?? ""} ` : ""),
  };
}

interface Scan {
  readonly args: string[];
  /** The argument that the line ends within; undefined after a blank. */
  readonly arg: string | undefined;
  /** The quote that is open at the end. */
  readonly quote: string | undefined;
  /** Where `arg` begins in the line. */
  readonly start: number;
}

function scan(line: string): Scan {
  const args: string[] = [];
  let arg: string | undefined;
  let quote: string | undefined;
  let start = line.length;
  for (let i = 0; i < line.length; i++) {
    const sign = line[i]!;
    if (quote === undefined && /\s/.test(sign)) {
      if (arg !== undefined) args.push(arg);
      arg = undefined;
      continue;
    }
    if (arg === undefined) start = i;
    arg ??= "";
    if (quote !== undefined) {
      if (sign === quote) quote = undefined;
      else if (sign === "\\" && quote === '"' && /["\\]/.test(line[i + 1] ?? "")) arg += line[++i]!;
      else arg += sign;
    } else if (sign === '"' || sign === "'") {
      quote = sign;
    } else {
      arg += sign === "\\" && i + 1 < line.length ? line[++i]! : sign;
    }
  }
  return { args, arg, quote, start: arg === undefined ? line.length : start };
}

/** The text, escaped for a place within that quote, or outside of quotes. */
function quoted(text: string, quote: string | undefined): string {
  if (quote === '"') return text.replace(/["\\]/g, "\\$&");
  // Only the quote itself is special there: it ends the quoted part, stands escaped, and a new part begins.
  if (quote === "'") return text.replaceAll("'", "'\\''");
  return text.replace(/[\s"'\\]/g, "\\$&");
}
