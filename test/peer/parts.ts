/**
 * What the peer's tests in a room share: a tracker and other peers that answer as a test says, contents, and the parts
 * of a peer over them, composed as `peer.ts` composes them.
 */
import type { Address, HostPort } from "../../src/core/address.ts";
import { Bitfield } from "../../src/core/bitfield.ts";
import { deadlineIn } from "../../src/core/deadline.ts";
import { DIGEST_BYTES } from "../../src/core/limits.ts";
import { type Log, textOf } from "../../src/core/log.ts";
import {
  type ContentId,
  chunkCountFor,
  chunkLengthAt,
  chunkSizeFor,
  contentIdOf,
  encodeManifest,
  type Manifest,
  manifestOfFile,
} from "../../src/core/manifest.ts";
import { type FileInfo, publicationKey } from "../../src/core/model.ts";
import { KiB } from "../../src/core/units.ts";
import { digest } from "../../src/disk/blake3.ts";
import type { Part } from "../../src/disk/content-store.ts";
import { MemoryDisk, MemoryStore } from "../../src/disk/memory-store.ts";
import type { Connection } from "../../src/net/connection.ts";
import { Endpoint } from "../../src/net/endpoint.ts";
import type { Outgoing } from "../../src/net/handlers.ts";
import { payloadOf } from "../../src/net/send-queue.ts";
import { PeerEvents } from "../../src/peer/events.ts";
import { Library } from "../../src/peer/library.ts";
import { Neighbours } from "../../src/peer/neighbours.ts";
import { RateLimiter } from "../../src/peer/rate-limiter.ts";
import { openRepository } from "../../src/peer/repository.ts";
import { Sharing } from "../../src/peer/sharing.ts";
import { Swarms } from "../../src/peer/swarms.ts";
import { TrackerDirectory } from "../../src/peer/tracker-directory.ts";
import { TrackerLink, type TrackerLinkOptions } from "../../src/peer/tracker-link.ts";
import { UploadQueue } from "../../src/swarm/upload-queue.ts";
import type { Message, MessageName, RequestName, Role } from "../../src/wire/messages.ts";
import type { Process } from "../sim/system/process.ts";
import { endpointAt, type Room } from "../support/room.ts";
import { serveFake } from "../support/serve-fake.ts";
import { address, contentId, fileName, peerId, ranges } from "../support/values.ts";
import { chunksIn } from "../swarm/support.ts";

export { address, contentId, fileName, peerId, ranges };

export const CHUNK = 64 * KiB;

/** Answers by request; undefined for silence, or for an answer that the test gives over the connection. */
export type Answers = {
  readonly [Name in RequestName]?: (
    message: Message<Name>,
    connection: Connection,
  ) => Outgoing | undefined | Promise<Outgoing | undefined>;
};

/** Another process: it takes connections, records what it is sent, and answers as the test says. */
export class Actor {
  readonly process: Process;
  readonly address: Address;
  /** May be changed at any time. */
  answers: Answers;
  /** Requests and notices, in the order of their arrival. */
  readonly received: Message[] = [];
  /** Every connection so far. */
  readonly connections: Connection[] = [];
  readonly #room: Room;

  constructor(room: Room, role: Role, ip: string, answers: Answers = {}) {
    this.#room = room;
    this.process = room.machine(ip);
    this.answers = answers;
    this.address = `${ip}:7000` as Address;
    room.listen(this.process, { role, onConnection: (connection) => this.serve(connection) });
  }

  get at(): HostPort {
    return { host: this.process.ip, port: 7000 };
  }

  get open(): Connection[] {
    return this.connections.filter(({ isOpen }) => isOpen);
  }

  /** The received messages of this type. */
  all<Name extends MessageName>(type: Name): Message<Name>[] {
    return this.received.filter((message) => message.type === type) as unknown as Message<Name>[];
  }

  get types(): MessageName[] {
    return this.received.map(({ type }) => type);
  }

  /** A connection that this one dials. */
  dial(to: Address, hello: { readonly address?: Address; readonly nonce?: string } = {}): Connection {
    const dialling = endpointAt(this.process, "peer", hello).dial(to, {
      timeoutMs: 1000,
      onConnection: (connection) => this.serve(connection),
    });
    return this.#room.wait(dialling);
  }

