/** Rows S1 to S8 through the shipped executable: from an empty folder to a file on another member's disk, and out again. */
import { expect } from "bun:test";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { lastingPort } from "../../scripts/lib/ports.ts";
import type { Role, Roles } from "../../scripts/lib/roles.ts";
import { errorTable } from "../../src/core/errors.ts";
import { randomBytes } from "../support/bytes.ts";
import { openForAll } from "../support/closing.ts";
import { askJson, openExecutable, runBinary } from "../support/executable.ts";
import { story } from "../support/story.ts";
import { until } from "../support/until.ts";

const bytes = randomBytes(2_500_000, 7);
const TOKEN = /p2pfs-join:[\w-]+/;

const step = story();
let roles: Roles;
let tracker: Role;
let anna: Role;

const dataOf = (name: string) => join(roles.folder, name);
const startMember = (name: string) =>
  roles.start(name, ["peer", "start", "--listen", "127.0.0.1:0"], ({ connected, address }) =>
    connected === true ? address : null,
  );
const swarm = (name: string, ...words: string[]) => roles.run(["swarm", ...words, "--data", dataOf(name)]);
const swarmJson = async (name: string, ...words: string[]) =>
  JSON.parse(await roles.ask(["swarm", ...words, "--json", "--data", dataOf(name)]));

async function token(...flags: string[]): Promise<string> {
  const { stdout } = await swarm("tracker", "invite", ...flags);
  return TOKEN.exec(stdout)![0];
}

openForAll(async () => {
  roles = await openExecutable();
});

step("create makes a swarm, whose keys only their owner can read (S1)", async () => {
  const made = await swarmJson("tracker", "create", "lab");
  expect(made).toMatchObject({ swarm: "lab", role: "tracker" });
  for (const file of readdirSync(dataOf("tracker")).filter((name) => name.startsWith("swarm")))
    expect([file, statSync(join(dataOf("tracker"), file)).mode & 0o777]).toEqual([file, 0o600]);
  const again = await swarm("tracker", "create", "lab");
  expect([again.exitCode, again.stderr]).toEqual([errorTable.refused.exitCode, expect.stringContaining("already")]);
});

step("an invitation is one line of one word, without a sign that a shell treats specially (S2)", async () => {
  const before = await swarm("tracker", "invite");
  expect(before.exitCode).toBe(errorTable.not_running.exitCode);
  tracker = await roles.start(
    "tracker",
    ["tracker", "start", "127.0.0.1", `${await lastingPort()}`, "--admin", "127.0.0.1:0"],
    ({ address }) => address,
  );
  const { stdout } = await swarm("tracker", "invite", "--label", "room 12");
  expect(stdout).toMatch(
    /^to let a machine in, run there until .* UTC:\n {2}p2pfs swarm join p2pfs-join:[A-Za-z0-9_-]+\n$/,
  );
  const [invitation] = await swarmJson("tracker", "invites");
  expect(invitation).toMatchObject({ label: "room 12", uses: 1, used: 0, role: "peer", approve: false });
  await roles.ask(["swarm", "invites", "--revoke", invitation.id, "--data", tracker.data]);
  const late = await swarm("late", "join", TOKEN.exec(stdout)![0]);
  expect([late.exitCode, late.stderr]).toEqual([errorTable.refused.exitCode, expect.stringContaining("invitation")]);
});

step("a machine joins by the word on its line, from standard input, or from P2PFS_JOIN (S3)", async () => {
  const joined = await swarm("anna", "join", await token(), "--name", "anna-pc");
  expect([joined.exitCode, joined.stdout]).toEqual([
    0,
    expect.stringMatching(/^joined the swarm lab as peer anna-pc until \d{4}-\d\d-\d\d; it renews itself\n$/),
  ]);
  const env = { P2PFS_JOIN: await token(), P2PFS_NAME: "ben-pc" };
  const ben = await runBinary(roles.binary, ["swarm", "join", "--data", dataOf("ben")], { cwd: roles.folder, env });
  expect([ben.exitCode, ben.stderr]).toEqual([0, ""]);
  const carol = Bun.spawn([roles.binary, "swarm", "join", "-", "--name", "carol-pc", "--data", dataOf("carol")], {
    cwd: roles.folder,
    env: {},
    stdin: new Blob([`${await token()}\n`]),
    stdout: "pipe",
  });
  expect(await carol.exited).toBe(0);
  for (const name of ["anna", "ben", "carol"])
    expect(statSync(join(dataOf(name), "swarm.json")).mode & 0o777).toBe(0o600);
  const none = await swarm("dora", "join");
  expect([none.exitCode, none.stderr]).toEqual([errorTable.usage.exitCode, expect.stringContaining("swarm invite")]);
});

