/**
 * Follows a list from page to page. The side that sends the pages may be faulty or hostile, so that the list never ends:
 * a walk recognises that and bounds the list as a whole. Each single page has the deadline of its request.
 */
import { P2pfsError } from "./errors.ts";
import { MINUTE_MS, MiB } from "./units.ts";

export const WALK_ROWS_MAX = 1_000_000;
/** With the longest rows a page has about twenty. */
export const WALK_PAGES_MAX = 10_000;
/** Length of all texts of all rows, in UTF-16 units, which bounds the memory. */
export const WALK_CHARACTERS_MAX = 512 * MiB;
export const WALK_MS_MAX = 2 * MINUTE_MS;

interface ListPage {
  readonly rows: readonly object[];
  /** The cursor of the following page, null after the last. */
  readonly next: string | null;
}

export class PageWalk {
  readonly #endMs: number;
  readonly #cursors = new Set<string>();
  #rows = 0;
  #characters = 0;

  /** @param now on the same clock as that of `after` */
  constructor(now: number) {
    this.#endMs = now + WALK_MS_MAX;
  }

  /** The cursor of the next page, null after the last. Throws `protocol` if the list does not end. */
  after({ rows, next }: ListPage, now: number): string | null {
    this.#rows += rows.length;
    for (const row of rows) this.#characters += charactersOf(row);
    if (next === null) return null;
    if (rows.length === 0) throw endless("an empty page says that another follows");
    if (this.#cursors.has(next)) throw endless("a page leads back to an earlier one");
    this.#cursors.add(next);
    if (this.#rows >= WALK_ROWS_MAX) throw endless(`more than ${WALK_ROWS_MAX} rows`);
    if (this.#cursors.size >= WALK_PAGES_MAX) throw endless(`more than ${WALK_PAGES_MAX} pages`);
    if (this.#characters > WALK_CHARACTERS_MAX) throw endless(`more than ${WALK_CHARACTERS_MAX} characters`);
    if (now > this.#endMs) throw endless(`not complete after ${WALK_MS_MAX} ms`);
    return next;
  }
}

function charactersOf(row: object): number {
  let characters = 0;
  for (const value of Object.values(row)) if (typeof value === "string") characters += value.length;
  return characters;
}

function endless(why: string): P2pfsError {
  return new P2pfsError("protocol", `the list does not come to an end: ${why}`, {
    hint: "the tracker is faulty or hostile; ask for less, such as the files of one peer, or use another tracker",
  });
}
