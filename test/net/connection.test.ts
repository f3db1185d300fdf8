/** Connections over real sockets: HELLO, requests and replies, payloads, refusals, and the faults that close them. */
import { expect, test } from "bun:test";
import { type Address, formatHostPort } from "../../src/core/address.ts";
import { rangeOfOne } from "../../src/core/bitfield.ts";
import { P2pfsError } from "../../src/core/errors.ts";
import type { FileName } from "../../src/core/file-name.ts";
import type { ContentId } from "../../src/core/manifest.ts";
import { MiB, SECOND_MS } from "../../src/core/units.ts";
import type { Connection } from "../../src/net/connection.ts";
import { type PayloadSource, payloadOf } from "../../src/net/send-queue.ts";
import { BUSY_REFUSALS } from "../../src/net/served-requests.ts";
import { encodeFrame } from "../../src/wire/frame.ts";
import { dial } from "../support/endpoint.ts";
import { expectError } from "../support/errors.ts";
import { dialAs, helloOf, listenAs } from "../support/protocol-peer.ts";
import { listenMute, RawPeer } from "../support/raw-peer.ts";
import { type FakeHandlers, serveFake } from "../support/serve-fake.ts";

const hello = helloOf("peer");
const contentId = "ab".repeat(32) as ContentId;
const filename = "f" as FileName;
const digest = new Uint8Array(32);
const ping = { type: "REQUEST_PING_PONG", peer_address: null } as const;
const chunkRequest = { type: "PEER_REQUEST_CHUNK", filename, content_id: contentId, chunknum: rangeOfOne(7) } as const;

/** The address of a listener that handles messages like this. */
async function serving(handlersOf: (connection: Connection) => FakeHandlers): Promise<Address> {
  return (await listenAs(hello, handlersOf)).address;
}

test("a defect in a handler is reported as the role converts it: to a request as its ERROR, to a notice as the cause of closing", async () => {
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
  const connection = await dialAs(hello, address);
  const request = connection.request({ type: "REQUEST_MANIFEST", content_id: contentId });
  expect((await expectError("internal", request)).message).toBe("the other side has a defect (reference 123456)");
  connection.send({ type: "LEAVE_SWARM", content_id: contentId });
  expect(await gone.promise).toMatchObject({ message: "y is no function (reference 123456)" });
  expect(during).toEqual(["REQUEST_MANIFEST", "a frame"]);
});

test("a request is answered by its reply, or by an ERROR where its handler throws", async () => {
  const address = await serving(() => ({
    request(message) {
      if (message.type === "REQUEST_PING_PONG") return { type: "REPLY_PING_PONG", response: "pong" };
      throw new P2pfsError("not_found", "no such thing");
    },
  }));
  const connection = await dialAs(hello, address);
  expect(await connection.request(ping)).toMatchObject({ type: "REPLY_PING_PONG" });
  const refused = connection.request({ type: "REQUEST_MANIFEST", content_id: contentId });
  await expectError("not_found", refused, "no such thing");
  expect(connection.hello).toMatchObject({ role: "peer", agent: "test" });
});

test("payloads arrive complete in the buffer that the requester gave, and control frames overtake waiting payloads", async () => {
  const bytes = new Uint8Array(4 * MiB).map((_, index) => (index * 31) & 0xff);
  const pinged = Promise.withResolvers<void>();
  const payload = payloadOf(bytes);
  const source: PayloadSource = { ...payload, read: (...where) => pinged.promise.then(() => payload.read(...where)) };
  const address = await serving((connection) => ({
    request(message) {
      if (message.type === "REQUEST_PING_PONG") {
        pinged.resolve();
        return { type: "REPLY_PING_PONG", response: "pong" };
      }
      const reply = { type: "PEER_REPLY_CHUNK", filename, content_id: contentId, chunknum: 7, digest } as const;
      connection.replyWithPayload(message.request, reply, source);
      return undefined;
    },
  }));
  const connection = await dialAs(hello, address);
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
});

