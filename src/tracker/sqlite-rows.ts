/** Converts rows of the registry's tables to the tracker's types. */
import * as v from "valibot";
import { type Address, makeAddress } from "../core/address.ts";
import { Bitfield, type ChunkRanges, NO_CHUNKS } from "../core/bitfield.ts";
import { P2pfsError } from "../core/errors.ts";
import type { FileName } from "../core/file-name.ts";
import { type ContentId, chunkCountFor } from "../core/manifest.ts";
import { type FileInfo, type PeerId, publicationKey } from "../core/model.ts";
import type { OpenDatabase } from "../store/database.ts";
import type { PeerRecord } from "./registry.ts";
import type * as schema from "./schema.ts";

export type RegistryDatabase = OpenDatabase<typeof schema>["db"];

type PeerRow = typeof schema.peers.$inferSelect;

/** Not validated again: values were checked before they were stored. */
export function peerRecordOf(row: PeerRow): PeerRecord {
  const { session, hostName, online, since, lastSeen } = row;
  const address = makeAddress(row.ip, row.port);
  return {
    peerId: row.peerId as PeerId,
    member: row.member as PeerId | null,
    session,
    address,
    hostName,
    online,
    since,
    lastSeen,
  };
}

/** A publication with the columns of its content and publisher that lists show. */
export interface FileRow {
  readonly id: number;
  readonly fname: string;
  readonly fold: string;
  readonly path: string;
  readonly content: number;
  readonly contentId: string;
  readonly size: number;
  readonly ip: string;
  readonly port: number;
}

export function addressOf({ ip, port }: { readonly ip: string; readonly port: number }): Address {
  return (ip.includes(":") ? `[${ip}]:${port}` : `${ip}:${port}`) as Address;
}

export function fileInfoOf(row: FileRow, holders: number): FileInfo {
  const { size, path } = row;
  const fname = row.fname as FileName;
  const address = addressOf(row);
  return {
    key: publicationKey(fname, address),
    fname,
    size,
    total_chunknum: chunkCountFor(size),
    path,
    address,
    content_id: row.contentId as ContentId,
    holders,
  };
}

/** At most `rangesMax` ranges of a stored set of chunks. */
export function chunkRangesOf(chunks: Uint8Array | null, total: number, rangesMax?: number): ChunkRanges {
  if (chunks !== null) return new Bitfield(total, chunks).toRanges(rangesMax);
  return total === 0 ? NO_CHUNKS : ([0, total - 1] as unknown as ChunkRanges);
}

/** Where a page ended: sort key and row id of its last row, and the holder's row id in list_chunkinfo. */
const CursorSchema = v.pipe(
  v.string(),
  v.parseJson(),
  v.tuple([v.string(), v.pipe(v.number(), v.safeInteger()), v.optional(v.pipe(v.number(), v.safeInteger()), 0)]),
);
export type Position = v.InferOutput<typeof CursorSchema>;

const BEGINNING: Position = ["", 0, 0];

export function parseCursor(cursor: string | null): Position {
  if (cursor === null) return BEGINNING;
  const parsed = v.safeParse(CursorSchema, cursor);
  if (parsed.success) return parsed.output;
  throw new P2pfsError("usage", "the cursor is not one that this tracker gave out", {
    hint: "list from the beginning",
  });
}

export function formatCursor(position: Position): string {
  return JSON.stringify(position);
}
