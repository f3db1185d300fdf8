/**
 * A table with search, sort and pages. Only the rows of one page are in the document, and the searched text of each row is
 * prepared once, so that a hundred thousand rows are as quick to use as ten.
 */
import type { Child } from "hono/jsx";
import { useId, useMemo } from "hono/jsx/dom";
import { useState } from "../view-state.ts";
import { Icon } from "./icons.tsx";

const PAGE_ROWS = 50;

export interface Column<Row> {
  readonly heading: string;
  readonly cell: (row: Row) => Child;
  /** The value to sort by; without it the column cannot be sorted. */
  readonly sortBy?: (row: Row) => string | number;
  readonly align?: "end";
  /** Classes of its cells. */
  readonly class?: string;
}

export interface TableProps<Row extends object> {
  readonly caption: string;
  readonly rows: readonly Row[];
  /** Changes when the rows change, also if the array is changed in place. */
  readonly version: number;
  readonly columns: readonly Column<Row>[];
  readonly keyOf: (row: Row) => string;
  /** The text that is searched; without it there is no search. */
  readonly textOf?: (row: Row) => string;
  readonly searchLabel?: string;
  readonly empty: Child;
  /** Shown in place of the rows if there are none; search and tools stay. */
  readonly instead?: Child;
  readonly tools?: Child;
}

interface Sorting {
  readonly column: number;
  readonly down: boolean;
}

export function DataTable<Row extends object>(props: TableProps<Row>) {
  const { caption, rows, version, columns, keyOf, textOf, searchLabel = "Search", empty, instead, tools } = props;
  const [query, setQuery] = useState("");
  const [sorting, setSorting] = useState<Sorting | null>(null);
  const [page, setPage] = useState(0);
  const searchId = useId();
  const shown = useMemo(
    () =>
      sorted(filtered(rows, query, textOf), sorting === null ? undefined : columns[sorting.column]?.sortBy, sorting),
    [version, query, sorting],
  );
  const pages = Math.max(1, Math.ceil(shown.length / PAGE_ROWS));
  const current = Math.min(page, pages - 1);
  const visible = shown.slice(current * PAGE_ROWS, (current + 1) * PAGE_ROWS);
  const sortBy = (column: number) => {
    setSorting((before) => ({ column, down: before?.column === column ? !before.down : false }));
    setPage(0);
  };
  return (
    <div class="data-table">
      <div class="table-tools">
        {textOf !== undefined && (
          <div class="search">
            <label for={searchId} class="visually-hidden">
              {searchLabel}
            </label>
            <Icon name="search" />
            <input
              id={searchId}
              type="search"
              class="form-control"
              placeholder={searchLabel}
              value={query}
              onInput={(event: Event) => {
                setQuery((event.target as HTMLInputElement).value);
                setPage(0);
              }}
            />
          </div>
        )}
        {tools}
      </div>
      {instead !== undefined ? (
        instead
      ) : shown.length === 0 ? (
        query === "" ? (
          empty
        ) : (
          <p class="nothing-found">
            Nothing matches “{query}”.{" "}
            <button type="button" class="btn btn-link p-0" onClick={() => setQuery("")}>
              Show everything
            </button>
          </p>
        )
      ) : (
        <table class="table">
          <caption class="visually-hidden">{caption}</caption>
          <thead>
            <tr>
              {columns.map(({ heading, sortBy: key, align }, index) => (
                <th
                  scope="col"
                  class={align === "end" ? "text-end" : ""}
                  {...(sorting?.column === index ? { "aria-sort": sorting.down ? "descending" : "ascending" } : {})}
                >
                  {key === undefined ? (
                    <span class={heading === "Actions" ? "visually-hidden" : ""}>{heading}</span>
                  ) : (
                    <button type="button" class="sort" onClick={() => sortBy(index)}>
                      {sorting?.column === index && (
                        <span class="sort-mark" aria-hidden="true">
                          {sorting.down ? "↓" : "↑"}
                        </span>
                      )}
                      {heading}
                    </button>
                  )}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {visible.map((row) => (
              <tr key={keyOf(row)}>
                {columns.map(({ heading, cell, align, class: classes = "" }) => (
                  <td class={`${classes}${align === "end" ? " text-end" : ""}`} data-label={heading}>
                    {cell(row)}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {pages > 1 && <Pager page={current} pages={pages} rows={shown.length} onPage={setPage} />}
    </div>
  );
}

function Pager({
  page,
  pages,
  rows,
  onPage,
}: {
  page: number;
  pages: number;
  rows: number;
  onPage: (page: number) => void;
}) {
  const first = page * PAGE_ROWS + 1;
  const last = Math.min(rows, first + PAGE_ROWS - 1);
  const number = (value: number) => value.toLocaleString("en");
  return (
    <nav class="pager" aria-label="Pages">
      <span class="text-secondary" role="status">
        {number(first)}–{number(last)} of {number(rows)}
      </span>
      <div class="btn-group">
        <button type="button" class="btn btn-outline-secondary btn-sm" disabled={page === 0} onClick={() => onPage(0)}>
          First
        </button>
        <button
          type="button"
          class="btn btn-outline-secondary btn-sm"
          disabled={page === 0}
          onClick={() => onPage(page - 1)}
        >
          Previous
        </button>
        <button
          type="button"
          class="btn btn-outline-secondary btn-sm"
          disabled={page === pages - 1}
          onClick={() => onPage(page + 1)}
        >
          Next
        </button>
        <button
          type="button"
          class="btn btn-outline-secondary btn-sm"
          disabled={page === pages - 1}
          onClick={() => onPage(pages - 1)}
        >
          Last
        </button>
      </div>
    </nav>
  );
}

const lowered = new WeakMap<object, string>();

function filtered<Row extends object>(
  rows: readonly Row[],
  query: string,
  textOf?: (row: Row) => string,
): readonly Row[] {
  const words = query
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== "");
  if (words.length === 0 || textOf === undefined) return rows;
  return rows.filter((row) => {
    let text = lowered.get(row);
    if (text === undefined) {
      text = textOf(row).toLowerCase();
      lowered.set(row, text);
    }
    return words.every((word) => text.includes(word));
  });
}

function sorted<Row>(
  rows: readonly Row[],
  keyOf: ((row: Row) => string | number) | undefined,
  sorting: Sorting | null,
): readonly Row[] {
  if (keyOf === undefined || sorting === null) return rows;
  const sign = sorting.down ? -1 : 1;
  // The keys are computed once for each row, not at each comparison.
  const keyed = rows.map((row) => ({ row, key: keyOf(row) }));
  keyed.sort((a, b) => (a.key < b.key ? -sign : a.key > b.key ? sign : 0));
  return keyed.map(({ row }) => row);
}
