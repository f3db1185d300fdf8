/**
 * The one table of messages. Ids, names, header schemas, who may send them and limits stand here and nowhere else; types,
 * decoder and encoder derive from it. A new message is a row here, a paragraph in README.md and a handler in a role.
 */
import * as v from "valibot";
import { AddressSchema, IpSchema } from "../core/address.ts";
import { ChunkRangesSchema } from "../core/bitfield.ts";
import { FileNameSchema } from "../core/file-name.ts";
import {
  CERTIFICATE_BYTES_MAX,
  CERTIFICATE_REQUEST_BYTES_MAX,
  CHUNK_RANGES_MAX,
  CHUNK_SIZE_MAX,
  DIGEST_BYTES,
  HOLDER_SAMPLE_MAX,
  INVITATION_SECRET_BYTES,
  KEY_BYTES_MAX,
  LIST_PAGE_MAX,
  LOCATION_RANGES_MAX,
  MANIFEST_BYTES_MAX,
  MEMBERS_MAX,
  PEER_ID_BYTES,
  PEERS_NAMED_MAX,
  TRACKERS_NAMED_MAX,
} from "../core/limits.ts";
import { ContentIdSchema } from "../core/manifest.ts";
import {
  ChunkCountSchema,
  ChunkNumberSchema,
  FileInfoSchema,
  HolderInfoSchema,
  HostNameSchema,
  PathTextSchema,
  type PeerId,
  PeerIdSchema,
  SizeSchema,
} from "../core/model.ts";
import { KiB, MINUTE_MS } from "../core/units.ts";
import { type HeaderBounds, MAP_KEYS_MAX } from "./header-scan.ts";

export const PROTOCOL_VERSION = 1;

export const TEXT_BYTES_MAX = 1024;
/** Connections that one REQUEST_CONFIRM can ask about. */
export const CONFIRM_NONCES_MAX = 16;
/** Headers of somebody who is not registered yet: enough for HELLO and for registering. */
export const STRANGER_HEADER_BYTES_MAX = 8 * KiB;
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
const bytes = (max: number) =>
  v.custom<Uint8Array>((value) => value instanceof Uint8Array && value.length <= max, `expected at most ${max} bytes`);
const certificate = bytes(CERTIFICATE_BYTES_MAX);
/** One peer id after the other. */
const peerIds = v.custom<Uint8Array>(
  (value) =>
    value instanceof Uint8Array && value.length <= MEMBERS_MAX * PEER_ID_BYTES && value.length % PEER_ID_BYTES === 0,
  "expected peer ids",
);
const trackers = v.pipe(v.array(text), v.maxLength(TRACKERS_NAMED_MAX));
const fileList = v.pipe(v.array(FileInfoSchema), v.maxLength(LIST_PAGE_MAX));
const chunkinfo = v.pipe(v.array(HolderInfoSchema), v.maxLength(HOLDER_SAMPLE_MAX));

/** A request has an id and gets exactly one reply or ERROR with that id; a notice has neither. */
type MessageKind = "request" | "reply" | "notice";
export type Role = "tracker" | "peer";
/** Who may send a message to whom. */
type Way = "any" | "any_to_tracker" | "tracker_to_any" | "peer_to_tracker" | "tracker_to_peer" | "peer_to_peer";
type WayOf<From extends Role, To extends Role> = "any" | `any_to_${To}` | `${From}_to_any` | `${From}_to_${To}`;

/**
 * The stage of a session from which on a message may come: after HELLO; in a swarm, from its members only; or after a
 * granted REQUEST_REGISTER.
 */
type Stage = "greeted" | "member" | "registered";

/** Whether a message that goes this way may go from the one role to the other. */
export function mayGo(way: Way, from: Role, to: Role): boolean {
  const ways: readonly string[] = ["any", `any_to_${to}`, `${from}_to_any`, `${from}_to_${to}`];
  return ways.includes(way);
}

interface MessageLimits extends HeaderBounds {
  readonly headerBytesMax: number;
  readonly payloadBytesMax: number;
}

