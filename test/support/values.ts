/** Valid values of the types that a schema makes, from what is easy to write. */
import * as v from "valibot";
import { type Address, AddressSchema } from "../../src/core/address.ts";
import { type ChunkRanges, ChunkRangesSchema } from "../../src/core/bitfield.ts";
import { type FileName, FileNameSchema } from "../../src/core/file-name.ts";
import { type ContentId, ContentIdSchema } from "../../src/core/manifest.ts";
import { type FileInfo, type PeerId, PeerIdSchema, publicationKey } from "../../src/core/model.ts";

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

/** A row of a file list: a file of one chunk, published at this address. */
export function listedFile(name: string, content: number, at = address("127.0.0.1:1")): FileInfo {
  const fname = fileName(name);
  return {
    key: publicationKey(fname, at),
    fname,
    size: 1,
    total_chunknum: 1,
    path: name,
    address: at,
    content_id: contentId(content),
    holders: 1,
  };
}
