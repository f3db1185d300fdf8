/**
 * Who records the network learns nothing from a member (S6, N5): between the first word of a join and the last byte of a
 * fetch, none of what is shared, what it is called, where it lies, which machines there are, or how one joins. A session
 * of the same kind without a swarm is recorded and searched in the same way, and there all of it is found.
 *
 * The endpoints by which commands reach a role of the same machine are not recorded: they are not of the network.
 */
import { describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { missingPackage } from "../../scripts/lib/debian.ts";
import { lastingPort } from "../../scripts/lib/ports.ts";
import { type Role, Roles } from "../../scripts/lib/roles.ts";
import { parseInvitation } from "../../src/identity/invitation.ts";
import { randomBytes } from "../support/bytes.ts";
import { closeLater, openForAll } from "../support/closing.ts";
import { askJson, upToDateBinary } from "../support/executable.ts";
import { temporaryFolder } from "../support/folder.ts";
import { isRoot } from "../support/root.ts";
import { foundIn, startCapture } from "./capture.ts";

const TOKEN = /p2pfs-join:[\w-]+/;
const PIECE_BYTES = 16;

const bytes = randomBytes(600_000, 11);
const fname = "payroll of the year.bin";
const pathWord = "a folder that nobody knows";
const hostName = "machine-of-the-chancellor";
const swarmName = "society-of-the-owl";
const memberNames = ["falcon-under-the-roof", "heron-at-the-weir"] as const;

/** Pieces of the file from everywhere in it; a few may lie in two packets. */
const pieces = Object.fromEntries(
  Array.from({ length: 48 }, (_, index) => {
    const start = Math.floor((index * (bytes.length - PIECE_BYTES)) / 47);
    return [`the file's bytes from ${start}`, bytes.subarray(start, start + PIECE_BYTES)];
  }),
);
const texts = { "the file's name": fname, "its path": pathWord, "the host's name": hostName };

const missing = isRoot ? missingPackage("tcpdump") : "skipped: needs root on Linux";

describe.skipIf(missing !== undefined)(`recorded by tcpdump ${missing ?? ""}`, () => {
  let binary = "";
  openForAll(async () => {
    const built = await upToDateBinary();
    binary = join(temporaryFolder(), "on-a-machine-of-its-own");
    const named = `/bin/hostname ${hostName} && exec "$0" "$@"`;
    writeFileSync(binary, `#!/bin/sh\nexec /usr/bin/unshare --uts /bin/sh -c '${named}' '${built}' "$@"\n`, {
      mode: 0o755,
    });
  });

  interface Ports {
    readonly tracker: number;
    readonly peers: readonly number[];
  }

  async function open() {
    const folder = temporaryFolder();
    const ports: Ports = { tracker: await lastingPort(), peers: [await lastingPort(), await lastingPort()] };
    const capture = await startCapture(join(folder, "packets"), [ports.tracker, ...ports.peers]);
    const roles = closeLater(new Roles(binary, folder), (roles) => roles.stop());
    return { roles, ports, capture };
  }

  const startTracker = (roles: Roles, { tracker }: Ports) =>
    roles.start("tracker", ["tracker", "start", "127.0.0.1", `${tracker}`, "--admin", "127.0.0.1:0"], (s) => s.address);

  const startPeer = (roles: Roles, { tracker, peers }: Ports, index: number) => {
    const words = ["--listen", `127.0.0.1:${peers[index]}`, "--tracker", `127.0.0.1:${tracker}`];
    return roles.start(`peer ${index}`, ["peer", "start", ...words], (s) => (s.connected === true ? s.address : null));
  };

  /** Publishes at the first, lists and fetches at the second. */
  async function share(roles: Roles, [from, to]: readonly [Role, Role]): Promise<void> {
    const folder = join(roles.folder, pathWord);
    mkdirSync(folder);
    writeFileSync(join(folder, "original"), bytes);
    await askJson(roles, "peer", from, "publish", join(folder, "original"), fname);
    expect(await askJson(roles, "peer", to, "list-files")).toMatchObject([{ fname }]);
    expect(await askJson(roles, "peer", to, "discover", ...from.address.split(":"))).toMatchObject([{ fname }]);
    const copy = join(folder, "copy");
    await roles.ask(["peer", "fetch", fname, copy, "--data", to.data]);
    expect(Buffer.compare(readFileSync(copy), bytes)).toBe(0);
  }

  test("canary: in a session without a swarm all of it is found", async () => {
    const { roles, ports, capture } = await open();
    await startTracker(roles, ports);
    await share(roles, [await startPeer(roles, ports, 0), await startPeer(roles, ports, 1)]);
    await roles.stop();
    const recorded = await capture.end();
    expect(foundIn(recorded, texts)).toEqual(Object.keys(texts));
    expect(foundIn(recorded, pieces).length).toBeGreaterThan(Object.keys(pieces).length * 0.9);
  });

  test("join, publish, list, fetch and leave of members: nothing is found", async () => {
    const { roles, ports, capture } = await open();
    const ask = (name: string, ...words: string[]) =>
      roles.ask(["swarm", ...words, "--data", join(roles.folder, name)]);
    await ask("tracker", "create", swarmName);
    const tracker = await startTracker(roles, ports);
    const tokens: string[] = [];
    for (const [index, name] of memberNames.entries()) {
      tokens.push(TOKEN.exec(await ask("tracker", "invite", "--label", `for ${name}`))![0]);
      await ask(`peer ${index}`, "join", tokens[index]!, "--name", name);
    }
    tokens.push(TOKEN.exec(await ask("tracker", "invite"))![0]);
    const guest = join(roles.folder, "guest");
    const peers = [await startPeer(roles, ports, 0), await startPeer(roles, ports, 1)] as const;
    await share(roles, peers);
    await roles.ask(["peer", "fetch", fname, guest, "--join", tokens[2]!, "--data", join(roles.folder, "none")]);
    expect(Buffer.compare(readFileSync(guest), bytes)).toBe(0);
    const members = await askJson(roles, "tracker", tracker, "status");
    expect(members.swarm).toBe(swarmName);
    await peers[1].stop();
    await ask("peer 1", "leave");
    const ids = JSON.parse(await ask("tracker", "members", "--json")) as { id: string }[];
    await roles.stop();
    const recorded = await capture.end();

    const secrets: Record<string, Uint8Array | string> = { ...pieces, ...texts, "the swarm's name": swarmName };
    for (const name of memberNames) secrets[name] = name;
    for (const [index, token] of tokens.entries()) {
      secrets[`invitation ${index}`] = token;
      secrets[`secret of invitation ${index}`] = parseInvitation(token).secret;
    }
    for (const { id } of ids) secrets[`peer id ${id}`] = Uint8Array.fromHex(id);
    expect(ids.length).toBe(4);
    expect(foundIn(recorded, secrets)).toEqual([]);
    // It was recorded: each of the two copies, and TLS's record of its first message.
    expect(recorded.length).toBeGreaterThan(2 * bytes.length);
    expect(recorded.includes(Buffer.from([0x16, 0x03, 0x01]))).toBe(true);
  });
});

test("canary: a secret is found in each of its forms", () => {
  const secret = randomBytes(PIECE_BYTES, 3);
  for (const form of ["latin1", "hex", "base64", "base64url"] as const) {
    const text = Buffer.from(secret).toString(form).replace(/=+$/, "");
    const recorded = Buffer.concat([randomBytes(1000, 4), Buffer.from(text, "latin1"), randomBytes(1000, 5)]);
    expect(foundIn(recorded, { secret, other: randomBytes(PIECE_BYTES, 6) })).toEqual(["secret"]);
  }
});
