/**
 * A peer among others that lie to it: its tracker, or the holder that it fetches from, answers some requests with whatever
 * frames it likes. The peer has to tell its user within the time of a command, and never ends up with other bytes.
 */
import type { Address } from "../../../src/core/address.ts";
import { Bitfield } from "../../../src/core/bitfield.ts";
import { type ErrorCode, P2pfsError } from "../../../src/core/errors.ts";
import type { FileName } from "../../../src/core/file-name.ts";
import { NOTICE_MS_MAX } from "../../../src/core/limits.ts";
import {
  chunkCountFor,
  chunkSizeFor,
  contentIdOf,
  encodeManifest,
  manifestOfFile,
} from "../../../src/core/manifest.ts";
import { KiB, SECOND_MS } from "../../../src/core/units.ts";
import { digest } from "../../../src/disk/blake3.ts";
import type { Outgoing } from "../../../src/net/handlers.ts";
import type { Transport, TransportEvents } from "../../../src/net/transport.ts";
import { encodeFrame } from "../../../src/wire/frame.ts";
import {
  isRequest,
  type Message,
  messageTable,
  PROTOCOL_VERSION,
  type RequestName,
  type Role,
  replyNameOf,
} from "../../../src/wire/messages.ts";
import { World } from "../../sim/system/world.ts";
import { randomBytes } from "../../support/bytes.ts";
import { Recorder } from "../../wire/recorder.ts";
import { type Known, mutatedStream, sampleFrames, splitFrames } from "../stream.ts";
import { assert, type Target } from "../target.ts";

const NOTICE_SLACK_MS = 200;
const JOIN_MS_MAX = 3 * SECOND_MS;
/** With honest answers to all but a few requests. */
const FETCH_MS_MAX = 60 * SECOND_MS;
const DESTINATION = "/files/copy.bin";
const PEER = "10.0.0.1:7000" as Address;
const TRACKER_IP = "10.0.1.1";
const HOLDER_IP = "10.0.5.1";
const HOLDER = `${HOLDER_IP}:7000` as Address;
const ERROR_ID = messageTable.ERROR.id;

/** Its last chunk is short, so that an input can have a whole one. */
const content = randomBytes(129 * KiB, 5);
const chunkSize = chunkSizeFor(content.length);
const chunkCount = chunkCountFor(content.length);
const manifestBytes = (() => {
  const digests = Array.from({ length: chunkCount }, (_, chunk) => digest(chunkAt(chunk)));
  return encodeManifest(manifestOfFile(content.length, new Uint8Array(Buffer.concat(digests))));
})();
const contentId = contentIdOf(manifestBytes, digest);
const allChunks = Bitfield.full(chunkCount).toRanges();

function chunkAt(chunk: number): Uint8Array {
  return content.subarray(chunk * chunkSize, (chunk + 1) * chunkSize);
}

interface Answer {
  readonly message: Outgoing;
  readonly payload?: Uint8Array;
}

function honestTracker(message: Message<RequestName>): Answer | undefined {
  switch (message.type) {
    case "REQUEST_PING_PONG":
      return { message: { type: "REPLY_PING_PONG", response: "pong" } };
    case "REQUEST_REGISTER":
      return { message: { type: "REPLY_REGISTER", address: PEER, lease_ms: 8000, heartbeat_ms: 2000 } };
    case "HEARTBEAT":
      return { message: { type: "REPLY_HEARTBEAT" } };
    case "REQUEST_ANNOUNCED":
      return { message: { type: "REPLY_ANNOUNCED" } };
    case "REQUEST_PUBLISH":
      return { message: { type: "REPLY_PUBLISH", filename: message.fname, result: "ok" } };
    case "REQUEST_CHUNK_REGISTER":
      return { message: { type: "REPLY_CHUNK_REGISTER", content_id: message.content_id } };
    case "REQUEST_FILE_LIST":
      return { message: { type: "REPLY_FILE_LIST", file_list: [], next: null } };
    case "REQUEST_DISCOVER":
      return { message: { type: "REPLY_DISCOVER", file_list: [], next: null } };
    case "REQUEST_PEERS":
      return { message: { type: "REPLY_PEERS", addresses: [HOLDER] } };
    case "REQUEST_FILE_LOCATION": {
      const chunkinfo = [{ address: HOLDER, chunks: allChunks }];
      return { message: { type: "REPLY_FILE_LOCATION", fileinfo: null, chunkinfo } };
    }
    default:
      return undefined;
  }
}

