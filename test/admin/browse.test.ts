/** The folder browser lists what is there, and nothing outside of the folder that it is limited to. */
import { describe, expect, test } from "bun:test";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { browse } from "../../src/admin/browse.ts";
import { openForAll } from "../support/closing.ts";
import { expectError } from "../support/errors.ts";
import { temporaryFolder } from "../support/folder.ts";

let folder = "";
openForAll(() => {
  folder = temporaryFolder();
  for (const path of ["in", "in/sub", "in/.hidden", "out"]) mkdirSync(join(folder, path));
  writeFileSync(join(folder, "in/file 10"), "x".repeat(10));
  writeFileSync(join(folder, "in/file 9"), "");
  writeFileSync(join(folder, "out/secret"), "");
  symlinkSync("../out", join(folder, "in/way out"));
  symlinkSync("sub", join(folder, "in/way in"));
  symlinkSync("nowhere", join(folder, "in/broken"));
});

const names = async (path: string | undefined, limit?: string) =>
  (await browse(path, limit, folder)).entries.map(({ name }) => name);

describe("a folder", () => {
  test("shows folders first, then files in the order that people count in, then what is hidden", async () => {
    expect(await names(join(folder, "in"))).toEqual(["sub", "file 9", "file 10", "way in", "way out", ".hidden"]);
    const { path, parent, entries } = await browse(join(folder, "in"), undefined, folder);
    expect({ path, parent }).toEqual({ path: join(folder, "in"), parent: folder });
    expect(entries.find(({ name }) => name === "file 10")).toMatchObject({ kind: "file", size: 10 });
    expect(entries.find(({ name }) => name === "way out")).toMatchObject({ kind: "folder", size: null });
  });

  test("is the home folder where no path is given; the root has no parent", async () => {
    expect((await browse(undefined, undefined, folder)).path).toBe(folder);
    expect((await browse("/", undefined, folder)).parent).toBeNull();
  });

  test("that does not exist, or is a file, is not_found", async () => {
    await expectError("not_found", browse(join(folder, "nothing"), undefined, folder));
    await expectError("not_found", browse(join(folder, "in/file 9"), undefined, folder));
  });
});

describe("limited to a folder", () => {
  const limited = (path?: string) => browse(path, join(folder, "in"), folder);

  test("shows nothing that leads out of it", async () => {
    const { path, parent, entries } = await limited();
    expect({ path, parent }).toEqual({ path: join(folder, "in"), parent: null });
    expect(entries.map(({ name }) => name)).not.toContain("way out");
    expect((await limited(join(folder, "in/sub"))).parent).toBe(join(folder, "in"));
    expect((await limited(join(folder, "in/way in"))).path).toBe(join(folder, "in/sub"));
  });

  test.each(["", "out", "in/../out", "in/way out", "in/sub/../../out"])("refuses %p", async (path) => {
    await expectError("refused", limited(join(folder, path)));
    await expectError("refused", limited(`${folder}/${path}`));
  });

  test("refuses a folder whose name begins like it", async () => {
    mkdirSync(join(folder, "in and more"));
    await expectError("refused", limited(join(folder, "in and more")));
  });

  test("gives the same refusal for what is missing and what is forbidden", async () => {
    const answerTo = async (path: string) => {
      const { message, hint } = await expectError("refused", limited(path));
      return { message: message.replace(path, "PATH"), hint };
    };
    const forbidden = await answerTo(join(folder, "out"));
    for (const path of [
      join(folder, "nothing"),
      join(folder, "out/secret"),
      join(folder, "out/nothing"),
      join(folder, "out/secret/below a file"),
      join(folder, "in/way out"),
      `${folder}/in/way out/nothing`,
      `${folder}/in/way out/secret`,
      `${folder}/in/nothing`,
      `/${"x".repeat(300)}`,
      "/proc/1/nothing",
    ])
      expect([path, await answerTo(path)]).toEqual([path, forbidden]);
  });
});
