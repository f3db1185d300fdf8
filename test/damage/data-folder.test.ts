/**
 * What happens where a file of a data folder is damaged: cut to nothing or to half, changed in one byte, older than the
 * rest, or written by a newer version. Either the role starts and has lost nothing that was right, or an error says which
 * file it is and what to do, and the file stays as it is. Part files and journals are in test/disk/part-recovery.test.ts,
 * and beside them, in e2e/resume.test.ts and binary/losses.test.ts, what becomes of the fetch.
 */
import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { cpSync, existsSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { allPagesOf, answerOf, linesOf, peerClient, trackerClient } from "../../src/admin/client.ts";
import type { RunningRole } from "../../src/admin/host.ts";
import { createSwarm, joinBy } from "../../src/admin/membership.ts";
import { openPeer } from "../../src/admin/open-peer.ts";
import { openTracker } from "../../src/admin/open-tracker.ts";
import { P2pfsError } from "../../src/core/errors.ts";
import { type Log, textOf } from "../../src/core/log.ts";
import { randomBytes } from "../support/bytes.ts";
import { closeLater, openForAll } from "../support/closing.ts";
import { expectError } from "../support/errors.ts";
import { temporaryFolder } from "../support/folder.ts";
import { ANY_PORT, lastingHostPort } from "../support/roles.ts";
import { until } from "../support/until.ts";

type Kind = "tracker" | "peer";

/** Bytes that are changed in turn, in each database. */
const FLIPS = process.env.P2PFS_TEST_LONG === undefined ? 40 : 1000;

const logged: string[] = [];
const log: Log = (level, message, fields) => {
  // Its tracker has ended.
  if (message.startsWith("no session with the tracker yet")) return;
  if (level === "warn" || level === "error") logged.push(`${level}: ${textOf(message, fields)}`);
};

let folder: string;
/** Data folders of roles that have ended, which tests copy; `killed` ones were copied while the role ran. */
const made = (kind: Kind) => join(folder, kind);
const killed = (kind: Kind) => join(folder, `killed ${kind}`);
let serial = 0;

const databaseOf = { tracker: "registry.sqlite", peer: "repository.sqlite" } as const;
const sharedNames = ["one", "two", "three"];

function open(kind: Kind, dataFolder: string): Promise<RunningRole> {
  const common = { dataFolder, admin: ANY_PORT, open: false, insecure: false, log };
  if (kind === "tracker") return openTracker(common);
  return openPeer({ ...common, filesFolder: undefined, listen: ANY_PORT, advertise: undefined, tracker: undefined });
}

openForAll(async () => {
  folder = temporaryFolder();
  await createSwarm({ dataFolder: made("tracker"), name: "lab" });
  const tracker = closeLater(await open("tracker", made("tracker")), (role) => role.close());
  const { api } = trackerClient(tracker.connection);
  await answerOf(api.start.$post({ json: await lastingHostPort() }));
  for (const name of ["peer", "removed"]) {
    const { command } = await answerOf(api.swarm.invitations.$post({ json: {} }));
    const token = /p2pfs-join:[\w-]+/.exec(command)![0];
    const never = new Promise(() => undefined);
    await joinBy({ token, name, dataFolder: join(folder, name), waiting: () => undefined, interrupted: never });
  }
  await answerOf(api.swarm.revoke.$post({ json: { member: "removed" } }));
  await answerOf(api.swarm.invitations.$post({ json: {} }));
  const peer = await open("peer", made("peer"));
  const client = peerClient(peer.connection);
  await until("the peer has joined", async () => (await answerOf(client.api.status.$get())).connected);
  for (const [index, name] of sharedNames.entries()) {
    const path = join(folder, `source of ${name}`);
    writeFileSync(path, randomBytes(100_000, index));
    await Array.fromAsync(linesOf(client.api.shares.$post({ json: { path, lname: name, fname: name } })));
  }
  for (const kind of ["tracker", "peer"] as const) cpSync(made(kind), killed(kind), { recursive: true });
  await peer.close();
  await tracker.close();
});

/** A copy of a data folder, in which files may be damaged. */
function copyOf(original: string): string {
  const path = join(folder, `copy ${serial++}`);
  cpSync(original, path, { recursive: true, preserveTimestamps: true });
  logged.length = 0;
  return closeLater(path, () => rmSync(path, { recursive: true, force: true }));
}

/** What the role of this folder knows. */
async function knownIn(kind: Kind, data: string): Promise<readonly string[]> {
  const role = await open(kind, data);
  try {
    if (kind === "peer")
      return (await answerOf(peerClient(role.connection).api.shares.$get())).map(({ fname }) => fname);
    const { api } = trackerClient(role.connection);
    expect(await answerOf(api.swarm.invitations.$get())).toBeArray();
    const members = await allPagesOf<{ name: string; state: string }>((query) => api.swarm.members.$get({ query }));
    return members.map(({ name, state }) => `${name} ${state}`);
  } finally {
    await role.close();
  }
}

const everything = { peer: sharedNames, tracker: ["peer member", "removed revoked"] } as const;

async function expectStarts(kind: Kind, data: string): Promise<void> {
  expect(await knownIn(kind, data)).toEqual(expect.arrayContaining([...everything[kind]]));
  expect(logged).toEqual([]);
}

/** The error names the file, says what to do, and leaves it as it is. */
async function expectRefused(kind: Kind, data: string, file: string, text: string, hint: string): Promise<void> {
  const path = join(data, file);
  const before = readFileSync(path);
  const error = await expectError("disk", open(kind, data), text);
  expect(error.message).toContain(path);
  expect(error.hint).toContain(hint);
  expect(readFileSync(path).equals(before)).toBe(true);
}

async function isAccepted(kind: Kind, data: string): Promise<boolean> {
  try {
    await (await open(kind, data)).close();
    return true;
  } catch {
    return false;
  }
}

function flip(path: string, offset: number): void {
  const bytes = readFileSync(path);
  bytes[offset % bytes.length]! ^= 1 << (offset % 8);
  writeFileSync(path, bytes);
}

const damages: Record<string, (path: string) => void> = {
  "cut to nothing": (path) => truncateSync(path, 0),
  "cut to half": (path) => truncateSync(path, readFileSync(path).length >> 1),
  "changed in its first byte": (path) => flip(path, 0),
  "changed in the middle": (path) => flip(path, readFileSync(path).length >> 1),
  "filled with something else": (path) => writeFileSync(path, "something else ".repeat(50)),
};

/** What an error says, and what it tells to do; or that the role starts and has lost nothing. */
type Expected = { readonly says: string; readonly hint: string } | "starts";

const membership = { says: "the membership in", hint: "restore the file, or remove it and join the swarm again" };
const secret = { says: "the peer's secret in", hint: "remove the file to join as a new peer" };
const authority = { says: "is not that of the swarm's authority", hint: "restore the file from a backup" };
const lock = { says: "cannot lock", hint: "remove the file" };

/** After damages that begin with the last words, some files cannot be told from others of their kind. */
const smallFiles: readonly (readonly [Kind, string, Expected, unnoticed?: string])[] = [
  ["tracker", "swarm.json", membership],
  ["tracker", "swarm-authority.pem", authority],
  ["tracker", "admin-port", "starts"],
  ["peer", "swarm.json", membership],
  ["peer", "peer-secret", secret, "changed in"],
  ["peer", "port", "starts"],
  ["peer", "admin-port", "starts"],
  ["peer", "lock.sqlite", lock],
];

for (const [kind, file, expected, unnoticed = "nothing"] of smallFiles) {
  for (const [what, damage] of Object.entries(damages)) {
    test(`${file} of a ${kind}, ${what}`, async () => {
      const data = copyOf(made(kind));
      const before = readFileSync(join(data, file));
      damage(join(data, file));
      const isSame = readFileSync(join(data, file)).equals(before);
      const isUnnoticed = what.startsWith(unnoticed) && (await isAccepted(kind, data));
      if (expected === "starts" || isSame || isUnnoticed) await expectStarts(kind, data);
      else await expectRefused(kind, data, file, expected.says, expected.hint);
    });
  }
}

for (const file of ["admin.json", "history", "swarm-pending.pem", "admin.json.new", "swarm.json.new"]) {
  test(`${file} that holds something else keeps no role from starting`, async () => {
    for (const kind of ["tracker", "peer"] as const) {
      const data = copyOf(made(kind));
      writeFileSync(join(data, file), "something else");
      await expectStarts(kind, data);
    }
  });
}

for (const kind of ["tracker", "peer"] as const) {
  const file = databaseOf[kind];
  const refused = (data: string) => expectRefused(kind, data, file, "is damaged", "then put a backup there");

  for (const what of ["cut to nothing", "cut to half", "filled with something else"]) {
    test(`${file}, ${what}: an error, and it is left as it is`, async () => {
      const data = copyOf(made(kind));
      damages[what]!(join(data, file));
      await refused(data);
    });
  }

  test(`${file} that was moved away, as the hint says: the role starts anew`, async () => {
    const data = copyOf(made(kind));
    for (const ending of ["", "-wal", "-shm"]) rmSync(join(data, file + ending), { force: true });
    expect(await knownIn(kind, data)).not.toContain(everything[kind][0]);
  });

  test(`${file} with any byte changed: an error, or a start that says what was lost`, async () => {
    const bytes = readFileSync(join(made(kind), file));
    const used = [...bytes.keys()].filter((offset) => bytes[offset] !== 0);
    const outcomes = { refused: 0, whole: 0, told: 0 };
    for (let index = 0; index < FLIPS; index++) {
      const offset = used[Math.floor((index * used.length) / FLIPS)]!;
      const data = copyOf(made(kind));
      flip(join(data, file), offset);
      const known = await knownIn(kind, data).catch((thrown: unknown) => {
        expect(thrown).toBeInstanceOf(P2pfsError);
        expect(thrown).toMatchObject({ code: "disk", hint: expect.stringMatching(/backup|run that version/) });
        return undefined;
      });
      rmSync(data, { recursive: true });
      if (known === undefined) outcomes.refused++;
      else if (logged.length > 0) outcomes.told++;
      else outcomes.whole++;
      // Besides the peer and the tracker nobody is a member: whoever was removed is not one again.
      if (kind === "tracker") expect(known?.filter((each) => !each.endsWith(" revoked")).length ?? 0).toBeLessThan(3);
      expect(logged.filter((line) => line.startsWith("error"))).toEqual([]);
    }
    expect(outcomes.refused).toBeGreaterThan(0);
    expect(outcomes.whole).toBeGreaterThan(0);
  }, 120_000);

  test(`${file} of a newer version: an error that says so, and it is left as it is`, async () => {
    const data = copyOf(made(kind));
    const database = new Database(join(data, file));
    database.run("INSERT INTO __drizzle_migrations (hash, created_at) VALUES ('newer', 9000000000000)");
    database.close();
    await expectRefused(kind, data, file, "was made by a newer version", "run that version");
  });

  test(`${file} without one of its tables, or with another one in its place: an error`, async () => {
    const table = kind === "tracker" ? "invitations" : "unfinished";
    for (const sql of [`DROP TABLE ${table}`, `ALTER TABLE ${table} ADD COLUMN more text`]) {
      const data = copyOf(made(kind));
      const database = new Database(join(data, file));
      database.run(sql);
      database.close();
      await refused(data);
    }
  });

  test(`${file}-wal of a killed ${kind}, however damaged: what was in the database before is there`, async () => {
    expect(readFileSync(join(killed(kind), `${file}-wal`)).length).toBeGreaterThan(0);
    await expectStarts(kind, copyOf(killed(kind)));
    for (const damage of Object.values(damages)) {
      const data = copyOf(killed(kind));
      // The index over the WAL is of no use to another process.
      rmSync(join(data, `${file}-shm`), { force: true });
      damage(join(data, `${file}-wal`));
      expect(await knownIn(kind, data)).toBeArray();
      expect(logged).toEqual([]);
    }
  });
}

test("a member that was damaged into one that is not removed: an error", async () => {
  for (const change of [
    "state = 'revokeD'",
    "role = 'king'",
    "peer_id = substr(peer_id, 2) || substr(peer_id, 1, 1)",
    "key = x'00'",
  ]) {
    const data = copyOf(made("tracker"));
    const database = new Database(join(data, "registry.sqlite"));
    database.run(`UPDATE members SET ${change} WHERE name = 'removed'`);
    database.close();
    await expectRefused(
      "tracker",
      data,
      "registry.sqlite",
      "a member is not what was written",
      "then put a backup there",
    );
  }
});

test("a database that is older than the files that it knows, as from a backup: only what is still true is served", async () => {
  const data = copyOf(made("peer"));
  const path = join(folder, "source of one");
  renameSync(path, `${path}.before`);
  closeLater(path, () => renameSync(`${path}.before`, path));
  writeFileSync(path, randomBytes(100_000, 9));
  expect(await knownIn("peer", data)).toEqual(sharedNames);
  expect(logged).toEqual([expect.stringContaining(`${path} is not served any more`)]);
});

test("a manifest that was damaged: its share alone is lost, which is told, and the file can be published again", async () => {
  const data = copyOf(made("peer"));
  const database = new Database(join(data, "repository.sqlite"));
  database.run(
    "UPDATE contents SET manifest = x'00' WHERE content_id = (SELECT content_id FROM shares WHERE fname = 'two')",
  );
  database.close();
  expect(await knownIn("peer", data)).toEqual(["one", "three"]);
  const path = join(folder, "source of two");
  expect(logged).toEqual([
    `warn: two is not shared any more, since what this peer knew of it was damaged; publish ${path} again`,
  ]);
  logged.length = 0;
  expect(await knownIn("peer", data)).toEqual(["one", "three"]);
  expect(logged).toEqual([]);
  expect(existsSync(path)).toBe(true);
});

test("swarm.json of a newer version: an error that says so", async () => {
  for (const kind of ["tracker", "peer"] as const) {
    const data = copyOf(made(kind));
    const path = join(data, "swarm.json");
    writeFileSync(path, readFileSync(path, "utf8").replace('"version": 1', '"version": 2'));
    await expectRefused(kind, data, "swarm.json", "was written by a newer version", "run that version");
  }
});
