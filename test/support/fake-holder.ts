/** A peer made of protocol messages alone that claims to hold a content, so that it can misbehave in ways that ours cannot. */
import { readFileSync } from "node:fs";
import type { Address } from "../../src/core/address.ts";
import { Bitfield } from "../../src/core/bitfield.ts";
import { P2pfsError } from "../../src/core/errors.ts";
import { type ContentId, chunkCountOf } from "../../src/core/manifest.ts";
import { digest } from "../../src/disk/blake3.ts";
import { hashFile } from "../../src/disk/hash-file.ts";
import type { Connection } from "../../src/net/connection.ts";
import type { Outgoing } from "../../src/net/handlers.ts";
import { payloadOf, type Throttle } from "../../src/net/send-queue.ts";
import type { Fields } from "../../src/wire/messages.ts";
import { chunksIn } from "../swarm/support.ts";
import { helloOf, listenAs, ProtocolPeer } from "./protocol-peer.ts";
import type { FakeHandlers } from "./serve-fake.ts";

/** What it answers a chunk request with, given the right chunk and its bytes; undefined for silence. */
export type ChunkAnswer = (
  chunk: number,
  bytes: Uint8Array,
) => { chunk: number; bytes: Uint8Array } | P2pfsError | "close" | "leave" | undefined;

export interface FakeHolderOptions {
  readonly tracker: Address;
  /** The true content that it claims to hold. */
  readonly path: string;
  readonly answer: ChunkAnswer;
  /** The manifest that it sends; the true one without this. */
  readonly manifest?: Uint8Array;
  /** What it answers those who join the swarm; without this, that it has every chunk. */
  readonly joinReply?: Outgoing;
  /** Holds the answer to those who join back. */
  readonly beforeJoinReply?: () => Promise<unknown>;
  /** Holds the bytes of one chunk back, once its header and one byte are out; as fast as they go without this. */
  readonly hold?: () => Throttle | undefined;
}

/** Sends one byte of a chunk each time that so much has passed; for ever is a long time. */
export function drip(intervalMs: number): Throttle {
  let dueMs = 0;
  return {
    allow(resume) {
      const waitMs = dueMs - performance.now();
      if (waitMs <= 0) return 1;
      if (intervalMs !== Number.POSITIVE_INFINITY) setTimeout(resume, waitMs).unref();
      return 0;
    },
    spend(bytes) {
      if (bytes > 0) dueMs = performance.now() + intervalMs;
    },
  };
}

/** Their peer ids begin here, apart from those that a test chooses. */
const FIRST_NUMBER = 0xfa_0000;
/** Chunks that wait for the socket on one connection. */
const CHUNKS_QUEUED_MAX = 2;
let started = 0;

export class FakeHolder {
  readonly contentId: ContentId;
  /** Where it takes connections. */
  address = "" as Address;
  /** Chunk requests that it got. */
  requests = 0;
  /** Chunks that others announced to it. */
  readonly announced: Bitfield;
  readonly #options: FakeHolderOptions;
  readonly #bytes: Uint8Array;
  readonly #chunkSize: number;
  readonly #manifest: Uint8Array;
  /** Chunks that it has sent; of those left to its choice, it takes each once. */
  readonly #sent = new Set<number>();

  static async start(options: FakeHolderOptions): Promise<FakeHolder> {
    const { contentId, manifest, manifestBytes } = await hashFile(options.path);
    const holder = new FakeHolder(options, contentId, manifest.chunkSize, chunkCountOf(manifest), manifestBytes);
    const listener = await listenAs(helloOf("peer"), (connection) => holder.#handlersOf(connection));
    holder.address = listener.address;
    const session = await ProtocolPeer.dial(options.tracker, FIRST_NUMBER + started++);
    await session.register({ address: listener.address });
    await session.request({
      type: "REQUEST_CHUNK_REGISTER",
      primary_key: null,
      content_id: contentId,
      size: holder.#bytes.length,
      chunknum: holder.#allChunks(),
      replace: true,
    });
    return holder;
  }

  private constructor(
    options: FakeHolderOptions,
    contentId: ContentId,
    chunkSize: number,
    chunkCount: number,
    manifest: Uint8Array,
  ) {
    this.#options = options;
    this.#bytes = readFileSync(options.path);
    this.contentId = contentId;
    this.#chunkSize = chunkSize;
    this.#manifest = options.manifest ?? manifest;
    this.announced = new Bitfield(chunkCount);
  }

  #allChunks() {
    return Bitfield.full(this.announced.size).toRanges();
  }

  #handlersOf(connection: Connection): FakeHandlers {
    const { beforeJoinReply, joinReply } = this.#options;
    const waiting: Fields<"PEER_REQUEST_CHUNK">[] = [];
    const sendChunks = () => {
      while (waiting.length > 0 && connection.payloadFramesQueued < CHUNKS_QUEUED_MAX)
        this.#sendChunk(connection, waiting.shift()!);
    };
    return {
      answers: {
        REQUEST_JOIN_SWARM: async ({ chunks, content_id }) => {
          this.announced.addRanges(chunks);
          await beforeJoinReply?.();
          return joinReply ?? { type: "REPLY_JOIN_SWARM", content_id, chunks: this.#allChunks() };
        },
        REQUEST_MANIFEST: ({ request, content_id }) => {
          connection.replyWithPayload(request, { type: "REPLY_MANIFEST", content_id }, payloadOf(this.#manifest));
          return undefined;
        },
        PEER_REQUEST_CHUNK: (message) => {
          waiting.push(message);
          queueMicrotask(sendChunks);
          return undefined;
        },
      },
      notice: (message) => message.type === "HAVE" && this.announced.addRanges(message.chunks),
      sent: sendChunks,
    };
  }

  #sendChunk(connection: Connection, { request, filename, content_id, chunknum }: Fields<"PEER_REQUEST_CHUNK">): void {
    this.requests++;
    const asked = chunksIn(chunknum).find((chunk) => !this.#sent.has(chunk)) ?? chunknum[0]!;
    this.#sent.add(asked);
    const bytes = this.#bytes.subarray(asked * this.#chunkSize, (asked + 1) * this.#chunkSize);
    const answer = this.#options.answer(asked, bytes);
    if (answer === undefined) return;
    if (answer === "close") return connection.close();
    if (answer === "leave") return connection.send({ type: "LEAVE_SWARM", content_id });
    if (answer instanceof P2pfsError) return connection.refuse(request, answer);
    const header: Outgoing = {
      type: "PEER_REPLY_CHUNK",
      filename,
      content_id,
      chunknum: answer.chunk,
      digest: digest(answer.bytes),
    };
    connection.replyWithPayload(request, header, payloadOf(answer.bytes), { throttle: this.#options.hold?.() });
  }
}
