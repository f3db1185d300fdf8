/** The flags of the log and their twins, on the command line of a tracker, a peer and a fetch. */
import { Database } from "bun:sqlite";
import { describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runCli } from "../../src/cli/cli.ts";
import { formatHostPort } from "../../src/core/address.ts";
import { readAdminFile } from "../../src/store/data-folder.ts";
import { openForAll } from "../support/closing.ts";
import { temporaryFolder } from "../support/folder.ts";
import { AdminRoles } from "../support/roles.ts";
import { until } from "../support/until.ts";
import { memoryIo } from "./memory-io.ts";
import { type Ended, runToEnd, type StartOptions, start } from "./spawn.ts";

let folder: string;
let trackerFlags: string[];
openForAll(async () => {
  folder = temporaryFolder();
  const { trackerAddress } = await AdminRoles.open();
  trackerFlags = ["--tracker", formatHostPort(trackerAddress)];
});

const data = (name: string) => ["--data", join(folder, name)];

/** A tracker that is told to end as soon as it is up. */
async function trackerLog(name: string, flags: readonly string[], options: StartOptions = {}): Promise<Ended> {
  const role = start(
    ["tracker", "start", "127.0.0.1", "0", "--admin", "127.0.0.1:0", "--json", ...data(name), ...flags],
    options,
  );
  await role.announced;
  role.stdin.write("exit\n");
  role.stdin.end();
  return role.ended;
}

interface Entry {
  readonly time: string;
  readonly level: string;
  readonly role: string;
  readonly message: string;
  readonly [field: string]: unknown;
}

const entriesOf = (stderr: string): Entry[] =>
  stderr
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));

describe("a value that does not fit is a usage error that names those that do", () => {
  const roles = [["tracker"], ["tracker", "start"], ["peer", "start"], ["peer", "fetch", "name"]];
  const levels = "expected debug, info, warn or error, not";
  const run = async (args: readonly string[], env: Record<string, string> = {}) => {
    const io = memoryIo(folder, env);
    return { code: await runCli([...args, ...data("none"), "--json"], io), stderr: io.stderr.text };
  };

  test.each(roles)("%s %s", async (...words) => {
    const level = await run([...words, "--log-level", "loud"]);
    expect(level).toMatchObject({ code: 2, stderr: expect.stringContaining(`${levels} "loud"`) });
    const format = await run([...words, "--log_format", "xml"]);
    expect(format).toMatchObject({ code: 2, stderr: expect.stringContaining(`expected text or json, not "xml"`) });
  });

  test.each(roles)("%s %s, in the environment", async (...words) => {
    const level = await run(words, { P2PFS_LOG_LEVEL: "INFO" });
    expect(level).toMatchObject({ code: 2, stderr: expect.stringContaining(`P2PFS_LOG_LEVEL: ${levels} "INFO"`) });
    const format = await run(words, { P2PFS_LOG_FORMAT: "xml" });
    expect(format).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("P2PFS_LOG_FORMAT: expected text or json"),
    });
  });
});

test.each([
  ["p2pfs peer start --log-level ", ["value\tdebug", "value\tinfo", "value\twarn", "value\terror"]],
  ["p2pfs tracker start --log-format j", ["value\tjson"]],
  ["p2pfs peer fetch --log_level e", ["value\terror"]],
  ["p2pfs peer start --log_f", ["name\t--log_format"]],
])("%s is completed with what fits", async (line, expected) => {
  const io = memoryIo(folder);
  await runCli(["propose", line], io);
  expect(io.stdout.text.trimEnd().split("\n")).toEqual(expected);
});

