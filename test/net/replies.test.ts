/**
 * A reply is checked against the request that it names. For every wrong pair of reply and request, the connection that
 * broke the protocol is closed, its request fails, and other connections are not affected.
 */
import { afterEach, describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Address } from "../../src/core/address.ts";
import type { P2pfsError } from "../../src/core/errors.ts";
import type { Connection, LocalHello } from "../../src/net/connection.ts";
import type { Listener } from "../../src/net/endpoint.ts";
import type { Outgoing } from "../../src/net/handlers.ts";
import { OVERDUE_MAX } from "../../src/net/pending-requests.ts";
import { encodeFrame } from "../../src/wire/frame.ts";
import {
  isRequest,
  type Message,
  type MessageName,
  mayGo,
  messageTable,
  type RequestName,
  replyNameOf,
  STRANGER_HEADER_BYTES_MAX,
} from "../../src/wire/messages.ts";
import { dial, listen } from "../support/endpoint.ts";
import { serveFake } from "../support/serve-fake.ts";
import { messageNames, messageOf } from "../wire/arbitraries.ts";
import { concat } from "../wire/recorder.ts";
import { rawPeer } from "./raw-peer.ts";

const hello = (role: LocalHello["role"]): LocalHello => ({ role, agent: "test", address: null });
const requestNames = messageNames.filter(isRequest);
const replyNames = messageNames.filter((name) => messageTable[name].kind === "reply" && name !== "ERROR");

const listeners: Listener[] = [];
afterEach(() => {
  for (const listener of listeners.splice(0)) listener.stop();
});

/** A valid message of this type. */
function sampleOf(name: MessageName): Message {
  return fc.sample(messageOf(name), { numRuns: 1, seed: 7 })[0]!;
}

/** The roles that send and receive this request. */
function rolesOf(name: RequestName) {
  const roles = ["peer", "tracker"] as const;
  const ways = roles.flatMap((from) => roles.map((to) => ({ from, to })));
  return ways.find(({ from, to }) => mayGo(messageTable[name].way, from, to))!;
}

/** A connection from a requesting side to a raw peer. */
async function connected(asking: LocalHello["role"], answering: LocalHello["role"]) {
  const other = rawPeer(answering);
  const connection = await dial(other.address, { local: hello(asking), timeoutMs: 2000 });
  const closed = new Promise<P2pfsError | undefined>((resolve) => serveFake(connection, { closed: resolve }));
  return { connection, other, closed };
}

function ask(connection: Connection, name: RequestName) {
  const { request: _request, ...message } = sampleOf(name) as Message<RequestName>;
  return connection.ask(message as Outgoing<RequestName>, { timeoutMs: 5000 });
}

describe.each(requestNames.map((name) => [name]))("%s", (name) => {
  const { from, to } = rolesOf(name);

  test.each(replyNames.map((reply) => [reply]))(`is not answered by %s`, async (replyName) => {
    if (replyName === replyNameOf(name)) return;
    const { connection, other, closed } = await connected(from, to);
    const { id, reply } = ask(connection, name);
    const failed = reply.catch((error: P2pfsError) => error);
    await other.received(messageTable[name].id);
    other.write(encodeFrame({ ...sampleOf(replyName), request: id } as Message));
    expect(await failed).toMatchObject({ code: "protocol" });
    expect(await closed).toMatchObject({ code: "protocol" });
    other.stop();
  });

  test("is answered by its reply, and by an ERROR", async () => {
    const { connection, other } = await connected(from, to);
    const answered = ask(connection, name);
    const refused = ask(connection, name);
    refused.reply.catch(() => {});
    await other.received(messageTable[name].id);
    const reply = { ...sampleOf(replyNameOf(name)), request: answered.id } as Message;
    other.write(encodeFrame(reply));
    other.write(encodeFrame({ type: "ERROR", request: refused.id, code: 4, message: "no" }));
    expect((await answered.reply).message).toEqual(reply as never);
    expect(await refused.reply.catch((error: P2pfsError) => error)).toMatchObject({ code: "not_found" });
    expect(connection.isOpen).toBe(true);
    connection.close();
    other.stop();
  });
});

