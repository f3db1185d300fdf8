/**
 * Somebody who connects to a role, often as a member as good as any, and then sends valid messages of any kind at any
 * time, bytes that are none, and answers that nobody asked for, or reads nothing more.
 */
import fc from "fast-check";
import type { Address } from "../../../src/core/address.ts";
import { NO_CHUNKS } from "../../../src/core/bitfield.ts";
import type { ContentId } from "../../../src/core/manifest.ts";
import type { PeerId } from "../../../src/core/model.ts";
import { SECOND_MS } from "../../../src/core/units.ts";
import type { Membership } from "../../../src/identity/membership.ts";
import type { Outgoing } from "../../../src/net/handlers.ts";
import type { Transport, TransportEvents } from "../../../src/net/transport.ts";
import { encodeFrame } from "../../../src/wire/frame.ts";
import { type Message, PROTOCOL_VERSION } from "../../../src/wire/messages.ts";
import { randomBytes } from "../../support/bytes.ts";
import { messageNames, messageOf } from "../../wire/arbitraries.ts";
import { securityAs } from "./members.ts";
import type { Process } from "./process.ts";

const FRAMES_MAX = 20;
const STAY_MS_MAX = 20 * SECOND_MS;

const MESSAGES = messageNames.map((name) => messageOf(name));

export interface HostileOptions {
  readonly process: Process;
  readonly target: Address;
  readonly isTracker: boolean;
  /** Undefined for one that connects in plain. */
  readonly member: Membership | undefined;
  /** Contents that exist. */
  readonly contents: readonly ContentId[];
  readonly random: () => number;
}

/** Resolves when it is connected; rejects where nobody answers. */
export function harass(options: HostileOptions): Promise<void> {
  const { process, target, random } = options;
  const accept = (transport: Transport): TransportEvents => {
    const send = (bytes: Uint8Array) => void transport.write(bytes);
    const begin = () => {
      send(encodeFrame({ type: "HELLO", version: PROTOCOL_VERSION, role: "peer", agent: "?", address: null }));
      if (random() < 0.6) send(encodeFrame(membership(options)));
      const stayMs = STAY_MS_MAX * random();
      const isPatient = random() < 0.5;
      for (let count = Math.floor(FRAMES_MAX * random()); count > 0; count--)
        process.later(isPatient ? stayMs * random() : 0, () => send(frame(options)));
      if (random() < 0.2) process.later(stayMs * random(), () => transport.pause());
      process.later(stayMs, () => transport.terminate());
    };
    if (options.member === undefined) begin();
    return { secured: begin, data: () => {}, drain: () => {}, closed: () => {} };
  };
  const credentials = options.member && securityAs(options.member, process.system.clock).credentials();
  return process.system.network.connect(target, accept, credentials);
}

function membership(options: HostileOptions): Message {
  const { process, isTracker, random } = options;
  const request = 0;
  if (!isTracker) return { type: "REQUEST_JOIN_SWARM", request, content_id: someContent(options), chunks: NO_CHUNKS };
  const madeUp = process.system.random.bytes(16).toHex() as PeerId;
  const peerId = options.member?.peerId ?? madeUp;
  const address = `${process.ip}:${1 + Math.floor(60_000 * random())}` as Address;
  return { type: "REQUEST_REGISTER", request, peer_id: peerId, address, advertised: false, host_name: "hostile" };
}

function frame(options: HostileOptions): Uint8Array {
  const { random } = options;
  if (random() < 0.1) return randomBytes(Math.floor(1 + 100 * random()), Math.floor(1 + 1e6 * random()));
  const kind = MESSAGES[Math.floor(MESSAGES.length * random())]!;
  const [sample] = fc.sample(kind, { seed: Math.floor(2 ** 31 * random()), numRuns: 1 });
  const message: Record<string, unknown> = { ...sample! };
  if (random() < 0.7 && "request" in message) message.request = Math.floor(8 * random());
  if (random() < 0.7 && "content_id" in message) message.content_id = someContent(options);
  const bytes = encodeFrame(message as Outgoing as Message);
  if (random() < 0.1) bytes[Math.floor(bytes.length * random())]! ^= 0xff;
  return bytes;
}

function someContent({ contents, random }: HostileOptions): ContentId {
  return contents[Math.floor(contents.length * random())] ?? ("0".repeat(64) as ContentId);
}
