/** Admission: which connections a listener keeps when all its places are taken, over real sockets. */
import { expect, test } from "bun:test";
import { rangeOfOne } from "../../src/core/bitfield.ts";
import type { FileName } from "../../src/core/file-name.ts";
import type { ContentId } from "../../src/core/manifest.ts";
import { MiB } from "../../src/core/units.ts";
import type { Conduct, Standing } from "../../src/net/admission.ts";
import type { Connection } from "../../src/net/connection.ts";
import type { ListenOptions } from "../../src/net/endpoint.ts";
import { payloadOf } from "../../src/net/send-queue.ts";
import { encodeFrame } from "../../src/wire/frame.ts";
import { closeLater } from "../support/closing.ts";
import { helloOf, listenAs } from "../support/protocol-peer.ts";
import { RawPeer } from "../support/raw-peer.ts";
import { serveFake } from "../support/serve-fake.ts";
import { until } from "../support/until.ts";

const PLACES = 64;
const contentId = "ab".repeat(32) as ContentId;
const digest = new Uint8Array(32);
const chunkRequest = {
  type: "PEER_REQUEST_CHUNK",
  filename: "f" as FileName,
  content_id: contentId,
  chunknum: rangeOfOne(7),
} as const;

interface TestListener {
  readonly connections: Connection[];
  readonly standings: Map<Connection, Standing>;
  fullCalls: number;
  /** Connects from this IP and waits until the listener has read the HELLO. */
  connect(from?: string): Promise<RawPeer>;
}

async function startListener(options: Partial<ListenOptions> = {}): Promise<TestListener> {
  const connections: Connection[] = [];
  const standings = new Map<Connection, Standing>();
  const since = new Map<Connection, number>();
  const conductOf = (connection: Connection): Conduct => ({
    standing: standings.get(connection) ?? "stranger",
    usefulMs: since.get(connection)!,
    patienceMs: Number.POSITIVE_INFINITY,
  });
  const full = () => void listener.fullCalls++;
  const onConnection = (connection: Connection) => {
    since.set(connection, performance.now());
    connections.push(connection);
    options.onConnection?.(connection);
  };
  const { address } = await listenAs(
    helloOf("peer"),
    {},
    { connectionsMax: PLACES, conductOf, full, ...options, onConnection },
  );
  const listener: TestListener = {
    connections,
    standings,
    fullCalls: 0,
    async connect(from) {
      const before = connections.length;
      const client = await RawPeer.dial(address, { from });
      await until("the listener has seen it", () => client.isClosed || connections.length > before);
      return client;
    },
  };
  return listener;
}

test("when all places are taken, the idlest stranger of the address with most of them is evicted, and `full` is called once", async () => {
  const listener = await startListener();
  const few: RawPeer[] = [];
  for (let index = 0; index < 4; index++) few.push(await listener.connect("127.0.0.3"));
  const many: RawPeer[] = [];
  for (let index = 0; index < PLACES - 4; index++) many.push(await listener.connect("127.0.0.2"));
  for (let evicted = 1; evicted <= 8; evicted++) {
    const latest = await listener.connect("127.0.0.4");
    await until("the idlest is closed", () => many.filter((client) => client.isClosed).length === evicted);
    expect(latest.isClosed).toBe(false);
  }
  expect(many.map((client) => client.isClosed)).toEqual(many.map((_, index) => index < 8));
  expect(few.some((client) => client.isClosed)).toBe(false);
  expect(listener.fullCalls).toBe(1);
});

test("members and connections with a transfer are never evicted: where there are only those, a new connection is refused", async () => {
  const listener = await startListener();
  const clients: RawPeer[] = [];
  for (let index = 0; index < PLACES; index++) {
    clients.push(await listener.connect());
    if (index > 0) listener.standings.set(listener.connections[index]!, index % 2 === 0 ? "member" : "busy");
  }
  const first = await listener.connect("127.0.0.2");
  await until("the stranger is closed", () => clients[0]!.isClosed);
  expect(first.isClosed).toBe(false);
  listener.standings.set(listener.connections.at(-1)!, "member");
  const second = await listener.connect("127.0.0.2");
  expect(second.isClosed).toBe(true);
  expect(clients.slice(1).some((client) => client.isClosed)).toBe(false);
});

test("a place whose connection has closed is free", async () => {
  const listener = await startListener();
  const clients: RawPeer[] = [];
  for (let index = 0; index < PLACES; index++) {
    clients.push(await listener.connect());
    listener.standings.set(listener.connections[index]!, "member");
  }
  clients[5]!.close();
  await until("its place is free", () => !listener.connections[5]!.isOpen);
  expect((await listener.connect()).isClosed).toBe(false);
});

const bounds = { sweepMs: 20, frameMsMax: 200, unreadMsMax: 200 };

test("a control frame that is not complete in time closes the connection, also where a byte comes now and then", async () => {
  const listener = await startListener({ admission: bounds });
  const [half, trickling, idle] = [await listener.connect(), await listener.connect(), await listener.connect()];
  const frame = encodeFrame({ type: "HAVE", content_id: contentId, chunks: rangeOfOne(1) });
  half.send(frame.subarray(0, frame.length - 1));
  let sent = 0;
  closeLater(
    setInterval(() => void trickling.send(frame.subarray(sent, ++sent)), 20),
    clearInterval,
  );
  await until("both are closed", () => half.isClosed && trickling.isClosed);
  expect(sent).toBeLessThan(frame.length);
  expect(idle.isClosed).toBe(false);
});

test("a connection whose other side does not read its replies is closed", async () => {
  const bytes = new Uint8Array(4 * MiB);
  const listener = await startListener({
    admission: bounds,
    onConnection: (connection) =>
      serveFake(connection, {
        request(message) {
          const { filename, content_id } = chunkRequest;
          const reply = { type: "PEER_REPLY_CHUNK", filename, content_id, chunknum: 7, digest } as const;
          if (connection.payloadFramesQueued < 4) connection.replyWithPayload(message.request, reply, payloadOf(bytes));
          return undefined;
        },
      }),
  });
  const client = await listener.connect();
  client.pause();
  for (let request = 1; request <= 4; request++) client.send(encodeFrame({ ...chunkRequest, request }));
  await until("the send queue is blocked", () => listener.connections[0]?.sendBlockedSinceMs !== undefined);
  await until("the connection is closed", () => !listener.connections[0]!.isOpen);
});
