/**
 * What was typed at the prompt before, over starts: a text file in the data folder, a command a line, the newest last.
 * It is a convenience, so that no trouble with it is told.
 */
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const FILE = "history";
export const HISTORY_LINES_MAX = 1000;
/** Longer ones, pasted by mistake, are not kept. */
const LINE_LENGTH_MAX = 4096;
/** For its owner alone, as everything in the data folder. */
const MODE = 0o600;

export class History {
  readonly #path: string;
  #last: string | undefined;

  constructor(dataFolder: string) {
    this.#path = join(dataFolder, FILE);
  }

  /** The newest first, as readline takes it. Cuts the file where it has outgrown its bound. */
  load(): string[] {
    const lines = this.#read();
    const kept = lines.slice(-HISTORY_LINES_MAX);
    if (kept.length < lines.length) unlessItFails(() => writeFileSync(this.#path, `${kept.join("\n")}\n`));
    this.#last = kept.at(-1);
    return kept.toReversed();
  }

  add(line: string): void {
    if (line.trim() === "" || line === this.#last || line.length > LINE_LENGTH_MAX) return;
    this.#last = line;
    unlessItFails(() => appendFileSync(this.#path, `${line}\n`, { mode: MODE }));
  }

  #read(): string[] {
    try {
      return readFileSync(this.#path, "utf8")
        .split("\n")
        .filter((line) => line !== "" && line.length <= LINE_LENGTH_MAX);
    } catch {
      return [];
    }
  }
}

function unlessItFails(write: () => void): void {
  try {
    write();
  } catch {
    // A full disk must not keep anybody from typing.
  }
}
