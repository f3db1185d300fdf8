/** One-shot commands over running roles: what scripts and people get to read, and the exit codes. */
import { describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { closeLater, openForAll } from "../support/closing.ts";
import { lastJson } from "../support/json.ts";
import { AdminRoles } from "../support/roles.ts";
import { story } from "../support/story.ts";
import { type Outcome, runHere } from "./memory-io.ts";

const step = story();
let roles: AdminRoles;
let dataOf: Record<string, string>;
let addressOf: Record<string, string>;
let cwd: string;

const run = (args: readonly string[], env?: Record<string, string>) => runHere(cwd, args, env);
const tracker = (...args: string[]) => run(["tracker", ...args, "--data", roles.trackerData]);
const peer = (name: string, ...args: string[]) => run(["peer", ...args, "--data", dataOf[name]!]);
const jsonOf = ({ stdout }: Outcome) => JSON.parse(stdout);

openForAll(async () => {
  roles = await AdminRoles.open();
  cwd = join(roles.folder, "home");
  mkdirSync(cwd);
  dataOf = {};
  addressOf = {};
  for (const name of ["alice", "bob"]) {
    const { data, client } = await roles.addPeer(name);
    dataOf[name] = data;
    addressOf[name] = (await (await client.api.status.$get()).json()).address!;
  }
  writeFileSync(join(cwd, "report.txt"), "a report\n");
  writeFileSync(join(cwd, "other.txt"), "another report\n");
});

describe("publish, list and fetch with --json and as text", () => {
  step("publish shows the path as typed, and a ticket (F16, R11)", async () => {
    const published = await peer("alice", "publish", "./report.txt", "shared.txt", "--json");
    expect(published.code).toBe(0);
    expect(jsonOf(published)).toMatchObject({
      key: `shared.txt_127.0.0.1_${addressOf.alice!.split(":")[1]}`,
      fname: "shared.txt",
      path: "./report.txt",
      size: 9,
      total_chunknum: 1,
      address: addressOf.alice!,
      ticket: expect.stringMatching(/^p2pfs:\/\/127\.0\.0\.1:\d+\/shared\.txt\?id=[0-9a-f]{64}$/),
    });
    expect((await peer("alice", "publish", "other.txt")).stdout).toMatch(
      /^published other\.txt \(15 B, 1 chunk\)\np2pfs:/,
    );
  });

  step("lists are one array, or a table (F10, F14)", async () => {
    const files = jsonOf(await tracker("list-files", "--json"));
    expect(files.map(({ fname }: { fname: string }) => fname)).toEqual(["other.txt", "shared.txt"]);
    expect(jsonOf(await peer("bob", "list_files", "--json"))).toEqual(files);
    const { stdout } = await tracker("list_files");
    expect(stdout).toMatch(/^KEY +FNAME +SIZE +CHUNKS +PATH +ADDRESS +CONTENT +HOLDERS\n/);
    expect(stdout).toMatch(/shared\.txt_127\.0\.0\.1_\d+ +shared\.txt +9 B +1 +\.\/report\.txt +127/);
  });

  step("fetch writes ./FNAME by default, into a folder where there is one, and gives a receipt (F17)", async () => {
    const fetched = await peer("bob", "fetch", "shared.txt", "--json");
    expect(fetched.code).toBe(0);
    expect(lastJson(fetched.stdout)).toMatchObject({
      event: "receipt",
      destination: join(cwd, "shared.txt"),
      bytes_fetched: 9,
      sources: [{ address: addressOf.alice!, bytes: 9, chunks: 1 }],
    });
    expect(readFileSync(join(cwd, "shared.txt"), "utf8")).toBe("a report\n");
    mkdirSync(join(cwd, "folder"));
    const [ip, port] = addressOf.alice!.split(":") as [string, string];
    const into = await peer("bob", "fetch", "shared.txt", "folder/", ip, port);
    expect(into.stdout).toStartWith("fetched folder/shared.txt: 9 B in ");
    expect(readFileSync(join(cwd, "folder", "shared.txt"), "utf8")).toBe("a report\n");
  });

  step("chunks, peers, discover and ping show both sides (F7–F9, F11, F15)", async () => {
    const chunks = jsonOf(await tracker("list-chunkinfo", "--json"));
    expect(chunks).toContainEqual(
      expect.objectContaining({ holder: addressOf.alice!, chunks: "0", percent: 100, total_chunknum: 1 }),
    );
    const peers = jsonOf(await tracker("list-peers", "--json"));
    expect(peers.map(({ address }: { address: string }) => address).toSorted()).toEqual(
      Object.values(addressOf).toSorted(),
    );
    for (const args of [addressOf.alice!.split(":"), [addressOf.alice!]]) {
      expect(jsonOf(await tracker("discover", ...args, "--json"))).toHaveLength(2);
      expect(jsonOf(await peer("alice", "discover", ...args, "--json"))).toHaveLength(2);
      expect(jsonOf(await tracker("ping", ...args, "--json"))).toMatchObject({ alive: true });
    }
    expect((await peer("bob", "discover", addressOf.bob!)).stdout).toBe("this peer shares no file\n");
  });

  step("status is one object with its own address", async () => {
    expect(jsonOf(await peer("bob", "status", "--json"))).toMatchObject({ role: "peer", address: addressOf.bob! });
    expect(jsonOf(await tracker("status", "--json"))).toMatchObject({ role: "tracker", peers: 2, files: 2 });
    expect((await tracker("status")).stdout).toMatch(/^role +tracker \d/);
  });

  step("connect and unpublish print what they did (F13)", async () => {
    const { host, port } = roles.trackerAddress;
    expect((await peer("bob", "connect", host, String(port))).stdout).toBe(
      `joined ${host}:${port} as ${addressOf.bob}\n`,
    );
    expect((await peer("alice", "unpublish", "other.txt")).stdout).toBe("other.txt is shared no longer\n");
    expect(jsonOf(await peer("bob", "list-fetches", "--json"))).toHaveLength(2);
  });
});

describe("exit codes", () => {
  const cases: readonly [code: number, name: string, args: (place: { port: string }) => readonly string[]][] = [
    [2, "an unknown command", () => ["peer", "fetsh"]],
    [2, "an unknown role", () => ["seeder", "start"]],
    [2, "a typo in a flag", () => ["peer", "status", "--jsn"]],
    [2, "a missing argument", () => ["peer", "publish"]],
    [2, "too many arguments", () => ["peer", "publish", "a", "b", "c"]],
    [2, "a port that is no number", () => ["tracker", "ping", "127.0.0.1", "http"]],
    [2, "a port out of range", () => ["tracker", "ping", "127.0.0.1", "65536"]],
    [2, "an address without a port", () => ["peer", "connect", "127.0.0.1"]],
    [2, "a fetch with an IP and no port", () => ["peer", "fetch", "shared.txt", "x", "127.0.0.1"]],
    [2, "a broken ticket", () => ["peer", "fetch", "p2pfs://127.0.0.1:1/a"]],
    [2, "a duration that is none", () => ["peer", "fetch", "a", "--seed-for", "soon"]],
    [3, "no role in the folder", () => ["peer", "status", "--data", "nowhere"]],
    [4, "no such file in the swarm", () => ["peer", "fetch", "nothing", "--data", dataOf.bob!]],
    [4, "no such local file", () => ["peer", "publish", "nothing", "--data", dataOf.bob!]],
    [4, "no such peer", () => ["tracker", "ping", "127.0.0.1", "1", "--data", roles.trackerData]],
    [5, "a host with two peers", () => ["tracker", "discover", "127.0.0.1", "--data", roles.trackerData]],
    [6, "a destination that exists (R7)", () => ["peer", "fetch", "shared.txt", "--data", dataOf.bob!]],
    [6, "an own file (R6)", () => ["peer", "fetch", "shared.txt", "x", "--data", dataOf.alice!]],
    [6, "a name in use (R2)", () => ["peer", "publish", "other.txt", "shared.txt", "--data", dataOf.alice!]],
    [6, "a path in use (R3)", () => ["peer", "publish", "report.txt", "again.txt", "--data", dataOf.alice!]],
    [6, "a name that leads elsewhere", () => ["peer", "publish", "other.txt", "../x", "--data", dataOf.alice!]],
    [
      6,
      "a tracker that the running peer is not joined to",
      () => ["peer", "fetch", "shared.txt", "x", "--tracker", "127.0.0.1:9", "--data", dataOf.bob!],
    ],
    [
      7,
      "no tracker",
      ({ port }) => ["peer", "fetch", "x", "--tracker", `127.0.0.1:${port}`, "--data", join(roles.folder, "none")],
    ],
    [10, "a folder that is not there", () => ["peer", "fetch", "shared.txt", "no/such/x", "--data", dataOf.bob!]],
    [
      10,
      "a folder that is not there, with a slash",
      () => ["peer", "fetch", "shared.txt", "no/", "--data", dataOf.bob!],
    ],
    [13, "a data folder in use", () => ["tracker", "start", "--data", roles.trackerData, "--admin", "127.0.0.1:0"]],
    [
      6,
      "an address that others reach",
      () => ["peer", "start", "--listen", "0.0.0.0:0", "--data", join(roles.folder, "wide")],
    ],
    [
      6,
      "an admin address that others reach",
      () => ["tracker", "start", "--admin", "0.0.0.0:0", "--data", join(roles.folder, "wide")],
    ],
  ];

  for (const [code, name, argsOf] of cases)
    step(`${code}: ${name}`, async () => {
      const args = argsOf({ port: "1" });
      const outcome = await run([...args, "--json"]);
      expect(`${outcome.code} ${outcome.stderr}`).toStartWith(`${code} error: `);
      expect(outcome.stderr).toMatch(/^error: .+\nhint: .+\n$/);
      const { error } = JSON.parse(outcome.stdout);
      expect(Object.keys(error)).toEqual(["code", "message", "hint"]);
      const plain = await run(args);
      expect(plain).toMatchObject({ code, stdout: "" });
    });

  step("13: an admin address in use", async () => {
    const taken = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response() });
    closeLater(taken, () => taken.stop(true));
    const data = join(roles.folder, "second");
    const outcome = await run(["tracker", "start", "--admin", `127.0.0.1:${taken.port}`, "--data", data]);
    expect(outcome.code).toBe(13);
    expect(outcome.stderr).toContain("--admin");
  });

  step("after a typo the error names what may have been meant", async () => {
    expect((await run(["peer", "fetsh", "a"])).stderr).toContain("did you mean `fetch`?");
    expect((await run(["peer", "fetch", "a", "--trakcer", "a:1"])).stderr).toContain("did you mean --tracker?");
    expect((await run(["tracker", "lst-peers"])).stderr).toContain("did you mean `list-peers`?");
  });
});

