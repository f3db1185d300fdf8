/** A list from a stranger comes to an end, whatever its pages say. */
import { expect, test } from "bun:test";
import { LIST_PAGE_MAX } from "../../src/core/limits.ts";
import { PageWalk, WALK_CHARACTERS_MAX, WALK_MS_MAX, WALK_PAGES_MAX, WALK_ROWS_MAX } from "../../src/core/page-walk.ts";

const row = { key: "k" };
const page = (rows: number, next: string | null, text = row) => ({ rows: Array<object>(rows).fill(text), next });

/** Pages of so many rows that were taken before the walk gave up, and why. */
function walkUntilFault(rows: number, text = row): { pages: number; why: string } {
  const walk = new PageWalk(0);
  for (let pages = 0; ; pages++) {
    try {
      walk.after(page(rows, `cursor ${pages}`, text), 0);
    } catch (thrown) {
      expect(thrown).toMatchObject({ code: "protocol" });
      return { pages, why: (thrown as Error).message };
    }
  }
}

test("a walk follows the cursors to the last page, which may be empty", () => {
  const walk = new PageWalk(0);
  expect(walk.after(page(2, "a"), 1)).toBe("a");
  expect(walk.after(page(1, "b"), 2)).toBe("b");
  expect(walk.after(page(0, null), 3)).toBeNull();
});

test("a page with a cursor and no row is a protocol error", () => {
  expect(() => new PageWalk(0).after(page(0, "a"), 0)).toThrow("empty page");
});

test("a cursor that has occurred before is a protocol error", () => {
  const walk = new PageWalk(0);
  for (const cursor of ["a", "b", "c"]) walk.after(page(1, cursor), 0);
  expect(() => walk.after(page(1, "a"), 0)).toThrow("earlier");
});

test("rows, pages and texts of a list are bounded", () => {
  const full = walkUntilFault(LIST_PAGE_MAX);
  expect(full.pages).toBe(WALK_ROWS_MAX / LIST_PAGE_MAX - 1);
  expect(full.why).toContain(`${WALK_ROWS_MAX} rows`);
  const short = walkUntilFault(1);
  expect(short.pages).toBe(WALK_PAGES_MAX - 1);
  expect(short.why).toContain(`${WALK_PAGES_MAX} pages`);
  const text = "x".repeat(4096);
  const long = walkUntilFault(LIST_PAGE_MAX, { key: text });
  expect(long.pages).toBe(Math.floor(WALK_CHARACTERS_MAX / text.length / LIST_PAGE_MAX));
  expect(long.why).toContain("characters");
});

test("the time of a list as a whole is bounded", () => {
  const walk = new PageWalk(1000);
  walk.after(page(1, "a"), 1000 + WALK_MS_MAX);
  expect(() => walk.after(page(1, "b"), 1001 + WALK_MS_MAX)).toThrow(`${WALK_MS_MAX} ms`);
});
