/**
 * Finds the content that a fetch names by an fname, an fname with an address, or a ticket (decisions 3 and 5, R6). The
 * address selects among publications of the name, and does not limit the sources of the chunks.
 */

import * as v from "valibot";
import { type Address, formatHostPort, type HostPort } from "../core/address.ts";
import type { Clock } from "../core/clock.ts";
import type { Deadline } from "../core/deadline.ts";
import { P2pfsError } from "../core/errors.ts";
import { type FileName, FileNameSchema, fileNameFault } from "../core/file-name.ts";
import type { ContentId } from "../core/manifest.ts";
import type { FileInfo } from "../core/model.ts";
import { PageWalk } from "../core/page-walk.ts";
import { looksLikeTicket, parseTicket } from "../core/ticket.ts";
import { type Names, resolveHostPort } from "../net/host-name.ts";
import type { Directory } from "./directory.ts";
import type { FilePage } from "./types.ts";

/** Publications of one name that are read; more would hardly make an ambiguous name unambiguous. */
export const CANDIDATES_MAX = 2000;
const CANDIDATES_SHOWN_MAX = 10;

export interface FetchTarget {
  readonly fname: FileName;
  readonly contentId: ContentId;
}

export interface FetchSubject {
  /** FNAME or ticket. */
  readonly what: string;
  /** Selects the file: address of its publisher or of a holder. */
  readonly from?: HostPort | undefined;
}

/** The fname of a fetch. Throws `usage` for an invalid ticket and `refused` for an invalid name. */
export function nameOf(what: string): FileName {
  if (looksLikeTicket(what)) return parseTicket(what).fname;
  const fault = fileNameFault(what);
  if (fault !== undefined) throw new P2pfsError("refused", `cannot fetch ${JSON.stringify(what)}: ${fault}`);
  return v.parse(FileNameSchema, what);
}

/**
 * Throws `not_found`, `ambiguous`, `refused` (R6: only this peer published it) or `tracker_unreachable`, by the
 * deadline.
 */
export async function findTarget(
  directory: Directory,
  { what, from }: FetchSubject,
  deadline: Deadline,
  names: Names,
): Promise<FetchTarget> {
  const fname = nameOf(what);
  const holder = from === undefined ? undefined : await resolveHostPort(from, deadline, names);
  const listed = await listNamed(directory, fname, holder, deadline, names.clock);
  const pinned = looksLikeTicket(what) ? parseTicket(what).contentId : undefined;
  const matching = pinned === undefined ? listed : listed.filter((file) => file.content_id === pinned);
  const others = matching.filter((file) => file.address !== directory.address);
  if (others.length === 0) {
    if (matching.length > 0) throw ownFile(fname);
    // A ticket needs no publication: the publisher may have left while holders remain.
    if (pinned !== undefined) return { fname, contentId: pinned };
    throw notListed(fname, from);
  }
  const published = others.filter((file) => file.address === holder);
  const candidates = published.length > 0 ? published : others;
  const contentIds = new Set(candidates.map((file) => file.content_id));
  if (contentIds.size > 1) throw ambiguous(fname, candidates);
  return { fname, contentId: candidates[0]!.content_id };
}

async function listNamed(
  directory: Directory,
  fname: FileName,
  holder: Address | undefined,
  deadline: Deadline,
  clock: Clock,
): Promise<FileInfo[]> {
  const files: FileInfo[] = [];
  const walk = new PageWalk(clock.now());
  let cursor: string | null = null;
  do {
    const page: FilePage = await directory.listFiles({ fname, holder }, cursor, deadline);
    files.push(...page.rows);
    cursor = walk.after(page, clock.now());
  } while (cursor !== null && files.length < CANDIDATES_MAX);
  return files;
}

function ownFile(fname: FileName): P2pfsError {
  return new P2pfsError("refused", `${fname} was published by this peer itself (R6)`, {
    hint: "a peer has what it published; fetch it from another peer",
  });
}

function notListed(fname: FileName, from: HostPort | undefined): P2pfsError {
  const where = from === undefined ? "" : ` at ${formatHostPort(from)}`;
  return new P2pfsError("not_found", `no online peer shares ${fname}${where}`);
}

function ambiguous(fname: FileName, candidates: readonly FileInfo[]): P2pfsError {
  const shown = candidates
    .slice(0, CANDIDATES_SHOWN_MAX)
    .map((file) => `${file.address} (${file.size} bytes, ${file.content_id.slice(0, 12)})`);
  if (candidates.length > shown.length) shown.push(`${candidates.length - shown.length} more`);
  return new P2pfsError("ambiguous", `${fname} is the name of different files: ${shown.join(", ")}`);
}