step("a member needs no flag to start, and fetches what another one shares (S3, S6)", async () => {
  anna = await startMember("anna");
  const ben = await startMember("ben");
  const path = join(roles.folder, "film.bin");
  writeFileSync(path, bytes);
  await askJson(roles, "peer", anna, "publish", path, "film.bin");
  const copy = join(roles.folder, "copy-of-ben");
  await roles.ask(["peer", "fetch", "film.bin", copy, "--data", ben.data]);
  expect(Buffer.compare(readFileSync(copy), bytes)).toBe(0);
  expect(await askJson(roles, "peer", ben, "status")).toMatchObject({ swarm: "lab", connected: true });
  expect(await askJson(roles, "tracker", tracker, "status")).toMatchObject({ swarm: "lab", peers: 2 });
  await ben.stop();
  // A peer of its own, as the same member.
  const alone = join(roles.folder, "alone");
  await roles.ask(["peer", "fetch", "film.bin", alone, "--data", ben.data]);
  expect(Buffer.compare(readFileSync(alone), bytes)).toBe(0);
});

step("nobody else gets anything: not without a certificate, not by --insecure (S6, S8)", async () => {
  const outside = ["peer", "fetch", "film.bin", "out", "--tracker", tracker.address, "--data", dataOf("outside")];
  const plain = await roles.run(outside);
  expect([plain.exitCode, plain.stderr]).toEqual([
    errorTable.tracker_unreachable.exitCode,
    expect.stringContaining("p2pfs swarm join"),
  ]);
  const insecure = await roles.run([...outside, "--insecure"]);
  expect(insecure.exitCode).toBe(errorTable.tracker_unreachable.exitCode);
  const member = await roles.run(["peer", "fetch", "film.bin", "out", "--insecure", "--data", dataOf("carol")]);
  expect([member.exitCode, member.stderr]).toEqual([
    errorTable.refused.exitCode,
    expect.stringContaining("encrypts everything"),
  ]);
  expect(readdirSync(roles.folder)).not.toContain("out");
});

step("fetch --join is a member for one fetch, and keeps nothing (S4)", async () => {
  const copy = join(roles.folder, "copy-of-guest");
  const joining = ["--join", await token("--label", "guest")];
  await roles.ask(["peer", "fetch", "film.bin", copy, ...joining, "--data", dataOf("guest")]);
  expect(Buffer.compare(readFileSync(copy), bytes)).toBe(0);
  expect(readdirSync(roles.folder)).not.toContain("guest");
  const again = await roles.run(["peer", "fetch", "film.bin", copy, ...joining, "--data", dataOf("guest")]);
  expect(again.exitCode).toBe(errorTable.refused.exitCode);
});

step("a machine that waits goes on when it is approved (S2, S5)", async () => {
  const waiting = roles.spawn(["swarm", "join", await token("--approve"), "--name", "eve", "--data", dataOf("eve")]);
  const state = async () =>
    (await swarmJson("tracker", "members")).find(({ name }: { name: string }) => name === "eve")?.state;
  await until("eve waits", async () => (await state()) === "waiting");
  await roles.ask(["swarm", "approve", "eve", "--data", tracker.data]);
  expect(await waiting.exited).toBe(0);
  expect(await waiting.stderr.text()).toContain("p2pfs swarm approve eve");
  expect(await state()).toBe("member");
});