describe("what nobody asked for ends the connection", () => {
  test.each(replyNames.map((name) => [name]))("%s, before its header is read", async (name) => {
    const { other, closed } = await connected("peer", "peer");
    const frame = encodeFrame(sampleOf(name));
    other.write(frame.subarray(0, 8));
    expect(await closed).toMatchObject({ code: "protocol", message: `nobody asked for a ${name}` });
    other.stop();
  });

  const pong = (request: number): Message => ({ type: "REPLY_PING_PONG", request, response: "pong" });
  const refusal = (request: number): Message => ({ type: "ERROR", request, code: 4, message: "no" });
  test.each([
    ["a second answer to one request", (ping: number) => [pong(ping), pong(ping)]],
    ["an answer to a request for something else", (_ping: number, manifest: number) => [pong(manifest)]],
    ["an ERROR that refuses no request", (_ping: number, manifest: number) => [refusal(manifest + 1)]],
    ["an ERROR after the answer", (ping: number) => [pong(ping), refusal(ping)]],
  ])("%s", async (_what, answers) => {
    const { connection, other, closed } = await connected("peer", "peer");
    const [ping, manifest] = [ask(connection, "REQUEST_PING_PONG"), ask(connection, "REQUEST_MANIFEST")];
    for (const { reply } of [ping, manifest]) reply.catch(() => {});
    other.write(concat(...answers(ping.id, manifest.id).map((answer) => encodeFrame(answer))));
    expect(await closed).toMatchObject({ code: "protocol" });
    other.stop();
  });

  test("a late answer does not, and its request is not owed an answer any more", async () => {
    const { connection, other } = await connected("peer", "peer");
    const late = connection.ask({ type: "REQUEST_PING_PONG", peer_address: null }, { timeoutMs: 10 });
    expect(await late.reply.catch((error) => error)).toMatchObject({ code: "unreachable" });
    other.write(encodeFrame({ type: "REPLY_PING_PONG", request: late.id, response: "pong" }));
    const next = connection.ask({ type: "REQUEST_PING_PONG", peer_address: null });
    other.write(encodeFrame({ type: "REPLY_PING_PONG", request: next.id, response: "pong" }));
    expect((await next.reply).message.response).toBe("pong");
    other.write(encodeFrame({ type: "REPLY_PING_PONG", request: late.id, response: "pong" }));
    const again = connection.ask({ type: "REQUEST_PING_PONG", peer_address: null });
    expect(await again.reply.catch((error) => error)).toMatchObject({ code: "protocol" });
    other.stop();
  });

  test("nor may answers be owed without end", async () => {
    const { connection, other, closed } = await connected("peer", "peer");
    const asked = Array.from({ length: OVERDUE_MAX }, () =>
      connection.request({ type: "REQUEST_PING_PONG", peer_address: null }, { timeoutMs: 1 }).catch((error) => error),
    );
    await Promise.all(asked);
    const next = connection.request({ type: "REQUEST_PING_PONG", peer_address: null });
    expect(await next.catch((error) => error)).toMatchObject({ code: "unreachable" });
    expect(await closed).toMatchObject({ code: "unreachable" });
    other.stop();
  });
});

test("an id that is not answered yet cannot be used again, one that is answered can", async () => {
  const { connection, other } = await connected("peer", "peer");
  const gone = Promise.withResolvers<P2pfsError | undefined>();
  const held = Promise.withResolvers<Outgoing>();
  serveFake(connection, {
    request: ({ type }) => (type === "REQUEST_MANIFEST" ? held.promise : { type: "REPLY_PING_PONG", response: "pong" }),
    closed: gone.resolve,
  });
  const ping = encodeFrame({ type: "REQUEST_PING_PONG", request: 5, peer_address: null });
  for (const times of [1, 2]) {
    other.write(ping);
    await other.received(messageTable.REPLY_PING_PONG.id, times);
  }
  other.write(encodeFrame({ ...sampleOf("REQUEST_MANIFEST"), request: 5 } as Message));
  other.write(ping);
  expect(await gone.promise).toMatchObject({ code: "protocol", message: "request id 5 is in use" });
  other.stop();
});

describe("a message that the other side's role does not send", () => {
  const strays = messageNames
    .filter((name) => messageTable[name].kind !== "reply" && !mayGo(messageTable[name].way, "peer", "peer"))
    .map((name) => [name] as const);

  test.each(strays)("%s among peers is unknown, and the connection lives", async (name) => {
    const { connection, other } = await connected("peer", "peer");
    let served = 0;
    serveFake(connection, {
      request: () => {
        served++;
        return { type: "REPLY_PING_PONG", response: "pong" };
      },
    });
    other.write(encodeFrame({ ...sampleOf(name), request: 5 } as Message));
    await other.received(messageTable.ERROR.id);
    expect(served).toBe(0);
    other.write(encodeFrame({ type: "REQUEST_PING_PONG", request: 6, peer_address: null }));
    await other.received(messageTable.REPLY_PING_PONG.id);
    connection.close();
    other.stop();
  });
});

describe("a stranger", () => {
  async function strange(): Promise<Address> {
    const listener = await listen({
      host: "127.0.0.1",
      port: 0,
      local: () => hello("tracker"),
      onConnection: (connection) => {
        connection.isStranger = true;
      },
    });
    listeners.push(listener);
    return listener.address;
  }

  test("sends short headers only, whatever their type allows", async () => {
    const other = rawPeer("peer");
    await other.connect(await strange());
    const prefix = new Uint8Array(8);
    const view = new DataView(prefix.buffer);
    view.setUint32(0, STRANGER_HEADER_BYTES_MAX + 1);
    view.setUint32(4, ((messageTable.REQUEST_CHUNK_REGISTER.id << 24) | (STRANGER_HEADER_BYTES_MAX + 1)) >>> 0);
    other.write(prefix);
    await other.closed;
    other.stop();
  });
});

test("somebody who sends small messages without end is heard a little at a time, and others in between", async () => {
  const handled: string[] = [];
  const listener = await listen({
    host: "127.0.0.1",
    port: 0,
    local: () => hello("peer"),
    onConnection: (connection) => {
      const { agent } = connection.hello;
      serveFake(connection, {
        notice: () => {
          handled.push(agent);
          const until = performance.now() + 0.2;
          while (performance.now() < until);
        },
      });
    },
  });
  listeners.push(listener);
  const flooding = rawPeer("peer", "flooder");
  await flooding.connect(listener.address);
  const frame = encodeFrame({ type: "CANCEL", request: 1 });
  const frames = 400;
  const flood = flooding.write(concat(...Array<Uint8Array>(frames).fill(frame)));
  const honest = await dial(listener.address, { local: { ...hello("peer"), agent: "honest" }, timeoutMs: 2000 });
  honest.send({ type: "CANCEL", request: 1 });
  await flood;
  while (handled.length < frames + 1) await Bun.sleep(5);
  expect(handled.indexOf("honest")).toBeLessThan(frames / 2);
  expect(handled.filter((agent) => agent === "flooder").length).toBe(frames);
  honest.close();
  flooding.stop();
});
