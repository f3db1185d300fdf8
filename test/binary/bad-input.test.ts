/**
 * One table of what people and scripts get wrong, given to a command in three ways: in the shell, as a one-shot command
 * of the executable, and at the admin endpoint. Each answers with the same code, and says why.
 */
import { describe, expect, test } from "bun:test";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Subprocess } from "bun";
import type { Roles } from "../../scripts/lib/roles.ts";
import type { Address } from "../../src/core/address.ts";
import { type ErrorCode, errorTable } from "../../src/core/errors.ts";
import type { FileName } from "../../src/core/file-name.ts";
import { closeLater, openForAll } from "../support/closing.ts";
import { expectError } from "../support/errors.ts";
import { askJson, openExecutable } from "../support/executable.ts";
import { ProtocolPeer } from "../support/protocol-peer.ts";
import { requestAs } from "../support/roles.ts";

type RoleName = "tracker" | "peer";

let roles: Roles;
let folder = "";
let peerAddress = "";
const shells = {} as Record<RoleName, Shell>;

openForAll(async () => {
  roles = await openExecutable();
  ({ folder } = roles);
  shells.tracker = await Shell.open(["tracker", "start", "127.0.0.1", "0", "--admin", "127.0.0.1:0"], "tracker");
  shells.peer = await Shell.open(["peer", "start", "--tracker", shells.tracker.address], "peer");
  writeFileSync(join(folder, "a.txt"), "text");
  writeFileSync(join(folder, "b.txt"), "other text");
  symlinkSync("loop", join(folder, "loop"));
  await shells.peer.until("publish a.txt Résumé.txt --json", '"fname":"Résumé.txt"');
  peerAddress = shells.peer.address;
});

/** A role that takes commands as lines of its standard input, one JSON value a line as the answer. */
class Shell {
  readonly address: string;
  readonly data: string;
  readonly #child: Subprocess<"pipe", "pipe", "ignore">;
  readonly #lines: AsyncIterator<string>;

  static async open(words: readonly string[], name: string): Promise<Shell> {
    const data = join(folder, name);
    mkdirSync(data);
    const child = Bun.spawn([roles.binary, ...words, "--data", data, "--json"], {
      cwd: folder,
      env: {},
      stdio: ["pipe", "pipe", "ignore"],
    });
    closeLater(child, () => {
      child.kill("SIGTERM");
      return child.exited;
    });
    const lines = linesOf(child.stdout);
    const announced = JSON.parse((await lines.next()).value!);
    return new Shell(announced.address, data, child, lines);
  }

  private constructor(
    address: string,
    data: string,
    child: Subprocess<"pipe", "pipe", "ignore">,
    lines: AsyncIterator<string>,
  ) {
    this.address = address;
    this.data = data;
    this.#child = child;
    this.#lines = lines;
  }