step("without a network path: request, sign, accept (S5)", async () => {
  const { stdout: request } = await swarm("far", "request");
  writeFileSync(join(roles.folder, "far.csr"), request);
  const signed = await swarm("tracker", "sign", "far.csr", "--name", "far-pc");
  expect([signed.exitCode, signed.stderr]).toEqual([0, ""]);
  writeFileSync(join(roles.folder, "far.crt"), signed.stdout);
  const other = await swarm("other", "accept", "far.crt");
  expect(other.exitCode).toBe(errorTable.refused.exitCode);
  const accepted = await swarm("far", "accept", "far.crt");
  expect([accepted.exitCode, accepted.stdout]).toEqual([0, expect.stringContaining("joined the swarm lab as peer")]);
  const far = await startMember("far");
  await far.stop();
  const notOne = await swarm("tracker", "sign", "film.bin");
  expect(notOne.exitCode).toBe(errorTable.usage.exitCode);
});

step(
  "a certificate makes a tracker as well, and is refused where the other role would run by it (S5, S6)",
  async () => {
    writeFileSync(join(roles.folder, "third.csr"), (await swarm("third", "request", "--role", "tracker")).stdout);
    const signed = await swarm("tracker", "sign", "third.csr", "--role", "tracker");
    writeFileSync(join(roles.folder, "third.crt"), signed.stdout);
    expect((await swarm("third", "accept", "third.crt")).stdout).toContain("joined the swarm lab as tracker");
    const peer = await roles.run(["peer", "start", "--listen", "127.0.0.1:0", "--data", dataOf("third")]);
    expect([peer.exitCode, peer.stderr]).toEqual([
      errorTable.refused.exitCode,
      expect.stringContaining("for a tracker of the swarm lab, not for a peer"),
    ]);
    const started = await roles.run(["tracker", "start", "127.0.0.1", "0", "--data", dataOf("far")]);
    expect([started.exitCode, started.stderr]).toEqual([
      errorTable.refused.exitCode,
      expect.stringContaining("for a peer of the swarm lab, not for a tracker"),
    ]);
  },
);

step("a tracker joins by an invitation for trackers, and lets machines in as well", async () => {
  const invitation = await token("--role", "tracker");
  expect((await swarm("second", "join", invitation)).stdout).toContain("as tracker");
  const second = await roles.start(
    "second",
    ["tracker", "start", "127.0.0.1", `${await lastingPort()}`, "--admin", "127.0.0.1:0"],
    ({ address }) => address,
  );
  const { stdout } = await swarm("second", "invite");
  expect((await swarm("frank", "join", TOKEN.exec(stdout)![0])).exitCode).toBe(0);
  const [frank] = await swarmJson("frank", "show");
  expect(frank).toMatchObject({ swarm: "lab", role: "peer", trackers: [second.address] });
  const noTracker = await swarm("second", "invite", "--role", "tracker");
  expect(noTracker.exitCode).toBe(errorTable.refused.exitCode);
  await second.stop();
});

step("a member that leaves, or is removed, is out (S5, S7)", async () => {
  const running = await swarm("anna", "leave");
  expect([running.exitCode, running.stderr]).toEqual([
    errorTable.already_running.exitCode,
    expect.stringContaining("p2pfs peer exit"),
  ]);
  expect((await swarm("carol", "leave")).stdout).toBe("left the swarm lab\n");
  expect(await swarmJson("carol", "show")).toEqual([]);
  await roles.ask(["swarm", "revoke", "anna-pc", "--data", tracker.data]);
  await until("anna is out", async () => !(await askJson(roles, "peer", anna, "status")).connected);
  const states = new Map(
    (await swarmJson("tracker", "members")).map(({ name, state }: { name: string; state: string }) => [name, state]),
  );
  expect([states.get("anna-pc"), states.get("carol-pc"), states.get("ben-pc")]).toEqual([
    "revoked",
    "revoked",
    "member",
  ]);
  const unknown = await swarm("tracker", "revoke", "nobody");
  expect(unknown.exitCode).toBe(errorTable.not_found.exitCode);
});

step("a start beyond this machine makes a swarm where there is none, and prints how to join (S1, S8)", async () => {
  const started = roles.spawn(["tracker", "start", "0.0.0.0", "0", "--admin", "127.0.0.1:0", "--data", dataOf("open")]);
  let printed = "";
  const decoder = new TextDecoder();
  for await (const piece of started.stdout) {
    printed += decoder.decode(piece, { stream: true });
    if (TOKEN.test(printed)) break;
  }
  expect(printed).toMatch(/to let a machine in, run there until/);
  started.kill();
  await started.exited;
});