  serve(connection: Connection): void {
    this.connections.push(connection);
    serveFake(connection, {
      request: (message) => {
        this.received.push(message);
        const answer = this.answers[message.type] as Answers[RequestName] | undefined;
        return answer?.(message as never, connection);
      },
      notice: (message) => void this.received.push(message),
    });
  }
}

/** A tracker without a registry: it takes whoever registers, and knows of no files. */
export function trackerIn(room: Room, answers: Answers = {}, ip = "10.0.1.1"): Actor {
  return new Actor(room, "tracker", ip, { ...trackerAnswers, ...answers });
}

export const trackerAnswers = {
  REQUEST_PING_PONG: () => ({ type: "REPLY_PING_PONG", response: "pong" }),
  HEARTBEAT: () => ({ type: "REPLY_HEARTBEAT" }),
  REQUEST_REGISTER: (message) => ({
    type: "REPLY_REGISTER",
    address: message.address,
    lease_ms: 8000,
    heartbeat_ms: 2000,
  }),
  REQUEST_PUBLISH: ({ fname }) => ({ type: "REPLY_PUBLISH", filename: fname, result: "ok" }),
  REQUEST_UNPUBLISH: ({ fname }) => ({ type: "REPLY_UNPUBLISH", filename: fname, result: "ok" }),
  REQUEST_CHUNK_REGISTER: ({ content_id }) => ({ type: "REPLY_CHUNK_REGISTER", content_id }),
  REQUEST_ANNOUNCED: () => ({ type: "REPLY_ANNOUNCED" }),
  REQUEST_FILE_LIST: () => ({ type: "REPLY_FILE_LIST", file_list: [], next: null }),
  REQUEST_FILE_LOCATION: () => ({ type: "REPLY_FILE_LOCATION", fileinfo: null, chunkinfo: [] }),
} as const satisfies Answers;

/** A row of a file list. */
export function fileRow(name: string, content: number, at: Address): FileInfo {
  const fname = fileName(name);
  const key = publicationKey(fname, at);
  const of = { fname, size: 1, total_chunknum: 1, path: name, address: at, content_id: contentId(content) };
  return { key, holders: 1, ...of };
}

/** A content that is nowhere yet. */
export interface Content {
  readonly bytes: Uint8Array;
  readonly size: number;
  readonly manifest: Manifest;
  readonly manifestBytes: Uint8Array;
  readonly contentId: ContentId;
  readonly chunkCount: number;
  chunk(number: number): Uint8Array;
}

