/**
 * A process that floods one listener of a private swarm from one source address until it is killed. It prints a line
 * when it has begun, and lets everything else of its machine go first, since whoever floods has a machine of its own.
 * Argument: a `FloodOrder` as JSON.
 */
import { createConnection, type Socket } from "node:net";
import { setPriority } from "node:os";
import { connect } from "node:tls";
import { type Address, hostOf, portOf } from "../../src/core/address.ts";
import { NO_CHUNKS, rangeOfOne } from "../../src/core/bitfield.ts";
import { INVITATION_SECRET_BYTES } from "../../src/core/limits.ts";
import type { ContentId } from "../../src/core/manifest.ts";
import type { PeerId } from "../../src/core/model.ts";
import { SECOND_MS } from "../../src/core/units.ts";
import { encodeFrame, FrameDecoder } from "../../src/wire/frame.ts";
import { type Message, PROTOCOL_VERSION } from "../../src/wire/messages.ts";
import { clientHello } from "./client-hello.ts";

/** Texts are PEM. */
export interface HostileMember {
  readonly peerId: PeerId;
  readonly key: string;
  readonly cert: string;
}

export interface FloodOrder {
  readonly kind: FloodKind;
  readonly to: Address;
  readonly connections: number;
  /** Source address. */
  readonly from: string;
  /** What the peer shares that is flooded. */
  readonly content: ContentId;
  /** One for each connection of a flood by members. */
  readonly members: readonly HostileMember[];
  /** How many names the tracker lists. */
  readonly names: number;
}

const LOWEST_PRIORITY = 19;
const OPENED_AT_ONCE = 50;
const BACK_AFTER_MS = 100;
const FRAMES_AT_ONCE = 64;
/** Below what a tracker lets wait. */
const LISTS_AT_ONCE = 32;

const order = JSON.parse(process.argv[2]!) as FloodOrder;
const { kind, to, connections, from, content: content_id, members, names } = order;
const hello = await clientHello();
const where = { host: hostOf(to), port: portOf(to), localAddress: from };

/** Makes a connection of this number, which does the harm. */
type Flood = (number: number) => Socket;

const floods = {
  /** Connections that say nothing. */
  idle: () => createConnection(where),
  /** The first message of a handshake, and nothing after it. */
  "half open": () => {
    const socket = createConnection(where);
    socket.write(hello);
    return socket;
  },
  /** The same, a byte a second. */
  slow: () => {
    const socket = createConnection(where);
    let sent = 0;
    const timer = setInterval(() => socket.write(hello.subarray(sent++, sent)), SECOND_MS);
    return socket.once("close", () => clearInterval(timer));
  },
  /** Secrets of invitations, by somebody who has none. */
  guesses: () =>
    pouring(encrypted(), (request) => ({
      type: "REQUEST_JOIN",
      request,
      secret: crypto.getRandomValues(new Uint8Array(INVITATION_SECRET_BYTES)),
      certificate_request: new Uint8Array(500),
      name: "guess",
    })),
  /** Pages of the list of all names, by members. */
  listings: (number) => listing(registered(number)),
  haves: (number) =>
    pouring(inSwarm(number), (request) => ({ type: "HAVE", content_id, chunks: rangeOfOne(request % 128) })),
  joins: (number) =>
    pouring(encrypted(members[number]), (request) =>
      request % 2 === 0 ? { type: "LEAVE_SWARM", content_id } : joinMessage(request),
    ),
} satisfies Record<string, Flood>;

export type FloodKind = keyof typeof floods;

function joinMessage(request: number): Message {
  return { type: "REQUEST_JOIN_SWARM", request, content_id, chunks: NO_CHUNKS };
}

/** As this member, or as nobody; says HELLO. */
function encrypted({ key, cert }: Partial<HostileMember> = {}): Socket {
  const options = { ...where, key, cert, servername: "member.p2pfs", rejectUnauthorized: false } as const;
  const socket = connect({ ...options, minVersion: "TLSv1.3" });
  socket.write(encodeFrame({ type: "HELLO", version: PROTOCOL_VERSION, role: "peer", agent: "flood", address: null }));
  return socket;
}

function registered(number: number): Socket {
  const member = members[number]!;
  const socket = encrypted(member);
  const address = `127.0.0.1:${20_000 + number}` as Address;
  const { peerId: peer_id } = member;
  const fields = { peer_id, address, advertised: false, host_name: "flood" } as const;
  socket.write(encodeFrame({ type: "REQUEST_REGISTER", request: 0, ...fields }));
  return socket;
}

function inSwarm(number: number): Socket {
  const socket = encrypted(members[number]);
  socket.write(encodeFrame(joinMessage(0)));
  return socket;
}

/** Sends messages as fast as they are taken, and reads no answer. */
function pouring(socket: Socket, message: (request: number) => Message): Socket {
  let request = 0;
  const pour = () => {
    if (socket.destroyed) return;
    const frames = Array.from({ length: FRAMES_AT_ONCE }, () => encodeFrame(message(++request)));
    if (socket.write(Buffer.concat(frames))) setImmediate(pour);
    else socket.once("drain", pour);
  };
  socket.resume();
  socket.once("secureConnect", pour);
  return socket;
}

/** Asks for one page after another, from anywhere in the list. */
function listing(socket: Socket): Socket {
  let request = 0;
  const ask = () => {
    const cursor = JSON.stringify([`name-${1 + Math.floor(Math.random() * names)}`, 0]);
    const fields = { request: ++request, fname: null, holder: null, cursor } as const;
    if (!socket.destroyed) socket.write(encodeFrame({ type: "REQUEST_FILE_LIST", ...fields }));
  };
  const decoder = new FrameDecoder({
    checkFrame: () => undefined,
    checkHeader: () => undefined,
    openPayload: () => undefined,
    handleFault: () => undefined,
    handleMessage: ({ type }) => {
      if (type === "REPLY_REGISTER") for (let waiting = 0; waiting < LISTS_AT_ONCE; waiting++) ask();
      if (type === "REPLY_FILE_LIST") ask();
    },
  });
  return socket.on("data", (piece: Buffer) => void decoder.push(piece));
}

let begun = 0;

function open(number: number): void {
  const flood: Flood = floods[kind];
  const socket = flood(number);
  socket.on("error", () => undefined);
  if (socket.listenerCount("data") === 0) socket.resume();
  socket.once("connect", () => {
    if (++begun === connections) console.log("flooding");
  });
  socket.once("close", () => setTimeout(() => open(number), BACK_AFTER_MS));
}

setPriority(LOWEST_PRIORITY);
for (let number = 0; number < connections; number++) {
  open(number);
  if (number % OPENED_AT_ONCE === 0) await Bun.sleep(1);
}
