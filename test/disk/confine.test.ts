/** Names that must not lead out of their folder. */
import { expect, test } from "bun:test";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import { type FileName, FileNameSchema } from "../../src/core/file-name.ts";
import { resolveInside } from "../../src/disk/confine.ts";
import { openForAll } from "../support/closing.ts";
import { expectError } from "../support/errors.ts";
import { temporaryFolder } from "../support/folder.ts";

let folder: string;
let inside: string;
openForAll(async () => {
  folder = temporaryFolder();
  inside = join(folder, "inside");
  await mkdir(inside);
  await writeFile(join(folder, "outside"), "secret");
  await writeFile(join(inside, "plain"), "plain");
});

const named = (name: string) => v.parse(FileNameSchema, name);

test("a name is a file in the folder, whether it exists or not", () => {
  expect(resolveInside(inside, named("new"))).toBe(join(inside, "new"));
  expect(resolveInside(inside, named("plain"))).toBe(join(inside, "plain"));
  expect(resolveInside(inside, named(".hidden"))).toBe(join(inside, ".hidden"));
});

test("the folder itself may be a symbolic link", async () => {
  await symlink(inside, join(folder, "link"));
  expect(resolveInside(join(folder, "link"), named("new"))).toBe(join(inside, "new"));
});

test("a symbolic link under the name may lead within the folder but not out of it", async () => {
  await symlink("plain", join(inside, "near"));
  expect(resolveInside(inside, named("near"))).toBe(join(inside, "near"));
  await symlink("../outside", join(inside, "far"));
  await symlink("../nothing", join(inside, "dangling"));
  for (const name of ["far", "dangling"]) {
    expectError("refused", () => resolveInside(inside, named(name)));
  }
});

test("a name that is no FileName is refused", () => {
  for (const name of ["..", ".", "../outside", "a/../../outside", "/etc/passwd", ""]) {
    expectError("refused", () => resolveInside(inside, name as FileName));
  }
});

test("a missing folder is a disk error", () => {
  expectError("disk", () => resolveInside(join(folder, "none"), named("a")));
});
