/** Peers and shares of the executable that come, go and change, and what the lists have meanwhile. */
import { beforeEach, expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Role, Roles } from "../../scripts/lib/roles.ts";
import { MiB, SECOND_MS } from "../../src/core/units.ts";
import { randomBytes } from "../support/bytes.ts";
import { askJson, openExecutable, startFetch } from "../support/executable.ts";
import { FaultProxy } from "../support/fault-proxy.ts";
import { expectSameFile } from "../support/folder.ts";
import { until as waitUntil } from "../support/until.ts";

/** Out of the lists by then, whatever happened to it. */
const GONE_MS_MAX = 10 * SECOND_MS;
/** So slow that a fetch lasts until it is ended, or the limit is lifted. */
const SLOWLY = ["--up-limit", "256KiB/s"];

let folder: string;
let roles: Roles;
let tracker: Role;
beforeEach(async () => {
  roles = await openExecutable();
  ({ folder } = roles);
  tracker = await roles.tracker();
}, 60_000);

interface File {
  readonly fname: string;
  readonly address: string;
  readonly holders: number;
}

const atTracker = <Row>(command: string): Promise<Row[]> => askJson(roles, "tracker", tracker, command);
const onlineAddresses = async () => (await atTracker<{ address: string }>("list-peers")).map(({ address }) => address);
const files = async () =>
  Object.fromEntries((await atTracker<File>("list-files")).map(({ fname, holders }) => [fname, holders]));
const atPeer = (peer: Role, ...words: string[]) => roles.run(["peer", ...words, "--data", peer.data]);

let seed = 0;
function makeFile(name: string, size = 1000): string {
  const path = join(folder, "files", name);
  mkdirSync(join(folder, "files"), { recursive: true });
  writeFileSync(path, randomBytes(size, ++seed));
  return path;
}

async function publish(peer: Role, name: string, size?: number): Promise<string> {
  return (await askJson(roles, "peer", peer, "publish", makeFile(name, size), name)).ticket;
}

/** The lists follow within this time, whatever happened. */
function until(what: string, holds: () => Promise<boolean>, withinMs = GONE_MS_MAX): Promise<void> {
  return waitUntil(what, holds, withinMs);
}

test("a peer that is killed, frozen or cut off is out of the lists within 10 s, and listed again by itself when it is back", async () => {
  const line = await FaultProxy.sound(Number(tracker.address.split(":")[1]));
  const [steady, killed, frozen, cutOff] = await Promise.all([
    roles.peer("steady", tracker),
    roles.peer("killed", tracker),
    roles.peer("frozen", tracker),
    roles.peer("cut-off", { address: `127.0.0.1:${line.port}` }),
  ]);
  for (const peer of [steady, killed, frozen, cutOff]) await publish(peer, peer.name);
  const bystander = steady.address;
  const lost = [killed, frozen, cutOff];
  const started = performance.now();
  killed.kill("SIGKILL");
  frozen.kill("SIGSTOP");
  const halfOpen = line.cut();
  // Killed, its connections are closed by the kernel, which is seen at once.
  await until("the killed one is gone", async () => !(await onlineAddresses()).includes(killed.address), SECOND_MS);

  const second = await roles.run(["peer", "start", "--data", frozen.data, "--tracker", tracker.address, "--json"]);
  expect(second.exitCode).toBe(13);
  expect(JSON.parse(second.stdout)).toMatchObject({ error: { code: "already_running" } });
  // The connection is there, but nobody answers (F8): gone, and said so in time.
  const ping = await roles.run(["tracker", "ping", ...frozen.address.split(":"), "--json", "--data", tracker.data]);
  expect(ping.exitCode).toBe(4);
  expect(JSON.parse(ping.stdout)).toMatchObject({ address: frozen.address, alive: false });

  await until("each is out of the list", async () => {
    const online = await onlineAddresses();
    expect(online).toContain(bystander);
    return lost.every(({ address }) => !online.includes(address));
  });
  expect(performance.now() - started).toBeLessThan(GONE_MS_MAX);
  const listed = await files();
  expect(listed).toMatchObject({ steady: 1 });
  for (const { name } of lost) expect(Object.keys(listed)).not.toContain(name);
  const holders = await atTracker<{ holder: string }>("list-chunkinfo");
  for (const { address } of lost) expect(holders.map(({ holder }) => holder)).not.toContain(address);

  line.mend();
  frozen.kill("SIGCONT");
  const [again] = await Promise.all([
    roles.peer("killed", tracker),
    until("the frozen and the cut off one are back", async () => {
      const online = await onlineAddresses();
      return online.includes(frozen.address) && online.includes(cutOff.address);
    }),
  ]);
  expect(again.address).toBe(killed.address);
  // The end of the old connections touches nothing of their successors.
  for (const socket of halfOpen) socket.destroy();
  await Bun.sleep(300);
  expect(await files()).toEqual({ steady: 1, killed: 1, frozen: 1, "cut-off": 1 });
  expect((await onlineAddresses()).toSorted()).toEqual([bystander, ...lost.map(({ address }) => address)].toSorted());
}, 60_000);

test("a peer that starts again has its port and its shares, and resumes its fetches", async () => {
  const seeder = await roles.peer("seeder", tracker, SLOWLY);
  await publish(seeder, "film", 4 * MiB);
  const leecher = await roles.peer("leecher", tracker);
  await publish(leecher, "note");
  const destination = join(folder, "copy of film");
  const fetch = startFetch(roles, "film", destination, "--data", leecher.data);
  await fetch.untilChunks();
  leecher.kill("SIGKILL");
  expect((await fetch.ended).exitCode).toBe(3);
  expect(existsSync(destination)).toBe(false);

  const again = await roles.peer("leecher", tracker);
  expect(again.address).toBe(leecher.address);
  expect(await files()).toMatchObject({ film: expect.any(Number), note: 1 });
  await askJson(roles, "peer", seeder, "limits", "--up-limit", "none");
  await until("the fetch is done", async () => existsSync(destination));
  expectSameFile(destination, join(folder, "files", "film"));
  await until("both hold it", async () => (await files()).film === 2);
}, 60_000);

