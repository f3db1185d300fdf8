/**
 * How fast commands answer: publish and ping over the endpoints of real roles, and the lists of a tracker with 100,000
 * published files, with its memory and with how long a ping had to wait meanwhile.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Address } from "../../src/core/address.ts";
import type { FileName } from "../../src/core/file-name.ts";
import type { ContentId } from "../../src/core/manifest.ts";
import { publicationKey } from "../../src/core/model.ts";
import type { Connection } from "../../src/net/connection.ts";
import { realSystem } from "../../src/net/system.ts";
import { peerIdAt } from "../../src/peer/peer-id.ts";
import { randomPeerSecret } from "../../src/store/data-folder.ts";
import { dial } from "../../test/support/endpoint.ts";
import { MiB, peakMemory } from "./measure.ts";
import { type Role, Roles } from "./roles.ts";

const samples = 300;
const publishers = 10;
const filesOfEach = 10_000;
const unansweredMax = 64;
const pingGapMs = 2;
const waitAimMs = 50;

type Show = (what: string) => void;

export async function measureCommands(binary: string, folder: string, show: Show): Promise<void> {
  const roles = new Roles(binary, folder);
  try {
    const tracker = await roles.tracker();
    const peer = await roles.peer("peer", tracker);
    await measureAnswers(tracker, peer, folder, show);
    await measureLists(roles, tracker, peer, show);
  } finally {
    await roles.stop();
  }
}

/** Times until the answer was there, whole requests over HTTP. */
async function measureAnswers(tracker: Role, peer: Role, folder: string, show: Show): Promise<void> {
  const files = join(folder, "files");
  mkdirSync(files);
  const publishes: number[] = [];
  for (let number = 0; number < samples; number++) {
    const path = join(files, `file-${number}`);
    writeFileSync(path, `${number}`);
    publishes.push(await timed(() => request(peer, "POST", "/api/shares", { path, lname: path })));
  }
  show(`publish, until the tracker has answered: ${quantiles(publishes)}`);
  show(`ping: ${quantiles(await pings(tracker, peer, samples))}`);
}

async function measureLists(roles: Roles, tracker: Role, peer: Role, show: Show): Promise<void> {
  const sessions = await Promise.all(
    Array.from({ length: publishers }, (_, index) => publishMany(tracker.address, index + 1)),
  );
  show(`${publishers * filesOfEach} files published by ${publishers} peers`);
  const memoryBefore = currentMemory(tracker.pid);
  const path = "/api/files";
  let rows = 0;
  const firstMs = await timed(async () => {
    rows = (await request<Page>(tracker, "GET", path)).rows.length;
  });
  show(`list_files, first page (${rows} rows): ${firstMs.toFixed(1)} ms`);
  for (const command of [
    ["tracker", "list-files"],
    ["peer", "list-files"],
    ["tracker", "list-chunkinfo"],
    ["tracker", "status"],
  ]) {
    const role = command[0] === "tracker" ? tracker : peer;
    const listing = roles.run([...command, "--json", "--data", role.data]);
    const started = performance.now();
    let ended = false;
    const lasted = listing.then(() => {
      ended = true;
      return performance.now() - started;
    });
    const waits: number[] = [];
    while (!ended) waits.push(...(await pings(tracker, peer, 1)));
    const listedMs = await lasted;
    const longest = Math.max(...waits);
    const verdict = longest <= waitAimMs ? "reached" : "NOT REACHED";
    show(
      `${command.join(" ")}, the whole process: ${(listedMs / 1000).toFixed(2)} s; ` +
        `pings meanwhile: ${waits.length}, ${quantiles(waits)} (aim ${waitAimMs} ms: ${verdict})`,
    );
  }
  const [before, after, most] = [memoryBefore, currentMemory(tracker.pid), peakMemory(tracker.pid)].map(
    (bytes) => `${(bytes / MiB).toFixed(0)} MiB`,
  );
  show(`memory of the tracker: ${before} before the lists, ${after} after them, ${most} at most`);
  for (const session of sessions) session.close();
}

interface Page {
  readonly rows: readonly unknown[];
}

/** Round trips of the ping command, one after the other with a short pause. */
async function pings(tracker: Role, peer: Role, count: number): Promise<number[]> {
  const [host, port] = peer.address.split(":");
  const waits: number[] = [];
  for (let turn = 0; turn < count; turn++) {
    waits.push(await timed(() => request(tracker, "GET", `/api/ping?host=${host}&port=${port}`)));
    await Bun.sleep(pingGapMs);
  }
  return waits;
}

/** A peer made of messages that publishes names of contents that nobody will fetch, as if it listened on that port. It has to be closed. */
async function publishMany(tracker: string, port: number): Promise<Connection> {
  const connection = await dial(tracker as Address, {
    local: { role: "peer", agent: "bench", address: null },
    timeoutMs: 2000,
  });
  const beat = setInterval(() => {
    if (connection.isOpen) connection.request({ type: "HEARTBEAT" }, { timeoutMs: 60_000 }).catch(() => undefined);
    else clearInterval(beat);
  }, 1000);
  const peerId = peerIdAt(tracker as Address, randomPeerSecret(realSystem.random));
  const { address } = await connection.request(
    {
      type: "REQUEST_REGISTER",
      peer_id: peerId,
      address: `127.0.0.1:${port}` as Address,
      advertised: false,
      host_name: "bench",
    },
    { timeoutMs: 10_000 },
  );
  let next = 0;
  const publishInTurn = async () => {
    while (next < filesOfEach) {
      const number = next++;
      const fname = `${peerId.slice(0, 6)}-a-file-with-a-name-of-some-length-${number}.bin` as FileName;
      await connection.request(
        {
          type: "REQUEST_PUBLISH",
          primary_key: publicationKey(fname, address),
          fname,
          size: 1000,
          total_chunknum: 1,
          author_address: address,
          local_file: `./folder/${fname}`,
          content_id: `${peerId}${number.toString(16).padStart(32, "0")}` as ContentId,
        },
        { timeoutMs: 60_000 },
      );
    }
  };
  await Promise.all(Array.from({ length: unansweredMax }, publishInTurn));
  return connection;
}

async function request<Answer>(role: Role, method: string, path: string, body?: object): Promise<Answer> {
  const { url, token } = JSON.parse(readFileSync(join(role.data, "admin.json"), "utf8"));
  const response = await fetch(`${url}${path}`, {
    method,
    headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path}: ${text}`);
  return (path.startsWith("/api/shares") ? undefined : JSON.parse(text)) as Answer;
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return performance.now() - started;
}

function quantiles(times: readonly number[]): string {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (part: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]!;
  return `p50 ${at(0.5).toFixed(2)} ms, p99 ${at(0.99).toFixed(2)} ms, longest ${sorted.at(-1)!.toFixed(1)} ms`;
}

/** Resident now, in bytes. */
function currentMemory(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return Number(kilobytes ?? 0) * 1024;
}
