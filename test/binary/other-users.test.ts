/**
 * What other users of the machine see of a swarm's machines: the words of every process, the logs, which often end up
 * where many can read them, and whatever is readable in the data folders. None of it is a secret, also where the user's
 * umask keeps nothing from others.
 */
import { expect } from "bun:test";
import { lstatSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { lastingPort } from "../../scripts/lib/ports.ts";
import { type Outcome, type Role, Roles } from "../../scripts/lib/roles.ts";
import { errorTable } from "../../src/core/errors.ts";
import { parseInvitation } from "../../src/identity/invitation.ts";
import { randomBytes } from "../support/bytes.ts";
import { closeLater, openForAll } from "../support/closing.ts";
import { askJson, upToDateBinary } from "../support/executable.ts";
import { temporaryFolder } from "../support/folder.ts";
import { story } from "../support/story.ts";
import { until } from "../support/until.ts";
import { foundIn } from "./capture.ts";

const TOKEN = /p2pfs-join:[\w-]+/;
const DEBUG = ["--log-level", "debug"];
const bytes = randomBytes(300_000, 21);

const step = story();
let roles: Roles;
let tracker: Role;
let peer: Role;
const secrets: Record<string, Uint8Array | string> = {};
/** What commands printed, without the invitations, which are made to be passed on. */
const printed: string[] = [];
const cmdlines: Buffer[] = [];

const dataOf = (name: string) => join(roles.folder, name);

openForAll(async () => {
  const folder = temporaryFolder();
  const binary = join(folder, "with-an-open-umask");
  writeFileSync(binary, `#!/bin/sh\numask 000\nexec '${await upToDateBinary()}' "$@"\n`, { mode: 0o755 });
  roles = closeLater(new Roles(binary, folder), (roles) => roles.stop());
});

async function invitation(...flags: string[]): Promise<string> {
  const token = TOKEN.exec(await roles.ask(["swarm", "invite", ...flags, "--data", tracker.data]))![0];
  const count = Object.keys(secrets).length;
  secrets[`invitation ${count}`] = token;
  secrets[`secret of invitation ${count}`] = parseInvitation(token).secret;
  return token;
}

/** Begins a command that gets the invitation as its standard input or by its environment. */
function begin(words: readonly string[], given: { stdin?: string; env?: Record<string, string> }) {
  const stdin = new Blob([given.stdin ?? ""]);
  const child = Bun.spawn([roles.binary, ...words], {
    cwd: roles.folder,
    env: given.env ?? {},
    stdin,
    stdout: "pipe",
    stderr: "pipe",
  });
  const end = async (): Promise<Outcome> => {
    const [stdout, stderr, exitCode] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
    printed.push(stdout, stderr);
    return { stdout, stderr, exitCode };
  };
  return { pid: child.pid, ended: end() };
}

/** What everybody can read about a process. */
function lookAt(pid: number): void {
  for (const file of ["cmdline", "comm", "stat", "status"]) cmdlines.push(readFileSync(`/proc/${pid}/${file}`));
}

function remember(name: string, file: string): void {
  const text = readFileSync(join(dataOf(name), file), "utf8");
  if (file === "admin.json") secrets[`token of ${name}`] = JSON.parse(text).token;
  else if (file === "peer-secret") secrets[`secret of ${name}`] = Uint8Array.fromHex(text.trim());
  else {
    const key = file.endsWith(".json") ? JSON.parse(text).key : text;
    for (const line of key.split("\n").filter((line: string) => !line.startsWith("-") && line !== ""))
      secrets[`key of ${name} in ${file}: ${line.slice(0, 4)}`] = line;
  }
}

step(
  "a swarm is made, machines join by standard input and by the environment, one of them after an approval",
  async () => {
    printed.push(await roles.ask(["swarm", "create", "lab", "--data", dataOf("tracker")]));
    const words = ["tracker", "start", "127.0.0.1", `${await lastingPort()}`, "--admin", "127.0.0.1:0"];
    tracker = await roles.start("tracker", [...words, ...DEBUG, "--log-format", "json"], (status) => status.address);
    const used = await invitation();
    const anna = begin(["swarm", "join", "-", "--name", "anna", "--data", dataOf("anna")], { stdin: `${used}\n` });
    expect((await anna.ended).exitCode).toBe(0);
    const again = begin(["swarm", "join", "--data", dataOf("late")], { env: { P2PFS_JOIN: used } });
    expect((await again.ended).exitCode).toBe(errorTable.refused.exitCode);

    const stdin = `${await invitation("--approve")}\n`;
    const ben = begin(["swarm", "join", "-", "--name", "ben", "--data", dataOf("ben")], { stdin });
    const members = async () => JSON.parse(await roles.ask(["swarm", "members", "--json", "--data", tracker.data]));
    await until("ben waits", async () => (await members()).some(({ state }: { state: string }) => state === "waiting"));
    lookAt(ben.pid);
    remember("ben", "swarm-pending.pem");
    printed.push(await roles.ask(["swarm", "approve", "ben", "--data", tracker.data]));
    expect((await ben.ended).exitCode).toBe(0);
  },
);

step("they share, fetch, and fetch as a member for once", async () => {
  peer = await roles.start("anna", ["peer", "start", "--listen", "127.0.0.1:0", ...DEBUG], (status) =>
    status.connected === true ? status.address : null,
  );
  writeFileSync(join(roles.folder, "original"), bytes);
  await askJson(roles, "peer", peer, "publish", join(roles.folder, "original"), "film");
  const fetchTo = (copy: string) => ["peer", "fetch", "film", dataOf(copy), ...DEBUG, "--data", dataOf("none")];
  const byEnvironment = begin(fetchTo("one"), { env: { P2PFS_JOIN: await invitation() } });
  const byInput = begin([...fetchTo("other"), "--join", "-"], { stdin: await invitation() });
  for (const { ended } of [byEnvironment, byInput]) expect(await ended).toMatchObject({ exitCode: 0 });
  for (const copy of ["one", "other"]) expect(Buffer.compare(readFileSync(dataOf(copy)), bytes)).toBe(0);
  for (const role of [tracker, peer]) lookAt(role.pid);
});

step("no secret in what everybody can see of processes, and none in what was logged and printed", () => {
  for (const file of ["admin.json", "swarm.json", "swarm-authority.pem"]) remember("tracker", file);
  for (const file of ["admin.json", "swarm.json"]) remember("anna", file);
  remember("ben", "swarm.json");
  const logs = Buffer.concat(["tracker", "anna"].map((name) => readFileSync(join(roles.folder, `${name}.log`))));
  expect(logs.includes("debug")).toBe(true);
  const seen = Buffer.concat([logs, ...printed.map((text) => Buffer.from(text)), ...cmdlines]);
  expect(foundIn(seen, { ...secrets, "a private key": "PRIVATE KEY" })).toEqual([]);
  expect(Object.keys(secrets).length).toBeGreaterThan(15);
  return Promise.resolve();
});

step("nothing in the data folders is for others", () => {
  for (const name of ["tracker", "anna", "ben"]) {
    expect([name, modeOf(dataOf(name))]).toEqual([name, "700"]);
    const files = readdirSync(dataOf(name)).filter((file) => lstatSync(join(dataOf(name), file)).isFile());
    expect(files).toContain("swarm.json");
    expect(files.map((file) => `${modeOf(join(dataOf(name), file))} ${file}`)).toEqual(
      files.map((file) => `600 ${file}`),
    );
  }
  return Promise.resolve();
});

function modeOf(path: string): string {
  return (lstatSync(path).mode & 0o777).toString(8);
}
