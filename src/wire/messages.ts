/**
 * The one table of messages. Ids, names, header schemas, who may send them and limits stand here and nowhere else; types,
 * decoder and encoder derive from it. A new message is a row here, a paragraph in README.md and a handler in a role.
 */
import * as v from "valibot";
import { AddressSchema, IpSchema } from "../core/address.ts";
import { ChunkRangesSchema } from "../core/bitfield.ts";
import { FileNameSchema } from "../core/file-name.ts";
import {
  CHUNK_RANGES_MAX,
  CHUNK_SIZE_MAX,
  DIGEST_BYTES,
  HOLDER_SAMPLE_MAX,
  KEY_BYTES_MAX,
  LIST_PAGE_MAX,
  LOCATION_RANGES_MAX,
  MANIFEST_BYTES_MAX,
  PEERS_NAMED_MAX,
} from "../core/limits.ts";
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
import { KiB, MINUTE_MS } from "../core/units.ts";
import { type HeaderBounds, MAP_KEYS_MAX } from "./header-scan.ts";

export const PROTOCOL_VERSION = 1;

export const TEXT_BYTES_MAX = 1024;
/** Connections that one REQUEST_CONFIRM can ask about. */
export const CONFIRM_NONCES_MAX = 16;
const UINT32_MAX = 0xffff_ffff;
const LEASE_MS_MAX = 60 * MINUTE_MS;
const HEARTBEAT_MS_MAX = 10 * MINUTE_MS;
/** A lease or heartbeat shorter than this would be a flood. */
const LIVENESS_MS_MIN = 100;

const requestId = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(UINT32_MAX));
const text = v.pipe(v.string(), v.maxBytes(TEXT_BYTES_MAX));
const key = v.pipe(v.string(), v.maxBytes(KEY_BYTES_MAX));
const cursor = v.nullable(text);
const durationMs = (max: number) => v.pipe(v.number(), v.integer(), v.minValue(LIVENESS_MS_MIN), v.maxValue(max));
const digest = v.custom<Uint8Array>(
  (value) => value instanceof Uint8Array && value.length === DIGEST_BYTES,
  `expected ${DIGEST_BYTES} bytes`,
);
const nonce = v.pipe(v.string(), v.regex(/^[0-9a-f]{32}$/, "expected 32 hex digits"));
const fileList = v.pipe(v.array(FileInfoSchema), v.maxLength(LIST_PAGE_MAX));
const chunkinfo = v.pipe(v.array(HolderInfoSchema), v.maxLength(HOLDER_SAMPLE_MAX));

/** A request has an id and gets exactly one reply or ERROR with that id; a notice has neither. */
type MessageKind = "request" | "reply" | "notice";
export type Role = "tracker" | "peer";
/** Who may send a message to whom. */
type Way = "any" | "peer_to_tracker" | "tracker_to_peer" | "peer_to_peer";

/** Whether a message that goes this way may go from the one role to the other. */
export function mayGo(way: Way, from: Role, to: Role): boolean {
  return way === "any" || way === `${from}_to_${to}`;
}

interface MessageLimits extends HeaderBounds {
  readonly headerBytesMax: number;
  readonly payloadBytesMax: number;
}

/** Headers of a few fields. */
const SMALL: MessageLimits = { headerBytesMax: 8 * KiB, payloadBytesMax: 0, valuesMax: 64, containersMax: 8 };
/** Headers with one set of chunk ranges. */
const RANGES: MessageLimits = { ...SMALL, headerBytesMax: 64 * KiB, valuesMax: 2 * CHUNK_RANGES_MAX + 64 };
/** A page of files. */
const FILES: MessageLimits = {
  ...SMALL,
  headerBytesMax: 512 * KiB,
  valuesMax: LIST_PAGE_MAX * MAP_KEYS_MAX,
  containersMax: LIST_PAGE_MAX + 16,
};
/** A sample of holders, with the ranges of all of them. */
const HOLDERS: MessageLimits = {
  ...SMALL,
  headerBytesMax: 512 * KiB,
  valuesMax: 2 * LOCATION_RANGES_MAX + HOLDER_SAMPLE_MAX * MAP_KEYS_MAX,
  containersMax: 2 * HOLDER_SAMPLE_MAX + 16,
};

function messagesGoing<const W extends Way>(way: W) {
  return function message<const Id extends number, Fields extends v.ObjectEntries>(
    id: Id,
    kind: MessageKind,
    fields: Fields,
    limits: MessageLimits = SMALL,
  ) {
    return { id, kind, way, schema: v.object(fields), ...limits } as const;
  };
}

