/** Results of the peer's commands, as shown in JSON (field names of requirements.md). */
import * as v from "valibot";
import { AddressSchema } from "../core/address.ts";
import { errorCodes } from "../core/errors.ts";
import { FileNameSchema } from "../core/file-name.ts";
import { ContentIdSchema } from "../core/manifest.ts";
import { ChunkCountSchema, type FileInfo, PathTextSchema, SizeSchema } from "../core/model.ts";
import { RateLimitSchema } from "../core/rate.ts";

const count = v.pipe(v.number(), v.integer(), v.minValue(0));
const time = v.pipe(v.string(), v.isoTimestamp());

/** Bytes per second of chunks, null for no limit. */
export const RateLimitsSchema = v.object({ up_limit: RateLimitSchema, down_limit: RateLimitSchema });
export type RateLimits = v.InferOutput<typeof RateLimitsSchema>;
/** Omitted limits do not change. */
export const RateLimitsChangeSchema = v.partial(RateLimitsSchema);
export type RateLimitsChange = v.InferOutput<typeof RateLimitsChangeSchema>;

export const PeerStatusSchema = v.object({
  role: v.literal("peer"),
  version: v.string(),
  pid: count,
  /** The address that the tracker names to other peers; null before registration. */
  address: v.nullable(AddressSchema),
  /** Where the peer listens. */
  listen: AddressSchema,
  /** HOST:PORT as given. */
  tracker: v.string(),
  connected: v.boolean(),
  /** Its name; null for a role of none, whose connections are plain. */
  swarm: v.nullable(v.string()),
  data_folder: v.string(),
  files_folder: v.string(),
  started: time,
  uptime_ms: count,
  /** Files published by this peer. */
  shares: count,
  /** Contents that this peer serves, published or fetched. */
  contents: count,
  fetches: count,
  bytes_sent: count,
  bytes_received: count,
  ...RateLimitsSchema.entries,
});
export type PeerStatus = v.InferOutput<typeof PeerStatusSchema>;

export const ConnectedSchema = v.object({ tracker: v.string(), address: AddressSchema });
export type Connected = v.InferOutput<typeof ConnectedSchema>;

/** Bytes hashed so far of the file that is being published. */
export const PublishProgressSchema = v.object({ event: v.literal("progress"), bytes: count, size: SizeSchema });
export type PublishProgress = v.InferOutput<typeof PublishProgressSchema>;

export const PublishedSchema = v.object({
  key: v.string(),
  fname: FileNameSchema,
  size: SizeSchema,
  total_chunknum: ChunkCountSchema,
  path: PathTextSchema,
  address: AddressSchema,
  content_id: ContentIdSchema,
  /** `p2pfs://TRACKER_HOST:PORT/FNAME?id=…` */
  ticket: v.string(),
});
export type Published = v.InferOutput<typeof PublishedSchema>;

export const UnpublishedSchema = v.object({ fname: FileNameSchema });
export type Unpublished = v.InferOutput<typeof UnpublishedSchema>;

/** What a fetch received from one source. */
export const SourceShareSchema = v.object({
  /** The source's proven address; for an unproven inbound one, the remote end of its connection. */
  address: AddressSchema,
  inbound: v.boolean(),
  bytes: count,
  chunks: count,
  rejected: count,
});
export type SourceShare = v.InferOutput<typeof SourceShareSchema>;

const fetchIdentity = {
  /** Unique within the peer. */
  id: v.string(),
  fname: FileNameSchema,
  content_id: ContentIdSchema,
  destination: v.string(),
  size: SizeSchema,
  total_chunknum: ChunkCountSchema,
};

export const FetchStateSchema = v.picklist(["running", "done", "failed", "cancelled", "stopped"]);

/** A row of the list of fetches, and the line of progress that `fetch --json` prints. */
export const FetchProgressSchema = v.object({
  event: v.literal("progress"),
  ...fetchIdentity,
  state: FetchStateSchema,
  /** Verified bytes and chunks, those of earlier attempts included. */
  bytes: count,
  chunks: count,
  bytes_per_second: v.number(),
  sources: count,
  /** Why the fetch ended without its file; null while it runs and when it is done. */
  error: v.nullable(v.object({ code: v.picklist(errorCodes), message: v.string(), hint: v.string() })),
});
export type FetchProgress = v.InferOutput<typeof FetchProgressSchema>;

/** A fetch with its chunks and sources. */
export const FetchDetailSchema = v.object({
  ...FetchProgressSchema.entries,
  /** Verified chunks, as `0-99,120`. */
  chunks_held: v.string(),
  source_shares: v.array(SourceShareSchema),
});
export type FetchDetail = v.InferOutput<typeof FetchDetailSchema>;

/** A share of this peer, whether its tracker can be reached or not. */
export const ShareInfoSchema = v.object({
  fname: FileNameSchema,
  /** As typed by the publisher. */
  path: PathTextSchema,
  size: SizeSchema,
  content_id: ContentIdSchema,
  ticket: v.string(),
  /** False where the file changed or vanished since it was published. */
  served: v.boolean(),
});
export type ShareInfo = v.InferOutput<typeof ShareInfoSchema>;

/** The last line of `fetch --json`. */
export const FetchReceiptSchema = v.object({
  event: v.literal("receipt"),
  ...fetchIdentity,
  /**
   * Bytes that this fetch transferred, copied from a local copy, or verified in an earlier attempt's part file. Damaged
   * chunks of the part file are transferred and count as such.
   */
  bytes_fetched: count,
  bytes_copied: count,
  bytes_resumed: count,
  sources: v.array(SourceShareSchema),
  rerequests: count,
  rejected: count,
  duration_ms: count,
  bytes_per_second: v.number(),
});
export type FetchReceipt = v.InferOutput<typeof FetchReceiptSchema>;

export type FetchEvent = FetchProgress | FetchReceipt;

/** One page of a list; `next` is the cursor of the following one, null after the last. */
export interface FilePage {
  readonly rows: readonly FileInfo[];
  readonly next: string | null;
}
