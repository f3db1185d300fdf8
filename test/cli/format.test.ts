/** What people read: sizes, times, tables, and strangers' text made harmless. */
import { expect, test } from "bun:test";
import { formatDuration, formatRate, formatSize, printable } from "../../src/cli/format.ts";
import { fileColumns } from "../../src/cli/render.ts";
import { writeFacts, writeTable } from "../../src/cli/table.ts";
import { HOLDERS_COUNTED_MAX } from "../../src/core/limits.ts";
import type { FileInfo } from "../../src/core/model.ts";
import { memorySink } from "./memory-io.ts";

test("sizes are in binary units, three digits", () => {
  expect([0, 1, 1023, 1024, 1_073_741_824, 10 * 1024 ** 2, 5 * 1024 ** 4, 1_000_000_000].map(formatSize)).toEqual([
    "0 B",
    "1 B",
    "1023 B",
    "1.00 KiB",
    "1.00 GiB",
    "10.0 MiB",
    "5.00 TiB",
    "954 MiB",
  ]);
  expect(formatRate(1536.4)).toBe("1.50 KiB/s");
});

test("durations have a unit that fits their length", () => {
  expect([0.12, 5.5, 999, 1500, 61_000, 3_600_000, 200_000_000].map(formatDuration)).toEqual([
    "0.12 ms",
    "5.50 ms",
    "999 ms",
    "1.50 s",
    "1 min 1 s",
    "1 h 0 min",
    "2 d 7 h",
  ]);
});

test("text from others cannot move the cursor or reverse the line", () => {
  expect(printable("a\u001b[2Jb\u202Ec\u200Bd\ne")).toBe("a\\u{1b}[2Jb\\u{202e}c\\u{200b}d\\u{a}e");
  expect(printable("été 漢字 👍.txt")).toBe("été 漢字 👍.txt");
});

test("tables are aligned by visible width, without trailing spaces", () => {
  const sink = memorySink();
  writeTable(
    sink,
    [
      { heading: "NAME", cell: (row: { name: string; size: number }) => row.name },
      { heading: "SIZE", align: "right", cell: (row) => String(row.size) },
      { heading: "END", cell: () => "x" },
    ],
    [
      { name: "漢字", size: 5 },
      { name: "longer name", size: 12345 },
    ],
  );
  expect(sink.text).toBe(["NAME          SIZE  END", "漢字             5  x", "longer name  12345  x", ""].join("\n"));
});

test("status has one fact a line", () => {
  const sink = memorySink();
  writeFacts(sink, [
    ["role", "peer"],
    ["data folder", "/x"],
  ]);
  expect(sink.text).toBe("role         peer\ndata folder  /x\n");
});

test("a number of holders at its bound has a plus sign", () => {
  const shown = fileColumns.find(({ heading }) => heading === "HOLDERS")!;
  const cell = (holders: number) => shown.cell({ holders } as FileInfo);
  expect([0, HOLDERS_COUNTED_MAX - 1, HOLDERS_COUNTED_MAX].map(cell)).toEqual(["0", "999", "1000+"]);
});