const anyWay = messagesGoing("any");
const toTracker = messagesGoing("peer_to_tracker");
const toPeer = messagesGoing("tracker_to_peer");
const amongPeers = messagesGoing("peer_to_peer");

export const messageTable = {
  // Every connection
  HELLO: anyWay(0x01, "notice", {
    version: v.pipe(v.number(), v.integer()),
    role: v.picklist(["tracker", "peer"]),
    agent: text,
    /** Where the sender takes connections of others; null where it takes none. */
    address: v.nullable(AddressSchema),
    /** Another one on every connection: whoever dialled it can say later that it was heard there. */
    nonce: v.optional(nonce),
  }),
  ERROR: anyWay(0x02, "reply", {
    /** The request that failed; null where the connection as a whole is meant. */
    request: v.nullable(requestId),
    /** wireId of the error table. */
    code: v.pipe(v.number(), v.integer()),
    message: text,
  }),
  REQUEST_PING_PONG: anyWay(0x03, "request", { request: requestId, peer_address: v.nullable(AddressSchema) }),
  REPLY_PING_PONG: anyWay(0x04, "reply", { request: requestId, response: v.literal("pong") }),
  HEARTBEAT: toTracker(0x05, "request", { request: requestId }),
  REPLY_HEARTBEAT: toPeer(0x06, "reply", { request: requestId }),

  // Peer to tracker
  REQUEST_REGISTER: toTracker(0x10, "request", {
    request: requestId,
    peer_id: PeerIdSchema,
    /** Where the peer listens; of its host only an advertised one counts. */
    address: AddressSchema,
    /** Whether the host is to be used as told, after the tracker has proven it by dialling back. */
    advertised: v.boolean(),
    host_name: HostNameSchema,
  }),
  REPLY_REGISTER: toPeer(0x11, "reply", {
    request: requestId,
    /** The peer's address as the tracker tells it to others. */
    address: AddressSchema,
    lease_ms: durationMs(LEASE_MS_MAX),
    heartbeat_ms: durationMs(HEARTBEAT_MS_MAX),
  }),
  REQUEST_PUBLISH: toTracker(0x12, "request", {
    request: requestId,
    primary_key: key,
    fname: FileNameSchema,
    size: SizeSchema,
    total_chunknum: ChunkCountSchema,
    author_address: AddressSchema,
    local_file: PathTextSchema,
    content_id: ContentIdSchema,
  }),
  REPLY_PUBLISH: toPeer(0x13, "reply", {
    request: requestId,
    filename: FileNameSchema,
    result: v.literal("ok"),
  }),
  REQUEST_UNPUBLISH: toTracker(0x14, "request", { request: requestId, fname: FileNameSchema }),
  REPLY_UNPUBLISH: toPeer(0x15, "reply", {
    request: requestId,
    filename: FileNameSchema,
    result: v.literal("ok"),
  }),
  REQUEST_FILE_LIST: toTracker(0x16, "request", {
    request: requestId,
    /** Only files of this name. */
    fname: v.nullable(FileNameSchema),
    /** Only contents of which the peer at this address is a publisher or holder. */
    holder: v.nullable(AddressSchema),
    cursor,
  }),
  REPLY_FILE_LIST: toPeer(0x17, "reply", { request: requestId, file_list: fileList, next: cursor }, FILES),
  REQUEST_DISCOVER: toTracker(0x18, "request", { request: requestId, address: AddressSchema, cursor }),
  REPLY_DISCOVER: toPeer(0x19, "reply", { request: requestId, file_list: fileList, next: cursor }, FILES),
  REQUEST_FILE_LOCATION: toTracker(0x1a, "request", {
    request: requestId,
    /** One of the two: a publication's key, or the content itself. */
    primary_key: v.nullable(key),
    content_id: v.nullable(ContentIdSchema),
  }),
  REPLY_FILE_LOCATION: toPeer(
    0x1b,
    "reply",
    {
      request: requestId,
      /** Null where the content is held but published by nobody. */
      fileinfo: v.nullable(FileInfoSchema),
      /** A random sample of the online holders, the requester left out. */
      chunkinfo,
    },
    HOLDERS,
  ),
  REQUEST_CHUNK_REGISTER: toTracker(
    0x1c,
    "request",
    {
      request: requestId,
      primary_key: v.nullable(key),
      content_id: ContentIdSchema,
      size: SizeSchema,
      chunknum: ChunkRangesSchema,
      /** True: these chunks and no others. False: these as well. */
      replace: v.boolean(),
    },
    RANGES,
  ),
  REPLY_CHUNK_REGISTER: toPeer(0x1d, "reply", { request: requestId, content_id: ContentIdSchema }),
  REQUEST_ANNOUNCED: toTracker(0x1e, "request", { request: requestId }),
  REPLY_ANNOUNCED: toPeer(0x1f, "reply", { request: requestId }),

  // Tracker to peer, on a connection of its own: proof of an advertised address
  REQUEST_PROOF: toPeer(0x20, "request", { request: requestId, challenge: digest }),
  REPLY_PROOF: toTracker(0x21, "reply", { request: requestId, proof: digest }),

  // Peer to tracker, once more
  REQUEST_PEERS: toTracker(0x22, "request", { request: requestId, host: IpSchema }),
  REPLY_PEERS: toPeer(0x23, "reply", {
    request: requestId,
    /** Of the online peers at this IP. */
    addresses: v.pipe(v.array(AddressSchema), v.maxLength(PEERS_NAMED_MAX)),
  }),

  // Peer to peer
  REQUEST_MANIFEST: amongPeers(0x30, "request", { request: requestId, content_id: ContentIdSchema }),
  REPLY_MANIFEST: amongPeers(
    0x31,
    "reply",
    { request: requestId, content_id: ContentIdSchema },
    { ...SMALL, payloadBytesMax: MANIFEST_BYTES_MAX },
  ),
  REQUEST_JOIN_SWARM: amongPeers(
    0x32,
    "request",
    {
      request: requestId,
      content_id: ContentIdSchema,
      /** What the sender has already; more follows in HAVE. */
      chunks: ChunkRangesSchema,
    },
    RANGES,
  ),
  REPLY_JOIN_SWARM: amongPeers(
    0x33,
    "reply",
    {
      request: requestId,
      content_id: ContentIdSchema,
      chunks: ChunkRangesSchema,
    },
    RANGES,
  ),
  HAVE: amongPeers(0x34, "notice", { content_id: ContentIdSchema, chunks: ChunkRangesSchema }, RANGES),
  LEAVE_SWARM: amongPeers(0x35, "notice", { content_id: ContentIdSchema }),
  PEER_REQUEST_CHUNK: amongPeers(
    0x36,
    "request",
    {
      request: requestId,
      filename: FileNameSchema,
      content_id: ContentIdSchema,
      /** Any one chunk of these answers the request; the uploader chooses. */
      chunknum: v.pipe(
        ChunkRangesSchema,
        v.check((ranges) => ranges.length > 0, "expected at least one chunk"),
      ),
    },
    RANGES,
  ),
  PEER_REPLY_CHUNK: amongPeers(
    0x37,
    "reply",
    { request: requestId, filename: FileNameSchema, content_id: ContentIdSchema, chunknum: ChunkNumberSchema, digest },
    { ...SMALL, payloadBytesMax: CHUNK_SIZE_MAX },
  ),
  CANCEL: amongPeers(0x38, "notice", { request: requestId }),
  REQUEST_CONFIRM: amongPeers(0x39, "request", {
    request: requestId,
    /** Where the sender takes connections. */
    address: AddressSchema,
    /** Of its own HELLOs, on connections that came in. */
    nonces: v.pipe(v.array(nonce), v.minLength(1), v.maxLength(CONFIRM_NONCES_MAX)),
  }),
  REPLY_CONFIRM: amongPeers(0x3a, "reply", {
    request: requestId,
    /** The one that was heard on the connection that the replying side dialled to that address; null for none. */
    nonce: v.nullable(nonce),
  }),
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
  REQUEST_PEERS: "REPLY_PEERS",
  REQUEST_MANIFEST: "REPLY_MANIFEST",
  REQUEST_JOIN_SWARM: "REPLY_JOIN_SWARM",
  PEER_REQUEST_CHUNK: "PEER_REPLY_CHUNK",
  REQUEST_CONFIRM: "REPLY_CONFIRM",
} as const satisfies Partial<Record<MessageName, MessageName>>;

export type RequestName = keyof typeof replyOf;
export type ReplyName<Name extends RequestName> = (typeof replyOf)[Name];

export function isRequest(name: MessageName): name is RequestName {
  return Object.hasOwn(replyOf, name);
}

export const messageNameById: ReadonlyMap<number, MessageName> = new Map(
  Object.entries(messageTable).map(([name, row]) => [row.id, name as MessageName]),
);
