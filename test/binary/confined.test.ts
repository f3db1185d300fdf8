/**
 * The executable is all that it runs: whatever lies beside it, in the current folder, in the temp folder or where it
 * was built is neither loaded nor looked for. Whoever can write there would otherwise be whoever runs a role.
 */
import { describe, expect, test } from "bun:test";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { missingPackage } from "../../scripts/lib/debian.ts";
import { Roles } from "../../scripts/lib/roles.ts";
import { closeLater, openForAll } from "../support/closing.ts";
import { upToDateBinary } from "../support/executable.ts";
import { temporaryFolder } from "../support/folder.ts";
import { type Access, accessIn, tracedBinary, tracesIn } from "./trace.ts";

const root = resolve(import.meta.dir, "../..");
const missing = missingPackage("strace");

/** The same sources in another folder, and what is built there. */
let elsewhere = "";
let copy = "";
let original = "";
let folder = "";

openForAll(async () => {
  original = await upToDateBinary();
  folder = temporaryFolder();
  // Beside the first, because packages are linked, not copied, which works within one file system only.
  elsewhere = mkdtempSync(join(dirname(original), ".elsewhere-"));
  closeLater(elsewhere, (path) => rmSync(path, { recursive: true, force: true }));
  for (const name of ["src", "scripts", "package.json", "tsconfig.json", "bunfig.toml"])
    cpSync(join(root, name), join(elsewhere, name), { recursive: true });
  run(["cp", "-al", join(root, "node_modules"), elsewhere]);
  run([process.execPath, "scripts/build.ts"]);
  copy = join(elsewhere, "dist/p2pfs");
});

function run(command: string[]): void {
  const { exitCode, stderr } = Bun.spawnSync(command, { cwd: elsewhere });
  if (exitCode !== 0) throw new Error(`${command.join(" ")}: ${stderr}`);
}

describe("one source is one executable", () => {
  test("two builds in two folders are equal, byte for byte", () => {
    expect(readFileSync(copy).equals(readFileSync(original))).toBe(true);
  });

  test("it contains no path of the machine that built it", () => {
    const bytes = readFileSync(original);
    const runtime = readFileSync(process.execPath);
    for (const path of [root, elsewhere, `${homedir()}/`]) {
      expect([path, bytes.includes(path)]).toEqual([path, runtime.includes(path)]);
    }
    // What the bundler made stands behind the copy of the runtime; that has a few of its own.
    expect(bytes.subarray(runtime.length).includes("node_modules")).toBe(false);
  });
});

/** Native code and settings as somebody may leave them about; opening one is as bad as loading it. */
const hostile = [
  "package.json",
  "tsconfig.json",
  "bunfig.toml",
  ".env",
  ".env.local",
  ".npmrc",
  "index.js",
  "p2pfs.node",
  "prebuilds/linux-x64/node.napi.node",
  "prebuilds/linux-x64/msgpackr-extract.node",
  "build/Release/extract.node",
  "node_modules/msgpackr-extract/package.json",
  "node_modules/msgpackr-extract/prebuilds/linux-x64/node.napi.node",
  "node_modules/@msgpackr-extract/msgpackr-extract-linux-x64/node.napi.glibc.node",
  "node_modules/@napi-rs/blake-hash/index.js",
  "node_modules/@napi-rs/blake-hash/blake.linux-x64-gnu.node",
  "node_modules/@napi-rs/blake-hash-linux-x64-gnu/blake.linux-x64-gnu.node",
];

function plant(where: string): void {
  for (const name of hostile) {
    const path = join(where, name);
    mkdirSync(dirname(path), { recursive: true });
    // Away with it first: packages are linked into several folders.
    rmSync(path, { force: true });
    writeFileSync(path, "not for running");
  }
}

/** What libc, the loader, the resolver and the runtime of the language read of a system. */
const system: readonly RegExp[] = [
  /^\/(?:proc|sys)\//,
  /^\/dev\/(?:null|tty|urandom|random|pts\/\d+)$/,
  /^\/(?:usr\/)?lib(?:32|64)?\/(?:[\w-]+\/)*[\w.+-]+\.so(?:\.\d+)*$/,
  /^\/(?:usr\/)?lib(?:32|64)?(?:\/[\w-]+)*$/,
  /^\/etc\/(?:ld\.so\.cache|ld\.so\.preload|localtime|nsswitch\.conf|passwd|group|hosts|host\.conf|resolv\.conf|gai\.conf|services)$/,
  /^\/usr\/share\/zoneinfo\//,
  /^\/(?:var\/)?run\/nscd\/socket$/,
  /^\/inet\/127\.0\.0\.1$/,
];

/** The addon's way into memory: a new file, and no other in that folder. */
const ownTempFile = /\/\.p2pfs-[\da-f-]{36}\.node$/;

/**
 * Accesses that nobody asked for.
 * @param named folders and files that belong to the command
 */
