/**
 * A peer made of protocol messages alone, over real sockets: it asks what a test says, and answers what the test says.
 * `dialAs` and `listenAs` are what it is made of, for whoever is no such peer.
 */
import type { Address } from "../../src/core/address.ts";
import { chunkCountFor } from "../../src/core/manifest.ts";
import { type PeerId, publicationKey } from "../../src/core/model.ts";
import { KiB, SECOND_MS } from "../../src/core/units.ts";
import type { Connection, LocalHello } from "../../src/net/connection.ts";
import type { Listener, ListenOptions } from "../../src/net/endpoint.ts";
import type { Outgoing } from "../../src/net/handlers.ts";
import { proofOf } from "../../src/net/proof.ts";
import type { Security } from "../../src/net/security.ts";
import type { Message, ReplyName, RequestName, Role } from "../../src/wire/messages.ts";
import { closeLater, closeNow } from "./closing.ts";
import { dial, listen, type Secured } from "./endpoint.ts";
import { type FakeHandlers, serveFake } from "./serve-fake.ts";
import { contentId, fileName, peerId } from "./values.ts";

const DIAL_MS_MAX = 2 * SECOND_MS;
const ANSWER_MS_MAX = 5 * SECOND_MS;

/** Of what `publish` publishes: ten chunks. */
export const PUBLISHED_BYTES = 640 * KiB;

export function helloOf(role: Role, fields: Partial<LocalHello> = {}): LocalHello {
  return { role, agent: "test", address: null, ...fields };
}

/** The handlers, or a function that makes them for a connection. */
type Handling = FakeHandlers | ((connection: Connection) => FakeHandlers);

function serve(connection: Connection, handling: Handling): void {
  serveFake(connection, typeof handling === "function" ? handling(connection) : handling);
}

/** A connection with this HELLO. It is closed after the test. */
export async function dialAs(
  hello: LocalHello,
  to: Address,
  handling: Handling = {},
  { security }: Secured = {},
): Promise<Connection> {
  const options = { local: hello, timeoutMs: DIAL_MS_MAX, security };
  const connection = await dial(to, { ...options, onConnection: (ready) => serve(ready, handling) });
  return closeLater(connection, () => connection.close());
}

/** Takes connections with this HELLO, on any port of this machine unless the options say where, until the test is over. */
export async function listenAs(
  hello: LocalHello,
  handling: Handling = {},
  options: Partial<ListenOptions> & Secured = {},
): Promise<Listener> {
  const onConnection = (connection: Connection) => serve(connection, handling);
  const listener = await listen({ host: "127.0.0.1", port: 0, local: () => hello, onConnection, ...options });
  return closeLater(listener, () => listener.stop());
}

/** Takes a tracker's dial-back and proves to be the peer of this id. */
export function listenWithProof(id: PeerId, host = "127.0.0.2"): Promise<Listener> {
  const prove = ({ challenge }: Message<"REQUEST_PROOF">) =>
    ({ type: "REPLY_PROOF", proof: proofOf(id, challenge) }) as const;
  return listenAs(helloOf("peer"), { answers: { REQUEST_PROOF: prove } }, { host });
}

/** A peer's connection to its tracker. */
export class ProtocolPeer {
  readonly id: PeerId;
  readonly connection: Connection;
  /** As in REPLY_REGISTER. */
  address = "" as Address;
  /** Resolves when the tracker has closed the connection. */
  readonly gone: Promise<void>;

  private constructor(id: PeerId, connection: Connection, gone: Promise<void>) {
    this.id = id;
    this.connection = connection;
    this.gone = gone;
  }

  /** Connects without registering. Peers of different numbers have different ids. */
  static async dial(tracker: Address, number: number, handlers: FakeHandlers = {}): Promise<ProtocolPeer> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const connection = await dialAs(helloOf("peer"), tracker, { answers: {}, ...handlers, closed: () => resolve() });
    return new ProtocolPeer(peerId(number), connection, promise);
  }

  /** The same as a member of a swarm, whose id is that of its certificate. */
  static async dialAsMember(
    tracker: Address,
    { peerId: id, security }: { readonly peerId: PeerId; readonly security: Security },
  ): Promise<ProtocolPeer> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const handling = { answers: {}, closed: () => resolve() };
    return new ProtocolPeer(id, await dialAs(helloOf("peer"), tracker, handling, { security }), promise);
  }

  /** A registered peer, which claims to listen on this port. */
  static async join(tracker: Address, number: number, port = 7000 + number): Promise<ProtocolPeer> {
    const peer = await ProtocolPeer.dial(tracker, number);
    await peer.register({ address: `127.0.0.1:${port}` as Address });
    return peer;
  }

  request<Name extends RequestName>(message: Outgoing<Name>): Promise<Message<ReplyName<Name>>> {
    return this.connection.request(message, { timeoutMs: ANSWER_MS_MAX });
  }

  async register(fields: Partial<Outgoing<"REQUEST_REGISTER">> & { address: Address }) {
    const defaults = { type: "REQUEST_REGISTER", peer_id: this.id, advertised: false, host_name: "test-host" } as const;
    const reply = await this.request<"REQUEST_REGISTER">({ ...defaults, ...fields });
    this.address = reply.address;
    return reply;
  }

  /** A file of ten chunks. */
  publish(name: string, content: number, fields: Partial<Outgoing<"REQUEST_PUBLISH">> = {}) {
    const fname = fileName(name);
    return this.request<"REQUEST_PUBLISH">({
      type: "REQUEST_PUBLISH",
      primary_key: publicationKey(fname, this.address),
      fname,
      size: PUBLISHED_BYTES,
      total_chunknum: chunkCountFor(PUBLISHED_BYTES),
      author_address: this.address,
      local_file: `./${name}`,
      content_id: contentId(content),
      ...fields,
    });
  }

  /** The keys of all files at the tracker. */
  async listed(): Promise<string[]> {
    const list = { type: "REQUEST_FILE_LIST", fname: null, holder: null, cursor: null } as const;
    return (await this.request<"REQUEST_FILE_LIST">(list)).file_list.map((row) => row.key);
  }

  async holders(content: number): Promise<Address[]> {
    const where = { primary_key: null, content_id: contentId(content) };
    const reply = await this.request<"REQUEST_FILE_LOCATION">({ type: "REQUEST_FILE_LOCATION", ...where });
    return reply.chunkinfo.map((row) => row.address);
  }

  /** Sends heartbeats from now on. */
  keepAlive(everyMs: number): void {
    const beat = () => this.request({ type: "HEARTBEAT" }).catch(() => undefined);
    closeLater(setInterval(beat, everyMs), clearInterval);
  }

  async leave(): Promise<void> {
    await closeNow(this.connection);
    await this.gone;
  }
}
