/**
 * How well the members of a private swarm are served while somebody floods its tracker, or a peer: the service, the
 * flood and the members are processes of their own. The members ask at a steady pace which leaves the service much time,
 * and what is measured is which part of it is answered in time. So it does not matter how much of this machine the flood
 * itself takes, as long as the service gets its turn.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Address } from "../../src/core/address.ts";
import { type ChunkRanges, NO_CHUNKS } from "../../src/core/bitfield.ts";
import type { FileName } from "../../src/core/file-name.ts";
import { NOTICE_MS_MAX, TRACKER_WAIT_MS } from "../../src/core/limits.ts";
import { SECOND_MS } from "../../src/core/units.ts";
import { credentialsOf, securityOf } from "../../src/identity/credentials.ts";
import { parseInvitation } from "../../src/identity/invitation.ts";
import { createPrivateKeyPem } from "../../src/identity/keys.ts";
import type { Membership } from "../../src/identity/membership.ts";
import type { Connection } from "../../src/net/connection.ts";
import { Endpoint } from "../../src/net/endpoint.ts";
import { realSystem } from "../../src/net/system.ts";
import { joinSwarm } from "../../src/peer/join-swarm.ts";
import type { FloodKind, FloodOrder, HostileMember } from "./flood-client.ts";
import type { FloodedService } from "./flood-service.ts";

const HOSTILE_MEMBERS = 4;

export type Target = "tracker" | "peer";

export interface Flood {
  readonly kind: FloodKind;
  readonly connections: number;
  readonly targets: readonly Target[];
  /** Whether it is by many connections: those of others behind the same address have to hold out among them. */
  readonly isBySource: boolean;
  /** The part of a processor that it may take from the service, where what its clients send is bounded. */
  readonly processorMax?: number;
}

export const floods: readonly Flood[] = [
  { kind: "idle", connections: 5000, targets: ["tracker", "peer"], isBySource: true },
  { kind: "half open", connections: 500, targets: ["tracker", "peer"], isBySource: true },
  { kind: "slow", connections: 2000, targets: ["tracker", "peer"], isBySource: true },
  { kind: "guesses", connections: 16, targets: ["tracker"], isBySource: false, processorMax: 0.4 },
  { kind: "listings", connections: HOSTILE_MEMBERS, targets: ["tracker"], isBySource: false },
  { kind: "haves", connections: HOSTILE_MEMBERS, targets: ["peer"], isBySource: false, processorMax: 0.4 },
  { kind: "joins", connections: HOSTILE_MEMBERS, targets: ["peer"], isBySource: false, processorMax: 0.4 },
];

/** A member that waits longer is not served: no longer does a command wait for its tracker, and for an answer at all. */
const SERVED_MS_MAX = TRACKER_WAIT_MS;
const ARRIVED_MS_MAX = NOTICE_MS_MAX;
/** What the beginning of a flood may take at once is over after this time. */
const SETTLE_MS = SECOND_MS / 2;
const ASK_EVERY_MS = 5;
const ARRIVE_EVERY_MS = 50;
/** Members whose connections are there before. */
const MEMBERS = 4;
const ARRIVING_MEMBERS = 8;
/** The chunks of what the peer shares. */
const CHUNKS = 128;
const TICKS_PER_SECOND = 100;

/** What became of what the members wanted within some time. */
export interface Served {
  /** The part in time of the requests on connections that were there before. */
  readonly requests: number;
  /** The part of new connections. */
  readonly arrivals: number;
  /** Of the requests, milliseconds. */
  readonly p99Ms: number;
  /** The part of one processor that the service has taken. */
  readonly processor: number;
}

export class FloodTest {
  readonly #service: Bun.Subprocess;
  readonly #at: FloodedService;
  readonly #names: number;
  readonly #members: readonly Membership[];
  readonly #arriving: readonly Membership[];
  readonly #hostile: readonly HostileMember[];
  #arrivals = 0;
  readonly #connections: Record<Target, Connection[]> = { tracker: [], peer: [] };

