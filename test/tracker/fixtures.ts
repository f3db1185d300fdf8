/** Peers, contents and addresses for the tracker's tests. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import { type Address, AddressSchema } from "../../src/core/address.ts";
import { type ChunkRanges, ChunkRangesSchema } from "../../src/core/bitfield.ts";
import { P2pfsError } from "../../src/core/errors.ts";
import { type FileName, FileNameSchema } from "../../src/core/file-name.ts";
import { type ContentId, ContentIdSchema } from "../../src/core/manifest.ts";
import { type PeerId, PeerIdSchema } from "../../src/core/model.ts";
import type { Page } from "../../src/tracker/types.ts";

export function peerId(number: number): PeerId {
  return v.parse(PeerIdSchema, number.toString(16).padStart(32, "0"));
}

export function contentId(number: number): ContentId {
  return v.parse(ContentIdSchema, number.toString(16).padStart(64, "c"));
}

export function fileName(text: string): FileName {
  return v.parse(FileNameSchema, text);
}

export function address(text: string): Address {
  return v.parse(AddressSchema, text);
}

export function ranges(...flat: number[]): ChunkRanges {
  return v.parse(ChunkRangesSchema, flat);
}

export function temporaryFolder(): { readonly path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), "p2pfs-tracker-"));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** The error with which the promise rejects. */
export async function errorOf(promise: Promise<unknown>): Promise<P2pfsError> {
  try {
    await promise;
  } catch (thrown) {
    if (thrown instanceof P2pfsError) return thrown;
    throw thrown;
  }
  throw new Error("expected an error");
}

/** All rows of a list, and the number of rows of each page. */
export async function allPages<Row>(list: (cursor: string | null) => Promise<Page<Row>>) {
  const rows: Row[] = [];
  const pages: number[] = [];
  let cursor: string | null = null;
  do {
    const page: Page<Row> = await list(cursor);
    rows.push(...page.rows);
    pages.push(page.rows.length);
    cursor = page.next;
  } while (cursor !== null);
  return { rows, pages };
}
