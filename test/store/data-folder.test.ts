/** The data folder: its path, its lock, the files in it. */
import { afterEach, describe, expect, test } from "bun:test";
import { chmodSync, chownSync, existsSync, mkdirSync, statSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import type { Membership } from "../../src/identity/membership.ts";
import { type DataFolder, openDataFolder, readAdminFile, resolveDataFolder } from "../../src/store/data-folder.ts";
import { type Child, outputOf, startAsNobody, startChild } from "../support/child.ts";
import { closeLater } from "../support/closing.ts";
import { expectError } from "../support/errors.ts";
import { temporaryFolder } from "../support/folder.ts";
import { needsRoot } from "../support/root.ts";
import { random } from "../support/system.ts";

function open(flag: string): DataFolder {
  return closeLater(openDataFolder({ role: "peer", flag }), (folder) => folder.close());
}

/** A process that holds the folder's lock. */
async function startHolder(flag: string): Promise<Child> {
  const child = await startChild(join(import.meta.dir, "lock-holder.ts"), flag);
  expect(child.greeting).toBe("locked");
  return child;
}

describe("the path of the data folder is", () => {
  const environment = process.env.XDG_STATE_HOME;
  afterEach(() => {
    if (environment === undefined) delete process.env.XDG_STATE_HOME;
    else process.env.XDG_STATE_HOME = environment;
  });

  test("the flag, made absolute", () => {
    expect(resolveDataFolder({ role: "peer", flag: "some/where" })).toBe(join(process.cwd(), "some/where"));
  });

  test("XDG_STATE_HOME, one folder a role", () => {
    process.env.XDG_STATE_HOME = "/state";
    expect(resolveDataFolder({ role: "tracker" })).toBe("/state/p2pfs/tracker");
    expect(resolveDataFolder({ role: "peer" })).toBe("/state/p2pfs/peer");
  });

  test("the home folder, also where XDG_STATE_HOME is relative", () => {
    for (const value of ["", "relative"]) {
      process.env.XDG_STATE_HOME = value;
      expect(resolveDataFolder({ role: "peer" })).toBe(join(homedir(), ".local/state/p2pfs/peer"));
    }
  });
});

describe("opening", () => {
  test("makes the folder for its user alone", () => {
    const folder = open(join(temporaryFolder(), "a/b"));
    expect(statSync(folder.path).mode & 0o777).toBe(0o700);
    expect(folder.databasePath).toBe(join(folder.path, "repository.sqlite"));
  });

  test("refuses what is not a folder, and what cannot be made", () => {
    const file = join(temporaryFolder(), "file");
    writeFileSync(file, "");
    expectError("disk", () => open(file), `${file}: it is not a folder`);
    expectError("disk", () => open(join(file, "below")), "a part of the path is not a folder");
    expectError("disk", () => open("/proc/p2pfs"), "/proc/p2pfs");
    const loop = join(temporaryFolder(), "loop");
    symlinkSync("loop", loop);
    for (const path of [loop, join(loop, "below")]) expectError("disk", () => open(path), "too many symbolic links");
    expectError("disk", () => open(join(temporaryFolder(), "n".repeat(300))), "too long");
  });

  test("refuses a folder that is another user's, or closed to its own", () => {
    const path = temporaryFolder();
    if (process.getuid?.() === 0) {
      // Root may write anywhere, so that only the owner counts.
      chownSync(path, 65_534, 65_534);
      expectError("disk", () => open(path), "another user");
    } else {
      chmodSync(path, 0o500);
      closeLater(path, () => chmodSync(path, 0o700));
      expectError("disk", () => open(path), "permission");
    }
  });

  test("refuses a folder that other users can write to, as sshd does", () => {
    const path = temporaryFolder();
    for (const mode of [0o770, 0o707, 0o720, 0o702, 0o1777]) {
      chmodSync(path, mode);
      expect(expectError("disk", () => open(path), "other users can write to it").hint).toContain(`chmod go-w ${path}`);
    }
    chmodSync(path, 0o755);
    open(path);
  });

  test("tells a folder above it in which others could put another one in its place", () => {
    const above = temporaryFolder();
    const folder = open(join(above, "one/two"));
    expect(folder.replaceableAt).toBeUndefined();
    chmodSync(join(above, "one"), 0o1777);
    expect(folder.replaceableAt).toBeUndefined();
    chmodSync(join(above, "one"), 0o770);
    expect(folder.replaceableAt).toBe(join(above, "one"));
    chmodSync(join(above, "one"), 0o700);
    if (process.getuid?.() !== 0) return;
    chownSync(above, 65_534, 65_534);
    expect(folder.replaceableAt).toBe(above);
  });

  test("a damaged lock file is a disk error, not a crash", () => {
    const path = temporaryFolder();
    writeFileSync(join(path, "lock.sqlite"), "this is not a database, and long enough to have a header to look at");
    expectError("disk", () => open(path), "lock.sqlite");
  });
});

describe("the lock", () => {
  test("the folder can be opened once at a time within a process", () => {
    const path = temporaryFolder();
    const first = openDataFolder({ role: "peer", flag: path });
    expectError("already_running", () => open(path), path);
    first.close();
    open(path);
  });

  test("another process is refused at once, also while the first is frozen, and can open it after the first was killed", async () => {
    const path = temporaryFolder();
    const { process: child } = await startHolder(path);
    expectError("already_running", () => open(path), path);
    child.kill("SIGSTOP");
    const before = performance.now();
    expectError("already_running", () => open(path), path);
    expect(performance.now() - before).toBeLessThan(500);
    child.kill("SIGKILL");
    await child.exited;
    open(path);
  });
});

describe("another user", () => {
  const lockOf = (path: string) => join(path, "lock.sqlite");

  /** Somebody else's process that locks the file for reading, if it can open it; says which. */
  async function startReader(file: string): Promise<string> {
    const script = `
      import { Database } from "bun:sqlite";
      try {
        const database = new Database("${file}", { readonly: true });
        database.run("BEGIN");
        database.query("SELECT 1 FROM sqlite_master").get();
        console.log("has it");
      } catch (error) { console.log(error.code); }
      setInterval(() => undefined, 60_000);
    `;
    return (await startAsNobody(script)).greeting;
  }

  function sharedFolder(): string {
    const path = temporaryFolder();
    chmodSync(path, 0o755);
    return path;
  }

  needsRoot("cannot open the lock of a folder that is open to all", async () => {
    const path = sharedFolder();
    open(path).close();
    expect(statSync(lockOf(path)).mode & 0o777).toBe(0o600);
    expect(await startReader(lockOf(path))).toBe("SQLITE_CANTOPEN");
    open(path);
  });

  needsRoot("that has locked a lock file open to all keeps no role from starting, now or later", async () => {
    const path = sharedFolder();
    writeFileSync(lockOf(path), "", { mode: 0o644 });
    expect(await startReader(lockOf(path))).toBe("has it");
    const folder = openDataFolder({ role: "peer", flag: path });
    expect(statSync(lockOf(path)).mode & 0o777).toBe(0o600);
    expectError("already_running", () => open(path), path);
    folder.close();
    open(path);
  });

  test("a lock file that is open to all stays the lock of the role that holds it", async () => {
    const path = temporaryFolder();
    await startHolder(path);
    chmodSync(lockOf(path), 0o644);
    const { ino } = statSync(lockOf(path));
    expectError("already_running", () => open(path), path);
    expect(statSync(lockOf(path)).ino).toBe(ino);
  });
});

describe("files in the folder", () => {
  test("the peer's secret is random, permanent, and readable for its owner only", () => {
    const folder = open(temporaryFolder());
    const secret = folder.readOrCreatePeerSecret(random);
    expect(secret).toMatch(/^[0-9a-f]{32}$/);
    expect(folder.readOrCreatePeerSecret(random)).toBe(secret);
    expect(statSync(join(folder.path, "peer-secret")).mode & 0o777).toBe(0o600);
    expect(open(temporaryFolder()).readOrCreatePeerSecret(random)).not.toBe(secret);
  });

  test("a damaged secret of a peer is reported and kept", () => {
    const folder = open(temporaryFolder());
    writeFileSync(join(folder.path, "peer-secret"), "half an i", { mode: 0o600 });
    expectError("disk", () => folder.readOrCreatePeerSecret(random), "peer-secret");
    expect(existsSync(join(folder.path, "peer-secret"))).toBe(true);
  });

  test("the two ports are remembered separately; an invalid file counts as none", () => {
    const folder = open(temporaryFolder());
    expect(folder.rememberedPort("listen")).toBeUndefined();
    folder.rememberPort("listen", 7700);
    folder.rememberPort("admin", 7701);
    expect([folder.rememberedPort("listen"), folder.rememberedPort("admin")]).toEqual([7700, 7701]);
    for (const text of ["", "0", "70000", "x"]) {
      writeFileSync(join(folder.path, "port"), text);
      expect(folder.rememberedPort("listen")).toBeUndefined();
    }
  });

  test("admin.json is private, replaced as a whole, and read without opening the folder", () => {
    const folder = open(temporaryFolder());
    expect(readAdminFile(folder.path)).toBeUndefined();
    folder.writeAdminFile({ url: "http://127.0.0.1:1", token: "one" });
    folder.writeAdminFile({ url: "http://127.0.0.1:2", token: "two" });
    expect(readAdminFile(folder.path)).toEqual({ url: "http://127.0.0.1:2", token: "two" });
    expect(statSync(join(folder.path, "admin.json")).mode & 0o777).toBe(0o600);
    folder.removeAdminFile();
    folder.removeAdminFile();
    expect(readAdminFile(folder.path)).toBeUndefined();
  });

  test("a stale or damaged admin.json blocks nothing", () => {
    const path = temporaryFolder();
    writeFileSync(join(path, "admin.json"), '{"url":"http');
    writeFileSync(join(path, "admin.json.new"), "left by a crash");
    expect(readAdminFile(path)).toBeUndefined();
    const folder = open(path);
    folder.writeAdminFile({ url: "http://127.0.0.1:3", token: "three" });
    expect(readAdminFile(path)?.token).toBe("three");
  });

  /** Every file with a secret, and how it is read. */
  const secretFiles: Record<string, (folder: DataFolder) => unknown> = {
    "peer-secret": (folder) => folder.readOrCreatePeerSecret(random),
    "swarm.json": ({ membership }) => membership.read(),
    "swarm-authority.pem": ({ membership }) => membership.readAuthorityKey({} as Membership),
    "swarm-pending.pem": ({ membership }) => membership.readPendingKey(),
  };
  for (const [name, read] of Object.entries(secretFiles)) {
    test(`${name} is not used where others can read or write it, or made it, as ssh does with keys`, () => {
      const folder = open(temporaryFolder());
      const path = join(folder.path, name);
      writeFileSync(path, "anything");
      for (const mode of [0o640, 0o604, 0o620, 0o602]) {
        chmodSync(path, mode);
        expect(expectError("disk", () => read(folder), `${path} is not used: other users can`).hint).toContain("chmod");
      }
      if (process.getuid?.() !== 0) return;
      chmodSync(path, 0o600);
      chownSync(path, 65_534, 65_534);
      expectError("disk", () => read(folder), "belongs to another user");
    });

    test(`a pipe or folder in place of ${name} is an error, and is not waited for`, () => {
      const folder = open(temporaryFolder());
      const path = join(folder.path, name);
      Bun.spawnSync(["mkfifo", "-m", "600", path]);
      expectError("disk", () => read(folder), "no regular file");
      unlinkSync(path);
      mkdirSync(path, { mode: 0o700 });
      expectError("disk", () => read(folder), "no regular file");
    });
  }

  needsRoot("an admin.json that another user made or can change is not used, except by root", async () => {
    const path = temporaryFolder();
    chmodSync(path, 0o755);
    const file = join(path, "admin.json");
    writeFileSync(file, '{"url":"http://127.0.0.1:1","token":"planted"}', { mode: 0o644 });
    chownSync(file, 65_533, 65_533);
    const module = join(import.meta.dir, "../../src/store/data-folder.ts");
    const script = `const { readAdminFile } = await import(${JSON.stringify(module)});
      try { console.log(readAdminFile(${JSON.stringify(path)}).token) } catch (error) { console.log(error.code, error.message) }`;
    expect(outputOf(script, { asUser: "nobody" })).toBe(`disk ${file} is not used: it belongs to another user`);
    chownSync(file, 65_534, 65_534);
    expect(outputOf(script, { asUser: "nobody" })).toBe("planted");
    chmodSync(file, 0o666);
    expect(outputOf(script, { asUser: "nobody" })).toBe(`disk ${file} is not used: other users can write to it`);
    expect(readAdminFile(path)?.token).toBe("planted");
  });
});
