/**
 * Shows a live swarm in under a minute: a tracker and five peers on this machine, a real file of 256 MiB published by
 * one of them, fetched by three others at the same time, and then by the fifth from all four at once. Ends with the
 * bytes that each source gave, and with the copy compared by programs that are not ours. Leaves nothing behind.
 *
 * With --keep: a tracker and three peers that send slowly, each with the link to its page, which stay up until Ctrl-C,
 * so that a new user can share a file and watch a fetch in a browser.
 */
import { once } from "node:events";
import { createReadStream, createWriteStream, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import * as v from "valibot";
import { build } from "./build.ts";
import { type Role, Roles } from "./lib/roles.ts";

const MiB = 1024 * 1024;
const fileBytesMin = 256 * MiB;
const name = "holiday-film.bin";

/** The last line of `fetch --json`. */
const ReceiptSchema = v.object({
  event: v.literal("receipt"),
  content_id: v.string(),
  size: v.number(),
  total_chunknum: v.number(),
  sources: v.array(v.object({ address: v.string(), bytes: v.number(), chunks: v.number(), rejected: v.number() })),
  rerequests: v.number(),
  rejected: v.number(),
  duration_ms: v.number(),
});
type Receipt = v.InferOutput<typeof ReceiptSchema>;

const bold = (text: string) => (process.stdout.isTTY && !process.env.NO_COLOR ? `\u001b[1m${text}\u001b[0m` : text);
const mebibytes = (bytes: number) => `${(bytes / MiB).toFixed(1)} MiB`;
const pace = (bytes: number, ms: number) => `${(ms / 1000).toFixed(2)} s, ${mebibytes(bytes / (ms / 1000))}/s`;

let step = 0;
function say(text: string): void {
  console.log(`\n${bold(`${++step}. ${text}`)}`);
}

function indent(text: string): void {
  for (const line of text.trimEnd().split("\n")) console.log(`   ${line}`);
}

/** Joins real files, again and again, until there is enough. */
async function makeFile(path: string, parts: readonly string[]): Promise<void> {
  const output = createWriteStream(path);
  for (let turn = 0, written = 0; written < fileBytesMin; turn++) {
    const part = parts[turn % parts.length]!;
    for await (const piece of createReadStream(part, { highWaterMark: MiB })) {
      written += piece.length;
      if (!output.write(piece)) await once(output, "drain");
    }
  }
  output.end();
  await once(output, "finish");
}

async function fetchFile(roles: Roles, destination: string, where: readonly string[]): Promise<Receipt> {
  const output = await roles.ask(["peer", "fetch", name, destination, ...where, "--json"]);
  return v.parse(ReceiptSchema, JSON.parse(output.trimEnd().split("\n").at(-1)!));
}

/** One line for each source, with a bar of its share. */
function showSources(receipt: Receipt, peers: readonly Role[]): void {
  const width = 40;
  for (const source of receipt.sources.toSorted((a, b) => b.bytes - a.bytes)) {
    const who = peers.find((peer) => peer.address === source.address)?.name ?? "?";
    const share = source.bytes / receipt.size;
    const bar = "█".repeat(Math.round(share * width)).padEnd(width, "·");
    const figures = `${mebibytes(source.bytes).padStart(10)} ${`${source.chunks}`.padStart(5)} chunks`;
    indent(`${who.padEnd(6)} ${source.address.padEnd(16)} ${bar} ${figures} ${(share * 100).toFixed(0).padStart(3)} %`);
  }
}

/** Runs a program that is not ours; gives what it printed, or throws where it found a difference. */
function check(command: readonly string[]): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync([...command]);
  if (exitCode !== 0) throw new Error(`${command.join(" ")} ended with ${exitCode}: ${stderr}`);
  return stdout.toString();
}

