/** A tracker without a registry: it sends the answers that a test sets, wrong ones and none included. */
import type { Address, HostPort } from "../../src/core/address.ts";
import { hostOf, portOf } from "../../src/core/address.ts";
import { type FileInfo, publicationKey } from "../../src/core/model.ts";
import type { Listener } from "../../src/net/endpoint.ts";
import type { Outgoing } from "../../src/net/handlers.ts";
import { Peer, type PeerOptions } from "../../src/peer/peer.ts";
import type { Message, RequestName } from "../../src/wire/messages.ts";
import { listen } from "../support/endpoint.ts";
import { serveFake } from "../support/serve-fake.ts";
import { address, contentId, fileName } from "../tracker/fixtures.ts";

/** Answers by request; undefined for silence. Other requests are answered as by a tracker without files. */
export type Answers = {
  [Name in RequestName]?: (message: Message<Name>) => Outgoing | undefined | Promise<Outgoing | undefined>;
};

export class TestTracker {
  /** May be changed while the tracker runs. */
  answers: Answers;
  /** Number of requests received, by type. */
  readonly counts = new Map<RequestName, number>();
  readonly #listener: Listener;

  private constructor(listener: Listener, answers: Answers) {
    this.#listener = listener;
    this.answers = answers;
  }

  static async start(answers: Answers = {}): Promise<TestTracker> {
    let tracker: TestTracker | undefined;
    const listener = await listen({
      host: "127.0.0.1",
      port: 0,
      local: () => ({ role: "tracker", agent: "test", address: null }),
      onConnection: (connection) => serveFake(connection, { request: (message) => tracker!.#answer(message) }),
    });
    tracker = new TestTracker(listener, answers);
    return tracker;
  }

  get at(): HostPort {
    return { host: hostOf(this.#listener.address), port: portOf(this.#listener.address) };
  }

  stop(): void {
    this.#listener.stop();
  }

  #answer(message: Message<RequestName>): Outgoing | undefined | Promise<Outgoing | undefined> {
    this.counts.set(message.type, (this.counts.get(message.type) ?? 0) + 1);
    const answer = (this.answers[message.type] ?? defaults[message.type]) as
      | ((message: Message<RequestName>) => Outgoing | undefined)
      | undefined;
    return answer?.(message);
  }
}

const defaults: Answers = {
  HEARTBEAT: () => ({ type: "REPLY_HEARTBEAT" }),
  REQUEST_REGISTER: (message) => ({
    type: "REPLY_REGISTER",
    address: message.address,
    lease_ms: 8000,
    heartbeat_ms: 2000,
  }),
  REQUEST_PUBLISH: ({ fname }) => ({ type: "REPLY_PUBLISH", filename: fname, result: "ok" }),
  REQUEST_UNPUBLISH: ({ fname }) => ({ type: "REPLY_UNPUBLISH", filename: fname, result: "ok" }),
  REQUEST_CHUNK_REGISTER: ({ content_id }) => ({ type: "REPLY_CHUNK_REGISTER", content_id }),
  REQUEST_ANNOUNCED: () => ({ type: "REPLY_ANNOUNCED" }),
  REQUEST_FILE_LIST: () => ({ type: "REPLY_FILE_LIST", file_list: [], next: null }),
  REQUEST_DISCOVER: () => ({ type: "REPLY_DISCOVER", file_list: [], next: null }),
  REQUEST_FILE_LOCATION: () => ({ type: "REPLY_FILE_LOCATION", fileinfo: null, chunkinfo: [] }),
};

/** A peer for one test, not joined to a tracker yet, on any free port. */
export function openTestPeer(
  tracker: HostPort,
  filesFolder: string,
  options: Partial<PeerOptions> = {},
): Promise<Peer> {
  return Peer.open({
    dataFolder: undefined,
    filesFolder,
    listen: { host: "127.0.0.1", port: 0 },
    advertise: undefined,
    tracker,
    open: false,
    log: () => undefined,
    ...options,
  });
}

/** A row of a file list, published by another peer. */
export function listedFile(name: string, content: number, at: Address = address("127.0.0.1:1")): FileInfo {
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
