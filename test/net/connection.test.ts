/** Connections over real sockets: HELLO, requests and replies, payloads, refusals, and the faults that close them. */
import { afterEach, expect, test } from "bun:test";
import type { Address } from "../../src/core/address.ts";
import { rangeOfOne } from "../../src/core/bitfield.ts";
import { P2pfsError } from "../../src/core/errors.ts";
import type { FileName } from "../../src/core/file-name.ts";
import type { ContentId } from "../../src/core/manifest.ts";
import { MiB } from "../../src/core/units.ts";
import type { Connection, LocalHello } from "../../src/net/connection.ts";
import type { Listener } from "../../src/net/endpoint.ts";
import { payloadOf } from "../../src/net/send-queue.ts";
import { encodeFrame } from "../../src/wire/frame.ts";
import { dial, listen } from "../support/endpoint.ts";
import { type FakeHandlers, serveFake } from "../support/serve-fake.ts";

const local: LocalHello = { role: "peer", agent: "test", address: null };
const contentId = "ab".repeat(32) as ContentId;
const filename = "f" as FileName;
const digest = new Uint8Array(32);
const ping = { type: "REQUEST_PING_PONG", peer_address: null } as const;
const chunkRequest = { type: "PEER_REQUEST_CHUNK", filename, content_id: contentId, chunknum: rangeOfOne(7) } as const;

const listeners: Listener[] = [];
afterEach(() => {
  for (const listener of listeners.splice(0)) listener.stop();
});

async function serving(handlersOf: (connection: Connection) => FakeHandlers): Promise<Address> {
  const listener = await listen({
    host: "127.0.0.1",
    port: 0,
    local: () => local,
    onConnection: (connection) => serveFake(connection, handlersOf(connection)),
  });
  listeners.push(listener);
  return listener.address;
}

/** A bare TCP client that collects the bytes it receives. */
async function rawClient(address: Address) {
  const received: number[] = [];
  const { promise: closed, resolve } = Promise.withResolvers<void>();
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port: Number(address.split(":")[1]),
    socket: { data: (_socket, piece) => void received.push(...piece), close: () => resolve() },
  });
  return { socket, received, closed };
}

test("what a handler throws that is no operating error is told as its role says, and so is what a notice causes", async () => {
  const during: string[] = [];
  const gone = Promise.withResolvers<P2pfsError | undefined>();
  const address = await serving(() => ({
    request() {
      throw new TypeError("x is no function");
    },
    notice() {
      throw new TypeError("y is no function");
    },
    reportableError(thrown, what) {
      during.push(what);
      const { message } = thrown as Error;
      return new P2pfsError("internal", `${message} (reference 123456)`, { reference: "123456" });
    },
    closed: gone.resolve,
  }));
  const connection = await dial(address, { local, timeoutMs: 1000 });
  await expect(connection.request({ type: "REQUEST_MANIFEST", content_id: contentId })).rejects.toMatchObject({
    code: "internal",
    message: "the other side has a defect (reference 123456)",
  });
  connection.send({ type: "LEAVE_SWARM", content_id: contentId });
  expect(await gone.promise).toMatchObject({ message: "y is no function (reference 123456)" });
  expect(during).toEqual(["REQUEST_MANIFEST", "a frame"]);
  connection.close();
});

test("a request gets its reply, a thrown error its ERROR", async () => {
  const address = await serving(() => ({
    request(message) {
      if (message.type === "REQUEST_PING_PONG") return { type: "REPLY_PING_PONG", response: "pong" };
      throw new P2pfsError("not_found", "no such thing");
    },
  }));
  const connection = await dial(address, { local, timeoutMs: 1000 });
  expect(await connection.request(ping)).toMatchObject({ type: "REPLY_PING_PONG" });
  const refused = connection.request({ type: "REQUEST_MANIFEST", content_id: contentId });
  expect(refused).rejects.toMatchObject({ code: "not_found", message: "no such thing" });
  expect(connection.hello).toMatchObject({ role: "peer", agent: "test" });
  connection.close();
});

test("payloads arrive whole in the buffer that was named, and control frames overtake waiting ones", async () => {
  const bytes = new Uint8Array(4 * MiB).map((_, index) => (index * 31) & 0xff);
  const address = await serving((connection) => ({
    request(message) {
      if (message.type === "REQUEST_PING_PONG") return { type: "REPLY_PING_PONG", response: "pong" };
      const reply = { type: "PEER_REPLY_CHUNK", filename, content_id: contentId, chunknum: 7, digest } as const;
      connection.replyWithPayload(message.request, reply, payloadOf(bytes));
      return undefined;
    },
  }));
  const connection = await dial(address, { local, timeoutMs: 1000 });
  const order: string[] = [];
  const buffers: Uint8Array[] = [];
  const chunks = [0, 1, 2].map((index) => {
    const openPayload = (_reply: unknown, length: number) => {
      buffers[index] = new Uint8Array(length);
      return buffers[index];
    };
    return connection.ask(chunkRequest, { openPayload }).reply.then(() => order.push(`chunk ${index}`));
  });
  const beat = connection.request(ping).then(() => order.push("beat"));
  await Promise.all([...chunks, beat]);
  for (const buffer of buffers) expect(Bun.hash(buffer)).toBe(Bun.hash(bytes));
  expect(order.indexOf("beat")).toBeLessThan(order.indexOf("chunk 1"));
  connection.close();
});

