/** Types of files, holders and peers that messages, routes and JSON output share. Field names as in JSON output. */
import * as v from "valibot";
import { type Address, AddressSchema, hostOf, makeAddress, portOf } from "./address.ts";
import { ChunkRangesSchema } from "./bitfield.ts";
import { type FileName, FileNameSchema } from "./file-name.ts";
import {
  CHUNK_COUNT_MAX,
  CONTENT_SIZE_MAX,
  HOST_NAME_BYTES_MAX,
  KEY_BYTES_MAX,
  PATH_TEXT_BYTES_MAX,
} from "./limits.ts";
import { ContentIdSchema } from "./manifest.ts";

/**
 * 128 bits as 32 hexadecimal digits. Whoever knows a peer's id can speak for it at its tracker, so it is sent to that
 * tracker only, and never listed, logged or sent to another peer. Each tracker knows a peer by another id.
 */
export const PeerIdSchema = v.pipe(v.string(), v.regex(/^[0-9a-f]{32}$/, "expected 32 hex digits"), v.brand("PeerId"));
export type PeerId = v.InferOutput<typeof PeerIdSchema>;
/** 128 random bits in hex from which a peer derives its ids. It never leaves its machine. */
export const PeerSecretSchema = v.pipe(
  v.string(),
  v.regex(/^[0-9a-f]{32}$/, "expected 32 hex digits"),
  v.brand("PeerSecret"),
);
export type PeerSecret = v.InferOutput<typeof PeerSecretSchema>;

export const SizeSchema = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(CONTENT_SIZE_MAX));
export const ChunkCountSchema = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(CHUNK_COUNT_MAX));
export const ChunkNumberSchema = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(CHUNK_COUNT_MAX - 1));
const wellFormed = v.check((text: string) => text.isWellFormed(), "expected valid Unicode");
/** A local path exactly as its publisher typed it (R11, decision 6). */
export const PathTextSchema = v.pipe(v.string(), v.minLength(1), v.maxBytes(PATH_TEXT_BYTES_MAX), wellFormed);
export const HostNameSchema = v.pipe(v.string(), v.maxBytes(HOST_NAME_BYTES_MAX), wellFormed);

/** One published file: a row of list_files and discover. */
export const FileInfoSchema = v.object({
  /** `{fname}_{ip}_{port}`. */
  key: v.pipe(v.string(), v.maxBytes(KEY_BYTES_MAX)),
  fname: FileNameSchema,
  /** Bytes. */
  size: SizeSchema,
  total_chunknum: ChunkCountSchema,
  path: PathTextSchema,
  /** Of the publisher, as last seen. */
  address: AddressSchema,
  content_id: ContentIdSchema,
  /** Online peers that hold at least one chunk of the content, counted up to HOLDERS_COUNTED_MAX. */
  holders: v.pipe(v.number(), v.integer(), v.minValue(0)),
});
export type FileInfo = v.InferOutput<typeof FileInfoSchema>;

/** Which chunks of a content one peer holds, as it last announced. */
export const HolderInfoSchema = v.object({
  address: AddressSchema,
  chunks: ChunkRangesSchema,
  /** In a swarm, where a peer id is no secret: whoever connects to the address expects this peer. */
  peer_id: v.optional(PeerIdSchema),
});
export type HolderInfo = v.InferOutput<typeof HolderInfoSchema>;

/** Some holders of one content, each with its chunks as `0-99,120`. */
export const ContentHoldersSchema = v.object({
  total_chunknum: ChunkCountSchema,
  holders: v.array(v.object({ address: AddressSchema, chunks: v.string() })),
});
export type ContentHolders = v.InferOutput<typeof ContentHoldersSchema>;

/** The printed key of a publication (decision 7). */
export function publicationKey(fname: FileName, address: Address): string {
  return `${fname}_${hostOf(address)}_${portOf(address)}`;
}

/** Reads a key from its right end, since a name may contain underscores; undefined if it is none. */
export function parsePublicationKey(key: string): { fname: FileName; address: Address } | undefined {
  const match = /^(.+)_([0-9a-fA-F.:]+)_(\d{1,5})$/su.exec(key);
  if (match === null) return undefined;
  const fname = v.safeParse(FileNameSchema, match[1]);
  const host = match[2]!.includes(":") ? `[${match[2]}]` : match[2];
  const address = v.safeParse(AddressSchema, `${host}:${match[3]}`);
  return fname.success && address.success
    ? { fname: fname.output, address: makeAddress(match[2]!, Number(match[3])) }
    : undefined;
}