/** Different bytes for each seed. */
export function contentOf(size: number, seed = 1): Content {
  const bytes = new Uint8Array(size);
  for (let index = 0, word = seed; index < size; index++) {
    if (index % 64 === 0) word = (Math.imul(word, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[index] = word >>> (index % 4);
  }
  const chunkSize = chunkSizeFor(size);
  const chunkCount = chunkCountFor(size);
  const chunk = (number: number) => bytes.subarray(number * chunkSize, (number + 1) * chunkSize);
  const digests = new Uint8Array(chunkCount * DIGEST_BYTES);
  for (let number = 0; number < chunkCount; number++) digests.set(digest(chunk(number)), number * DIGEST_BYTES);
  const manifest = manifestOfFile(size, digests);
  const manifestBytes = encodeManifest(manifest);
  return { bytes, size, manifest, manifestBytes, contentId: contentIdOf(manifestBytes, digest), chunkCount, chunk };
}

/** Answers that wait for room on their connection: as a peer does, an actor hands out two payloads at a time. */
const waiting = new WeakMap<Connection, (() => void)[]>();

function sendPayload(
  connection: Connection,
  request: number,
  reply: Outgoing<"REPLY_MANIFEST" | "PEER_REPLY_CHUNK">,
  bytes: Uint8Array,
): undefined {
  const queue = waiting.get(connection) ?? [];
  waiting.set(connection, queue);
  const next = () => queue.shift()?.();
  const send = () => {
    if (!connection.replyWithPayload(request, reply, payloadOf(bytes), { sent: next })) next();
  };
  if (connection.payloadFramesQueued < 2) send();
  else queue.push(send);
}

/** Answers with a chunk, or any bytes in its place. */
export function sendChunk(
  content: Content,
  { request, filename }: Message<"PEER_REQUEST_CHUNK">,
  connection: Connection,
  chunk: number,
  bytes: Uint8Array = content.chunk(chunk),
): undefined {
  // The digest in the message decides nothing.
  const numbered = { chunknum: chunk, digest: new Uint8Array(DIGEST_BYTES) };
  const reply = { type: "PEER_REPLY_CHUNK", filename, content_id: content.contentId, ...numbered } as const;
  sendPayload(connection, request, reply, bytes);
}

/** Chunks that were handed out on each connection. */
const handedOut = new WeakMap<Connection, Set<number>>();

/** A chunk that answers the request: as a peer does, one that was not handed out on this connection, if there is one. */
export function chooseChunk({ chunknum }: Message<"PEER_REQUEST_CHUNK">, connection: Connection): number {
  const given = handedOut.get(connection) ?? new Set();
  handedOut.set(connection, given);
  const chunk = chunksIn(chunknum).find((each) => !given.has(each)) ?? chunknum[0]!;
  given.add(chunk);
  return chunk;
}

/** A peer that has all of a content and behaves well, where the test does not say otherwise. */
export function holderIn(room: Room, ip: string, content: Content, answers: Answers = {}): Actor {
  const { contentId: content_id, manifestBytes, chunkCount } = content;
  return new Actor(room, "peer", ip, {
    REQUEST_PING_PONG: () => ({ type: "REPLY_PING_PONG", response: "pong" }),
    REQUEST_CONFIRM: () => ({ type: "REPLY_CONFIRM", nonce: null }),
    REQUEST_MANIFEST: ({ request }, connection) =>
      sendPayload(connection, request, { type: "REPLY_MANIFEST", content_id }, manifestBytes),
    REQUEST_JOIN_SWARM: () => ({
      type: "REPLY_JOIN_SWARM",
      content_id,
      chunks: Bitfield.full(chunkCount).toRanges(),
    }),
    PEER_REQUEST_CHUNK: (message, connection) =>
      sendChunk(content, message, connection, chooseChunk(message, connection)),
    ...answers,
  });
}

/** A disk on which files can be out of reach for a while, as those of a disk that is not mounted. */
export class MountableDisk extends MemoryDisk {
  readonly unmounted = new Set<string>();

  override fileAt(path: string): ReturnType<MemoryDisk["fileAt"]> {
    return this.unmounted.has(path) ? undefined : super.fileAt(path);
  }
}

/** The parts of a peer that do not need a tracker. */
export class Parts {
  readonly room: Room;
  readonly process: Process;
  readonly address: Address;
  readonly disk = new MountableDisk();
  readonly store: MemoryStore;
  readonly repository = openRepository(":memory:");
  readonly library: Library;
  readonly uploads: UploadQueue;
  readonly swarms: Swarms;
  readonly upLimiter: RateLimiter;
  readonly sharing: Sharing;
  readonly neighbours: Neighbours;
  readonly endpoint: Endpoint;
  readonly events = new PeerEvents();
  /** Lines of the log, with their level, from info on. */
  readonly logged: string[] = [];
  /** How long the disk takes; may throw, as a disk that fails. */
  accessMs: () => number = () => 1;

  constructor(room: Room, ip = "10.0.0.1") {
    this.room = room;
    this.process = room.machine(ip);
    this.address = `${ip}:7000` as Address;
    const { clock } = this.process.system;
    this.store = new MemoryStore({ disk: this.disk, clock, accessMs: () => this.accessMs() });
    this.library = new Library(this.repository, this.store);
    this.uploads = new UploadQueue({ random: room.random });
    this.upLimiter = new RateLimiter(clock);
    this.swarms = new Swarms({
      clock,
      library: this.library,
      noteHeld: (member, content, chunks) => this.uploads.noteHeld(member.id, content, chunks),
    });
    this.sharing = new Sharing({
      ...this.shared,
      swarms: this.swarms,
      uploads: this.uploads,
      upLimiter: this.upLimiter,
    });
    const { system } = this.process;
    const nonce = () => system.random.bytes(16).toHex();
    const local = () => ({ role: "peer" as const, agent: "test", address: this.address, nonce: nonce() });
    this.endpoint = new Endpoint({ system, local });
    this.neighbours = new Neighbours({
      endpoint: this.endpoint,
      ownAddress: () => this.address,
      handlersOf: (neighbour) => this.sharing.handlersOf(neighbour),
      events: this.events,
      log: this.log,
    });
    for (const follower of [this.sharing, this.swarms])
      this.library.events.subscribe((event) => follower.follow(event));
  }

  get shared() {
    const { store, library, repository } = this;
    return { clock: this.process.system.clock, store, library, repository, log: this.log };
  }

  readonly log: Log = (level, ...entry) => {
    if (level !== "debug") this.logged.push(`${level}: ${textOf(...entry)}`);
  };

  /** Takes connections of other peers. */
  listen(): void {
    const listening = this.endpoint.listen({
      host: this.process.ip,
      port: 7000,
      conductOf: (connection) => this.neighbours.conductOf(connection),
      onConnection: (connection) => this.neighbours.adopt(connection),
    });
    this.room.wait(listening);
  }

  /** A deadline so many milliseconds from now. */
  within(ms: number) {
    return deadlineIn(ms, this.room.now);
  }

  /** A link to the tracker, not opened yet. */
  linkTo(tracker: HostPort, options: Partial<TrackerLinkOptions> = {}): TrackerLink {
    return new TrackerLink({
      tracker,
      peerIdAt: () => peerId(1),
      hostName: "test-host",
      endpoint: this.endpoint,
      listening: async () => ({ address: this.address, advertised: false }),
      announce: async () => {},
      revoked: () => {},
      events: this.events,
      log: this.log,
      ...options,
    });
  }

  /** The tracker as a directory, which announces what changes; not opened yet. */
  directoryAt(tracker: HostPort): TrackerDirectory {
    const directory = new TrackerDirectory({
      tracker,
      peerIdAt: () => peerId(1),
      hostName: "test-host",
      endpoint: this.endpoint,
      listening: async () => ({ address: this.address, advertised: false }),
      registered: () => {},
      revoked: () => {},
      events: this.events,
      library: this.library,
      repository: this.repository,
      log: this.log,
    });
    this.library.events.subscribe((event) => directory.follow(event));
    return directory;
  }

  /** A file with this content, known to the repository and served. */
  addCopy(content: Content, path = `/files/${content.contentId.slice(0, 8)}`) {
    const { mtimeNs } = this.disk.write(path, content.bytes);
    const copy = { contentId: content.contentId, path, size: content.size, mtimeNs };
    this.repository.addFetched(copy, content.manifestBytes);
    this.library.addCopy(copy);
    return copy;
  }

  /** The same as a share. */
  addShare(content: Content, name: string, path = `/files/${name}`) {
    const { mtimeNs } = this.disk.write(path, content.bytes);
    const fname = fileName(name);
    const share = { contentId: content.contentId, path, size: content.size, mtimeNs, fname, lname: name };
    this.repository.addShare(share, content.manifestBytes);
    this.library.addCopy(share);
    return share;
  }

  /** A part file in which these chunks are held, served from now on. */
  addPart(content: Content, chunks: readonly number[] = [], destination = "/files/part"): Part {
    const { contentId, manifest } = content;
    const part = this.room.wait(this.store.openPart({ destination, contentId, manifest }));
    this.library.addPart(contentId, part);
    for (const chunk of chunks) this.gain(content, part, chunk);
    return part;
  }

  gain(content: Content, part: Part, chunk: number): void {
    this.room.wait(part.write(chunk, content.chunk(chunk)));
    this.library.gain(content.contentId, part, chunk);
  }
}

export function lengthOf(content: Content, chunk: number): number {
  return chunkLengthAt(content.size, content.manifest.chunkSize, chunk);
}