async function show(roles: Roles, folder: string, binary: string): Promise<void> {
  const source = join(folder, name);
  say("A file of real bytes: the executable of p2pfs and the one of Bun, one behind the other");
  await makeFile(source, [binary, process.execPath]);
  const { size } = statSync(source);
  indent(`${source}: ${size} bytes (${mebibytes(size)})`);

  say("A tracker and five peers, each a process of its own");
  const tracker = await roles.tracker();
  const names = ["anna", "ben", "clara", "david", "emma"];
  const peers = await Promise.all(names.map((peer) => roles.peer(peer, tracker)));
  const [anna, ben, clara, david, emma] = peers as [Role, Role, Role, Role, Role];
  indent(`$ p2pfs tracker list-peers`);
  indent(await roles.ask(["tracker", "list-peers", "--data", tracker.data]));

  say("anna publishes the file");
  const publishStarted = performance.now();
  indent(await roles.ask(["peer", "publish", source, name, "--data", anna.data]));
  indent(`hashed and announced in ${((performance.now() - publishStarted) / 1000).toFixed(2)} s`);

  say("ben, clara and david fetch it at the same time");
  const together = performance.now();
  const early = [ben, clara, david];
  const receipts = await Promise.all(
    early.map((peer) => fetchFile(roles, join(peer.data, name), ["--data", peer.data])),
  );
  for (const [index, receipt] of receipts.entries()) {
    indent(`${early[index]!.name}: ${pace(receipt.size, receipt.duration_ms)}`);
    showSources(receipt, peers);
  }
  indent(`all three: ${pace(3 * size, performance.now() - together)}`);

  say("emma fetches it from all who have it");
  const copy = join(emma.data, name);
  const receipt = await fetchFile(roles, copy, ["--data", emma.data]);
  indent(`content id ${receipt.content_id}`);
  indent(`${receipt.total_chunknum} chunks, ${receipt.rerequests} asked for again, ${receipt.rejected} rejected`);
  indent(pace(receipt.size, receipt.duration_ms));
  showSources(receipt, peers);
  const total = receipt.sources.reduce((sum, given) => sum + given.bytes, 0);
  if (receipt.sources.filter((given) => given.bytes > 0).length < 2) throw new Error("only one source gave anything");
  if (total < size) throw new Error(`the sources gave ${total} bytes of ${size}`);

  say("Is it the same file? Asked of programs that are not ours");
  const copies = [...early, emma].map((peer) => join(peer.data, name));
  for (const each of copies) check(["cmp", source, each]);
  indent(`cmp: ${copies.length} copies are equal to the source, byte for byte`);
  if (Bun.which("sha256sum") !== null) indent(check(["sha256sum", source, copy]).replaceAll(`${folder}/`, ""));
}

/** Slow enough to be watched: 256 MiB from two sources take half a minute. */
const keptUpLimit = "4MiB/s";

async function keep(roles: Roles, folder: string, binary: string): Promise<void> {
  say("A tracker and three peers, which send at most 4 MiB a second each");
  const tracker = await roles.tracker();
  const flags = ["--up-limit", keptUpLimit, "--browse", folder];
  const names = ["anna", "ben", "clara"];
  const peers = await Promise.all(names.map((peer) => roles.peer(peer, tracker, flags)));
  const [anna, ben] = peers as [Role, Role, Role];
  indent(`tracker ${tracker.address}, everything in ${folder}`);

  say("anna and ben share a film, anna some notes");
  const source = join(folder, name);
  await makeFile(source, [binary, process.execPath]);
  for (const peer of [anna, ben]) await roles.ask(["peer", "publish", source, name, "--data", peer.data]);
  const notes = join(folder, "notes.txt");
  await Bun.write(notes, "What is shared here stays here.\n");
  await roles.ask(["peer", "publish", notes, "notes.txt", "--data", anna.data]);

  say("Their pages; every link works once, within five minutes");
  for (const role of [tracker, ...peers]) {
    const kind = role === tracker ? "tracker" : "peer";
    indent(`${role.name.padEnd(8)}${(await roles.ask([kind, "dashboard", "--data", role.data])).trim()}`);
  }
  indent("");
  indent(`On clara's page: Files, ${name}, Fetch. Then Shared, Share a file, and see it on the others.`);
  indent(`More links: ${binary} peer dashboard --data ${peers[2]!.data}`);
  console.log("\nCtrl-C ends all of it and removes what it made.");
  await new Promise(() => {});
}

const { values: options } = parseArgs({ options: { keep: { type: "boolean", default: false } } });
const binary = await build();
const folder = mkdtempSync(join(tmpdir(), "p2pfs-demo-"));
const roles = new Roles(binary, folder);

async function leave(exitCode: number): Promise<never> {
  await roles.stop();
  rmSync(folder, { recursive: true, force: true });
  process.exit(exitCode);
}
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => leave(130));

const started = performance.now();
try {
  if (options.keep) await keep(roles, folder, binary);
  await show(roles, folder, binary);
  console.log(`\n${bold("Done")} in ${((performance.now() - started) / 1000).toFixed(1)} s.`);
} catch (error) {
  console.error(`\nThe demonstration failed: ${error instanceof Error ? error.message : error}`);
  await leave(1);
}
await leave(0);
