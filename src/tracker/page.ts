/** A page being filled: it is full at LIST_PAGE_MAX rows or PAGE_BYTES_MAX bytes, and takes one row of any size. */
import { LIST_PAGE_MAX } from "../core/limits.ts";
import { PAGE_BYTES_MAX } from "./registry.ts";

/** Names of fields, numbers and punctuation of a row, roughly, in either encoding. */
const ROW_FIXED_BYTES = 200;

export class PageBuilder<Row> {
  readonly rows: Row[] = [];
  #bytes = 0;

  /** Adds a row whose texts are these; false where the page has no room for it. */
  add(row: Row, ...texts: readonly string[]): boolean {
    const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), ROW_FIXED_BYTES);
    const full = this.rows.length >= LIST_PAGE_MAX || this.#bytes + bytes > PAGE_BYTES_MAX;
    if (full && this.rows.length > 0) return false;
    this.rows.push(row);
    this.#bytes += bytes;
    return true;
  }
}