test("a request without an answer fails at its timeout; the late reply is dropped", async () => {
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
  const connection = await dialAs(hello, address);
  const silent = connection.request({ type: "REQUEST_MANIFEST", content_id: contentId }, { timeoutMs: 20 });
  await expectError("unreachable", silent);
  other!.replyWithPayload(held[0]!, { type: "REPLY_MANIFEST", content_id: contentId }, payloadOf(new Uint8Array(9)));
  expect(await connection.request(ping)).toMatchObject({ type: "REPLY_PING_PONG" });
});

test("closing rejects what is pending on both sides and gives both the cause", async () => {
  const { promise: closed, resolve } = Promise.withResolvers<P2pfsError | undefined>();
  const address = await serving((connection) => ({
    request() {
      connection.close(new P2pfsError("refused", "go away"));
      return undefined;
    },
  }));
  const connection = await dialAs(hello, address);
  serveFake(connection, { closed: resolve });
  await expectError("refused", connection.request(ping), "go away");
  expect(await closed).toMatchObject({ code: "refused" });
  expect(connection.isOpen).toBe(false);
  const late = connection.request(ping);
  expect(await late.catch((error) => error)).toBeInstanceOf(P2pfsError);
});

test("a connection that goes on requesting at full speed after refusals is read as slowly as they are borne", async () => {
  const address = await serving(() => ({
    request() {
      throw new P2pfsError("busy", "no room");
    },
  }));
  const connection = await dialAs(hello, address);
  const askTimes = async (times: number) => {
    const ask = () => connection.request({ type: "REQUEST_MANIFEST", content_id: contentId });
    const answers = Array.from({ length: times }, () => ask().catch((error: P2pfsError) => error.code));
    return (await Promise.all(answers)).filter((code) => code === "busy").length;
  };
  const beganMs = performance.now();
  const { perSecond, burst } = BUSY_REFUSALS;
  expect(await askTimes(burst + perSecond)).toBe(burst + perSecond);
  // What had arrived is answered at once; what comes next is not read before.
  for (let time = 0; time < 2; time++) expect(await askTimes(1)).toBe(1);
  expect(performance.now() - beganMs).toBeGreaterThan(0.9 * SECOND_MS);
  expect(connection.isOpen).toBe(true);
});

test("another protocol version is refused, and the ERROR names the one that is spoken here", async () => {
  const address = await serving(() => ({}));
  const client = await RawPeer.dial(address, { hello: encodeFrame({ type: "HELLO", version: 2, ...hello }) });
  await client.closed;
  expect(client.messages.at(-1)).toMatchObject({
    type: "ERROR",
    message: expect.stringContaining("protocol version 1"),
  });
});

test("a first frame other than HELLO, and a frame that is too long, close the connection with an ERROR", async () => {
  const address = await serving(() => ({}));
  for (const first of [encodeFrame({ ...ping, request: 1 }), new Uint8Array(8).fill(0xff)]) {
    const client = await RawPeer.dial(address, { hello: first });
    await client.closed;
    expect(client.messages.at(-1)).toMatchObject({ type: "ERROR" });
  }
});

test("an unknown message is answered with an ERROR and the connection lives", async () => {
  const address = await serving(() => ({ request: () => ({ type: "REPLY_PING_PONG", response: "pong" }) }));
  const client = await RawPeer.dial(address);
  const unknown = encodeFrame({ ...ping, request: 5 });
  unknown[4] = 0xee;
  client.send(unknown, encodeFrame({ ...ping, request: 6 }));
  await client.received("REPLY_PING_PONG");
  expect(client.messages.slice(-2)).toMatchObject([
    { type: "ERROR", request: 5, message: expect.stringContaining("unknown here") },
    { type: "REPLY_PING_PONG", request: 6, response: "pong" },
  ]);
});

test("dialling nobody fails at once, dialling somebody silent at the timeout", async () => {
  await expectError("unreachable", dialAs(hello, "127.0.0.1:1" as Address));
  const silent = formatHostPort(listenMute()) as Address;
  const started = performance.now();
  await expectError("unreachable", dial(silent, { local: hello, timeoutMs: 50 }));
  expect(performance.now() - started).toBeLessThan(1000);
});

test("a port in use is reported as already_running", async () => {
  const address = await serving(() => ({}));
  const port = Number(address.split(":")[1]);
  await expectError("already_running", listenAs(hello, {}, { port }));
});