/** Headers of a few fields. */
const SMALL: MessageLimits = {
  headerBytesMax: STRANGER_HEADER_BYTES_MAX,
  payloadBytesMax: 0,
  valuesMax: 64,
  containersMax: 8,
};
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
/** The peer ids of all members, at most. */
const REVOCATIONS: MessageLimits = { ...SMALL, headerBytesMax: 512 * KiB };

/** The rows of messages that go one way, and from one stage of a session on; default: from members. */
function messagesGoing<const W extends Way>(way: W, stage: Stage = "member") {
  return {
    notice<const Id extends number, Entries extends v.ObjectEntries>(id: Id, fields: Entries, limits = SMALL) {
      return { id, kind: "notice", way, stage, schema: v.object(fields), ...limits } as const;
    },
    request<const Id extends number, const Reply extends string, Entries extends v.ObjectEntries>(
      id: Id,
      reply: Reply,
      fields: Entries,
      limits = SMALL,
    ) {
      return { id, kind: "request", way, stage, reply, schema: withId(fields), ...limits } as const;
    },
    reply<const Id extends number, Entries extends v.ObjectEntries>(id: Id, fields: Entries, limits = SMALL) {
      return { id, kind: "reply", way, stage, schema: withId(fields), ...limits } as const;
    },
  };
}

function withId<Entries extends v.ObjectEntries>(fields: Entries) {
  return v.object({ request: requestId, ...fields });
}

const anyWay = messagesGoing("any");
const fromOutside = messagesGoing("any_to_tracker", "greeted");
const toOutside = messagesGoing("tracker_to_any", "greeted");
const toAnyTracker = messagesGoing("any_to_tracker");
const fromTracker = messagesGoing("tracker_to_any");
const toTracker = messagesGoing("peer_to_tracker");
const fromMembers = messagesGoing("peer_to_tracker", "registered");
const toPeer = messagesGoing("tracker_to_peer");
const amongPeers = messagesGoing("peer_to_peer");