  /** The line that the command answers with. */
  async ask(command: string): Promise<string> {
    this.#child.stdin.write(`${command}\n`);
    this.#child.stdin.flush();
    return (await this.#lines.next()).value!;
  }

  async until(command: string, expected: string): Promise<void> {
    for (let turn = 0; turn < 20; turn++) if ((await this.ask(command)).includes(expected)) return;
    throw new Error(`${command} never answered ${expected}`);
  }
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const bytes of stream) {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
  return rest;
}

interface Request {
  readonly method: string;
  readonly path: string;
  readonly body?: unknown;
}

interface Case {
  readonly what: string;
  readonly code: ErrorCode;
  readonly role: RoleName;
  readonly words: () => readonly string[];
  /** The same over HTTP; undefined where HTTP has no such mistake. */
  readonly request?: () => Request;
  /** What the reason has to say. */
  readonly reason?: RegExp;
}

const share = (body: object): Request => ({ method: "POST", path: "/api/shares", body });
const fetching = (body: object): Request => ({ method: "POST", path: "/api/fetches", body });
const other = () => join(folder, "b.txt");

const badNames: readonly (readonly [what: string, name: string, reason: RegExp])[] = [
  ["empty", "", /empty/],
  ["a slash", "a/b", /\//],
  ["a path upwards", "../b.txt", /\//],
  ["an absolute path", "/etc/passwd", /\//],
  ["a backslash", "a\\b", /\\/],
  ["the folder above", "..", /\.\./],
  ["a control character", "a\u0007b", /control/],
  ["a zero-width character", "a\u200bb", /invisible/],
  ["text that turns round", "a\u202egnp.exe", /invisible/],
  ["a Windows device", "con.txt", /device/],
  ["a stream of a file", "file:stream", /colon/],
  ["a trailing dot", "a.", /dot or a space/],
  ["a trailing space", "a ", /dot or a space/],
  ["256 bytes", "é".repeat(128), /255 bytes/],
];

const badPaths: readonly (readonly [what: string, path: string, reason: RegExp])[] = [
  ["below a file", "a.txt/below", /not a folder/],
  ["through a link to itself", "loop", /too many symbolic links/],
  ["with a name of 300 bytes", "n".repeat(300), /too long/],
];

const cases: readonly Case[] = [
  ...badPaths.map(([what, path, reason]) => ({
    what: `publish a path ${what}`,
    code: "disk" as const,
    role: "peer" as const,
    words: () => ["publish", join(folder, path), "name"],
    request: () => share({ path: join(folder, path), lname: path, fname: "name" }),
    reason,
  })),
  ...badNames.map(([what, name, reason]) => ({
    what: `publish under a name with ${what}`,
    code: "refused" as const,
    role: "peer" as const,
    words: () => ["publish", other(), name],
    request: () => share({ path: other(), lname: "b.txt", fname: name }),
    reason,
  })),
  {
    what: "R2: publish under a name that differs in case and normalisation only",
    code: "refused",
    role: "peer",
    words: () => ["publish", other(), "re\u0301sume\u0301.TXT"],
    request: () => share({ path: other(), lname: "b.txt", fname: "re\u0301sume\u0301.TXT" }),
    reason: /R2/,
  },
  {
    what: "publish what is not there",
    code: "not_found",
    role: "peer",
    words: () => ["publish", join(folder, "nothing")],
    request: () => share({ path: join(folder, "nothing"), lname: "nothing" }),
    reason: /nothing/,
  },
  {
    what: "publish a folder",
    code: "refused",
    role: "peer",
    words: () => ["publish", folder, "folder"],
    request: () => share({ path: folder, lname: ".", fname: "folder" }),
  },
  { what: "publish nothing", code: "usage", role: "peer", words: () => ["publish"], request: () => share({}) },
  { what: "publish with a word too many", code: "usage", role: "peer", words: () => ["publish", "a", "b", "c"] },
  {
    what: "unpublish what is not shared",
    code: "not_found",
    role: "peer",
    words: () => ["unpublish", "nothing"],
    request: () => ({ method: "DELETE", path: "/api/shares/nothing" }),
  },
  {
    what: "unpublish a path",
    code: "refused",
    role: "peer",
    words: () => ["unpublish", "a/b"],
    request: () => ({ method: "DELETE", path: "/api/shares/a%2Fb" }),
  },
  {
    what: "fetch a name that is a path",
    code: "refused",
    role: "peer",
    words: () => ["fetch", "../etc/passwd"],
    request: () => fetching({ what: "../etc/passwd" }),
  },
  { what: "fetch nothing", code: "usage", role: "peer", words: () => ["fetch"], request: () => fetching({}) },
  {
    what: "fetch the empty name",
    code: "usage",
    role: "peer",
    words: () => ["fetch", ""],
    request: () => fetching({ what: "" }),
  },
  {
    what: "F17: fetch with three words",
    code: "usage",
    role: "peer",
    words: () => ["fetch", "a", "b", "127.0.0.1"],
    request: () => fetching({ what: "a", from: { host: "127.0.0.1" } }),
  },
  {
    what: "fetch from a port out of range",
    code: "usage",
    role: "peer",
    words: () => ["fetch", "a", "b", "127.0.0.1", "65536"],
    request: () => fetching({ what: "a", from: { host: "127.0.0.1", port: 65_536 } }),
  },
  {
    what: "a damaged ticket",
    code: "usage",
    role: "peer",
    words: () => ["fetch", "p2pfs://127.0.0.1:1/a?id=12"],
    request: () => fetching({ what: "p2pfs://127.0.0.1:1/a?id=12" }),
  },
  {
    what: "connect without a port",
    code: "usage",
    role: "peer",
    words: () => ["connect", "127.0.0.1"],
    request: () => ({ method: "POST", path: "/api/connect", body: { host: "127.0.0.1" } }),
  },
  {
    what: "connect to port 0",
    code: "usage",
    role: "peer",
    words: () => ["connect", "127.0.0.1", "0"],
    request: () => ({ method: "POST", path: "/api/connect", body: { host: "127.0.0.1", port: 0 } }),
  },
  {
    what: "cancel a fetch that is none",
    code: "not_found",
    role: "peer",
    words: () => ["cancel", "999"],
    request: () => ({ method: "DELETE", path: "/api/fetches/999" }),
  },
  {
    what: "a limit that is none",
    code: "usage",
    role: "peer",
    words: () => ["limits", "--up-limit", "fast"],
    request: () => ({ method: "PUT", path: "/api/limits", body: { up_limit: "fast" } }),
  },
  {
    what: "a typo in a flag",
    code: "usage",
    role: "peer",
    words: () => ["limits", "--up-limti", "1MiB/s"],
    reason: /did you mean --up-limit/,
  },
  { what: "a typo in a command", code: "usage", role: "peer", words: () => ["fecth", "a"], reason: /did you mean/ },
  { what: "a command of the other role", code: "usage", role: "peer", words: () => ["list-peers"] },
  {
    what: "publish at a tracker",
    code: "usage",
    role: "tracker",
    words: () => ["publish", other()],
  },
  {
    what: "discover without a host",
    code: "usage",
    role: "tracker",
    words: () => ["discover"],
    request: () => ({ method: "GET", path: "/api/discover" }),
  },
  {
    what: "discover the empty host",
    code: "usage",
    role: "tracker",
    words: () => ["discover", ""],
    request: () => ({ method: "GET", path: "/api/discover?host=" }),
  },
  {
    what: "discover a port that is no number",
    code: "usage",
    role: "tracker",
    words: () => ["discover", "127.0.0.1", "http"],
    request: () => ({ method: "GET", path: "/api/discover?host=127.0.0.1&port=http" }),
    reason: /port/i,
  },
  {
    what: "ping a port out of range",
    code: "usage",
    role: "tracker",
    words: () => ["ping", "127.0.0.1", "65536"],
    request: () => ({ method: "GET", path: "/api/ping?host=127.0.0.1&port=65536" }),
  },
  {
    what: "ping nobody",
    code: "not_found",
    role: "tracker",
    words: () => ["ping", "127.0.0.1", "1"],
    request: () => ({ method: "GET", path: "/api/ping?host=127.0.0.1&port=1" }),
  },
  {
    what: "R12: ping the tracker itself",
    code: "refused",
    role: "tracker",
    words: () => ["ping", ...shells.tracker.address.split(":")],
    request: () => ({ method: "GET", path: `/api/ping?${new URLSearchParams(hostAndPort(shells.tracker.address))}` }),
  },
];

function hostAndPort(address: string) {
  const [host, port] = address.split(":") as [string, string];
  return { host, port };
}

const quoted = (word: string) => `'${word.replaceAll("'", "'\\''")}'`;

describe.each(cases)("$what", ({ code, role, words, request, reason = /./ }) => {
  test("as a one-shot command", async () => {
    const { exitCode, stdout, stderr } = await roles.run([role, ...words(), "--data", shells[role].data, "--json"]);
    expect(`${exitCode} ${stderr}`).toStartWith(`${errorTable[code].exitCode} error: `);
    const { error } = JSON.parse(stdout);
    expect(error.code).toBe(code);
    expect(error.message).toMatch(reason);
    expect(error.hint).not.toBe("");
  });

  test("in the shell", async () => {
    const [command, ...rest] = words();
    const { error } = JSON.parse(await shells[role].ask([command, ...rest.map(quoted), "--json"].join(" ")));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(reason);
  });

  if (request !== undefined)
    test("at the endpoint", async () => {
      const { method, path, body } = request();
      const response = await requestAs(shells[role].data, path, {
        method,
        headers: { "Content-Type": "application/json" },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const { error } = (await response.json()) as { error: { code: string; message: string } };
      expect([response.status, error.code]).toEqual([errorTable[code].httpStatus, code]);
      expect(error.message).toMatch(reason);
    });
});

test("names with characters that are special in a URL are published and unpublished", async () => {
  for (const name of ["50% off?#1 &co.txt", "%2e%2e", "ünpublished +1"]) {
    expect(await shells.peer.ask(`publish b.txt ${quoted(name)} --json`)).toContain('"ticket"');
    expect(await shells.peer.ask(`unpublish ${quoted(name)} --json`)).toBe(JSON.stringify({ fname: name }));
  }
});

test("a line of the shell with an open quote is a usage error", async () => {
  expect(await shells.peer.ask("publish 'a.txt --json")).toContain('"code":"usage"');
});

test("the tracker refuses the same names in messages, and the connection stays open", async () => {
  const peer = await ProtocolPeer.join(shells.tracker.address as Address, 1);
  for (const [, name, reason] of badNames) {
    const fields = { fname: name as FileName, primary_key: `${name}_127.0.0.1_7001` };
    await expectError("protocol", peer.publish("good", 1, fields), reason);
  }
  await peer.publish("good", 1);
});

test("after all cases there is one share as before, and both roles answer", async () => {
  const files = await askJson(roles, "peer", shells.peer, "list-files");
  expect(files).toMatchObject([{ fname: "Résumé.txt", address: peerAddress }]);
  expect(await askJson(roles, "tracker", shells.tracker, "status")).toMatchObject({ files: 1, peers: 1 });
});
