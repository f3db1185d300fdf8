/**
 * Every bound that more than one module relies on, with the relations between them asserted at load. A bound that is
 * used by one module alone stands in that module.
 */
import { DAY_MS, KiB, MiB, SECOND_MS } from "./units.ts";

/** D4: unanswered chunk requests per fetch, over all sources. */
export const WINDOW_SIZE = 30;

export const CHUNK_SIZE_MIN = 64 * KiB;
export const CHUNK_SIZE_MAX = 4 * MiB;
/** The chunk size is the smallest that gives at most this many chunks, or CHUNK_SIZE_MAX. */
export const CHUNK_COUNT_AIM = 512;
/** With CHUNK_SIZE_MAX this allows contents of 1 TiB and manifests of about 8 MiB. */
export const CHUNK_COUNT_MAX = 256 * 1024;
export const CONTENT_SIZE_MAX = CHUNK_SIZE_MAX * CHUNK_COUNT_MAX;

export const DIGEST_BYTES = 32;
export const PEER_ID_BYTES = 16;
export const FILE_NAME_BYTES_MAX = 255;
/** A path as typed by a publisher (lname). */
export const PATH_TEXT_BYTES_MAX = 4096;
/** Ranges in one message; a larger set is sent in several messages. */
export const CHUNK_RANGES_MAX = 4096;
export const LIST_PAGE_MAX = 500;
/** Holders named in one location reply. */
export const HOLDER_SAMPLE_MAX = 50;
/** Addresses in a reply about the peers of one host. */
export const PEERS_NAMED_MAX = 50;
/** In lists, holders of a content are counted up to this number. */
export const HOLDERS_COUNTED_MAX = 1000;
/** Chunk ranges in one location reply, over all holders; the holders themselves send the rest. */
export const LOCATION_RANGES_MAX = 25_000;
export const HOST_NAME_BYTES_MAX = 255;
/** `{fname}_{ip}_{port}`. */
export const KEY_BYTES_MAX = 512;
export const MANIFEST_BYTES_MAX = CHUNK_COUNT_MAX * DIGEST_BYTES + 64 * KiB;

/** X.509, in DER. A peer's certificate with that of its issuer within has some 1100 bytes. */
export const CERTIFICATE_BYTES_MAX = 4096;
/** PKCS #10, in DER. */
export const CERTIFICATE_REQUEST_BYTES_MAX = 1024;
/** 128 bits. */
export const INVITATION_SECRET_BYTES = 16;
/** How long an invitation can last. */
export const INVITATION_MS_MIN = SECOND_MS;
export const INVITATION_MS_MAX = 366 * DAY_MS;
/** Trackers of a swarm that an invitation or a reply names. */
export const TRACKERS_NAMED_MAX = 8;
/** Members of a swarm, those included that wait or were removed and whose certificates have not expired. */
export const MEMBERS_MAX = 20_000;

/** R5: within this time a command has its answer from other machines, or reports that there is none. */
export const NOTICE_MS_MAX = 2 * SECOND_MS;
/** The part of that time that is kept for reporting. */
export const NOTICE_RESERVE_MS = 300;
/** The part of that time for one answer of the tracker (with the wait for the link), or for a peer's pong. */
export const TRACKER_WAIT_MS = 1200;
/** How long a peer stays listed after its last frame. */
export const LEASE_MS = 8 * SECOND_MS;
export const HEARTBEAT_MS = 2 * SECOND_MS;

function assertRelation(holds: boolean, sentence: string): void {
  if (!holds) throw new RangeError(`limits: ${sentence}`);
}

assertRelation(Number.isSafeInteger(CONTENT_SIZE_MAX), "sizes in bytes are safe integers");
assertRelation(CHUNK_COUNT_MAX >= CHUNK_COUNT_AIM, "the largest content has at least the aimed number of chunks");
assertRelation(TRACKER_WAIT_MS < NOTICE_MS_MAX - NOTICE_RESERVE_MS, "the wait for the tracker leaves time to go on");
assertRelation(HEARTBEAT_MS * 3 < LEASE_MS, "a lease survives two lost heartbeats");

/** More than what `p2pfs swarm request` or `swarm sign` prints ever takes. */
export const SIGNED_TEXT_CHARACTERS_MAX = 32_768;
