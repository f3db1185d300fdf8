/** A peer made of protocol messages alone, so that it can misbehave in ways that ours cannot. */
import { readFileSync } from "node:fs";
import type { Address } from "../../src/core/address.ts";
import { Bitfield } from "../../src/core/bitfield.ts";
import { P2pfsError } from "../../src/core/errors.ts";
import { type ContentId, chunkCountOf } from "../../src/core/manifest.ts";
import { digest } from "../../src/disk/blake3.ts";
import { hashFile } from "../../src/disk/hash-file.ts";
import type { Connection } from "../../src/net/connection.ts";
import type { Listener } from "../../src/net/endpoint.ts";
import type { Outgoing } from "../../src/net/handlers.ts";
import { payloadOf, type Throttle } from "../../src/net/send-queue.ts";
import { peerIdAt } from "../../src/peer/peer-id.ts";
import { randomPeerSecret } from "../../src/store/data-folder.ts";
import type { Fields } from "../../src/wire/messages.ts";
import { dial, listen } from "../support/endpoint.ts";
import { serveFake } from "../support/serve-fake.ts";
import { random } from "../support/system.ts";
import { chunksIn } from "../swarm/support.ts";

/** What it answers a chunk request with, given the right chunk and its bytes; undefined for silence. */
export type Answer = (
  chunk: number,
  bytes: Uint8Array,
) => { chunk: number; bytes: Uint8Array } | P2pfsError | "close" | "leave" | undefined;

export interface RogueOptions {
  readonly tracker: Address;
  /** The true content that it claims to hold. */
  readonly path: string;
  readonly answer: Answer;
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

export class Rogue {
  readonly address: Address;
  readonly contentId: ContentId;
  /** Chunk requests that it got. */
  requests = 0;
  /** Chunks that others told it of. */
  readonly told: Bitfield;
  readonly #listener: Listener;
  readonly #session: Connection;

  private constructor(listener: Listener, session: Connection, contentId: ContentId, told: Bitfield) {
    this.told = told;
    this.#listener = listener;
    this.#session = session;
    this.address = listener.address;
    this.contentId = contentId;
  }

  static async start({
    tracker,
    path,
    answer,
    manifest,
    joinReply,
    beforeJoinReply,
    hold,
  }: RogueOptions): Promise<Rogue> {
    const hashed = await hashFile(path);
    const content = readFileSync(path);
    const { chunkSize } = hashed.manifest;
    const all = Bitfield.full(chunkCountOf(hashed.manifest)).toRanges();
    const told = new Bitfield(chunkCountOf(hashed.manifest));
    /** Of those left to its choice, it takes each once. */
    const chosen = new Set<number>();
    let rogue: Rogue | undefined;
    const local = { role: "peer", agent: "rogue", address: null } as const;
    const sendChunk = (connection: Connection, message: Fields<"PEER_REQUEST_CHUNK">) => {
      rogue!.requests++;
      const asked = chunksIn(message.chunknum).find((chunk) => !chosen.has(chunk)) ?? message.chunknum[0]!;
      chosen.add(asked);
      const answered = answer(asked, content.subarray(asked * chunkSize, (asked + 1) * chunkSize));
      if (answered === undefined) return;
      if (answered === "close") return connection.close();
      if (answered === "leave") return connection.send({ type: "LEAVE_SWARM", content_id: message.content_id });
      if (answered instanceof P2pfsError) return connection.refuse(message.request, answered);
      const reply: Outgoing = {
        type: "PEER_REPLY_CHUNK",
        filename: message.filename,
        content_id: message.content_id,
        chunknum: answered.chunk,
        digest: digest(answered.bytes),
      };
      connection.replyWithPayload(message.request, reply, payloadOf(answered.bytes), { throttle: hold?.() });
    };
    const queue: { connection: Connection; message: Fields<"PEER_REQUEST_CHUNK"> }[] = [];
    const pump = () => {
      while (queue.length > 0 && queue[0]!.connection.payloadFramesQueued < 2) {
        const { connection, message } = queue.shift()!;
        sendChunk(connection, message);
      }
    };
    const listener = await listen({
      host: "127.0.0.1",
      port: 0,
      local: () => local,
      onConnection: (connection) =>
        serveFake(connection, {
          notice: (message) => message.type === "HAVE" && told.addRanges(message.chunks),
          async request(message) {
            if (message.type === "REQUEST_JOIN_SWARM") {
              told.addRanges(message.chunks);
              await beforeJoinReply?.();
              return joinReply ?? { type: "REPLY_JOIN_SWARM", content_id: message.content_id, chunks: all };
            }
            if (message.type === "REQUEST_MANIFEST") {
              const reply = { type: "REPLY_MANIFEST", content_id: message.content_id } as const;
              connection.replyWithPayload(message.request, reply, payloadOf(manifest ?? hashed.manifestBytes));
            }
            if (message.type === "PEER_REQUEST_CHUNK") queue.push({ connection, message });
            queueMicrotask(pump);
            return undefined;
          },
          sent: pump,
        }),
    });
    const session = await dial(tracker, { local, timeoutMs: 1000 });
    const { address } = listener;
    await session.request({
      type: "REQUEST_REGISTER",
      peer_id: peerIdAt(tracker, randomPeerSecret(random)),
      address,
      advertised: false,
      host_name: "rogue",
    });
    await session.request({
      type: "REQUEST_CHUNK_REGISTER",
      primary_key: null,
      content_id: hashed.contentId,
      size: content.length,
      chunknum: all,
      replace: true,
    });
    rogue = new Rogue(listener, session, hashed.contentId, told);
    return rogue;
  }

  close(): void {
    this.#session.close();
    this.#listener.stop();
  }
}