test("a tracker logs as text from info on; flags change both, and win over their twins", async () => {
  const byDefault = await trackerLog("t1", []);
  expect(byDefault.stderr).toMatch(/^info: listening on 127\.0\.0\.1:\d+\n$/);
  const asJson = await trackerLog("t1", ["--log-format", "json"]);
  const { address } = JSON.parse(asJson.stdout.split("\n")[0]!);
  expect(entriesOf(asJson.stderr)).toMatchObject([
    { level: "info", role: "tracker", message: `listening on ${address}`, address },
  ]);
  expect((await trackerLog("t1", ["--log-level", "warn"])).stderr).toBe("");
  const env = { P2PFS_LOG_FORMAT: "json", P2PFS_LOG_LEVEL: "error" };
  expect((await trackerLog("t1", [], { env })).stderr).toBe("");
  expect((await trackerLog("t1", ["--log-level", "info", "--log-format", "text"], { env })).stderr).toStartWith(
    "info: ",
  );
});

test.each(["json", "text"])("a peer's %s log stays one line an entry, whatever a folder is called", async (format) => {
  const strange = `${format}\n\u202e\u009bb`;
  mkdirSync(join(folder, strange));
  const path = join(folder, strange, "file");
  writeFileSync(path, "text");
  const env = { P2PFS_LOG_FORMAT: format };
  const role = start(["peer", "start", "--json", ...data(`peer ${format}`), ...trackerFlags], { env });
  await role.announced;
  expect((await runToEnd(["peer", "publish", path, `of ${format}`, ...data(`peer ${format}`)])).code).toBe(0);
  writeFileSync(path, "changed");
  await until("the file is served no longer", async () => {
    const { stdout } = await runToEnd(["peer", "list-files", "--json", ...data(`peer ${format}`)]);
    return JSON.parse(stdout).length === 0;
  });
  role.kill("SIGTERM");
  const { stderr } = await role.ended;
  if (format === "json") {
    const [joined, lost] = entriesOf(stderr);
    expect(joined).toMatchObject({
      level: "info",
      role: "peer",
      tracker: trackerFlags[1]!,
      address: expect.any(String),
    });
    expect(lost).toMatchObject({ level: "warn", path, reason: `${path} changed since it was shared` });
  } else {
    expect(stderr).toMatch(
      /^info: joined .*\nwarn: .*text\\u\{a\}\\u\{202e\}\\u\{9b\}b\/file is not served any more: .*\n$/,
    );
  }
});

test("nothing secret is in the log of a tracker, a peer or a fetch, even from debug on", async () => {
  const env = { P2PFS_LOG_FORMAT: "json", P2PFS_LOG_LEVEL: "debug" };
  const tracker = start(
    ["tracker", "start", "127.0.0.1", "0", "--admin", "127.0.0.1:0", "--json", ...data("open tracker")],
    { env },
  );
  const { address } = await tracker.announced;
  const joining = ["--tracker", String(address)];
  const peer = start(["peer", "start", "--json", ...data("open peer"), ...joining], { env });
  await peer.announced;
  const path = join(folder, "source");
  writeFileSync(path, "text");
  await runToEnd(["peer", "publish", path, "film", ...data("open peer")]);
  const dashboard = await runToEnd(["peer", "dashboard", "--json", ...data("open peer")]);
  const fetched = await runToEnd(["peer", "fetch", "film", "copy", ...joining, ...data("none")], { cwd: folder, env });
  expect(fetched.code).toBe(0);
  const registry = new Database(join(folder, "open tracker", "registry.sqlite"), { readonly: true });
  const peerIds = registry.query<{ peer_id: string }, []>("SELECT peer_id FROM peers").all();
  registry.close();
  const secrets = [
    ...peerIds.map(({ peer_id }) => peer_id),
    readFileSync(join(folder, "open peer", "peer-secret"), "utf8").trim(),
    ...["open tracker", "open peer"].map((name) => readAdminFile(join(folder, name))!.token),
    JSON.parse(dashboard.stdout).url.split("#code=")[1],
  ];
  expect(secrets).toHaveLength(6);
  for (const role of [peer, tracker]) role.kill("SIGTERM");
  const logs = [fetched.stderr, (await peer.ended).stderr, (await tracker.ended).stderr];
  for (const log of logs) {
    const entries = entriesOf(log);
    expect(entries.filter(({ level }) => level === "debug")).not.toEqual([]);
    for (const secret of secrets) expect(log).not.toContain(secret);
  }
}, 20_000);
