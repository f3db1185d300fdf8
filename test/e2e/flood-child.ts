/**
 * A process that floods one address over some connections with messages of one kind, as fast as they are taken, and
 * connects again when it is closed. It prints a line when all have begun. Arguments: ADDRESS KIND CONNECTIONS CONTENT_ID.
 */
import { createConnection, type Socket } from "node:net";
import { type Address, hostOf, portOf } from "../../src/core/address.ts";
import { type ChunkRanges, NO_CHUNKS, rangeOfOne } from "../../src/core/bitfield.ts";
import type { FileName } from "../../src/core/file-name.ts";
import type { ContentId } from "../../src/core/manifest.ts";
import { type PeerId, publicationKey } from "../../src/core/model.ts";
import { encodeFrame } from "../../src/wire/frame.ts";
import { type Message, PROTOCOL_VERSION } from "../../src/wire/messages.ts";

const FRAMES_AT_ONCE = 64;
const BACK_AFTER_MS = 10;

const [address, kind, connections, content] = process.argv.slice(2) as [Address, keyof typeof floods, string, string];
const content_id = content as ContentId;
const filename = "source.bin" as FileName;
const otherContent = "ef".repeat(32) as ContentId;
/** Every other chunk: as many ranges as a message may have. */
const manyRanges = Array.from({ length: 4096 }, (_, index) => [4 * index, 4 * index]).flat() as unknown as ChunkRanges;
const fewRanges = Array.from({ length: 30 }, (_, index) => [4 * index, 4 * index]).flat() as unknown as ChunkRanges;

interface Flood {
  /** Sent once, after HELLO. */
  readonly first?: (own: Address, id: PeerId) => Message;
  readonly next: (request: number, own: Address, id: PeerId) => Message;
}

const register = (own: Address, peer_id: PeerId, request = 0): Message => ({
  type: "REQUEST_REGISTER",
  request,
  peer_id,
  address: own,
  advertised: false,
  host_name: "flood",
});
const join = (): Message => ({ type: "REQUEST_JOIN_SWARM", request: 0, content_id, chunks: NO_CHUNKS });

const floods = {
  lists: {
    first: register,
    next: (request) => ({ type: "REQUEST_FILE_LIST", request, fname: null, holder: null, cursor: null }),
  },
  discovers: {
    first: register,
    next: (request, own) => ({ type: "REQUEST_DISCOVER", request, address: own, cursor: null }),
  },
  locations: {
    first: register,
    next: (request) => ({ type: "REQUEST_FILE_LOCATION", request, primary_key: null, content_id }),
  },
  registrations: { next: (request, own, id) => register(own, id, request) },
  publications: {
    first: register,
    next: (request, own) =>
      request % 2 === 0
        ? { type: "REQUEST_UNPUBLISH", request, fname: "flood.bin" as FileName }
        : {
            type: "REQUEST_PUBLISH",
            request,
            primary_key: publicationKey("flood.bin" as FileName, own),
            fname: "flood.bin" as FileName,
            size: 1,
            total_chunknum: 1,
            author_address: own,
            local_file: "flood.bin",
            content_id: otherContent,
          },
  },
  reports: {
    first: register,
    next: (request) => ({
      type: "REQUEST_CHUNK_REGISTER",
      request,
      primary_key: null,
      content_id: otherContent,
      size: 2 ** 40,
      chunknum: manyRanges,
      replace: request % 2 === 0,
    }),
  },
  announcements: { first: register, next: (request) => ({ type: "REQUEST_ANNOUNCED", request }) },
  pings: { first: register, next: (request) => ({ type: "REQUEST_PING_PONG", request, peer_address: null }) },
  haves: { first: join, next: (request) => ({ type: "HAVE", content_id, chunks: rangeOfOne(request % 128) }) },
  "long haves": { first: join, next: () => ({ type: "HAVE", content_id, chunks: manyRanges }) },
  joins: {
    next: (request) => (request % 2 === 0 ? { type: "LEAVE_SWARM", content_id } : { ...join(), request }) as Message,
  },
  manifests: { next: (request) => ({ type: "REQUEST_MANIFEST", request, content_id }) },
  chunks: {
    first: join,
    next: (request) => ({ type: "PEER_REQUEST_CHUNK", request, filename, content_id, chunknum: fewRanges }),
  },
  cancelled: {
    first: join,
    next: (request) =>
      request % 2 === 0
        ? { type: "CANCEL", request: request - 1 }
        : { type: "PEER_REQUEST_CHUNK", request, filename, content_id, chunknum: fewRanges },
  },
  "pings of a peer": { next: (request) => ({ type: "REQUEST_PING_PONG", request, peer_address: null }) },
} satisfies Record<string, Flood>;

export type FloodKind = keyof typeof floods;

let begun = 0;

function flood(number: number): void {
  const { first, next }: Flood = floods[kind];
  const own = `127.0.0.1:${20_000 + number}` as Address;
  const id = `${number}`.padStart(32, "f") as PeerId;
  const socket = createConnection({ host: hostOf(address), port: portOf(address), noDelay: true });
  socket.resume();
  socket.on("error", () => undefined);
  socket.once("connect", () => {
    socket.write(
      encodeFrame({ type: "HELLO", version: PROTOCOL_VERSION, role: "peer", agent: "flood", address: null }),
    );
    if (first !== undefined) socket.write(encodeFrame(first(own, id)));
    if (++begun === Number(connections)) console.log("flooding");
    let request = 0;
    pour(socket, () => encodeFrame(next(++request >>> 0, own, id)));
  });
  socket.once("close", () => setTimeout(() => flood(number), BACK_AFTER_MS));
}

function pour(socket: Socket, frame: () => Uint8Array): void {
  if (socket.destroyed) return;
  const frames = Array.from({ length: FRAMES_AT_ONCE }, frame);
  if (socket.write(Buffer.concat(frames))) setImmediate(() => pour(socket, frame));
  else socket.once("drain", () => pour(socket, frame));
}

for (let number = 0; number < Number(connections); number++) flood(number);
