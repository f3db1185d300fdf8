/** Which connections keep their places, over real sockets. */
import { afterEach, expect, test } from "bun:test";
import type { Address } from "../../src/core/address.ts";
import { rangeOfOne } from "../../src/core/bitfield.ts";
import type { FileName } from "../../src/core/file-name.ts";
import type { ContentId } from "../../src/core/manifest.ts";
import { MiB } from "../../src/core/units.ts";
import type { Conduct, Standing } from "../../src/net/admission.ts";
import type { Connection, LocalHello } from "../../src/net/connection.ts";
import type { ListenOptions } from "../../src/net/endpoint.ts";
import { payloadOf } from "../../src/net/send-queue.ts";
import { encodeFrame } from "../../src/wire/frame.ts";
import { until } from "../e2e/cluster.ts";
import { listen } from "../support/endpoint.ts";
import { serveFake } from "../support/serve-fake.ts";
import { connectRaw, type RawClient } from "./raw-client.ts";

const PLACES = 64;
const local: LocalHello = { role: "peer", agent: "test", address: null };
const contentId = "ab".repeat(32) as ContentId;
const digest = new Uint8Array(32);
const chunkRequest = {
  type: "PEER_REQUEST_CHUNK",
  filename: "f" as FileName,
  content_id: contentId,
  chunknum: rangeOfOne(7),
} as const;
const chunkReply = (request: number, bytes: number) =>
  encodeFrame(
    { type: "PEER_REPLY_CHUNK", request, filename: "f" as FileName, content_id: contentId, chunknum: 7, digest },
    bytes,
  );

const cleanups: (() => unknown)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0).reverse()) cleanup();
});

interface Door {
  readonly address: Address;
  readonly connections: Connection[];
  readonly standings: Map<Connection, Standing>;
  fullCalls: number;
  /** Connects from this IP and waits until the listener has read the HELLO. */
  enter(from?: string): Promise<RawClient>;
}

async function openDoor(options: Partial<ListenOptions> = {}): Promise<Door> {
  const connections: Connection[] = [];
  const standings = new Map<Connection, Standing>();
  const since = new Map<Connection, number>();
  const conductOf = (connection: Connection): Conduct => ({
    standing: standings.get(connection) ?? "stranger",
    usefulMs: since.get(connection)!,
    patienceMs: Number.POSITIVE_INFINITY,
  });
  const listener = await listen({
    host: "127.0.0.1",
    port: 0,
    local: () => local,
    connectionsMax: PLACES,
    conductOf,
    full: () => {
      door.fullCalls++;
    },
    onConnection: (connection) => {
      since.set(connection, performance.now());
      connections.push(connection);
      options.onConnection?.(connection);
    },
    ...(options.admission && { admission: options.admission }),
  });
  cleanups.push(() => listener.stop());
  const door: Door = {
    address: listener.address,
    connections,
    standings,
    fullCalls: 0,
    async enter(from) {
      const before = connections.length;
      const client = await connectRaw(listener.address, from);
      cleanups.push(() => client.socket.destroy());
      await until(() => client.isClosed() || connections.length > before);
      return client;
    },
  };
  return door;
}

test("when all places are taken, the idlest stranger of the address with most of them is evicted, and `full` is called once", async () => {
  const door = await openDoor();
  const few: RawClient[] = [];
  for (let index = 0; index < 4; index++) few.push(await door.enter("127.0.0.3"));
  const many: RawClient[] = [];
  for (let index = 0; index < PLACES - 4; index++) many.push(await door.enter("127.0.0.2"));
  for (let newcomers = 1; newcomers <= 8; newcomers++) {
    const newcomer = await door.enter("127.0.0.4");
    await until(() => many.filter((client) => client.isClosed()).length === newcomers);
    expect(newcomer.isClosed()).toBe(false);
  }
  expect(many.map((client) => client.isClosed())).toEqual(many.map((_, index) => index < 8));
  expect(few.some((client) => client.isClosed())).toBe(false);
  expect(door.fullCalls).toBe(1);
});

test("members and connections with a transfer are never evicted: where there are only those, a new connection is refused", async () => {
  const door = await openDoor();
  const clients: RawClient[] = [];
  for (let index = 0; index < PLACES; index++) {
    clients.push(await door.enter());
    if (index > 0) door.standings.set(door.connections[index]!, index % 2 === 0 ? "member" : "busy");
  }
  const first = await door.enter("127.0.0.2");
  await until(() => clients[0]!.isClosed());
  expect(first.isClosed()).toBe(false);
  door.standings.set(door.connections.at(-1)!, "member");
  const second = await door.enter("127.0.0.2");
  expect(second.isClosed()).toBe(true);
  expect(clients.slice(1).some((client) => client.isClosed())).toBe(false);
});

test("a place that somebody leaves is free", async () => {
  const door = await openDoor();
  const clients: RawClient[] = [];
  for (let index = 0; index < PLACES; index++) {
    clients.push(await door.enter());
    door.standings.set(door.connections[index]!, "member");
  }
  clients[5]!.socket.destroy();
  await until(() => !door.connections[5]!.isOpen);
  expect((await door.enter()).isClosed()).toBe(false);
});

const bounds = { sweepMs: 20, frameMsMax: 200, unreadMsMax: 200 };

test("a control frame that is not whole in time ends the connection, also where a byte comes now and then", async () => {
  const door = await openDoor({ admission: bounds });
  const [half, trickling, idle] = [await door.enter(), await door.enter(), await door.enter()];
  const frame = encodeFrame({ type: "HAVE", content_id: contentId, chunks: rangeOfOne(1) });
  half.socket.write(frame.subarray(0, frame.length - 1));
  let sent = 0;
  const timer = setInterval(() => void trickling.socket.write(frame.subarray(sent, ++sent)), 20);
  cleanups.push(() => clearInterval(timer));
  await until(() => half.isClosed() && trickling.isClosed());
  expect(sent).toBeLessThan(frame.length);
  expect(idle.isClosed()).toBe(false);
});

test("a payload may take its time as long as its bytes come; one that stops ends the connection", async () => {
  const payload = 40;
  const answers: Promise<unknown>[] = [];
  const door = await openDoor({
    admission: bounds,
    onConnection: (connection) => {
      const openPayload = (_reply: unknown, bytes: number) => new Uint8Array(bytes);
      answers.push(connection.ask(chunkRequest, { openPayload }).reply.catch((error: unknown) => error));
    },
  });
  const [slow, stopped] = [await door.enter(), await door.enter()];
  for (const { socket } of [slow, stopped]) {
    socket.write(chunkReply(1, payload));
    socket.write(new Uint8Array(1));
  }
  for (let sent = 1; sent < payload; sent++) {
    await Bun.sleep(20);
    slow.socket.write(new Uint8Array(1));
  }
  expect(await answers[0]).toMatchObject({ message: { type: "PEER_REPLY_CHUNK" } });
  expect(await answers[1]).toMatchObject({ code: "unreachable" });
  await until(() => stopped.isClosed());
  expect(slow.isClosed()).toBe(false);
});

test("who does not read what it asked for loses its place", async () => {
  const bytes = new Uint8Array(4 * MiB);
  const door = await openDoor({
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
  const client = await door.enter();
  client.socket.pause();
  for (let request = 1; request <= 4; request++) client.socket.write(encodeFrame({ ...chunkRequest, request }));
  await until(() => door.connections[0]?.sendBlockedSinceMs !== undefined);
  await until(() => !door.connections[0]!.isOpen, 5000);
});
