/** What the peer's commands answer, as shown in JSON (names of requirements.md's rows). */
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
/** What is left out stays as it is. */
export const RateLimitsChangeSchema = v.partial(RateLimitsSchema);
export type RateLimitsChange = v.InferOutput<typeof RateLimitsChangeSchema>;

export const PeerStatusSchema = v.object({
  role: v.literal("peer"),
  version: v.string(),
  pid: count,
  /** As the tracker tells it to others; null before registration. */
  address: v.nullable(AddressSchema),
  /** Where the peer takes connections of other peers. */
  listen: AddressSchema,
  /** HOST:PORT as given. */
  tracker: v.string(),
  connected: v.boolean(),
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

/** Progress of hashing the file that is being published; bytes. */
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

/** What one source gave to a fetch. */
export const SourceShareSchema = v.object({
  /** Where the source listens; of one that came in and was not proven to listen anywhere, the end of its connection. */
  address: AddressSchema,
  inbound: v.boolean(),
  bytes: count,
  chunks: count,
  rejected: count,
});
export type SourceShare = v.InferOutput<typeof SourceShareSchema>;

const fetchIdentity = {
  /** Of this fetch, within its peer. */
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
  /** Verified bytes and chunks, those of earlier sessions included. */
  bytes: count,
  chunks: count,
  bytes_per_second: v.number(),
  sources: count,
  /** Why the fetch ended without its file; null while it runs and when it is done. */
  error: v.nullable(v.object({ code: v.picklist(errorCodes), message: v.string(), hint: v.string() })),
});
export type FetchProgress = v.InferOutput<typeof FetchProgressSchema>;

/** One fetch in every detail. */
export const FetchDetailSchema = v.object({
  ...FetchProgressSchema.entries,
  /** Verified chunks, as `0-99,120`. */
  chunks_held: v.string(),
  source_shares: v.array(SourceShareSchema),
});
export type FetchDetail = v.InferOutput<typeof FetchDetailSchema>;

/** What this peer publishes, whether its tracker can be reached or not. */
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
   * Bytes that this fetch moved, copied locally, or found in an earlier session's part file and found right; what was
   * damaged there counts as moved.
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
