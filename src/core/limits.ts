/**
 * Every bound that more than one module relies on, with the relations between them asserted at load. A bound that is
 * used by one module alone stands in that module.
 */
import { KiB, MiB, SECOND_MS } from "./units.ts";

/** D4: unanswered chunk requests per fetch, over all sources. */
export const WINDOW_SIZE = 30;

export const CHUNK_SIZE_MIN = 64 * KiB;
export const CHUNK_SIZE_MAX = 4 * MiB;
/** Contents of up to this many chunks get the smallest chunk size that keeps them so; larger ones the maximum size. */
export const CHUNK_COUNT_AIM = 512;
/** With the maximum chunk size: contents of up to 1 TiB, manifests of up to 8 MiB. */
export const CHUNK_COUNT_MAX = 256 * 1024;
export const CONTENT_SIZE_MAX = CHUNK_SIZE_MAX * CHUNK_COUNT_MAX;

export const DIGEST_BYTES = 32;
export const FILE_NAME_BYTES_MAX = 255;
/** A path as typed by a publisher (lname). */
export const PATH_TEXT_BYTES_MAX = 4096;
/** Ranges in one message; a set that needs more is sent in several. */
export const CHUNK_RANGES_MAX = 4096;
export const LIST_PAGE_MAX = 500;
/** Holders named in one location reply. */
export const HOLDER_SAMPLE_MAX = 50;
/** Peers that one host is said to have. */
export const PEERS_NAMED_MAX = 50;
/** Holders of a content are counted so far, for lists: what is beyond costs more than it tells. */
export const HOLDERS_COUNTED_MAX = 1000;
/** Chunk ranges in one location reply, over all holders; what is left out the holders tell themselves. */
export const LOCATION_RANGES_MAX = 25_000;
export const HOST_NAME_BYTES_MAX = 255;
/** `{fname}_{ip}_{port}`. */
export const KEY_BYTES_MAX = 512;
export const MANIFEST_BYTES_MAX = CHUNK_COUNT_MAX * DIGEST_BYTES + 64 * KiB;

/** R5: a command that needs an answer from elsewhere has it, or the notice that there is none, within this time. */
export const NOTICE_MS_MAX = 2 * SECOND_MS;
/** Of that time, what a command keeps back for telling. */
export const NOTICE_RESERVE_MS = 300;
/** For one answer of the tracker, its link included, or for a peer's pong: what follows has the rest of the time. */
export const TRACKER_WAIT_MS = 1200;
/** How long a peer stays listed after its last sign of life. */
export const LEASE_MS = 8 * SECOND_MS;
export const HEARTBEAT_MS = 2 * SECOND_MS;

function assertRelation(holds: boolean, sentence: string): void {
  if (!holds) throw new RangeError(`limits: ${sentence}`);
}

assertRelation(Number.isSafeInteger(CONTENT_SIZE_MAX), "sizes in bytes are safe integers");
assertRelation(CHUNK_COUNT_MAX >= CHUNK_COUNT_AIM, "the largest content has at least the aimed number of chunks");
assertRelation(TRACKER_WAIT_MS < NOTICE_MS_MAX - NOTICE_RESERVE_MS, "the wait for the tracker leaves time to go on");
assertRelation(HEARTBEAT_MS * 3 < LEASE_MS, "a lease survives two lost heartbeats");