describe("the environment", () => {
  step("sets what flags set, and flags win over it", async () => {
    const env = { P2PFS_DATA: dataOf.bob!, P2PFS_JSON: "1" };
    expect(jsonOf(await run(["peer", "status"], env))).toMatchObject({ address: addressOf.bob! });
    const other = await run(["peer", "status", "--data", dataOf.alice!], env);
    expect(jsonOf(other)).toMatchObject({ address: addressOf.alice! });
  });

  step("is checked as strictly as flags", async () => {
    const { code, stderr } = await run(["peer", "start"], { P2PFS_LISTEN: "somewhere", P2PFS_DATA: "x" });
    expect(code).toBe(2);
    expect(stderr).toContain("P2PFS_LISTEN");
  });
});

describe("a fetch with no peer in the data folder", () => {
  step("is a peer of its own that leaves nothing in the folder", async () => {
    const { host, port } = roles.trackerAddress;
    const args = ["peer", "fetch", "shared.txt", "alone.txt", "--data", join(roles.folder, "nobody")];
    const env = { P2PFS_TRACKER: `${host}:${port}` };
    const outcome = await run([...args, "--json"], env);
    expect(outcome).toMatchObject({ code: 0, stderr: "" });
    expect(readFileSync(join(cwd, "alone.txt"), "utf8")).toBe("a report\n");
    expect(await Bun.file(join(roles.folder, "nobody")).exists()).toBe(false);
    expect(() => readFileSync(join(roles.folder, "nobody"))).toThrow("ENOENT");
    await roles.tracker.api.peers.$get({ query: {} });
  });

  step("takes the tracker from a ticket", async () => {
    const [file] = jsonOf(await tracker("list-files", "--json")) as [{ content_id: string }];
    const { host, port } = roles.trackerAddress;
    const ticket = `p2pfs://${host}:${port}/shared.txt?id=${file.content_id}`;
    const args = ["peer", "fetch", ticket, "by ticket.txt", "--data", join(roles.folder, "nobody")];
    expect(await run(args, { P2PFS_TRACKER: "127.0.0.1:9" })).toMatchObject({ code: 0 });
  });

  step("serves the file for the time of --seed-for", async () => {
    const { host, port } = roles.trackerAddress;
    const args = ["peer", "fetch", "shared.txt", "seeded.txt", "--seed-for", "300ms", "--tracker", `${host}:${port}`];
    const started = performance.now();
    const outcome = await run([...args, "--data", join(roles.folder, "nobody")]);
    expect(outcome.code).toBe(0);
    expect(outcome.stderr).toContain("serving it for 300 ms");
    expect(performance.now() - started).toBeGreaterThan(300);
  });
});

test("help and version come without any role", async () => {
  for (const args of [["--help"], ["peer", "--help"], ["tracker", "start", "-h"], []]) {
    const { code, stdout } = await run(args);
    expect(code).toBe(0);
    expect(stdout).toContain("USAGE");
  }
  expect((await run(["--version"])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
});
