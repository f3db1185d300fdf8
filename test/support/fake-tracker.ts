/** A tracker without a registry: it sends the answers that a test sets, wrong ones and none included. */
import type { HostPort } from "../../src/core/address.ts";
import type { Connection } from "../../src/net/connection.ts";
import type { Listener } from "../../src/net/endpoint.ts";
import type { Message, RequestName } from "../../src/wire/messages.ts";
import type { Secured } from "./endpoint.ts";
import { helloOf, listenAs } from "./protocol-peer.ts";
import { hostPortOf } from "./roles.ts";
import type { Answers } from "./serve-fake.ts";

/** Those of a tracker without files. */
const defaults: Answers = {
  HEARTBEAT: () => ({ type: "REPLY_HEARTBEAT" }),
  REQUEST_REGISTER: ({ address }) => ({ type: "REPLY_REGISTER", address, lease_ms: 8000, heartbeat_ms: 2000 }),
  REQUEST_PUBLISH: ({ fname }) => ({ type: "REPLY_PUBLISH", filename: fname, result: "ok" }),
  REQUEST_UNPUBLISH: ({ fname }) => ({ type: "REPLY_UNPUBLISH", filename: fname, result: "ok" }),
  REQUEST_CHUNK_REGISTER: ({ content_id }) => ({ type: "REPLY_CHUNK_REGISTER", content_id }),
  REQUEST_ANNOUNCED: () => ({ type: "REPLY_ANNOUNCED" }),
  REQUEST_FILE_LIST: () => ({ type: "REPLY_FILE_LIST", file_list: [], next: null }),
  REQUEST_DISCOVER: () => ({ type: "REPLY_DISCOVER", file_list: [], next: null }),
  REQUEST_FILE_LOCATION: () => ({ type: "REPLY_FILE_LOCATION", fileinfo: null, chunkinfo: [] }),
};

export class FakeTracker {
  /** In place of the defaults; may be changed at any time. */
  answers: Answers = {};
  /** Number of requests received, by type. */
  readonly counts = new Map<RequestName, number>();
  /** Every one so far. */
  readonly connections: Connection[] = [];
  #listener!: Listener;

  static async start(secured: Secured = {}): Promise<FakeTracker> {
    const tracker = new FakeTracker();
    const handling = (connection: Connection) => {
      tracker.connections.push(connection);
      return { request: (message: Message<RequestName>) => tracker.#answer(message) };
    };
    tracker.#listener = await listenAs(helloOf("tracker"), handling, secured);
    return tracker;
  }

  get at(): HostPort {
    return hostPortOf(this.#listener.address);
  }

  #answer(message: Message<RequestName>) {
    this.counts.set(message.type, (this.counts.get(message.type) ?? 0) + 1);
    const answer = (this.answers[message.type] ?? defaults[message.type]) as Answers["HEARTBEAT"];
    return answer?.(message as Message<"HEARTBEAT">);
  }
}
