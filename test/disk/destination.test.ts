/** The destination of a fetch, and the errors of those that cannot be. */
import { beforeEach, expect, test } from "bun:test";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { FileName } from "../../src/core/file-name.ts";
import { destinationOf } from "../../src/disk/destination.ts";
import { expectError } from "../support/errors.ts";
import { temporaryFolder } from "../support/folder.ts";

const fname = "name" as FileName;

let folder: string;
beforeEach(() => {
  folder = temporaryFolder();
  mkdirSync(join(folder, "files"));
});

const placeOf = (named?: string) => destinationOf(fname, named, join(folder, "files"));

test("the destination is the path that is named, or in the folder that is named, or in the repository folder", () => {
  expect(placeOf(join(folder, "copy"))).toBe(join(folder, "copy"));
  expect(placeOf(folder)).toBe(join(folder, "name"));
  expect(placeOf()).toBe(join(folder, "files", "name"));
});

test("a path that does not exist or is no folder is a disk error that says which", () => {
  writeFileSync(join(folder, "file"), "");
  symlinkSync("loop", join(folder, "loop"));
  expectError("disk", () => placeOf(join(folder, "none", "copy")), `there is no folder ${join(folder, "none")}`);
  expectError("disk", () => placeOf(join(folder, "file", "copy")), `there is no folder ${join(folder, "file")}`);
  expectError("disk", () => placeOf(join(folder, "loop")), "too many symbolic links");
  expectError("disk", () => placeOf(join(folder, "loop", "copy")), "too many symbolic links");
  expectError("disk", () => placeOf(join(folder, "n".repeat(300))), "too long");
});
