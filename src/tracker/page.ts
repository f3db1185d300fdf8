/** Builds one page of a list, of at most LIST_PAGE_MAX rows and PAGE_BYTES_MAX bytes. The first row may be larger. */
import { LIST_PAGE_MAX } from "../core/limits.ts";
import { PAGE_BYTES_MAX } from "./registry.ts";

/** Estimate for the field names, numbers and punctuation of a row, in JSON or MessagePack. */
const ROW_FIXED_BYTES = 200;

export class PageBuilder<Row> {
  readonly rows: Row[] = [];
  #bytes = 0;

  /** Adds a row, whose texts count towards the page's bytes; false where the page is full. */
  add(row: Row, ...texts: readonly string[]): boolean {
    const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), ROW_FIXED_BYTES);
    const full = this.rows.length >= LIST_PAGE_MAX || this.#bytes + bytes > PAGE_BYTES_MAX;
    if (full && this.rows.length > 0) return false;
    this.rows.push(row);
    this.#bytes += bytes;
    return true;
  }
}