function honestHolder(message: Message<RequestName>): Answer | undefined {
  switch (message.type) {
    case "REQUEST_PING_PONG":
      return { message: { type: "REPLY_PING_PONG", response: "pong" } };
    case "REQUEST_MANIFEST":
      return { message: { type: "REPLY_MANIFEST", content_id: message.content_id }, payload: manifestBytes };
    case "REQUEST_JOIN_SWARM":
      return { message: { type: "REPLY_JOIN_SWARM", content_id: message.content_id, chunks: allChunks } };
    case "PEER_REQUEST_CHUNK": {
      const { filename, content_id, chunknum } = message;
      const payload = chunkAt(chunknum[0]!);
      const reply = { type: "PEER_REPLY_CHUNK", filename, content_id, chunknum: chunknum[0]! } as const;
      return { message: { ...reply, digest: digest(payload) }, payload };
    }
    default:
      return undefined;
  }
}

/** How the frames of an input are used, by its first byte. */
interface Lies {
  readonly frames: Uint8Array[];
  /** A frame waits for a request that it is a reply to; otherwise the next request gets it. */
  readonly isFitting: boolean;
  /** It answers the request, by its id. */
  readonly isAnswer: boolean;
}

function liesOf(input: Uint8Array): Lies {
  const manner = input[0] ?? 0;
  return { frames: splitFrames(input.subarray(1)), isFitting: (manner & 3) !== 3, isAnswer: (manner & 12) !== 12 };
}

/** Takes the frame that this request is answered with, if there is one. */
function takeLie(
  { frames, isFitting, isAnswer }: Lies,
  { type, request }: Message<RequestName>,
): Uint8Array | undefined {
  const replyId = messageTable[replyNameOf(type)].id;
  const at = isFitting ? frames.findIndex((frame) => frame[4] === replyId || frame[4] === ERROR_ID) : 0;
  const [frame] = at < 0 ? [] : frames.splice(at, 1);
  if (frame === undefined || !isAnswer) return frame;
  const [heard] = Recorder.of(frame).messages;
  if (heard === undefined || !("request" in heard.message)) return frame;
  return framed({ ...heard.message, request }, heard.payload);
}

function framed(message: Message, payload: Uint8Array = new Uint8Array(0)): Uint8Array {
  return Uint8Array.from(Buffer.concat([encodeFrame(message, payload.length), payload]));
}

type Honest = (message: Message<RequestName>) => Answer | undefined;

/** A role that answers honestly where it does not lie. */
function listen(
  world: World,
  {
    ip,
    port,
    role,
    honest,
    lies,
  }: {
    readonly ip: string;
    readonly port: number;
    readonly role: Role;
    readonly honest: Honest;
    readonly lies: Lies;
  },
): void {
  const { network } = world.newProcess(ip).system;
  network.listen(ip, port, (transport: Transport): TransportEvents => {
    const address = `${ip}:${port}` as Address;
    transport.write(encodeFrame({ type: "HELLO", version: PROTOCOL_VERSION, role, agent: "?", address }));
    const heard = new Recorder();
    heard.handleMessage = (message) => {
      if (!isRequest(message.type)) return;
      const asked = message as Message<RequestName>;
      const lie = takeLie(lies, asked);
      const answer = lie === undefined ? honest(asked) : undefined;
      if (lie !== undefined) transport.write(lie);
      if (answer !== undefined)
        transport.write(framed({ ...answer.message, request: asked.request } as Message, answer.payload));
    };
    return { data: (bytes) => void heard.decoder.push(bytes), drain: () => {}, closed: () => {} };
  });
}

/** An `internal` error without a cause is one that the other side has told. */
function isDefect(thrown: unknown): boolean {
  return !(thrown instanceof P2pfsError) || (thrown.code === "internal" && Object.hasOwn(thrown, "cause"));
}

/** What came of a command. */
type Outcome = "done" | ErrorCode;

class Victim {
  readonly #world: World;
  readonly #lies: Lies;
  readonly #told: number;