function strangers(accesses: readonly Access[], temp: string, named: readonly string[]): string[] {
  const isNamed = (path: string) => named.some((each) => path === each || path.startsWith(`${each}/`));
  const isAbove = (path: string) => named.some((each) => each.startsWith(`${path === "/" ? "" : path}/`));
  return accesses
    .filter(({ call, path, line }) => {
      if (path.startsWith(`${temp}/`))
        return !ownTempFile.test(path) || (call === "openat" && !line.includes("O_EXCL"));
      if (isNamed(path) || system.some((pattern) => pattern.test(path))) return false;
      // A folder that is to be made, or a path to be resolved, is asked for from above; nothing is opened there.
      return !(
        isAbove(path) && /^(?:newfstatat|stat|lstat|statx|readlink|readlinkat|mkdir|mkdirat|access)$/.test(call)
      );
    })
    .map(({ line }) => line);
}

describe.skipIf(missing !== undefined)(`traced from its start to its end ${missing ?? ""}`, () => {
  let roles: Roles;
  let binary = "";
  let temp = "";
  let traces = "";
  let work = "";

  openForAll(() => {
    // As it might be installed: by itself in a folder, which is not the one of the build.
    const installed = join(folder, "bin");
    mkdirSync(installed);
    binary = join(installed, "p2pfs");
    run(["cp", copy, binary]);
    temp = join(folder, "temp");
    traces = join(folder, "traces");
    work = join(folder, "work");
    for (const each of [temp, traces, work, join(work, "inbox")]) mkdirSync(each);
    for (const each of [installed, work, elsewhere]) plant(each);
    writeFileSync(join(work, "named file"), "shared");
    const traced = tracedBinary(binary, traces, { TMPDIR: temp, HOME: join(folder, "home") });
    roles = closeLater(new Roles(traced, work), (roles) => roles.stop());
  });

  test("no command opens files but those of the system, its data folder and those that were named, and none leaves a file", async () => {
    const tracker = await roles.tracker();
    const peer = await roles.peer("peer", tracker);
    const data = ["--data", peer.data];
    const words: readonly (readonly string[])[] = [
      ["--version"],
      ["--help"],
      ["peer", "fetch", "--help"],
      ["completion", "bash"],
      ["peer", "publish", "named file", "shared", ...data],
      ["peer", "list-files", "--json", ...data],
      ["peer", "dashboard", ...data],
      ["tracker", "list-peers", "--data", tracker.data],
      ["peer", "fetch", "shared", "inbox/copy", "--tracker", tracker.address, "--data", join(folder, "none")],
    ];
    for (const each of words) await roles.ask(each);
    for (const asset of ["/", "/assets/app.js", "/api/openapi.json"]) expect((await peer.call(asset)).status).toBe(200);
    // By their own commands, so that the tracers see them end.
    await roles.ask(["peer", "exit", ...data]);
    await roles.ask(["tracker", "exit", "--data", tracker.data]);
    for (const role of [tracker, peer]) expect(await role.exited).toBe(0);

    const seen = tracesIn(traces, work, binary);
    expect(seen).toHaveLength(words.length + 4);
    const named = [binary, tracker.data, peer.data, join(folder, "none"), join(folder, "home")];
    const files = ["named file", "inbox"].map((name) => join(work, name));
    const found = seen.flatMap(({ words: command, accesses }) =>
      strangers(accesses, temp, [...named, ...files]).map((line) => `${command.join(" ")}: ${line}`),
    );
    expect(found).toEqual([]);
    expect(readdirSync(temp)).toEqual([]);
  }, 60_000);
});

test("canary: the accesses of a build with a foreign package are found", () => {
  const lines = [
    '1 openat(AT_FDCWD</w>, "/b/node_modules/msgpackr-extract/prebuilds", O_RDONLY|O_DIRECTORY) = -1 ENOENT',
    '1 openat(AT_FDCWD</w>, "prebuilds", O_RDONLY|O_CLOEXEC) = 7</w/prebuilds>',
    '1 openat(AT_FDCWD</w>, "/t/.bun-0-958c62ebf27fb268.node", O_RDONLY|O_CLOEXEC) = 7</t/.bun-0-958c62ebf27fb268.node>',
    '1 openat(AT_FDCWD</w>, "/t/.p2pfs-0af46b62-35d8-4337-8513-582e058ead9c.node", O_RDONLY|O_CLOEXEC) = 7',
    '1 openat(AT_FDCWD</w>, "/home/", O_RDONLY|O_DIRECTORY) = 8</home>',
    '1 newfstatat(AT_FDCWD</w>, "/b/package.json", 0x7ffd, 0) = -1 ENOENT',
    '1 execve("/usr/bin/ldd", ["ldd", "--version"], 0x7ffd /* 0 vars */) = 0',
  ];
  const accesses = lines.flatMap((line) => accessIn(line, "/w"));
  expect(strangers(accesses, "/t", ["/home/x/data"])).toEqual(lines);
});
