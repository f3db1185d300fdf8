/** Where a fetch puts its file, and what is said of places where it cannot. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FileName } from "../../src/core/file-name.ts";
import { destinationOf } from "../../src/disk/destination.ts";

const fname = "name" as FileName;

let folder: string;
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), "p2pfs-destination-")));
  mkdirSync(join(folder, "files"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const placeOf = (named?: string) => destinationOf(fname, named, join(folder, "files"));

test("as named, in a folder that is named, or in the repository folder", () => {
  expect(placeOf(join(folder, "copy"))).toBe(join(folder, "copy"));
  expect(placeOf(folder)).toBe(join(folder, "name"));
  expect(placeOf()).toBe(join(folder, "files", "name"));
});

test("what leads nowhere or is no folder is a fault of the disk that says which", () => {
  writeFileSync(join(folder, "file"), "");
  symlinkSync("loop", join(folder, "loop"));
  const disk = (what: string) => expect.objectContaining({ code: "disk", message: expect.stringContaining(what) });
  expect(() => placeOf(join(folder, "none", "copy"))).toThrow(disk(`there is no folder ${join(folder, "none")}`));
  expect(() => placeOf(join(folder, "file", "copy"))).toThrow(disk(`there is no folder ${join(folder, "file")}`));
  expect(() => placeOf(join(folder, "loop"))).toThrow(disk("too many symbolic links"));
  expect(() => placeOf(join(folder, "loop", "copy"))).toThrow(disk("too many symbolic links"));
  expect(() => placeOf(join(folder, "n".repeat(300)))).toThrow(disk("too long"));
});
