/**
 * The one table of messages. Ids, names, header schemas and limits stand here and nowhere else; types, decoder and
 * encoder derive from it. A new message is a row here, a paragraph in README.md and a handler in a role.
 */
import * as v from "valibot";
import { AddressSchema } from "../core/address.ts";
import { ChunkRangesSchema } from "../core/bitfield.ts";
import { FileNameSchema } from "../core/file-name.ts";
import { CHUNK_SIZE_MAX, DIGEST_BYTES, HOLDER_SAMPLE_MAX, LIST_PAGE_MAX, MANIFEST_BYTES_MAX } from "../core/limits.ts";
import { ContentIdSchema } from "../core/manifest.ts";
import {
  ChunkCountSchema,
  ChunkNumberSchema,
  FileInfoSchema,
  HolderInfoSchema,
  HostNameSchema,
  PathTextSchema,
  PeerIdSchema,
  SizeSchema,
} from "../core/model.ts";
import { KiB, MiB } from "../core/units.ts";

export const PROTOCOL_VERSION = 1;

const HEADER_BYTES_MAX = 64 * KiB;
const LIST_HEADER_BYTES_MAX = MiB;
const TEXT_MAX = 1024;
const KEY_MAX = 512;
const UINT32_MAX = 0xffff_ffff;

const requestId = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(UINT32_MAX));
const text = v.pipe(v.string(), v.maxLength(TEXT_MAX));
const key = v.pipe(v.string(), v.maxLength(KEY_MAX));
const cursor = v.nullable(text);
const durationMs = v.pipe(v.number(), v.integer(), v.minValue(1));
const digest = v.custom<Uint8Array>(
  (value) => value instanceof Uint8Array && value.length === DIGEST_BYTES,
  `expected ${DIGEST_BYTES} bytes`,
);
const fileList = v.pipe(v.array(FileInfoSchema), v.maxLength(LIST_PAGE_MAX));
const chunkinfo = v.pipe(v.array(HolderInfoSchema), v.maxLength(HOLDER_SAMPLE_MAX));

/** A request has an id and gets exactly one reply or ERROR with that id; a notice has neither. */
type MessageKind = "request" | "reply" | "notice";

interface MessageLimits {
  readonly headerBytesMax?: number;
  readonly payloadBytesMax?: number;
}

function message<const Id extends number, Fields extends v.ObjectEntries>(
  id: Id,
  kind: MessageKind,
  fields: Fields,
  { headerBytesMax = HEADER_BYTES_MAX, payloadBytesMax = 0 }: MessageLimits = {},
) {
  return { id, kind, schema: v.object(fields), headerBytesMax, payloadBytesMax } as const;
}

const list = { headerBytesMax: LIST_HEADER_BYTES_MAX };

