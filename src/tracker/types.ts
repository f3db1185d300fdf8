/** Results of the tracker's commands, as shown in JSON (field names of requirements.md). */
import * as v from "valibot";
import { AddressSchema } from "../core/address.ts";
import { ChunkCountSchema, HostNameSchema } from "../core/model.ts";

const count = v.pipe(v.number(), v.integer(), v.minValue(0));
const time = v.pipe(v.string(), v.isoTimestamp());

/** A row of list_peers. */
export const PeerInfoSchema = v.object({
  address: AddressSchema,
  host_name: HostNameSchema,
  since: time,
  last_seen: time,
  /** Published files. */
  files: count,
});
export type PeerInfo = v.InferOutput<typeof PeerInfoSchema>;

/** A row of list_chunkinfo: one holder of one content, under each name that it is published by. */
export const ChunkInfoSchema = v.object({
  key: v.string(),
  content_id: v.string(),
  /** Address of the peer that holds the chunks. */
  holder: AddressSchema,
  /** `0-99,120` */
  chunks: v.string(),
  total_chunknum: ChunkCountSchema,
  percent: v.number(),
});
export type ChunkInfo = v.InferOutput<typeof ChunkInfoSchema>;

export const TrackerStatusSchema = v.object({
  role: v.literal("tracker"),
  version: v.string(),
  pid: count,
  /** Null while not listening. */
  address: v.nullable(AddressSchema),
  listening: v.boolean(),
  data_folder: v.string(),
  started: time,
  uptime_ms: count,
  peers: count,
  files: count,
  contents: count,
});
export type TrackerStatus = v.InferOutput<typeof TrackerStatusSchema>;

export const PingResultSchema = v.object({
  address: AddressSchema,
  alive: v.boolean(),
  /** R13: from issuing the command to the reply. */
  duration_ms: v.number(),
});
export type PingResult = v.InferOutput<typeof PingResultSchema>;

/** One page of a list; `next` is the cursor of the following one, null after the last. */
export interface Page<Row> {
  readonly rows: readonly Row[];
  readonly next: string | null;
}
