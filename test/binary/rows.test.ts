/**
 * The rows of the requirements as a user of the executable meets them, each by its id. What needs a terminal is in
 * shell.test.ts, what needs processes to die in lifecycle.test.ts and losses.test.ts.
 */
import { describe, expect } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, readlinkSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import type { Outcome, Role, Roles } from "../../scripts/lib/roles.ts";
import { NOTICE_MS_MAX } from "../../src/core/limits.ts";
import { GiB, MiB } from "../../src/core/units.ts";
import { randomBytes } from "../support/bytes.ts";
import { closeLater, openForAll } from "../support/closing.ts";
import { openExecutable, startFetch } from "../support/executable.ts";
import { FakeHolder } from "../support/fake-holder.ts";
import { expectSameFile } from "../support/folder.ts";
import { lastJson } from "../support/json.ts";
import { story } from "../support/story.ts";
import { until } from "../support/until.ts";

/** So slow that a fetch lasts until it is ended, or the limit is lifted. */
const SLOWLY = ["--up-limit", "256KiB/s"];
/** Of zeros that take no room on the disk, and much longer to hash than the test looks at it. */
const VAST = 256 * GiB;

const step = story();
let roles: Roles;
let folder = "";
let tracker: Role;
let anna: Role;
let ben: Role;

openForAll(async () => {
  roles = await openExecutable();
  ({ folder } = roles);
  tracker = await roles.tracker();
  [anna, ben] = await Promise.all([roles.peer("anna", tracker), roles.peer("ben", tracker)]);
  mkdirSync(join(folder, "files"));
  write("report.txt", "a report\n");
});

function write(name: string, bytes: string | Uint8Array): string {
  const path = join(folder, "files", name);
  writeFileSync(path, bytes);
  return path;
}

const at = (role: Role, ...words: readonly string[]) =>
  roles.run([role === tracker ? "tracker" : "peer", ...words, "--data", role.data]);

/** The result of a command that must succeed. */
async function json(role: Role, ...words: readonly string[]) {
  const { exitCode, stdout, stderr } = await at(role, ...words, "--json");
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
  return parse(words, stdout);
}

/** A fetch prints an event a line, everything else one value. */
const parse = (words: readonly string[], stdout: string) =>
  words[0] === "fetch" ? lastJson(stdout) : JSON.parse(stdout);

/** The error of a command that must fail with this exit code: an object on stdout, two lines on stderr. */
async function failure(code: number, role: Role, ...words: readonly string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await at(role, ...words, "--json");
  expect(`${exitCode} ${stderr}`).toMatch(new RegExp(`^${code} error: .+\nhint: .+\n$`));
  return parse(words, stdout).error.message;
}

const parts = (role: Role) => role.address.split(":") as [string, string];
const keyOf = (fname: string, role: Role) => `${fname}_${parts(role).join("_")}`;
const named = (rows: readonly { fname: string }[], fname: string) => rows.filter((row) => row.fname === fname);
const read = (path: string) => readFileSync(path, "utf8");

/** The row of the file that the first step publishes. */
const sharedByAnna = () => ({
  key: keyOf("shared.txt", anna),
  fname: "shared.txt",
  size: 9,
  total_chunknum: 1,
  path: "./files/report.txt",
  address: anna.address,
  content_id: expect.stringMatching(/^[0-9a-f]{64}$/),
});

