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
  /** Its name; null for a role of none, whose connections are plain. */
  swarm: v.nullable(v.string()),
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

const role = v.picklist(["tracker", "peer"]);

export const SwarmInfoSchema = v.object({
  swarm: v.string(),
  role,
  /** The peer id of this role. */
  id: v.string(),
  /** When its certificate ends; it is renewed before. */
  expires: time,
  /** SHA-256 of the certificate of the authority. */
  authority: v.string(),
  /** `HOST:PORT` */
  trackers: v.array(v.string()),
});
export type SwarmInfo = v.InferOutput<typeof SwarmInfoSchema>;

/** A row of invites: by it machines can still join. */
export const InvitationInfoSchema = v.object({
  /** By which it is ended. */
  id: v.string(),
  role,
  label: v.string(),
  /** Whether somebody has to approve each machine. */
  approve: v.boolean(),
  /** Machines that can join, and that have joined or wait for approval. */
  uses: count,
  used: count,
  created: time,
  expires: time,
});
export type InvitationInfo = v.InferOutput<typeof InvitationInfoSchema>;

export const InvitedSchema = v.object({
  ...InvitationInfoSchema.entries,
  /** `p2pfs-join:…` */
  token: v.string(),
  /** To be run on the other machine. */
  command: v.string(),
});
export type Invited = v.InferOutput<typeof InvitedSchema>;

/** A row of members. */
export const MemberInfoSchema = v.object({
  name: v.string(),
  /** The peer id. */
  id: v.string(),
  role,
  state: v.picklist(["waiting", "member", "revoked"]),
  joined: time,
  /** Null for one that waits for approval. */
  expires: v.nullable(time),
  /** Null for one that was never here. */
  last_seen: v.nullable(time),
  online: v.boolean(),
});
export type MemberInfo = v.InferOutput<typeof MemberInfoSchema>;

/** One page of a list; `next` is the cursor of the following one, null after the last. */
export interface Page<Row> {
  readonly rows: readonly Row[];
  readonly next: string | null;
}
