/**
 * The history of the prompt, kept in the data folder: a text file with one command per line, the newest last. It is a
 * convenience, so errors are not reported.
 */
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const FILE = "history";
export const HISTORY_LINES_MAX = 1000;
/** Longer lines are taken for pasted by mistake and not kept. */
const LINE_LENGTH_MAX = 4096;
/** Only the owner may read it, as everything in the data folder. */
const MODE = 0o600;

export class History {
  readonly #path: string;
  #last: string | undefined;

  constructor(dataFolder: string) {
    this.#path = join(dataFolder, FILE);
  }

  /** The lines, newest first, as readline wants them. Shortens a file that is too long. */
  load(): string[] {
    const lines = this.#read();
    const kept = lines.slice(-HISTORY_LINES_MAX);
    if (kept.length < lines.length) ignoringErrors(() => writeFileSync(this.#path, `${kept.join("\n")}\n`));
    this.#last = kept.at(-1);
    return kept.toReversed();
  }

  add(line: string): void {
    if (line.trim() === "" || line === this.#last || line.length > LINE_LENGTH_MAX) return;
    this.#last = line;
    ignoringErrors(() => appendFileSync(this.#path, `${line}\n`, { mode: MODE }));
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

function ignoringErrors(write: () => void): void {
  try {
    write();
  } catch {
    // The prompt must work on a full disk too.
  }
}