describe("publish, list, discover", () => {
  step(
    "F16, R1, R11, decisions 6 and 7: publish prints what it published, and the tracker lists it within 2 s",
    async () => {
      const published = await json(anna, "publish", "./files/report.txt", "shared.txt");
      const ticket = `p2pfs://${tracker.address}/shared.txt?id=${published.content_id}`;
      expect(published).toEqual({ ...sharedByAnna(), ticket });
      const publishedMs = performance.now();
      expect(named(await json(tracker, "list-files"), "shared.txt")).toHaveLength(1);
      expect(performance.now() - publishedMs).toBeLessThan(NOTICE_MS_MAX);
    },
  );

  step("F10, F14: list_files has every shared file, at the tracker and at every peer, its own included", async () => {
    const [row] = await json(tracker, "list-files");
    expect(row).toEqual({ ...sharedByAnna(), holders: 1 });
    for (const peer of [anna, ben]) expect(await json(peer, "list_files")).toEqual([row]);
    const table = (await at(ben, "list-files")).stdout.split("\n");
    expect(table[0]).toMatch(/^KEY +FNAME +SIZE +CHUNKS +PATH +ADDRESS +CONTENT +HOLDERS$/);
    expect(table[1]).toMatch(new RegExp(`^${keyOf("shared.txt", anna)} +shared.txt +9 B +1 +./files/report.txt +`));
  });

  step(
    "F7: list_peers has the address and host name of each peer, since when it is there, and when it was last seen",
    async () => {
      const peers = await json(tracker, "list_peers");
      expect(peers.map(({ address }: { address: string }) => address).toSorted()).toEqual(
        [anna.address, ben.address].toSorted(),
      );
      for (const peer of peers) {
        expect(Object.keys(peer)).toEqual(["address", "host_name", "since", "last_seen", "files"]);
        expect(peer.host_name).toBe(hostname());
        expect(Date.now() - Date.parse(peer.last_seen)).toBeLessThan(10_000);
      }
      expect((await at(tracker, "list-peers")).stdout).toMatch(/^ADDRESS +HOST +SINCE +LAST SEEN +FILES\n/);
    },
  );

  step("F9, F15, R10, R11: discover by IP and port, of another peer and of the peer itself", async () => {
    for (const role of [tracker, anna, ben]) {
      for (const words of [parts(anna), ["localhost", parts(anna)[1]], [anna.address]]) {
        const [row, ...more] = await json(role, "discover", ...words);
        expect(more).toEqual([]);
        expect(row).toMatchObject(sharedByAnna());
      }
    }
    expect(await json(ben, "discover", ...parts(ben))).toEqual([]);
    expect(await failure(4, tracker, "discover", "127.0.0.1", "1")).toContain("127.0.0.1");
  });

  step("5, decision 0: a host with several peers needs the port, also by its host name", async () => {
    for (const host of ["127.0.0.1", hostname()]) {
      expect(await failure(5, tracker, "discover", host)).toContain("2 peers");
      expect(await failure(5, tracker, "ping", host)).toContain("2 peers");
    }
  });

  step("F11: list_chunkinfo has the holder, its chunks as ranges, and their percentage", async () => {
    const rows = await json(tracker, "list_chunkinfo");
    expect(rows).toEqual([
      {
        key: keyOf("shared.txt", anna),
        content_id: expect.any(String),
        holder: anna.address,
        chunks: "0",
        total_chunknum: 1,
        percent: 100,
      },
    ]);
    expect((await at(tracker, "list-chunkinfo")).stdout).toMatch(/^KEY +CONTENT +HOLDER +HAS +OF +CHUNKS\n/);
  });
});

describe("ping", () => {
  step("F8, R13: prints whether a peer answers, and the time since the command was given", async () => {
    const started = performance.now();
    const pong = await json(tracker, "ping", ...parts(ben));
    expect(pong).toEqual({ address: ben.address, alive: true, duration_ms: expect.any(Number) });
    expect(pong.duration_ms).toBeGreaterThan(0);
    expect(pong.duration_ms).toBeLessThan(performance.now() - started);
    expect((await at(tracker, "ping", ben.address)).stdout).toMatch(/^127\.0\.0\.1:\d+ is there: [\d.]+ ms\n$/);
  });

  step("F8: a peer that has left is gone (exit 4)", async () => {
    const passing = await roles.peer("passing", tracker);
    await passing.stop();
    const { exitCode, stdout } = await at(tracker, "ping", ...parts(passing), "--json");
    expect(exitCode).toBe(4);
    expect(JSON.parse(stdout)).toMatchObject({ address: passing.address, alive: false });
    expect((await at(tracker, "ping", passing.address)).stdout).toBe(`${passing.address} is gone\n`);
  });

  step("6, R12: the tracker refuses to ping itself, under any of its names", async () => {
    const port = parts(tracker)[1];
    for (const host of ["127.0.0.1", "localhost", "::1", "0.0.0.0", hostname()])
      expect(await failure(6, tracker, "ping", host, port)).toContain("own address");
  });
});