test.each(["SIGTERM", "SIGINT"] as const)(
  "%s ends a role during a fetch: the tracker drops it at once, exit 0",
  async (signal) => {
    const seeder = await roles.peer("seeder", tracker, SLOWLY);
    await publish(seeder, "film", 4 * MiB);
    const leecher = await roles.peer("leecher", tracker);
    const fetch = startFetch(roles, "film", join(folder, "copy"), "--data", leecher.data);
    await fetch.untilChunks();
    for (const role of [leecher, seeder]) {
      role.kill(signal);
      expect(await role.exited).toBe(0);
      expect(await onlineAddresses()).not.toContain(role.address);
    }
    expect((await fetch.ended).exitCode).toBe(12);
    expect(await files()).toEqual({});
    tracker.kill(signal);
    expect(await tracker.exited).toBe(0);
    for (const role of [leecher, seeder, tracker]) expect(existsSync(join(role.data, "admin.json"))).toBe(false);
  },
  60_000,
);

test("7: a publish and an unpublish that a frozen tracker did not answer have no effect once it goes on", async () => {
  const peer = await roles.peer("peer", tracker);
  await publish(peer, "before");
  const path = makeFile("meanwhile");
  tracker.kill("SIGSTOP");
  expect((await atPeer(peer, "publish", path)).exitCode).toBe(7);
  expect((await atPeer(peer, "unpublish", "before")).exitCode).toBe(7);
  tracker.kill("SIGCONT");
  await until("the peer has its tracker again", async () => (await atPeer(peer, "list-files")).exitCode === 0);
  await until("only the first is listed", async () => JSON.stringify(await files()) === '{"before":1}', SECOND_MS);
  expect((await atPeer(peer, "publish", path)).exitCode).toBe(0);
  expect((await atPeer(peer, "unpublish", "before")).exitCode).toBe(0);
  expect(await files()).toEqual({ meanwhile: 1 });
}, 60_000);

test("a peer that starts before its tracker joins by itself when the tracker is there", async () => {
  const address = tracker.address;
  await tracker.stop();
  const data = join(folder, "early");
  const early = roles.spawn(["peer", "start", "--tracker", address, "--data", data]);
  const status = () => roles.run(["peer", "status", "--json", "--data", data]);
  await until("it is up", async () => (await status()).exitCode === 0);
  expect(JSON.parse((await status()).stdout)).toMatchObject({ connected: false, address: null });
  const [host, port] = address.split(":") as [string, string];
  const late = roles.spawn(["tracker", "start", host, port, "--admin", "127.0.0.1:0", "--data", tracker.data]);
  await until("it has joined", async () => JSON.parse((await status()).stdout).connected === true);
  for (const role of [early, late]) {
    role.kill("SIGTERM");
    expect(await role.exited).toBe(0);
  }
}, 60_000);

test("a shared file that is removed or changed leaves the lists, unless others hold it, and is listed again when it is back", async () => {
  const publisher = await roles.peer("publisher", tracker);
  const holder = await roles.peer("holder", tracker);
  const ticket = await publish(publisher, "fetched");
  for (const name of ["alone", "changed"]) await publish(publisher, name);
  await publish(publisher, "empty", 0);
  expect((await atPeer(holder, "fetch", "fetched", join(folder, "copy"))).exitCode).toBe(0);
  await until("both hold it", async () => (await files()).fetched === 2);

  const alone = join(folder, "files", "alone");
  Bun.spawnSync(["cp", "-p", alone, `${alone}.saved`]);
  for (const name of ["fetched", "alone", "empty"]) rmSync(join(folder, "files", name));
  writeFileSync(join(folder, "files", "changed"), "other bytes");
  await until("what nobody holds is not listed", async () => Object.keys(await files()).length === 1, 5 * SECOND_MS);
  expect(await files()).toEqual({ fetched: 1 });
  const gone = await atPeer(holder, "fetch", "alone", join(folder, "alone too"));
  expect(gone.exitCode).toBe(4);

  // What others hold goes on under its name, also when its publisher comes back without it.
  const again = join(folder, "copy again");
  const fetchAgain = ["peer", "fetch", "fetched", "--tracker", tracker.address, "--data", join(folder, "nobody")];
  await publisher.stop();
  const back = await roles.peer("publisher", tracker);
  expect(await files()).toEqual({ fetched: 1 });
  await roles.ask([...fetchAgain.slice(0, 3), again, ...fetchAgain.slice(3)]);
  expect(readFileSync(again).equals(readFileSync(join(folder, "copy")))).toBe(true);

  Bun.spawnSync(["cp", "-p", `${alone}.saved`, alone]);
  await until("it is back", async () => (await files()).alone === 1, 5 * SECOND_MS);
  expect((await atPeer(holder, "fetch", "alone", join(folder, "alone too"))).exitCode).toBe(0);

  expect((await atPeer(back, "unpublish", "fetched")).exitCode).toBe(0);
  expect(Object.keys(await files())).toEqual(["alone"]);
  // The ticket pins the content, which its holder still serves.
  const byTicket = ["peer", "fetch", ticket, join(folder, "by ticket"), "--data", join(folder, "nobody")];
  expect((await roles.run(byTicket)).exitCode).toBe(0);
  expect((await atPeer(back, "unpublish", "fetched")).exitCode).toBe(4);
}, 60_000);
