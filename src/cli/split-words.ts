/** Splits a line into words as a shell would: blanks between, quotes around, a backslash before. */
import { P2pfsError } from "../core/errors.ts";

export function splitWords(line: string): string[] {
  const { words, word, quote } = scan(line);
  if (quote !== undefined) throw new P2pfsError("usage", `a quote ${quote} is not closed`);
  return word === undefined ? words : [...words, word];
}

/** A line that is still being typed. */
export interface UnfinishedLine {
  /** Those before the last one. */
  readonly words: readonly string[];
  /** The last word as it is meant so far, and as it is typed; both empty after a blank. */
  readonly partial: string;
  readonly typed: string;
  /** The text that goes on with the last word, in its quotes; `isWhole` also ends it, with a blank. */
  goOn(rest: string, isWhole: boolean): string;
}

export function unfinishedLine(line: string): UnfinishedLine {
  const { words, word = "", quote, start } = scan(line);
  return {
    words,
    partial: word,
    typed: line.slice(start),
    goOn: (rest, isWhole) => quoted(rest, quote) + (isWhole ? `${quote ?? ""} ` : ""),
  };
}

interface Scan {
  readonly words: string[];
  /** The word that the line ends within; undefined after a blank. */
  readonly word: string | undefined;
  /** The quote that is open at the end. */
  readonly quote: string | undefined;
  /** Where `word` begins in the line. */
  readonly start: number;
}

function scan(line: string): Scan {
  const words: string[] = [];
  let word: string | undefined;
  let quote: string | undefined;
  let start = line.length;
  for (let i = 0; i < line.length; i++) {
    const sign = line[i]!;
    if (quote === undefined && /\s/.test(sign)) {
      if (word !== undefined) words.push(word);
      word = undefined;
      continue;
    }
    if (word === undefined) start = i;
    word ??= "";
    if (quote !== undefined) {
      if (sign === quote) quote = undefined;
      else if (sign === "\\" && quote === '"' && /["\\]/.test(line[i + 1] ?? "")) word += line[++i]!;
      else word += sign;
    } else if (sign === '"' || sign === "'") {
      quote = sign;
    } else {
      word += sign === "\\" && i + 1 < line.length ? line[++i]! : sign;
    }
  }
  return { words, word, quote, start: word === undefined ? line.length : start };
}

/** The text as it means itself within that quote, or outside of any. */
function quoted(text: string, quote: string | undefined): string {
  if (quote === '"') return text.replace(/["\\]/g, "\\$&");
  // Nothing is special there but its end, which is left, escaped and entered again.
  if (quote === "'") return text.replaceAll("'", "'\\''");
  return text.replace(/[\s"'\\]/g, "\\$&");
}
