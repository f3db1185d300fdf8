/** A random message of every type, within the limits of its fields. The compiler sees to it that none is left out. */
import fc from "fast-check";
import { hostOf } from "../../src/core/address.ts";
import type { FileInfo, HolderInfo } from "../../src/core/model.ts";
import { publicationKey } from "../../src/core/model.ts";
import type { Fields, Message, MessageName } from "../../src/wire/messages.ts";
import {
  address,
  chunkCount,
  chunkNumber,
  chunkRanges,
  contentId,
  digest,
  fileName,
  nonce,
  pathText,
  peerId,
  size,
} from "../core/arbitraries.ts";

const request = fc.nat({ max: 0xffff_ffff });
const nullable = <Value>(value: fc.Arbitrary<Value>) => fc.option(value, { nil: null });
const text = fc.string({ unit: "grapheme", maxLength: 40 });
const cursor = nullable(text);
const key = fc.tuple(fileName, address).map(([fname, at]) => publicationKey(fname, at));
const durationMs = fc.integer({ min: 100, max: 600_000 });
const fileInfo: fc.Arbitrary<FileInfo> = fc.record({
  key,
  fname: fileName,
  size,
  total_chunknum: chunkCount,
  path: pathText,
  address,
  content_id: contentId,
  holders: fc.nat(),
});
const bytes = (maxLength: number) => fc.uint8Array({ maxLength });
const trackers = fc.array(text, { maxLength: 8 });
const fileList = fc.array(fileInfo, { maxLength: 5 });
const holderInfo: fc.Arbitrary<HolderInfo> = fc.record({ address, chunks: chunkRanges() });

const fieldsOf: { readonly [Name in MessageName]: fc.Arbitrary<Fields<Name>> } = {
  HELLO: fc.record(
    {
      version: fc.integer(),
      role: fc.constantFrom("tracker" as const, "peer" as const),
      agent: text,
      address: nullable(address),
      nonce,
      authority: bytes(500),
    },
    { requiredKeys: ["version", "role", "agent", "address"] },
  ),
  ERROR: fc.record({ request: nullable(request), code: fc.integer(), message: text }),
  REQUEST_PING_PONG: fc.record({ request, peer_address: nullable(address) }),
  REPLY_PING_PONG: fc.record({ request, response: fc.constant("pong" as const) }),
  HEARTBEAT: fc.record({ request }),
  REPLY_HEARTBEAT: fc.record({ request }),
  REQUEST_REGISTER: fc.record({ request, peer_id: peerId, address, advertised: fc.boolean(), host_name: text }),
  REPLY_REGISTER: fc.record({ request, address, lease_ms: durationMs, heartbeat_ms: durationMs }),
  REQUEST_PUBLISH: fc.record({
    request,
    primary_key: key,
    fname: fileName,
    size,
    total_chunknum: chunkCount,
    author_address: address,
    local_file: pathText,
    content_id: contentId,
  }),
  REPLY_PUBLISH: fc.record({ request, filename: fileName, result: fc.constant("ok" as const) }),
  REQUEST_UNPUBLISH: fc.record({ request, fname: fileName }),
  REPLY_UNPUBLISH: fc.record({ request, filename: fileName, result: fc.constant("ok" as const) }),
  REQUEST_FILE_LIST: fc.record({ request, fname: nullable(fileName), holder: nullable(address), cursor }),
  REPLY_FILE_LIST: fc.record({ request, file_list: fileList, next: cursor }),
  REQUEST_DISCOVER: fc.record({ request, address, cursor }),
  REPLY_DISCOVER: fc.record({ request, file_list: fileList, next: cursor }),
  REQUEST_FILE_LOCATION: fc.record({ request, primary_key: nullable(key), content_id: nullable(contentId) }),
  REPLY_FILE_LOCATION: fc.record({
    request,
    fileinfo: nullable(fileInfo),
    chunkinfo: fc.array(holderInfo, { maxLength: 5 }),
  }),
  REQUEST_CHUNK_REGISTER: fc.record({
    request,
    primary_key: nullable(key),
    content_id: contentId,
    size,
    chunknum: chunkRanges(),
    replace: fc.boolean(),
  }),
  REPLY_CHUNK_REGISTER: fc.record({ request, content_id: contentId }),
  REQUEST_ANNOUNCED: fc.record({ request }),
  REPLY_ANNOUNCED: fc.record({ request }),
  REQUEST_PROOF: fc.record({ request, challenge: digest }),
  REPLY_PROOF: fc.record({ request, proof: digest }),
  REQUEST_PEERS: fc.record({ request, host: address.map(hostOf) }),
  REPLY_PEERS: fc.record({ request, addresses: fc.array(address, { maxLength: 5 }) }),
  REQUEST_JOIN: fc.record({
    request,
    secret: bytes(16),
    certificate_request: bytes(1024),
    name: text,
    once: fc.boolean(),
  }),
  REPLY_JOIN: fc.record({ request, swarm: text, certificate: nullable(bytes(4096)), trackers }),
  REQUEST_RENEW: fc.record({ request }),
  REPLY_RENEW: fc.record({ request, certificate: bytes(4096), trackers }),
  REQUEST_LEAVE: fc.record({ request }),
  REPLY_LEAVE: fc.record({ request }),
  REVOKED: fc.record({ peer_ids: fc.array(peerId, { maxLength: 5 }).map((ids) => Uint8Array.fromHex(ids.join(""))) }),
  REQUEST_MANIFEST: fc.record({ request, content_id: contentId }),
  REPLY_MANIFEST: fc.record({ request, content_id: contentId }),
  REQUEST_JOIN_SWARM: fc.record({ request, content_id: contentId, chunks: chunkRanges() }),
  REPLY_JOIN_SWARM: fc.record({ request, content_id: contentId, chunks: chunkRanges() }),
  HAVE: fc.record({ content_id: contentId, chunks: chunkRanges() }),
  LEAVE_SWARM: fc.record({ content_id: contentId }),
  PEER_REQUEST_CHUNK: fc.record({
    request,
    filename: fileName,
    content_id: contentId,
    chunknum: chunkRanges({ empty: false }),
  }),
  PEER_REPLY_CHUNK: fc.record({ request, filename: fileName, content_id: contentId, chunknum: chunkNumber, digest }),
  CANCEL: fc.record({ request }),
  REQUEST_CONFIRM: fc.record({ request, address, nonces: fc.array(nonce, { minLength: 1, maxLength: 16 }) }),
  REPLY_CONFIRM: fc.record({ request, nonce: nullable(nonce) }),
};

export const messageNames = Object.keys(fieldsOf) as MessageName[];

export function messageOf(name: MessageName): fc.Arbitrary<Message> {
  const fields: fc.Arbitrary<object> = fieldsOf[name];
  return fields.map((values) => ({ type: name, ...values }) as Message);
}

export const anyMessage: fc.Arbitrary<Message> = fc.constantFrom(...messageNames).chain(messageOf);
