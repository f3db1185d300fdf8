/** A tracker with its own data folder, and peers that send it raw messages over real sockets. */
import type { Address } from "../../src/core/address.ts";
import { chunkCountFor } from "../../src/core/manifest.ts";
import { type PeerId, publicationKey } from "../../src/core/model.ts";
import { KiB } from "../../src/core/units.ts";
import type { Connection, LocalHello } from "../../src/net/connection.ts";
import type { Listener } from "../../src/net/endpoint.ts";
import type { Outgoing } from "../../src/net/handlers.ts";
import { proofOf } from "../../src/net/proof.ts";
import { openDataFolder } from "../../src/store/data-folder.ts";
import { Tracker, type TrackerOptions } from "../../src/tracker/tracker.ts";
import type { Message, ReplyName, RequestName } from "../../src/wire/messages.ts";
import { dial, listen } from "../support/endpoint.ts";
import { type FakeHandlers, serveFake } from "../support/serve-fake.ts";
import { contentId, fileName, peerId } from "./fixtures.ts";

export const localPeer: LocalHello = { role: "peer", agent: "test", address: null };

/** Ten chunks. */
export const fileSize = 640 * KiB;

export async function openTracker(path: string, options: Partial<TrackerOptions> = {}) {
  const dataFolder = openDataFolder({ role: "tracker", flag: path });
  const tracker = await Tracker.open({ dataFolder, log: () => {}, ...options });
  const close = async () => {
    await tracker.close();
    dataFolder.close();
  };
  return { tracker, close };
}

export class TestPeer {
  readonly id: PeerId;
  readonly connection: Connection;
  /** As in REPLY_REGISTER. */
  address: Address;
  /** Resolves when the tracker has closed the connection. */
  readonly gone: Promise<void>;

  private constructor(id: PeerId, connection: Connection, gone: Promise<void>) {
    this.id = id;
    this.connection = connection;
    this.address = "" as Address;
    this.gone = gone;
  }

  /** Connects without registering. */
  static async dial(tracker: Address, number: number, handlers: FakeHandlers = {}): Promise<TestPeer> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const connection = await dial(tracker, {
      local: localPeer,
      timeoutMs: 2000,
      onConnection: (ready) =>
        serveFake(ready, {
          request: () => ({ type: "REPLY_PING_PONG", response: "pong" }),
          ...handlers,
          closed: () => resolve(),
        }),
    });
    return new TestPeer(peerId(number), connection, promise);
  }

  /** A registered peer, which claims to listen on this port. */
  static async join(tracker: Address, number: number, port = 7000 + number): Promise<TestPeer> {
    const peer = await TestPeer.dial(tracker, number);
    await peer.register({ address: `127.0.0.1:${port}` as Address });
    return peer;
  }

  request<Name extends RequestName>(message: Outgoing<Name>): Promise<Message<ReplyName<Name>>> {
    return this.connection.request(message, { timeoutMs: 5000 });
  }

  async register(fields: Partial<Outgoing<"REQUEST_REGISTER">> & { address: Address }) {
    const defaults = { type: "REQUEST_REGISTER", peer_id: this.id, advertised: false, host_name: "test-host" } as const;
    const reply = await this.request<"REQUEST_REGISTER">({ ...defaults, ...fields });
    this.address = reply.address;
    return reply;
  }

  publish(name: string, content: number, fields: Partial<Outgoing<"REQUEST_PUBLISH">> = {}) {
    const fname = fileName(name);
    return this.request<"REQUEST_PUBLISH">({
      type: "REQUEST_PUBLISH",
      primary_key: publicationKey(fname, this.address),
      fname,
      size: fileSize,
      total_chunknum: chunkCountFor(fileSize),
      author_address: this.address,
      local_file: `./${name}`,
      content_id: contentId(content),
      ...fields,
    });
  }

  async listed(): Promise<string[]> {
    const list = { type: "REQUEST_FILE_LIST", fname: null, holder: null, cursor: null } as const;
    return (await this.request<"REQUEST_FILE_LIST">(list)).file_list.map((row) => row.key);
  }

  async holders(content: number) {
    const where = { primary_key: null, content_id: contentId(content) };
    const reply = await this.request<"REQUEST_FILE_LOCATION">({ type: "REQUEST_FILE_LOCATION", ...where });
    return reply.chunkinfo.map((row) => row.address);
  }

  async leave(): Promise<void> {
    this.connection.close();
    await this.gone;
  }
}

/** Listens for the tracker's dial-back and proves to be the peer of this id. */
export async function provingListener(id: PeerId, host = "127.0.0.2"): Promise<Listener> {
  return listen({
    host,
    port: 0,
    local: () => localPeer,
    onConnection: (connection) =>
      serveFake(connection, {
        request(message) {
          if (message.type !== "REQUEST_PROOF") return undefined;
          return { type: "REPLY_PROOF", proof: proofOf(id, message.challenge) };
        },
      }),
  });
}
