/** The executable without a running role: version, help and exit codes. */
import { afterEach, describe, expect, test } from "bun:test";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { version } from "../../package.json";
import { openForAll } from "../support/closing.ts";
import { runBinary, upToDateBinary } from "../support/executable.ts";
import { temporaryFolder } from "../support/folder.ts";

let binary = "";
let folder = "";

openForAll(async () => {
  binary = await upToDateBinary();
  folder = temporaryFolder();
});

const run = (args: readonly string[]) => runBinary(binary, args, { cwd: folder });

/** Nothing listens there: port 1 is for root, and unused. */
const nobody = "127.0.0.1:1";

describe("with an empty environment, in an empty folder, where nothing is left behind", () => {
  let empty = "";
  const run = (args: readonly string[], env: Record<string, string> = {}) =>
    runBinary(binary, args, { cwd: empty, env });
  openForAll(() => {
    empty = temporaryFolder();
  });
  afterEach(() => expect(readdirSync(empty)).toEqual([]));

  test.each([["--version"], ["-v"]])("%s prints the version and nothing else", async (flag) => {
    const { exitCode, stdout, stderr } = await run([flag]);
    expect([exitCode, stdout, stderr]).toEqual([0, `${version}\n`, ""]);
  });

  test.each([
    [["--help"], /peer[\s\S]*tracker|tracker[\s\S]*peer/],
    [["tracker", "--help"], /list-peers/],
    [["peer", "--help"], /publish/],
    [["peer", "start", "--help"], /p2pfs peer start/],
    [["peer", "publish", "--help"], /p2pfs peer publish/],
    [["peer", "fetch", "--help"], /p2pfs peer fetch/],
    [["tracker", "start", "--help"], /p2pfs tracker start/],
  ])("%j shows help with examples", async (args, expected) => {
    const { exitCode, stdout, stderr } = await run(args);
    expect([exitCode, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(expected);
    expect(stdout).toMatch(args.length > 2 || args.length === 1 ? /EXAMPLES/ : /./);
  });

  test("--version needs no temp folder: the native addon is not unpacked", async () => {
    const { exitCode, stdout } = await run(["--version"], { TMPDIR: "/nonexistent" });
    expect([exitCode, stdout]).toEqual([0, `${version}\n`]);
  });

  test("settings files of the folder are not read", async () => {
    const other = temporaryFolder();
    writeFileSync(join(other, "bunfig.toml"), 'preload = ["./evil.js"]\n');
    writeFileSync(join(other, "evil.js"), 'console.log("evil");\n');
    writeFileSync(join(other, ".env"), "P2PFS_DATA=/nonexistent/evil\n");
    const { exitCode, stdout, stderr } = await runBinary(binary, ["peer", "status"], { cwd: other });
    expect(exitCode).toBe(3);
    expect(stdout + stderr).not.toContain("evil");
  });
});

describe("exit codes", () => {
  test.each([
    ["no such role", ["trakcer"]],
    ["no such command", ["peer", "fech"]],
    ["a typo in a flag", ["peer", "start", "--trakcer", nobody]],
    ["a flag without its value", ["peer", "start", "--tracker"]],
    ["no port", ["peer", "start", "--tracker", "127.0.0.1"]],
    ["a port that is no number", ["tracker", "start", "127.0.0.1", "abc"]],
    ["a port out of range", ["tracker", "start", "127.0.0.1", "65536"]],
    ["a word missing", ["peer", "publish"]],
    ["a word too many", ["peer", "publish", "a", "b", "c"]],
    ["F17: three words after fetch", ["peer", "fetch", "a", "b", "127.0.0.1"]],
    ["five words after fetch", ["peer", "fetch", "a", "b", "127.0.0.1", "1", "2"]],
    ["a damaged ticket", ["peer", "fetch", "p2pfs://127.0.0.1:7700/a?id=12", "--data", "d"]],
  ])("2: %s", async (_what, args) => {
    const { exitCode, stdout, stderr } = await run(args);
    expect([exitCode, stdout]).toEqual([2, ""]);
    expect(stderr).toMatch(/^error: .+\nhint: .+\n$/s);
  });

  test("2: after a typo the error names what may have been meant", async () => {
    expect((await run(["peer", "fech"])).stderr).toContain("fetch");
    expect((await run(["peer", "start", "--trakcer", nobody])).stderr).toContain("tracker");
  });

  test.each([
    ["peer status", ["peer", "status"]],
    ["peer list_files", ["peer", "list_files"]],
    ["peer publish", ["peer", "publish", "a"]],
    ["peer exit", ["peer", "exit"]],
    ["tracker status", ["tracker", "status"]],
    ["tracker list-peers", ["tracker", "list-peers"]],
    ["tracker exit", ["tracker", "exit"]],
  ])("3: %s with nothing running", async (_what, args) => {
    const { exitCode, stderr } = await run([...args, "--data", join(folder, "none")]);
    expect(exitCode).toBe(3);
    expect(stderr).toMatch(/^error: .+\nhint: .+\n$/s);
  });

  test("3 with --json: the failure as an object", async () => {
    const { exitCode, stdout } = await run(["peer", "status", "--data", join(folder, "none"), "--json"]);
    expect(exitCode).toBe(3);
    expect(JSON.parse(stdout)).toEqual({
      error: { code: "not_running", message: expect.any(String), hint: expect.any(String) },
    });
  });

  test("6, R7: a fetch onto an existing file", async () => {
    const destination = join(folder, "exists");
    writeFileSync(destination, "mine");
    const args = ["peer", "fetch", "a", destination, "--tracker", nobody, "--data", join(folder, "none")];
    const { exitCode } = await run(args);
    expect([6, 7]).toContain(exitCode);
    expect(await Bun.file(destination).text()).toBe("mine");
  });
});
