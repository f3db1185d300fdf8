/** A private swarm against plain connections: a transfer as whole processes, joins and handshakes of one tracker. */
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type Address, formatHostPort } from "../../src/core/address.ts";
import { SECOND_MS } from "../../src/core/units.ts";
import { securityOf } from "../../src/identity/credentials.ts";
import { parseInvitation } from "../../src/identity/invitation.ts";
import { createPrivateKeyPem } from "../../src/identity/keys.ts";
import type { Membership } from "../../src/identity/membership.ts";
import { Endpoint } from "../../src/net/endpoint.ts";
import { realSystem } from "../../src/net/system.ts";
import { joinSwarm } from "../../src/peer/join-swarm.ts";
import { assertSame, compare, GiB, list, makeFile, median, runTimed, seconds, settle } from "./measure.ts";
import { lastingPort } from "./ports.ts";
import { type Role, Roles } from "./roles.ts";

const RATIO_AIM = 1.3;
const JOINS_AIM = 100;
const MEASURED_MS = 5 * SECOND_MS;
const AT_ONCE = 16;
const FILE = "bench.bin";

export interface BenchPrivateOptions {
  readonly binary: string;
  readonly folder: string;
  readonly rounds: number;
  readonly show: (where: string, what: string) => void;
}

export async function benchPrivate({ binary, folder, rounds, show }: BenchPrivateOptions): Promise<void> {
  const verdict = (reached: boolean) => (reached ? "reached" : "NOT REACHED");
  const place = mkdtempSync(join(folder, "private-"));
  const roles = new Roles(binary, place);
  try {
    const file = join(place, FILE);
    makeFile(file, GiB);
    const fetches = { private: await privateFetch(roles, file), plain: await plainFetch(roles, file) };
    const measured = (kind: keyof typeof fetches) => async () => {
      const output = join(place, kind);
      settle(output);
      const run = await runTimed([...fetches[kind], output]);
      assertSame(file, output);
      return run.seconds;
    };
    const { ours, theirs, ratio } = await compare(rounds, measured("private"), measured("plain"));
    show("1 GiB", `private ${seconds(median(ours))} (${list(ours)})`);
    show("", `plain   ${seconds(median(theirs))} (${list(theirs)})`);
    show("", `ratio ${ratio.toFixed(2)}; aim at most ${RATIO_AIM}: ${verdict(ratio <= RATIO_AIM)}`);
    const { joins, handshakes } = await admissions(mkdtempSync(join(place, "tracker-")));
    show("joins", `${joins.toFixed(0)} a second; aim at least ${JOINS_AIM}: ${verdict(joins >= JOINS_AIM)}`);
    show("handshakes", `${handshakes.toFixed(0)} a second, both sides on this machine`);
  } finally {
    await roles.stop();
    rmSync(place, { recursive: true, force: true });
  }
}

/** The command that fetches the file but for its destination. */
async function plainFetch(roles: Roles, file: string): Promise<string[]> {
  const tracker = await roles.tracker("plain-tracker");
  const seeder = await roles.peer("plain-seeder", tracker);
  await roles.ask(["peer", "publish", file, FILE, "--data", seeder.data]);
  const data = join(roles.folder, "plain-leecher");
  return [roles.binary, "peer", "fetch", "--tracker", tracker.address, "--data", data, FILE];
}

async function privateFetch(roles: Roles, file: string): Promise<string[]> {
  const tracker = await privateTracker(roles, "private-tracker");
  for (const name of ["private-seeder", "private-leecher"])
    await roles.ask(["swarm", "join", await tokenOf(roles, tracker), "--data", join(roles.folder, name)]);
  const start = ["peer", "start", "--listen", "127.0.0.1:0"];
  const isJoined = (status: { readonly connected?: boolean; readonly address: string | null }) =>
    status.connected === true ? status.address : null;
  const seeder = await roles.start("private-seeder", start, isJoined);
  await roles.ask(["peer", "publish", file, FILE, "--data", seeder.data]);
  return [roles.binary, "peer", "fetch", "--data", join(roles.folder, "private-leecher"), FILE];
}

async function privateTracker(roles: Roles, name: string): Promise<Role> {
  await roles.ask(["swarm", "create", "bench", "--data", join(roles.folder, name)]);
  const start = ["tracker", "start", "127.0.0.1", `${await lastingPort()}`, "--admin", "127.0.0.1:0"];
  return roles.start(name, start, ({ address }) => address);
}

async function tokenOf(roles: Roles, tracker: Role, uses = 1): Promise<string> {
  const invite = ["swarm", "invite", "--uses", `${uses}`, "--json", "--data", tracker.data];
  return (JSON.parse(await roles.ask(invite)) as { token: string }).token;
}

/** How many machines a tracker lets in in a second, and connections of a member. */
async function admissions(folder: string): Promise<{ readonly joins: number; readonly handshakes: number }> {
  const script = join(import.meta.dir, "join-tracker.ts");
  const child = Bun.spawn([process.execPath, script, folder], { stdio: ["ignore", "pipe", "inherit"] });
  try {
    const invitation = parseInvitation(await firstLine(child.stdout));
    let member: Membership | undefined;
    const joins = await rateOf(async () => {
      member = await joinSwarm({ invitation, key: await createPrivateKeyPem(), name: "bench" });
    });
    const { clock } = realSystem;
    const security = securityOf({
      membership: () => member!,
      isRevoked: () => false,
      wallTime: () => clock.wallTime(),
    });
    const local = () => ({ role: "peer", agent: "bench", address: null }) as const;
    const endpoint = new Endpoint({ system: realSystem, local, security: () => security });
    const at = formatHostPort(invitation.trackers[0]!) as Address;
    const handshakes = await rateOf(async () => {
      (await endpoint.dial(at, { timeoutMs: 10 * SECOND_MS })).close();
    });
    return { joins, handshakes };
  } finally {
    child.kill();
    await child.exited;
  }
}

async function firstLine(stream: ReadableStream<Uint8Array>): Promise<string> {
  let text = "";
  for await (const piece of stream) {
    text += new TextDecoder().decode(piece);
    if (text.includes("\n")) break;
  }
  return text.trim();
}

/** How often it is done in a second, several at once. */
async function rateOf(work: () => Promise<void>): Promise<number> {
  const began = performance.now();
  let done = 0;
  const worker = async () => {
    for (; performance.now() - began < MEASURED_MS; done++) await work();
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return (done * SECOND_MS) / (performance.now() - began);
}