  private constructor(service: Bun.Subprocess, at: FloodedService, names: number, joined: readonly Membership[]) {
    this.#service = service;
    this.#at = at;
    this.#names = names;
    this.#members = joined.slice(0, MEMBERS);
    this.#arriving = joined.slice(MEMBERS, -HOSTILE_MEMBERS);
    this.#hostile = joined.slice(-HOSTILE_MEMBERS).map((membership) => {
      const { key, certificates: cert } = credentialsOf(membership);
      return { peerId: membership.peerId, key, cert };
    });
  }

  /** In this folder, with so many names at the tracker. */
  static async open(folder: string, names: number): Promise<FloodTest> {
    const script = join(import.meta.dir, "flood-service.ts");
    const service = Bun.spawn([process.execPath, script, folder, `${names}`], { stdio: ["ignore", "pipe", "inherit"] });
    try {
      const at = JSON.parse(await firstLine(service.stdout)) as FloodedService;
      const invitation = parseInvitation(at.token);
      const memberships: Membership[] = [];
      for (let number = 0; number < MEMBERS + ARRIVING_MEMBERS + HOSTILE_MEMBERS; number++)
        memberships.push((await joinSwarm({ invitation, key: await createPrivateKeyPem(), name: "bench" }))!);
      const test = new FloodTest(service, at, names, memberships);
      await test.#connect();
      return test;
    } catch (thrown) {
      service.kill("SIGKILL");
      throw thrown;
    }
  }

  /** How the members are served for so long, without a flood. */
  usual(target: Target, ms: number): Promise<Served> {
    return this.#serve(target, ms);
  }

  /** The same under this flood, which comes from this IP. */
  async under(target: Target, { kind, connections }: Flood, from: string, ms: number): Promise<Served> {
    const { content } = this.#at;
    const order: FloodOrder = {
      kind,
      to: this.#at[target],
      connections,
      from,
      content,
      members: this.#hostile,
      names: this.#names,
    };
    const client = Bun.spawn([process.execPath, join(import.meta.dir, "flood-client.ts"), JSON.stringify(order)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    try {
      await firstLine(client.stdout);
      await Bun.sleep(SETTLE_MS);
      return await this.#serve(target, ms);
    } finally {
      client.kill("SIGKILL");
      await client.exited;
    }
  }

  async close(): Promise<void> {
    for (const connection of Object.values(this.#connections).flat()) connection.close();
    this.#service.kill("SIGKILL");
    await this.#service.exited;
  }

  async #connect(): Promise<void> {
    for (const membership of this.#members) {
      const tracker = await dial(membership, this.#at.tracker);
      await register(tracker, membership);
      const peer = await dial(membership, this.#at.peer);
      await peer.request({ type: "REQUEST_JOIN_SWARM", content_id: this.#at.content, chunks: NO_CHUNKS });
      this.#connections.tracker.push(tracker);
      this.#connections.peer.push(peer);
    }
  }

  async #serve(target: Target, ms: number): Promise<Served> {
    const asked: Promise<number | undefined>[] = [];
    const arrived: Promise<number | undefined>[] = [];
    const connections = this.#connections[target];
    const [beganMs, beganTicks] = [performance.now(), ticksOf(this.#service.pid)];
    const sinceMs = () => performance.now() - beganMs;
    while (sinceMs() < ms) {
      // Whoever is late asks for what is due, so that as much is asked whatever happens.
      for (; asked.length < sinceMs() / ASK_EVERY_MS; )
        asked.push(timed(SERVED_MS_MAX, () => this.#ask(target, connections[asked.length % MEMBERS]!, asked.length)));
      for (; arrived.length < sinceMs() / ARRIVE_EVERY_MS; )
        arrived.push(timed(ARRIVED_MS_MAX, () => this.#arrive(target)));
      await Bun.sleep(1);
    }
    const processor = ((ticksOf(this.#service.pid) - beganTicks) * SECOND_MS) / TICKS_PER_SECOND / sinceMs();
    const times = await Promise.all(asked);
    const inTime = times.filter((time) => time !== undefined).sort((one, other) => one - other);
    const arrivals = await Promise.all(arrived);
    return {
      requests: inTime.length / times.length,
      arrivals: arrivals.filter((time) => time !== undefined).length / arrivals.length,
      p99Ms: inTime[Math.floor(inTime.length * 0.99)] ?? Number.POSITIVE_INFINITY,
      processor,
    };
  }

  async #ask(target: Target, connection: Connection, number: number): Promise<void> {
    const content_id = this.#at.content;
    const options = { timeoutMs: SERVED_MS_MAX };
    if (target === "peer") {
      const chunk = number % CHUNKS;
      const chunknum = [chunk, chunk] as unknown as ChunkRanges;
      const openPayload = (_: unknown, bytes: number) => new Uint8Array(bytes);
      const fields = { content_id, filename: "source.bin" as FileName, chunknum };
      await connection.request({ type: "PEER_REQUEST_CHUNK", ...fields }, { ...options, openPayload });
    } else if (number % 4 === 0) {
      const fields = { fname: "source.bin" as FileName, holder: null, cursor: null };
      await connection.request({ type: "REQUEST_FILE_LIST", ...fields }, options);
    } else await connection.request({ type: "REQUEST_FILE_LOCATION", primary_key: null, content_id }, options);
  }

  async #arrive(target: Target): Promise<void> {
    const membership = this.#arriving[this.#arrivals++ % ARRIVING_MEMBERS]!;
    const connection = await dial(membership, this.#at[target]);
    try {
      if (target === "tracker") await register(connection, membership);
      else await connection.request({ type: "REQUEST_PING_PONG", peer_address: null }, { timeoutMs: ARRIVED_MS_MAX });
    } finally {
      connection.close();
    }
  }
}

/** Milliseconds until it is done; undefined where it fails, or takes too long. */
async function timed(withinMs: number, work: () => Promise<void>): Promise<number | undefined> {
  const beganMs = performance.now();
  try {
    await work();
    const tookMs = performance.now() - beganMs;
    return tookMs <= withinMs ? tookMs : undefined;
  } catch {
    return undefined;
  }
}

function dial(membership: Membership, at: Address): Promise<Connection> {
  const { clock } = realSystem;
  const security = securityOf({
    membership: () => membership,
    isRevoked: () => false,
    wallTime: () => clock.wallTime(),
  });
  const local = () => ({ role: "peer", agent: "bench", address: null }) as const;
  return new Endpoint({ system: realSystem, local, security: () => security }).dial(at, { timeoutMs: ARRIVED_MS_MAX });
}

let ports = 30_000;

async function register(connection: Connection, { peerId: peer_id }: Membership): Promise<void> {
  const address = `127.0.0.1:${ports++}` as Address;
  const fields = { peer_id, address, advertised: false, host_name: "bench" };
  await connection.request({ type: "REQUEST_REGISTER", ...fields }, { timeoutMs: ARRIVED_MS_MAX });
}

/** Processor time of a process so far. */
function ticksOf(pid: number): number {
  // The fields after the name, which is in brackets and may contain anything: user time and system time.
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)!.split(" ");
  return Number(fields[11]) + Number(fields[12]);
}

async function firstLine(stream: ReadableStream<Uint8Array>): Promise<string> {
  let text = "";
  const reader = stream.getReader();
  while (!text.includes("\n")) {
    const { value, done } = await reader.read();
    if (done) throw new Error("the process ended before it was ready");
    text += new TextDecoder().decode(value);
  }
  reader.releaseLock();
  return text.slice(0, text.indexOf("\n"));
}