export const messageTable = {
  // Every connection
  HELLO: anyWay.notice(0x01, {
    version: v.pipe(v.number(), v.integer()),
    role: v.picklist(["tracker", "peer"]),
    agent: text,
    /** Where the sender takes connections of others; null where it takes none. */
    address: v.nullable(AddressSchema),
    /** Another one on every connection: whoever dialled it can say later that it was heard there. */
    nonce: v.optional(nonce),
    /** Of a tracker in a swarm: the certificate of the swarm's authority, which an invitation names by its hash. */
    authority: v.optional(certificate),
  }),
  ERROR: {
    id: 0x02,
    kind: "reply",
    way: "any",
    stage: "greeted",
    schema: v.object({
      /** The request that failed; null where the connection as a whole is meant. */
      request: v.nullable(requestId),
      /** wireId of the error table. */
      code: v.pipe(v.number(), v.integer()),
      message: text,
    }),
    ...SMALL,
  },
  REQUEST_PING_PONG: anyWay.request(0x03, "REPLY_PING_PONG", { peer_address: v.nullable(AddressSchema) }),
  REPLY_PING_PONG: anyWay.reply(0x04, { response: v.literal("pong") }),
  HEARTBEAT: toTracker.request(0x05, "REPLY_HEARTBEAT", {}),
  REPLY_HEARTBEAT: toPeer.reply(0x06, {}),

  // Peer to tracker
  REQUEST_REGISTER: toTracker.request(0x10, "REPLY_REGISTER", {
    peer_id: PeerIdSchema,
    /** Where the peer listens; of its host only an advertised one counts. */
    address: AddressSchema,
    /** Whether the host is to be used as told, after the tracker has proven it by dialling back. */
    advertised: v.boolean(),
    host_name: HostNameSchema,
    /** In a swarm, of a further process of the same member, which has sessions and holdings of its own. */
    instance: v.optional(nonce),
  }),
  REPLY_REGISTER: toPeer.reply(0x11, {
    /** The peer's address as the tracker tells it to others. */
    address: AddressSchema,
    lease_ms: durationMs(LEASE_MS_MAX),
    heartbeat_ms: durationMs(HEARTBEAT_MS_MAX),
  }),
  REQUEST_PUBLISH: fromMembers.request(0x12, "REPLY_PUBLISH", {
    primary_key: key,
    fname: FileNameSchema,
    size: SizeSchema,
    total_chunknum: ChunkCountSchema,
    author_address: AddressSchema,
    local_file: PathTextSchema,
    content_id: ContentIdSchema,
  }),
  REPLY_PUBLISH: toPeer.reply(0x13, { filename: FileNameSchema, result: v.literal("ok") }),
  REQUEST_UNPUBLISH: fromMembers.request(0x14, "REPLY_UNPUBLISH", { fname: FileNameSchema }),
  REPLY_UNPUBLISH: toPeer.reply(0x15, { filename: FileNameSchema, result: v.literal("ok") }),
  REQUEST_FILE_LIST: fromMembers.request(0x16, "REPLY_FILE_LIST", {
    /** Only files of this name. */
    fname: v.nullable(FileNameSchema),
    /** Only contents of which the peer at this address is a publisher or holder. */
    holder: v.nullable(AddressSchema),
    cursor,
  }),
  REPLY_FILE_LIST: toPeer.reply(0x17, { file_list: fileList, next: cursor }, FILES),
  REQUEST_DISCOVER: fromMembers.request(0x18, "REPLY_DISCOVER", { address: AddressSchema, cursor }),
  REPLY_DISCOVER: toPeer.reply(0x19, { file_list: fileList, next: cursor }, FILES),
  REQUEST_FILE_LOCATION: fromMembers.request(0x1a, "REPLY_FILE_LOCATION", {
    /** One of the two: a publication's key, or the content itself. */
    primary_key: v.nullable(key),
    content_id: v.nullable(ContentIdSchema),
  }),
  REPLY_FILE_LOCATION: toPeer.reply(
    0x1b,
    {
      /** Null where the content is held but published by nobody. */
      fileinfo: v.nullable(FileInfoSchema),
      /** A random sample of the online holders, the requester left out. */
      chunkinfo,
    },
    HOLDERS,
  ),
  REQUEST_CHUNK_REGISTER: fromMembers.request(
    0x1c,
    "REPLY_CHUNK_REGISTER",
    {
      primary_key: v.nullable(key),
      content_id: ContentIdSchema,
      size: SizeSchema,
      chunknum: ChunkRangesSchema,
      /** True: these chunks and no others. False: these as well. */
      replace: v.boolean(),
    },
    RANGES,
  ),
  REPLY_CHUNK_REGISTER: toPeer.reply(0x1d, { content_id: ContentIdSchema }),
  REQUEST_ANNOUNCED: fromMembers.request(0x1e, "REPLY_ANNOUNCED", {}),
  REPLY_ANNOUNCED: toPeer.reply(0x1f, {}),

  // Tracker to peer, on a connection of its own: proof of an advertised address
  REQUEST_PROOF: toPeer.request(0x20, "REPLY_PROOF", { challenge: digest }),
  REPLY_PROOF: toTracker.reply(0x21, { proof: digest }),

  // Peer to tracker, once more
  REQUEST_PEERS: fromMembers.request(0x22, "REPLY_PEERS", { host: IpSchema }),
  REPLY_PEERS: toPeer.reply(0x23, {
    /** Of the online peers at this IP. */
    addresses: v.pipe(v.array(AddressSchema), v.maxLength(PEERS_NAMED_MAX)),
  }),

  // Membership in a swarm
  REQUEST_JOIN: fromOutside.request(0x24, "REPLY_JOIN", {
    /** Of the invitation. */
    secret: bytes(INVITATION_SECRET_BYTES),
    /** PKCS #10, in DER. */
    certificate_request: bytes(CERTIFICATE_REQUEST_BYTES_MAX),
    name: HostNameSchema,
    /** A member for one fetch: its certificate need not last long. */
    once: v.optional(v.boolean()),
  }),
  REPLY_JOIN: toOutside.reply(0x25, {
    swarm: text,
    /** X.509, in DER; null until somebody has approved: then the same request is sent again. */
    certificate: v.nullable(certificate),
    /** `HOST:PORT` of each tracker. */
    trackers,
  }),
  REQUEST_RENEW: toAnyTracker.request(0x26, "REPLY_RENEW", {}),
  REPLY_RENEW: fromTracker.reply(0x27, { certificate, trackers }),
  REQUEST_LEAVE: toAnyTracker.request(0x28, "REPLY_LEAVE", {}),
  REPLY_LEAVE: fromTracker.reply(0x29, {}),
  /**
   * All members that were removed and whose certificates have not expired: to a peer after REPLY_REGISTER and at each
   * change, among trackers from the one that dials, and back.
   */
  REVOKED: fromTracker.notice(0x2a, { peer_ids: peerIds }, REVOCATIONS),

  // Peer to peer
  REQUEST_MANIFEST: amongPeers.request(0x30, "REPLY_MANIFEST", { content_id: ContentIdSchema }),
  REPLY_MANIFEST: amongPeers.reply(
    0x31,
    { content_id: ContentIdSchema },
    { ...SMALL, payloadBytesMax: MANIFEST_BYTES_MAX },
  ),
  REQUEST_JOIN_SWARM: amongPeers.request(
    0x32,
    "REPLY_JOIN_SWARM",
    {
      content_id: ContentIdSchema,
      /** What the sender has already; more follows in HAVE. */
      chunks: ChunkRangesSchema,
    },
    RANGES,
  ),
  REPLY_JOIN_SWARM: amongPeers.reply(0x33, { content_id: ContentIdSchema, chunks: ChunkRangesSchema }, RANGES),
  HAVE: amongPeers.notice(0x34, { content_id: ContentIdSchema, chunks: ChunkRangesSchema }, RANGES),
  LEAVE_SWARM: amongPeers.notice(0x35, { content_id: ContentIdSchema }),
  PEER_REQUEST_CHUNK: amongPeers.request(
    0x36,
    "PEER_REPLY_CHUNK",
    {
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
  PEER_REPLY_CHUNK: amongPeers.reply(
    0x37,
    { filename: FileNameSchema, content_id: ContentIdSchema, chunknum: ChunkNumberSchema, digest },
    { ...SMALL, payloadBytesMax: CHUNK_SIZE_MAX },
  ),
  CANCEL: amongPeers.notice(0x38, { request: requestId }),
  REQUEST_CONFIRM: amongPeers.request(0x39, "REPLY_CONFIRM", {
    /** Where the sender takes connections. */
    address: AddressSchema,
    /** Of its own HELLOs, on connections that came in. */
    nonces: v.pipe(v.array(nonce), v.minLength(1), v.maxLength(CONFIRM_NONCES_MAX)),
  }),
  REPLY_CONFIRM: amongPeers.reply(0x3a, {
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

type Table = typeof messageTable;
type NameOfKind<Kind extends MessageKind> = {
  [N in MessageName]: Table[N]["kind"] extends Kind ? N : never;
}[MessageName];

export type RequestName = NameOfKind<"request">;
export type NoticeName = Exclude<NameOfKind<"notice">, "HELLO">;
/** The reply that a request gets. */
export type ReplyName<Name extends RequestName> = Extract<Table[Name]["reply"], MessageName>;

/** Of these messages, those that one role may send to another. */
export type Sendable<Name extends MessageName, From extends Role, To extends Role> = {
  [N in Name]: Table[N]["way"] extends WayOf<From, To> ? N : never;
}[Name];

export function isRequest(name: MessageName): name is RequestName {
  return messageTable[name].kind === "request";
}

export function replyNameOf<Name extends RequestName>(name: Name): ReplyName<Name> {
  return messageTable[name].reply as ReplyName<Name>;
}

/** The members that the notice names. */
export function* idsIn({ peer_ids: bytes }: Message<"REVOKED">): Iterable<PeerId> {
  for (let start = 0; start < bytes.length; start += PEER_ID_BYTES)
    yield v.parse(PeerIdSchema, bytes.subarray(start, start + PEER_ID_BYTES).toHex());
}

/** @param peerIds at most MEMBERS_MAX */
export function revokedNotice(peerIds: Iterable<PeerId>): Message<"REVOKED"> {
  return { type: "REVOKED", peer_ids: Uint8Array.fromHex([...peerIds].join("")) };
}

export const messageNameById: ReadonlyMap<number, MessageName> = new Map(
  Object.entries(messageTable).map(([name, row]) => [row.id, name as MessageName]),
);
