/**
 * A member of the system that lies: it registers at the tracker as everybody does, says that it holds all of a content,
 * and answers requests with damaged bytes, the wrong chunk, nothing, or a refusal.
 */
import type { Address } from "../../../src/core/address.ts";
import { Bitfield } from "../../../src/core/bitfield.ts";
import { type ContentId, chunkCountFor, chunkLengthAt, chunkSizeFor } from "../../../src/core/manifest.ts";
import type { PeerId } from "../../../src/core/model.ts";
import { SECOND_MS } from "../../../src/core/units.ts";
import type { Membership } from "../../../src/identity/membership.ts";
import type { Connection } from "../../../src/net/connection.ts";
import { Endpoint } from "../../../src/net/endpoint.ts";
import type { Outgoing } from "../../../src/net/handlers.ts";
import { payloadOf } from "../../../src/net/send-queue.ts";
import type { Message, RequestName } from "../../../src/wire/messages.ts";
import { randomBytes } from "../../support/bytes.ts";
import { serveFake } from "../../support/serve-fake.ts";
import { securityAs } from "./members.ts";
import type { Process } from "./process.ts";

const PORT = 7000;
const REQUEST_MS_MAX = 5 * SECOND_MS;
const HEARTBEAT_MS = 2 * SECOND_MS;

export interface LiarOptions {
  readonly process: Process;
  readonly tracker: Address;
  readonly contentId: ContentId;
  /** Bytes of the content. */
  readonly size: number;
  /** Undefined for one that connects in plain. */
  readonly member: Membership | undefined;
  readonly random: () => number;
}

/** Rejects where the tracker does not take it. */
export async function startLiar(options: LiarOptions): Promise<void> {
  const { process, tracker, contentId, size, random } = options;
  const address = `${process.ip}:${PORT}` as Address;
  const { system } = process;
  const security = options.member && securityAs(options.member, system.clock);
  const local = () => ({ role: "peer", agent: "liar", address }) as const;
  const endpoint = new Endpoint({ system, local, security: () => security });
  await endpoint.listen({
    host: process.ip,
    port: PORT,
    onConnection: (connection) => serveFake(connection, { request: (message) => lie(connection, message, options) }),
  });
  const session = await endpoint.dial(tracker, { timeoutMs: REQUEST_MS_MAX });
  const timeoutMs = REQUEST_MS_MAX;
  const madeUp = Array.from({ length: 32 }, () => Math.floor(16 * random()).toString(16)).join("") as PeerId;
  const peerId = options.member?.peerId ?? madeUp;
  await session.request(
    { type: "REQUEST_REGISTER", peer_id: peerId, address, advertised: false, host_name: "liar" },
    { timeoutMs },
  );
  const chunknum = Bitfield.full(chunkCountFor(size)).toRanges();
  await session.request(
    { type: "REQUEST_CHUNK_REGISTER", primary_key: null, content_id: contentId, size, chunknum, replace: true },
    { timeoutMs },
  );
  const heartbeat = process.system.clock.every(HEARTBEAT_MS, () => {
    if (session.isOpen) session.request({ type: "HEARTBEAT" }, { timeoutMs }).catch(() => {});
    else heartbeat.cancel();
  });
}

function lie(
  connection: Connection,
  message: Message<RequestName>,
  { size, random }: LiarOptions,
): Outgoing | undefined {
  if (message.type === "REQUEST_PING_PONG") return { type: "REPLY_PING_PONG", response: "pong" };
  if (message.type === "REQUEST_JOIN_SWARM") {
    const chunks = Bitfield.full(chunkCountFor(size)).toRanges();
    return { type: "REPLY_JOIN_SWARM", content_id: message.content_id, chunks };
  }
  const isMute = random() < 0.2 || connection.payloadFramesQueued > 1;
  if (isMute) return undefined;
  const { request } = message;
  if (message.type === "REQUEST_MANIFEST") {
    const reply = { type: "REPLY_MANIFEST", content_id: message.content_id } as const;
    connection.replyWithPayload(request, reply, payloadOf(randomBytes(100, 1)));
  } else if (message.type === "PEER_REQUEST_CHUNK") {
    const { filename, content_id, chunknum } = message;
    const chunk = random() < 0.8 ? chunknum[0]! : chunknum[0]! + 1;
    const isThere = chunk < chunkCountFor(size);
    const length = isThere && random() < 0.9 ? chunkLengthAt(size, chunkSizeFor(size), chunk) : 7;
    const digest = new Uint8Array(32);
    const reply = { type: "PEER_REPLY_CHUNK", filename, content_id, chunknum: chunk, digest } as const;
    connection.replyWithPayload(request, reply, payloadOf(randomBytes(length, 3)));
  }
  return undefined;
}