test("a request without an answer fails at its timeout; the late reply harms nobody", async () => {
  const held: number[] = [];
  let other: Connection | undefined;
  const address = await serving((connection) => {
    other = connection;
    return {
      request(message) {
        if (message.type === "REQUEST_MANIFEST") held.push(message.request);
        return message.type === "REQUEST_PING_PONG" ? { type: "REPLY_PING_PONG", response: "pong" } : undefined;
      },
    };
  });
  const connection = await dial(address, { local, timeoutMs: 1000 });
  const silent = connection.request({ type: "REQUEST_MANIFEST", content_id: contentId }, { timeoutMs: 20 });
  expect(await silent.catch((error) => error)).toMatchObject({ code: "unreachable" });
  other!.replyWithPayload(held[0]!, { type: "REPLY_MANIFEST", content_id: contentId }, payloadOf(new Uint8Array(9)));
  expect(await connection.request(ping)).toMatchObject({ type: "REPLY_PING_PONG" });
  connection.close();
});

test("closing rejects what is pending on both sides and tells the cause", async () => {
  const { promise: closed, resolve } = Promise.withResolvers<P2pfsError | undefined>();
  const address = await serving((connection) => ({
    request() {
      connection.close(new P2pfsError("refused", "go away"));
      return undefined;
    },
  }));
  const connection = await dial(address, { local, timeoutMs: 1000 });
  serveFake(connection, { closed: resolve });
  const pending = connection.request(ping);
  expect(await pending.catch((error) => error)).toMatchObject({ code: "refused", message: "go away" });
  expect(await closed).toMatchObject({ code: "refused" });
  expect(connection.isOpen).toBe(false);
  const late = connection.request(ping);
  expect(await late.catch((error) => error)).toBeInstanceOf(P2pfsError);
});

test("whoever goes on asking at full speed after refusals is closed", async () => {
  const { promise: closed, resolve } = Promise.withResolvers<P2pfsError | undefined>();
  const address = await serving(() => ({
    request() {
      throw new P2pfsError("busy", "no room");
    },
    closed: resolve,
  }));
  const connection = await dial(address, { local, timeoutMs: 1000 });
  const askTimes = async (times: number) => {
    const ask = () => connection.request({ type: "REQUEST_MANIFEST", content_id: contentId });
    const answers = Array.from({ length: times }, () => ask().catch((error: P2pfsError) => error.code));
    return (await Promise.all(answers)).filter((code) => code === "busy").length;
  };
  expect(await askTimes(1000)).toBe(1000);
  expect(connection.isOpen).toBe(true);
  await askTimes(10_000);
  expect(await closed).toMatchObject({ code: "busy" });
});

test("another protocol version is refused by name", async () => {
  const address = await serving(() => ({}));
  const { socket, received, closed } = await rawClient(address);
  socket.write(encodeFrame({ type: "HELLO", version: 2, ...local }));
  await closed;
  expect(Buffer.from(received).toString("latin1")).toContain("protocol version 1");
});

test("a first frame other than HELLO, and a frame that is too long, close the connection with an ERROR", async () => {
  const address = await serving(() => ({}));
  for (const bytes of [encodeFrame({ ...ping, request: 1 }), new Uint8Array(8).fill(0xff)]) {
    const { socket, received, closed } = await rawClient(address);
    socket.write(bytes);
    await closed;
    expect(received.length).toBeGreaterThan(40);
  }
});

test("an unknown message is answered with an ERROR and the connection lives", async () => {
  const address = await serving(() => ({ request: () => ({ type: "REPLY_PING_PONG", response: "pong" }) }));
  const { socket, received } = await rawClient(address);
  const unknown = encodeFrame({ ...ping, request: 5 });
  unknown[4] = 0xee;
  socket.write(encodeFrame({ type: "HELLO", version: 1, ...local }));
  socket.write(unknown);
  socket.write(encodeFrame({ ...ping, request: 6 }));
  const text = () => Buffer.from(received).toString("latin1");
  while (!text().includes("pong")) await Bun.sleep(1);
  expect(text()).toContain("unknown here");
  socket.end();
});

test("dialling nobody fails at once, dialling somebody silent at the timeout", async () => {
  const nobody = await dial("127.0.0.1:1" as Address, { local, timeoutMs: 1000 }).catch((error) => error);
  expect(nobody).toMatchObject({ code: "unreachable" });
  const silent = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const started = performance.now();
  const error = await dial(`127.0.0.1:${silent.port}` as Address, { local, timeoutMs: 50 }).catch((thrown) => thrown);
  expect(error).toMatchObject({ code: "unreachable" });
  expect(performance.now() - started).toBeLessThan(1000);
  silent.stop(true);
});

test("a taken port is told as such", async () => {
  const address = await serving(() => ({}));
  const port = Number(address.split(":")[1]);
  const taken = listen({ host: "127.0.0.1", port, local: () => local, onConnection() {} });
  expect(await taken.catch((error) => error)).toMatchObject({ code: "already_running" });
});
