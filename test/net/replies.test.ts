/**
 * A reply is checked against the request that it names. For every wrong pair of reply and request, the connection that
 * broke the protocol is closed, its request fails, and other connections are not affected.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { P2pfsError } from "../../src/core/errors.ts";
import type { Connection } from "../../src/net/connection.ts";
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
  type Role,
  replyNameOf,
  STRANGER_HEADER_BYTES_MAX,
} from "../../src/wire/messages.ts";
import { expectError } from "../support/errors.ts";
import { dialAs, helloOf, listenAs } from "../support/protocol-peer.ts";
import { helloFrame, RawPeer } from "../support/raw-peer.ts";
import { serveFake } from "../support/serve-fake.ts";
import { until } from "../support/until.ts";
import { messageNames, messageOf } from "../wire/arbitraries.ts";

const requestNames = messageNames.filter(isRequest);
const replyNames = messageNames.filter((name) => messageTable[name].kind === "reply" && name !== "ERROR");

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
async function connected(asking: Role, answering: Role) {
  const { address, accepted } = await RawPeer.listen(helloFrame(answering));
  const connection = await dialAs(helloOf(asking), address);
  const other = await accepted;
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
    const failed = expectError("protocol", reply);
    await other.received(name);
    other.send(encodeFrame({ ...sampleOf(replyName), request: id } as Message));
    await failed;
    expect(await closed).toMatchObject({ code: "protocol" });
  });

  test("is answered by its reply, and by an ERROR", async () => {
    const { connection, other } = await connected(from, to);
    const answered = ask(connection, name);
    const refused = ask(connection, name);
    const failed = expectError("not_found", refused.reply);
    await other.received(name);
    const reply = { ...sampleOf(replyNameOf(name)), request: answered.id } as Message;
    other.send(encodeFrame(reply));
    other.send(encodeFrame({ type: "ERROR", request: refused.id, code: 4, message: "no" }));
    expect((await answered.reply).message).toEqual(reply as never);
    await failed;
    expect(connection.isOpen).toBe(true);
  });
});

describe("an answer without a request closes the connection", () => {
  test.each(replyNames.map((name) => [name]))("%s, before its header is read", async (name) => {
    const { other, closed } = await connected("peer", "peer");
    const frame = encodeFrame(sampleOf(name));
    other.send(frame.subarray(0, 8));
    expect(await closed).toMatchObject({ code: "protocol", message: `nobody asked for a ${name}` });
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
    other.send(...answers(ping.id, manifest.id).map((answer) => encodeFrame(answer)));
    expect(await closed).toMatchObject({ code: "protocol" });
  });

  test("a late answer is taken once without closing, a second one closes", async () => {
    const { connection, other } = await connected("peer", "peer");
    const late = connection.ask({ type: "REQUEST_PING_PONG", peer_address: null }, { timeoutMs: 10 });
    await expectError("unreachable", late.reply);
    other.send(encodeFrame({ type: "REPLY_PING_PONG", request: late.id, response: "pong" }));
    const next = connection.ask({ type: "REQUEST_PING_PONG", peer_address: null });
    other.send(encodeFrame({ type: "REPLY_PING_PONG", request: next.id, response: "pong" }));
    expect((await next.reply).message.response).toBe("pong");
    other.send(encodeFrame({ type: "REPLY_PING_PONG", request: late.id, response: "pong" }));
    const again = connection.ask({ type: "REQUEST_PING_PONG", peer_address: null });
    await expectError("protocol", again.reply);
  });

  test("more overdue answers than OVERDUE_MAX close the connection", async () => {
    const { connection, closed } = await connected("peer", "peer");
    const asked = Array.from({ length: OVERDUE_MAX }, () =>
      connection.request({ type: "REQUEST_PING_PONG", peer_address: null }, { timeoutMs: 1 }).catch((error) => error),
    );
    await Promise.all(asked);
    const next = connection.request({ type: "REQUEST_PING_PONG", peer_address: null });
    await expectError("unreachable", next);
    expect(await closed).toMatchObject({ code: "unreachable" });
  });
});

test("a request id without an answer yet cannot be used again, one that is answered can", async () => {
  const { connection, other } = await connected("peer", "peer");
  const gone = Promise.withResolvers<P2pfsError | undefined>();
  const held = Promise.withResolvers<Outgoing>();
  serveFake(connection, {
    request: ({ type }) => (type === "REQUEST_MANIFEST" ? held.promise : { type: "REPLY_PING_PONG", response: "pong" }),
    closed: gone.resolve,
  });
  const ping = encodeFrame({ type: "REQUEST_PING_PONG", request: 5, peer_address: null });
  for (const times of [1, 2]) {
    other.send(ping);
    await other.received("REPLY_PING_PONG", times);
  }
  other.send(encodeFrame({ ...sampleOf("REQUEST_MANIFEST"), request: 5 } as Message));
  other.send(ping);
  expect(await gone.promise).toMatchObject({ code: "protocol", message: "request id 5 is in use" });
});

describe("a message that the other side's role does not send", () => {
  const strays = messageNames
    .filter((name) => messageTable[name].kind !== "reply" && !mayGo(messageTable[name].way, "peer", "peer"))
    .map((name) => [name] as const);

  test.each(strays)("%s among peers is answered as unknown, and the connection stays open", async (name) => {
    const { connection, other } = await connected("peer", "peer");
    let served = 0;
    serveFake(connection, {
      request: () => {
        served++;
        return { type: "REPLY_PING_PONG", response: "pong" };
      },
    });
    other.send(encodeFrame({ ...sampleOf(name), request: 5 } as Message));
    await other.received("ERROR");
    expect(served).toBe(0);
    other.send(encodeFrame({ type: "REQUEST_PING_PONG", request: 6, peer_address: null }));
    await other.received("REPLY_PING_PONG");
  });
});

describe("a stranger", () => {
  test("sends short headers only, whatever their type allows", async () => {
    const onConnection = (connection: Connection) => {
      connection.isStranger = true;
    };
    const { address } = await listenAs(helloOf("tracker"), {}, { onConnection });
    const other = await RawPeer.dial(address);
    const prefix = new Uint8Array(8);
    const view = new DataView(prefix.buffer);
    view.setUint32(0, STRANGER_HEADER_BYTES_MAX + 1);
    view.setUint32(4, ((messageTable.REQUEST_CHUNK_REGISTER.id << 24) | (STRANGER_HEADER_BYTES_MAX + 1)) >>> 0);
    other.send(prefix);
    await other.closed;
  });
});

test("small messages without end from one connection are handled a few at a time, and those of others in between", async () => {
  const handled: string[] = [];
  const { address } = await listenAs(helloOf("peer"), ({ hello: { agent } }) => ({
    notice: () => {
      handled.push(agent);
      for (const end = performance.now() + 0.2; performance.now() < end; );
    },
  }));
  const flooding = await RawPeer.dial(address, { hello: helloFrame("peer", { agent: "flooder" }) });
  const frame = encodeFrame({ type: "CANCEL", request: 1 });
  const frames = 400;
  const flood = flooding.send(...Array<Uint8Array>(frames).fill(frame));
  const honest = await dialAs(helloOf("peer", { agent: "honest" }), address);
  honest.send({ type: "CANCEL", request: 1 });
  await flood;
  await until("all are handled", () => handled.length === frames + 1);
  expect(handled.indexOf("honest")).toBeLessThan(frames / 2);
  expect(handled.filter((agent) => agent === "flooder").length).toBe(frames);
});