describe("fetch", () => {
  const copy = (name: string) => join(folder, name);

  step("F17: FNAME alone, into ./FNAME", async () => {
    const receipt = await json(ben, "fetch", "shared.txt");
    expect(receipt).toEqual({
      event: "receipt",
      id: expect.any(String),
      fname: "shared.txt",
      content_id: expect.any(String),
      destination: copy("shared.txt"),
      size: 9,
      total_chunknum: 1,
      bytes_fetched: 9,
      bytes_copied: 0,
      bytes_resumed: 0,
      sources: [{ address: anna.address, inbound: false, bytes: 9, chunks: 1, rejected: 0 }],
      rerequests: 0,
      rejected: 0,
      duration_ms: expect.any(Number),
      bytes_per_second: expect.any(Number),
    });
    expect(read(copy("shared.txt"))).toBe("a report\n");
  });

  step(
    "F17, decisions 4 and 5: DESTINATION, PEER_IP and PEER_PORT of the publisher or of a holder; without PEER_PORT usage",
    async () => {
      mkdirSync(copy("inbox"));
      await json(ben, "fetch", "shared.txt", "inbox", ...parts(anna));
      expect(read(copy("inbox/shared.txt"))).toBe("a report\n");
      await json(ben, "fetch", "shared.txt", "from ben", ...parts(ben));
      expect(read(copy("from ben"))).toBe("a report\n");
      expect(await failure(2, ben, "fetch", "shared.txt", "x", "127.0.0.1")).toContain("PEER_PORT");
      expect(await failure(4, ben, "fetch", "shared.txt", "x", "127.0.0.1", "1")).toContain("127.0.0.1:1");
    },
  );

  step("6, R6: refuses what the peer published itself; 6, R7: refuses a file that exists", async () => {
    expect(await failure(6, anna, "fetch", "shared.txt", "own")).toContain("R6");
    writeFileSync(copy("mine"), "mine");
    expect(await failure(6, ben, "fetch", "shared.txt", "mine")).toContain("exists");
    expect(read(copy("mine"))).toBe("mine");
  });

  step("4, R5: a name that nobody shares is reported within 2 s", async () => {
    const started = performance.now();
    expect(await failure(4, ben, "fetch", "unheard-of")).toContain("unheard-of");
    expect(performance.now() - started).toBeLessThan(NOTICE_MS_MAX);
  });

  step("two commands that fetch the same at the same time are one fetch, and both get its receipt", async () => {
    const slow = await roles.peer("slow", tracker, SLOWLY);
    await json(slow, "publish", write("large.bin", randomBytes(4 * MiB, 3)));
    const both = [1, 2].map(() => startFetch(roles, "large.bin", copy("large.bin"), "--data", ben.data));
    await Promise.all(both.map((fetch) => fetch.untilChunks()));
    await json(slow, "limits", "--up-limit", "none");
    const [one, other] = await Promise.all(both.map(async (fetch) => lastJson((await fetch.ended).stdout)));
    expect(one).toMatchObject({ event: "receipt", id: other.id });
    expectSameFile(copy("large.bin"), join(folder, "files/large.bin"));
  });

  step("5, R2, decision 3: two peers may use one name; an address or a ticket says which is meant", async () => {
    const ours = await json(anna, "publish", write("ours", "from anna"), "name.txt");
    const theirs = await json(ben, "publish", write("theirs", "from ben"), "name.txt");
    const third = await roles.peer("third", tracker);
    const ambiguous = await failure(5, third, "fetch", "name.txt");
    for (const { address } of [anna, ben]) expect(ambiguous).toContain(address);
    await json(third, "fetch", "name.txt", "by address", ...parts(ben));
    expect(read(copy("by address"))).toBe("from ben");
    await json(third, "fetch", ours.ticket, "by ticket");
    expect(read(copy("by ticket"))).toBe("from anna");
    expect(theirs.content_id).not.toBe(ours.content_id);
    await third.stop();
  });

  step("R2, R3: one name and one path once within a peer, in any spelling and through a symlink", async () => {
    const path = write("once.txt", "once");
    symlinkSync(path, join(folder, "link.txt"));
    await json(anna, "publish", path, "Résumé.txt");
    expect(await failure(6, anna, "publish", write("twice.txt", "twice"), "re\u0301sume\u0301.TXT")).toContain("R2");
    for (const spelling of ["files/once.txt", "./files/../files/once.txt", "link.txt"])
      expect(await failure(6, anna, "publish", spelling, `as ${spelling.length}`)).toContain("R3");
  });

  step("one content under two names is one swarm; it stays when the publisher leaves (F19)", async () => {
    const content = randomBytes(2 * MiB, 5);
    const publisher = await roles.peer("publisher", tracker);
    const { content_id } = await json(publisher, "publish", write("first", content));
    expect(await json(ben, "publish", write("second", content))).toMatchObject({ content_id });
    const files = await json(tracker, "list-files");
    expect([...named(files, "first"), ...named(files, "second")]).toMatchObject([{ holders: 2 }, { holders: 2 }]);
    await publisher.stop();
    const [first] = named(await json(anna, "list-files"), "first");
    expect(first).toMatchObject({ holders: 1, address: publisher.address });
    const receipt = await json(anna, "fetch", "first", "first");
    expect(receipt.sources).toMatchObject([{ address: ben.address }]);
    // Where the publisher is gone its address still says whose file is meant.
    await json(anna, "fetch", "first", "first again", ...parts(publisher));
  });
});