  constructor(seed: number, input: Uint8Array, liar: Role) {
    this.#world = new World(seed, { peers: 1, trackers: 1 });
    const lies = liesOf(input);
    this.#lies = lies;
    this.#told = lies.frames.length;
    const none: Lies = { ...lies, frames: [] };
    const tracker = { ip: TRACKER_IP, port: 7700, role: "tracker", honest: honestTracker } as const;
    const holder = { ip: HOLDER_IP, port: 7000, role: "peer", honest: honestHolder } as const;
    listen(this.#world, { ...tracker, lies: liar === "tracker" ? lies : none });
    listen(this.#world, { ...holder, lies: liar === "peer" ? lies : none });
  }

  live(): string {
    const world = this.#world;
    const host = world.hosts[0]!;
    world.await("the peer's start", host.start(), 1000);
    const { peer } = host;
    assert(peer !== undefined, "the peer has not started");
    const joinedByMs = world.clock.now + JOIN_MS_MAX;
    while (!peer.status().connected && world.clock.now < joinedByMs) world.runUntil(world.clock.now + 20);
    host.disk.write("/files/own.bin", content.subarray(0, 1000));
    const noticeMsMax = NOTICE_MS_MAX + NOTICE_SLACK_MS;
    const ticket = `p2pfs://${TRACKER_IP}:7700/copy.bin?id=${contentId}`;
    let job: Awaited<ReturnType<typeof peer.fetch>> | undefined;
    const outcomes = [
      this.#settle("list-files", peer.listFiles(null), noticeMsMax),
      this.#settle("discover", peer.discover(HOLDER_IP, undefined, null), noticeMsMax),
      this.#settle("publish", peer.publish({ path: "/files/own.bin", lname: "own.bin" }), noticeMsMax),
      this.#settle(
        "fetch",
        peer.fetch({ what: ticket, destination: DESTINATION }).then((begun) => {
          job = begun;
        }),
        noticeMsMax,
      ),
      job === undefined ? "none" : this.#settle("the fetch", job.done, FETCH_MS_MAX),
    ];
    const fetched = host.disk.read(DESTINATION);
    assert(fetched === undefined || Buffer.compare(fetched, content) === 0, "the file has other bytes");
    assert((outcomes.at(-1) === "done") === (fetched !== undefined), `the fetch ended as ${outcomes.at(-1)}`);
    const { connections } = peer.backlog;
    assert(connections < 20, `the peer has ${connections} connections`);
    assert(world.violations.length === 0, world.violations.join("\n"));
    const heeded = Math.min(this.#told - this.#lies.frames.length, 5);
    return `${peer.status().connected} ${outcomes.join(" ")} ${heeded} lies`;
  }

  close(): void {
    this.#world.close();
  }

  #settle(what: string, promise: Promise<unknown>, withinMs: number): Outcome {
    const world = this.#world;
    let outcome: Outcome | undefined;
    let strange: unknown;
    promise.then(
      () => {
        outcome = "done";
      },
      (thrown: unknown) => {
        strange = isDefect(thrown) ? thrown : undefined;
        outcome = thrown instanceof P2pfsError ? thrown.code : "internal";
      },
    );
    const endMs = world.clock.now + withinMs;
    do world.runUntil(Math.min(endMs, world.clock.now + 20));
    while (outcome === undefined && world.clock.now < endMs);
    if (strange !== undefined) throw strange;
    assert(outcome !== undefined, `${what} takes longer than ${withinMs} ms`);
    return outcome;
  }
}

const known: Known = {
  content_id: [contentId],
  address: [PEER, HOLDER, `${TRACKER_IP}:7700`, "10.0.7.7:7"],
  addresses: [[HOLDER], [PEER], []],
  chunks: [allChunks, [0, 0], [chunkCount, chunkCount], []],
  chunknum: [0, 1, 2, 3, 77],
  filename: ["copy.bin"],
  chunkinfo: [
    [{ address: PEER, chunks: allChunks }],
    [{ address: HOLDER, chunks: [0, 0] }],
    [{ address: `${TRACKER_IP}:7700`, chunks: allChunks }],
  ],
  fileinfo: [null],
  code: [1, 4, 6, 11, 16, 17, 99],
  next: [null, "x"],
};

/** Manifests and chunks of the right form with other bytes. */
function wrongContents(): Uint8Array[] {
  const last = chunkCount - 1;
  const payload = randomBytes(chunkAt(last).length, 9);
  const reply = {
    type: "PEER_REPLY_CHUNK",
    request: 0,
    filename: "copy.bin" as FileName,
    content_id: contentId,
  } as const;
  const chunk = framed({ ...reply, chunknum: last, digest: digest(payload) }, payload);
  const otherManifest = encodeManifest(manifestOfFile(content.length, randomBytes(32 * chunkCount, 9)));
  const manifest = framed({ type: "REPLY_MANIFEST", request: 0, content_id: contentId }, otherManifest);
  return [[chunk], [chunk, chunk, chunk], [manifest], [manifest, chunk, chunk, chunk]].map((frames) =>
    Uint8Array.from(Buffer.concat([Uint8Array.of(0), ...frames])),
  );
}

function hostileTarget(name: string, liar: Role): Target {
  let seed = 0;
  return {
    name,
    isSlow: true,
    inputs: () => [
      ...sampleFrames()
        .filter((_, index) => index % 2 === 0)
        .filter((frame) => Object.values(messageTable).some((row) => row.id === frame[4] && row.kind !== "request"))
        .map((frame, index) => Uint8Array.of(index % 5 === 0 ? 15 : 0, ...frame)),
      ...(liar === "peer" ? wrongContents() : []),
    ],
    mutate(input, how) {
      const manner = how.random() < 0.2 ? Math.floor(16 * how.random()) : (input[0] ?? 0);
      const others = how.others.map((other) => other.subarray(1));
      return Uint8Array.of(manner, ...mutatedStream(input.subarray(1), { ...how, others }, known));
    },
    run(input) {
      const victim = new Victim(++seed, input, liar);
      try {
        return victim.live();
      } finally {
        victim.close();
      }
    },
  };
}

export const hostileTargets = [hostileTarget("hostile tracker", "tracker"), hostileTarget("hostile holder", "peer")];
