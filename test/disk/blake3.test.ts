/** The digest itself, and what becomes of it in a compiled binary whose temp folder is of no use. */
import { expect, test } from "bun:test";
import { chmodSync, chownSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { chmod, symlink, writeFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { build } from "../../scripts/build.ts";
import { digest, isChunk } from "../../src/disk/blake3.ts";
import { openForAll } from "../support/closing.ts";
import { temporaryFolder } from "../support/folder.ts";
import { asNobody, mountTmpfs, needsRoot } from "../support/root.ts";
import { contentOf } from "./fixtures.ts";

const repository = resolve(import.meta.dir, "../..");
let folder: string;
let binary: string;
/** As Bun embeds an addon by default. */
let careless: string;
/** Where that one looks in the temp folder, and a file of the right size that is no addon. */
let plantedName = "";
let hostile: Buffer;

/** The module in a binary of its own: prints the digest of nothing, or the error's code, message and hint. */
const program = `
import { digest } from "${repository}/src/disk/blake3.ts";
try { console.log(digest(new Uint8Array(0)).toHex()); }
catch (error) { console.log([error.name, error.code, error.message, error.hint].join("|")); }
`;

openForAll(async () => {
  folder = temporaryFolder();
  await symlink(join(repository, "node_modules"), join(folder, "node_modules"));
  await writeFile(join(folder, "main.ts"), program);
  binary = await build(join(folder, "main"), join(folder, "main.ts"));
  careless = join(folder, "careless");
  const built = Bun.spawnSync([process.execPath, "build", "--compile", join(folder, "main.ts"), "--outfile", careless]);
  expect(built.exitCode, built.stderr.toString()).toBe(0);
  await chmod(folder, 0o755);
  const temp = temporary("learned");
  expect(run({ TMPDIR: temp }, [careless])).toBe(DIGEST_OF_NOTHING);
  [plantedName = ""] = readdirSync(temp);
  expect(plantedName).toMatch(/^\.bun-\d+-[\da-f]+\.node$/);
  hostile = readFileSync(join(temp, plantedName)).fill(0, 0, 4096);
});

function run(env: Record<string, string>, command = [binary]): string {
  return Bun.spawnSync(command, { cwd: folder, env }).stdout.toString().trim();
}

function temporary(name: string, mode = 0o700): string {
  const temp = join(folder, name);
  mkdirSync(temp);
  chmodSync(temp, mode);
  return temp;
}

function plant(temp: string): string {
  writeFileSync(join(temp, plantedName), hostile, { mode: 0o600 });
  return join(temp, plantedName);
}

const NOBODY = 65_534;
const DIGEST_OF_NOTHING = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";

test("digests of the published BLAKE3 test vectors", () => {
  const pattern = (length: number) => Uint8Array.from({ length }, (_, index) => index % 251);
  expect(digest(pattern(0)).toHex()).toBe(DIGEST_OF_NOTHING);
  expect(digest(pattern(1)).toHex()).toBe("2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213");
  expect(digest(pattern(1024)).toHex()).toBe("42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7");
  expect(digest(pattern(102_400)).toHex()).toBe("bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085");
});

test("a view into a larger buffer is digested alone", () => {
  const bytes = new Uint8Array(100).fill(9, 10, 20);
  expect(digest(bytes.subarray(10, 20))).toEqual(digest(new Uint8Array(10).fill(9)));
});

test("isChunk is false for a single wrong bit, and for another chunk", () => {
  const { manifest, chunk } = contentOf(150_000);
  expect(isChunk(chunk(1), manifest, 1)).toBe(true);
  expect(isChunk(chunk(1), manifest, 0)).toBe(false);
  const damaged = chunk(1).slice();
  damaged[700]! ^= 1;
  expect(isChunk(damaged, manifest, 1)).toBe(false);
});

test("the addon is inside a compiled binary that runs with an empty environment", () => {
  expect(run({})).toBe(DIGEST_OF_NOTHING);
});

test("nothing is left in the temp folder, and what is planted there is neither loaded nor touched", () => {
  const temp = temporary("planted");
  const planted = plant(temp);
  expect(run({ TMPDIR: temp }, [careless])).not.toBe(DIGEST_OF_NOTHING);
  expect(run({ TMPDIR: temp })).toBe(DIGEST_OF_NOTHING);
  expect(readdirSync(temp)).toEqual([basename(planted)]);
  expect(readFileSync(planted).equals(hostile)).toBe(true);
});

needsRoot("what another user planted there is not loaded, and another user can run the binary as well", async () => {
  const temp = temporary("shared", 0o1777);
  const planted = plant(temp);
  chownSync(planted, NOBODY, NOBODY);
  expect(run({ TMPDIR: temp })).toBe(DIGEST_OF_NOTHING);
  expect(run({ TMPDIR: temp }, [...asNobody, binary])).toBe(DIGEST_OF_NOTHING);
  expect(readdirSync(temp)).toEqual([basename(planted)]);
});

test("a temp folder that cannot take the addon gives a typed error that names TMPDIR", async () => {
  const notAFolder = join(folder, "main.ts");
  const shown = run({ TMPDIR: notAFolder });
  expect(shown).toStartWith(`P2pfsError|disk|cannot load the BLAKE3 library from the temp folder ${notAFolder}|`);
  expect(shown).toContain("TMPDIR");
});

for (const option of ["noexec", "ro"]) {
  needsRoot(`a ${option} temp folder gives the same error`, async () => {
    mountTmpfs(join(folder, option), `${option},size=8m`);
    expect(run({ TMPDIR: join(folder, option) })).toMatch(/^P2pfsError\|disk\|.*\|.*TMPDIR/);
  });
}