export const messageTable = {
  // Every connection
  HELLO: message(0x01, "notice", {
    version: v.pipe(v.number(), v.integer()),
    role: v.picklist(["tracker", "peer"]),
    agent: text,
    /** Where the sender takes connections of others; null where it takes none. */
    address: v.nullable(AddressSchema),
  }),
  ERROR: message(0x02, "reply", {
    /** The request that failed; null where the connection as a whole is meant. */
    request: v.nullable(requestId),
    /** wireId of the error table. */
    code: v.pipe(v.number(), v.integer()),
    message: text,
  }),
  REQUEST_PING_PONG: message(0x03, "request", { request: requestId, peer_address: v.nullable(AddressSchema) }),
  REPLY_PING_PONG: message(0x04, "reply", { request: requestId, response: v.literal("pong") }),
  HEARTBEAT: message(0x05, "request", { request: requestId }),
  REPLY_HEARTBEAT: message(0x06, "reply", { request: requestId }),

  // Peer to tracker
  REQUEST_REGISTER: message(0x10, "request", {
    request: requestId,
    peer_id: PeerIdSchema,
    /** Where the peer listens; of its host only an advertised one counts. */
    address: AddressSchema,
    /** Whether the host is to be used as told, after the tracker has proven it by dialling back. */
    advertised: v.boolean(),
    host_name: HostNameSchema,
  }),
  REPLY_REGISTER: message(0x11, "reply", {
    request: requestId,
    /** The peer's address as the tracker tells it to others. */
    address: AddressSchema,
    lease_ms: durationMs,
    heartbeat_ms: durationMs,
  }),
  REQUEST_PUBLISH: message(0x12, "request", {
    request: requestId,
    primary_key: key,
    fname: FileNameSchema,
    size: SizeSchema,
    total_chunknum: ChunkCountSchema,
    author_address: AddressSchema,
    local_file: PathTextSchema,
    content_id: ContentIdSchema,
  }),
  REPLY_PUBLISH: message(0x13, "reply", { request: requestId, filename: FileNameSchema, result: v.literal("ok") }),
  REQUEST_UNPUBLISH: message(0x14, "request", { request: requestId, fname: FileNameSchema }),
  REPLY_UNPUBLISH: message(0x15, "reply", { request: requestId, filename: FileNameSchema, result: v.literal("ok") }),
  REQUEST_FILE_LIST: message(0x16, "request", {
    request: requestId,
    /** Only files of this name. */
    fname: v.nullable(FileNameSchema),
    /** Only contents of which the peer at this address is a publisher or holder. */
    holder: v.nullable(AddressSchema),
    cursor,
  }),
  REPLY_FILE_LIST: message(0x17, "reply", { request: requestId, file_list: fileList, next: cursor }, list),
  REQUEST_DISCOVER: message(0x18, "request", { request: requestId, address: AddressSchema, cursor }),
  REPLY_DISCOVER: message(0x19, "reply", { request: requestId, file_list: fileList, next: cursor }, list),
  REQUEST_FILE_LOCATION: message(0x1a, "request", {
    request: requestId,
    /** One of the two: a publication's key, or the content itself. */
    primary_key: v.nullable(key),
    content_id: v.nullable(ContentIdSchema),
  }),
  REPLY_FILE_LOCATION: message(
    0x1b,
    "reply",
    {
      request: requestId,
      /** Null where the content is held but published by nobody. */
      fileinfo: v.nullable(FileInfoSchema),
      /** A random sample of the online holders, the requester left out. */
      chunkinfo,
    },
    list,
  ),
  REQUEST_CHUNK_REGISTER: message(0x1c, "request", {
    request: requestId,
    primary_key: v.nullable(key),
    content_id: ContentIdSchema,
    size: SizeSchema,
    chunknum: ChunkRangesSchema,
    /** True: these chunks and no others. False: these as well. */
    replace: v.boolean(),
  }),
  REPLY_CHUNK_REGISTER: message(0x1d, "reply", { request: requestId, content_id: ContentIdSchema }),
  REQUEST_ANNOUNCED: message(0x1e, "request", { request: requestId }),
  REPLY_ANNOUNCED: message(0x1f, "reply", { request: requestId }),

  // Tracker to peer, on a connection of its own: proof of an advertised address
  REQUEST_PROOF: message(0x20, "request", { request: requestId, challenge: digest }),
  REPLY_PROOF: message(0x21, "reply", { request: requestId, proof: digest }),

  // Peer to peer
  REQUEST_MANIFEST: message(0x30, "request", { request: requestId, content_id: ContentIdSchema }),
  REPLY_MANIFEST: message(
    0x31,
    "reply",
    { request: requestId, content_id: ContentIdSchema },
    { payloadBytesMax: MANIFEST_BYTES_MAX },
  ),
  REQUEST_JOIN_SWARM: message(0x32, "request", {
    request: requestId,
    content_id: ContentIdSchema,
    /** What the sender has already; more follows in HAVE. */
    chunks: ChunkRangesSchema,
  }),
  REPLY_JOIN_SWARM: message(0x33, "reply", {
    request: requestId,
    content_id: ContentIdSchema,
    chunks: ChunkRangesSchema,
  }),
  HAVE: message(0x34, "notice", { content_id: ContentIdSchema, chunks: ChunkRangesSchema }),
  LEAVE_SWARM: message(0x35, "notice", { content_id: ContentIdSchema }),
  PEER_REQUEST_CHUNK: message(0x36, "request", {
    request: requestId,
    filename: FileNameSchema,
    content_id: ContentIdSchema,
    /** Any one chunk of these answers the request; the uploader chooses. */
    chunknum: v.pipe(
      ChunkRangesSchema,
      v.check((ranges) => ranges.length > 0, "expected at least one chunk"),
    ),
  }),
  PEER_REPLY_CHUNK: message(
    0x37,
    "reply",
    { request: requestId, filename: FileNameSchema, content_id: ContentIdSchema, chunknum: ChunkNumberSchema, digest },
    { payloadBytesMax: CHUNK_SIZE_MAX },
  ),
  CANCEL: message(0x38, "notice", { request: requestId }),
} as const;

export type MessageName = keyof typeof messageTable;

/** The header fields of a message. */
export type Fields<Name extends MessageName> = v.InferOutput<(typeof messageTable)[Name]["schema"]>;

/** A message as it goes through the code: its header fields under its name. The payload travels beside it. */
export type Message<Name extends MessageName = MessageName> = {
  [N in Name]: { readonly type: N } & Readonly<Fields<N>>;
}[Name];

/** The reply that each request gets. */
export const replyOf = {
  REQUEST_PING_PONG: "REPLY_PING_PONG",
  HEARTBEAT: "REPLY_HEARTBEAT",
  REQUEST_REGISTER: "REPLY_REGISTER",
  REQUEST_PUBLISH: "REPLY_PUBLISH",
  REQUEST_UNPUBLISH: "REPLY_UNPUBLISH",
  REQUEST_FILE_LIST: "REPLY_FILE_LIST",
  REQUEST_DISCOVER: "REPLY_DISCOVER",
  REQUEST_FILE_LOCATION: "REPLY_FILE_LOCATION",
  REQUEST_CHUNK_REGISTER: "REPLY_CHUNK_REGISTER",
  REQUEST_ANNOUNCED: "REPLY_ANNOUNCED",
  REQUEST_PROOF: "REPLY_PROOF",
  REQUEST_MANIFEST: "REPLY_MANIFEST",
  REQUEST_JOIN_SWARM: "REPLY_JOIN_SWARM",
  PEER_REQUEST_CHUNK: "PEER_REPLY_CHUNK",
} as const satisfies Partial<Record<MessageName, MessageName>>;

export type RequestName = keyof typeof replyOf;
export type ReplyName<Name extends RequestName> = (typeof replyOf)[Name];

export function isRequest(name: MessageName): name is RequestName {
  return Object.hasOwn(replyOf, name);
}

export const messageNameById: ReadonlyMap<number, MessageName> = new Map(
  Object.entries(messageTable).map(([name, row]) => [row.id, name as MessageName]),
);