describe("connect", () => {
  step("F13: connect leaves the old tracker and announces the shares at the new one", async () => {
    const other = await roles.tracker("other tracker");
    const connected = await json(ben, "connect", ...parts(other));
    expect(connected).toMatchObject({ tracker: other.address });
    expect(named(await json(other, "list-files"), "name.txt")).toMatchObject([{ address: connected.address }]);
    const left = await json(tracker, "list-peers");
    expect(left.map(({ address }: { address: string }) => address)).not.toContain(ben.address);
    expect(named(await json(tracker, "list-files"), "name.txt")).toMatchObject([{ address: anna.address }]);
    await json(ben, "connect", ...parts(tracker));
  });
});

describe("exit codes that need somebody else", () => {
  step("1: an error code that is not known; 11: a wrong token", async () => {
    const data = join(folder, "stranger");
    mkdirSync(data);
    const answer = { error: { code: "invented-later", message: "something new", hint: "wait" } };
    const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => Response.json(answer, { status: 500 }) });
    closeLater(server, () => server.stop(true));
    const admin = { url: `http://127.0.0.1:${server.port}`, token: "t" };
    writeFileSync(join(data, "admin.json"), JSON.stringify(admin));
    const unknown = await roles.run(["peer", "status", "--data", data]);
    expect(unknown).toMatchObject({ exitCode: 1, stdout: "", stderr: "error: something new\nhint: wait\n" });
    const real = JSON.parse(read(join(anna.data, "admin.json")));
    writeFileSync(join(data, "admin.json"), JSON.stringify({ ...real, token: "wrong" }));
    const refused: Outcome = await roles.run(["peer", "status", "--json", "--data", data]);
    expect(refused.exitCode).toBe(11);
    expect(JSON.parse(refused.stdout)).toMatchObject({ error: { code: "unauthorised" } });
  });

  step("8, D7: when the last holder leaves, the fetch ends with the chunk that nobody has", async () => {
    const leaving = await roles.peer("leaving", tracker, SLOWLY);
    await json(leaving, "publish", write("going.bin", randomBytes(4 * MiB, 9)));
    const fetch = startFetch(roles, "going.bin", join(folder, "gone.bin"), "--data", anna.data);
    await fetch.untilChunks();
    await leaving.stop();
    const { exitCode, stdout } = await fetch.ended;
    expect(exitCode).toBe(8);
    expect(lastJson(stdout).error).toMatchObject({ code: "no_holder", message: expect.stringMatching(/chunk \d+/) });
  });

  step("9, F21: when the only holder's bytes are wrong, nothing comes under the final name", async () => {
    const path = write("true.bin", randomBytes(2 * MiB, 11));
    const flip = (chunk: number, bytes: Uint8Array) => {
      const wrong = Uint8Array.from(bytes);
      wrong[7]! ^= 1;
      return { chunk, bytes: wrong };
    };
    const { contentId } = await FakeHolder.start({ tracker: tracker.address as never, path, answer: flip });
    const ticket = `p2pfs://${tracker.address}/true.bin?id=${contentId}`;
    expect(await failure(9, anna, "fetch", ticket, "true.bin")).toBeString();
    expect(await Bun.file(join(folder, "true.bin")).exists()).toBe(false);
  });

  step("12: a publish that is interrupted; nothing is shared", async () => {
    const vast = write("vast", "");
    truncateSync(vast, VAST);
    const publish = roles.spawn(["peer", "publish", vast, "--json", "--data", anna.data]);
    const openFiles = () => readdirSync(`/proc/${anna.pid}/fd`).map((fd) => linkAt(`/proc/${anna.pid}/fd/${fd}`));
    await until("the peer reads it", () => openFiles().includes(vast));
    publish.kill("SIGINT");
    expect(await publish.exited).toBe(12);
    expect(JSON.parse(await publish.stdout.text())).toMatchObject({ error: { code: "cancelled" } });
    expect(named(await json(anna, "list-files"), "vast")).toEqual([]);
  });

  step("12: a fetch that is interrupted", async () => {
    const slower = await roles.peer("slower", tracker, SLOWLY);
    await json(slower, "publish", write("slow.bin", randomBytes(4 * MiB, 13)));
    const where = ["--tracker", tracker.address, "--data", join(folder, "nobody")];
    const fetch = startFetch(roles, "slow.bin", join(folder, "slow.bin"), ...where);
    await fetch.untilChunks();
    fetch.process.kill("SIGINT");
    const { exitCode, stderr } = await fetch.ended;
    expect(exitCode).toBe(12);
    expect(stderr).toContain("run the same command again");
  });
});

/** Where the link leads; undefined where it is gone by now. */
function linkAt(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

describe("exit", () => {
  step("F12, F18: exit returns when the process has ended", async () => {
    for (const role of [anna, tracker]) {
      expect(await json(role, "exit")).toEqual({ stopped: true, pid: role.pid });
      expect(await role.exited).toBe(0);
      expect(await failure(3, role, "status")).toContain(role.data);
    }
  });
});
