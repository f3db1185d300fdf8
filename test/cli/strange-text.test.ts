/**
 * Nothing that a stranger has named, and no error that quotes it, can move the cursor, colour the screen or turn a line
 * round: every command, as text and as JSON, against a role that answers with the worst names.
 */
import { expect, test } from "bun:test";
import type { Connection } from "../../src/admin/client.ts";
import { peerShellCommands } from "../../src/cli/peer-commands.ts";
import { runCommand } from "../../src/cli/run.ts";
import { NEVER } from "../../src/cli/signals.ts";
import { trackerShellCommands } from "../../src/cli/tracker-commands.ts";
import { memoryIo } from "./memory-io.ts";

/** Controls in and above ASCII, DEL, bidi override and isolate, zero width, separators, tags, a lone surrogate. */
const strange = "x\u001b[31m\u007f\u0085\u009b2J\u202e\u2066\u200b\u2028\u2029\ufeff\u{e0041}\ud800y";
const misleading = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u;
const time = new Date(0).toISOString();

/** Every text of every answer is strange. */
const row = {
  ...Object.fromEntries(
    [
      ...["key", "fname", "path", "address", "holder", "content_id", "chunks", "host_name", "tracker", "listen"],
      ...["data_folder", "files_folder", "version", "id", "state", "destination", "ticket", "url"],
    ].map((name) => [name, strange]),
  ),
  ...{ size: 1, total_chunknum: 1, holders: 1, percent: 1, files: 1, pid: 1, uptime_ms: 1, peers: 1, contents: 1 },
  ...{ shares: 1, fetches: 1, bytes: 1, bytes_sent: 1, bytes_received: 1, bytes_per_second: 1, duration_ms: 1 },
  ...{ bytes_resumed: 1, bytes_copied: 1, bytes_fetched: 1, rejected: 1, rerequests: 0, expires_ms: 1 },
  ...{ since: time, last_seen: time, started: time, alive: true, connected: true, up_limit: null, down_limit: null },
  sources: [{ address: strange, bytes: 1, chunks: 1 }],
};
const strangeError = { error: { code: "refused", message: strange, hint: strange } };

function answering(answer: (url: URL, method: string) => Response): Connection {
  return {
    url: "http://localhost",
    token: "t",
    send: async (url, init) => answer(new URL(url), init?.method ?? "GET"),
  };
}

const withStrangeRows = answering(({ pathname }, method) => {
  if (method === "POST" && pathname === "/api/shares") return new Response(`${JSON.stringify(row)}\n`);
  if (method === "POST" && pathname === "/api/fetches")
    return new Response(
      `${JSON.stringify({ ...row, event: "progress" })}\n${JSON.stringify({ ...row, event: "receipt" })}\n`,
    );
  if (pathname === "/api/fetches") return Response.json([row]);
  const isPage = /^\/api\/(?:peers|files|chunks|discover)$/.test(pathname);
  return Response.json(isPage ? { rows: [row], next: null } : row);
});
const withStrangeErrors = answering(() => Response.json(strangeError, { status: 409 }));

const commandsOf = {
  tracker: ["list-peers", "list-files", "list-chunkinfo", "discover h", "ping h", "status", "start"],
  peer: [
    ...["connect h 1", "list-files", "discover h", "list-fetches", "status", "cancel 1", "retry 1", "limits"],
    ...["unpublish f", "publish f", "fetch f /tmp/f"],
  ],
} as const;

async function run(role: "tracker" | "peer", line: string, connection: Connection) {
  const io = memoryIo("/tmp");
  const session = { role, connection, onExit: () => undefined, interrupted: NEVER.happened };
  const commands = role === "tracker" ? trackerShellCommands() : peerShellCommands();
  await runCommand({ name: "", commands, args: line.split(" "), io, session });
  return io;
}

/** Lines are ours; what stands in them is not. */
const linesOf = (text: string) => text.split("\n");

const cases = (["tracker", "peer"] as const).flatMap((role) => commandsOf[role].map((line) => [role, line] as const));

test.each(cases)("%s %s prints control characters escaped", async (role, line) => {
  for (const connection of [withStrangeRows, withStrangeErrors]) {
    const { stdout, stderr } = await run(role, line, connection);
    expect(linesOf(stdout.text + stderr.text).filter((text) => misleading.test(text))).toEqual([]);
    expect(stdout.text + stderr.text).not.toBe("");
  }
});

test.each(cases)("%s %s --json escapes control characters, and loses nothing of them", async (role, line) => {
  const { stdout } = await run(role, `${line} --json`, withStrangeRows);
  expect(linesOf(stdout.text).filter((text) => misleading.test(text))).toEqual([]);
  const last = line.startsWith("fetch") ? stdout.text.trim().split("\n").at(-1)! : stdout.text;
  const [shown] = [JSON.parse(last)].flat() as (typeof row)[];
  expect(shown).toMatchObject({ path: strange });
  const failed = await run(role, `${line} --json`, withStrangeErrors);
  expect(linesOf(failed.stdout.text + failed.stderr.text).filter((text) => misleading.test(text))).toEqual([]);
  expect(JSON.parse(failed.stdout.text).error).toEqual(strangeError.error);
});
