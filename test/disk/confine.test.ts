/** Names that must not lead out of their folder. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import { type FileName, FileNameSchema } from "../../src/core/file-name.ts";
import { resolveInside } from "../../src/disk/confine.ts";

let folder: string;
let inside: string;
beforeAll(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), "p2pfs-confine-")));
  inside = join(folder, "inside");
  await mkdir(inside);
  await writeFile(join(folder, "outside"), "secret");
  await writeFile(join(inside, "plain"), "plain");
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const named = (name: string) => v.parse(FileNameSchema, name);

test("a name is a file in the folder, whether it exists or not", () => {
  expect(resolveInside(inside, named("new"))).toBe(join(inside, "new"));
  expect(resolveInside(inside, named("plain"))).toBe(join(inside, "plain"));
  expect(resolveInside(inside, named(".hidden"))).toBe(join(inside, ".hidden"));
});

test("a folder that is a link is its owner's choice", async () => {
  await symlink(inside, join(folder, "link"));
  expect(resolveInside(join(folder, "link"), named("new"))).toBe(join(inside, "new"));
});

test("a link under the name may stay inside but not lead out", async () => {
  await symlink("plain", join(inside, "near"));
  expect(resolveInside(inside, named("near"))).toBe(join(inside, "near"));
  await symlink("../outside", join(inside, "far"));
  await symlink("../nothing", join(inside, "dangling"));
  for (const name of ["far", "dangling"]) {
    expect(() => resolveInside(inside, named(name))).toThrow(expect.objectContaining({ code: "refused" }));
  }
});

test("what is no FileName does not get out either", () => {
  for (const name of ["..", ".", "../outside", "a/../../outside", "/etc/passwd", ""]) {
    expect(() => resolveInside(inside, name as FileName)).toThrow(expect.objectContaining({ code: "refused" }));
  }
});

test("a missing folder is a disk error", () => {
  expect(() => resolveInside(join(folder, "none"), named("a"))).toThrow(expect.objectContaining({ code: "disk" }));
});
