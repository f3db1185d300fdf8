/** One connection for each pair of peers, and an address only for a proven neighbour. */
import { expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { type Address, portOf } from "../../src/core/address.ts";
import { P2pfsError } from "../../src/core/errors.ts";
import type { ContentId } from "../../src/core/manifest.ts";
import { MINUTE_MS, SECOND_MS } from "../../src/core/units.ts";
import type { Connection, LocalHello } from "../../src/net/connection.ts";
import { Endpoint, type Listener } from "../../src/net/endpoint.ts";
import type { Outgoing } from "../../src/net/handlers.ts";
import { realSystem } from "../../src/net/system.ts";
import { PeerEvents } from "../../src/peer/events.ts";
import type { Neighbour } from "../../src/peer/neighbour.ts";
import { Neighbours } from "../../src/peer/neighbours.ts";
import type { SharingHandlers } from "../../src/peer/sharing.ts";
import { closeLater } from "../support/closing.ts";
import { FaultProxy } from "../support/fault-proxy.ts";
import { dialAs, helloOf, listenAs } from "../support/protocol-peer.ts";
import { until } from "../support/until.ts";

const newNonce = () => randomBytes(16).toString("hex");
const helloAt = (address: Address | null): LocalHello => helloOf("peer", { address, nonce: newNonce() });

interface Side {
  readonly address: Address;
  readonly neighbours: Neighbours;
  /** Every neighbour that the peer has ever had. */
  readonly met: readonly Neighbour[];
  open(): Neighbour[];
}

const notHeld = () => {
  throw new P2pfsError("not_found", "this peer shares nothing");
};
const sharesNothing: SharingHandlers = {
  requests: { REQUEST_MANIFEST: notHeld, REQUEST_JOIN_SWARM: notHeld, PEER_REQUEST_CHUNK: notHeld },
  notices: { HAVE: () => {}, LEAVE_SWARM: () => {}, CANCEL: () => {} },
};

/** A peer that consists of Neighbours only. */
async function startSide(): Promise<Side> {
  const met: Neighbour[] = [];
  const endpoint = new Endpoint({ system: realSystem, local: () => helloAt(listener.address) });
  const neighbours: Neighbours = new Neighbours({
    endpoint,
    ownAddress: () => listener.address,
    handlersOf: (neighbour) => {
      met.push(neighbour);
      return sharesNothing;
    },
    events: new PeerEvents(),
    log: () => {},
  });
  const listener = await endpoint.listen({
    host: "127.0.0.1",
    port: 0,
    onConnection: (connection) => neighbours.adopt(connection),
  });
  const side = {
    address: listener.address,
    neighbours,
    met,
    open: () => met.filter(({ connection }) => connection.isOpen),
  };
  return closeLater(side, () => {
    listener.stop();
    neighbours.closeAll();
  });
}

test("an inbound neighbour is reached by its address once the other side has confirmed it", async () => {
  const [one, two] = [await startSide(), await startSide()];
  const dialled = await one.neighbours.reach(two.address);
  await until("the connection has come in", () => two.open().length === 1);
  const [inbound] = two.open();
  expect(inbound).toMatchObject({ isInbound: true, address: null, name: "127.0.0.1 (inbound)" });
  expect(await two.neighbours.reach(one.address)).toBe(inbound!);
  expect(inbound).toMatchObject({ address: one.address, name: one.address });
  await until("one connection is left", () => one.open().length === 1 && two.open().length === 1);
  expect(one.open()).toEqual([dialled]);
  expect(await two.neighbours.reach(one.address)).toBe(inbound!);
});

test("a neighbour is a stranger until something was moved, and may be idle for longer the more it has shown", async () => {
  const [one, two] = [await startSide(), await startSide()];
  await one.neighbours.reach(two.address);
  await until("the connection has come in", () => two.open().length === 1);
  const [inbound] = two.open();
  expect(inbound!.conduct).toMatchObject({ standing: "stranger", patienceMs: 15 * SECOND_MS });
  inbound!.noteUse();
  expect(inbound!.conduct).toMatchObject({ standing: "member", patienceMs: 2 * MINUTE_MS });
  inbound!.swarms.add("ab".repeat(32) as ContentId);
  expect(inbound!.conduct.patienceMs).toBe(10 * MINUTE_MS);
  const asked = inbound!.connection.request({ type: "REQUEST_PING_PONG", peer_address: null });
  expect(inbound!.conduct.standing).toBe("busy");
  await asked;
});

test("an inbound neighbour that claims another's address gets no address, and the other is dialled", async () => {
  const [honest, victim] = [await startSide(), await startSide()];
  const stranger = await dialAs(helloAt(honest.address), victim.address);
  const reached = await victim.neighbours.reach(honest.address);
  expect(reached).toMatchObject({ isInbound: false, address: honest.address });
  expect(victim.open().find(({ isInbound }) => isInbound)).toMatchObject({ address: null });
  expect(stranger.isOpen).toBe(true);
});

test("a relay in between, that passes on every byte, is not taken for the peer behind it", async () => {
  const [honest, victim] = [await startSide(), await startSide()];
  const stranger = await FaultProxy.sound(portOf(victim.address));
  await honest.neighbours.reach(`127.0.0.1:${stranger.port}` as Address);
  await until("the connection has come in", () => victim.open().length === 1);
  const [relayed] = victim.open();
  expect(relayed!.connection.hello.address).toBe(honest.address);
  expect(await victim.neighbours.reach(honest.address)).not.toBe(relayed!);
  expect(relayed!.address).toBeNull();
});

test("a peer that knows no REQUEST_CONFIRM is reached by the connection that was dialled", async () => {
  const side = await startSide();
  const older = await listenAs(helloOf("peer"));
  await dialAs(helloOf("peer", { address: older.address }), side.address);
  expect(await side.neighbours.reach(older.address)).toMatchObject({ isInbound: false, address: older.address });
});

test("where both sides have asked each other, the connection of the lesser address is kept", async () => {
  const side = await startSide();
  const { promise: asked, resolve } = Promise.withResolvers<Connection>();
  const hello = helloAt(null);
  const confirm = async (): Promise<Outgoing> => {
    const dialled = await asked;
    const { address } = other;
    const question: Outgoing<"REQUEST_CONFIRM"> = { type: "REQUEST_CONFIRM", address, nonces: [hello.nonce!] };
    expect((await dialled.request<"REQUEST_CONFIRM">(question)).nonce).toBe(hello.nonce!);
    return { type: "REPLY_CONFIRM", nonce: dialled.hello.nonce! };
  };
  const other: Listener = await listenAs(hello, { answers: { REQUEST_CONFIRM: confirm } });
  const dialled = await dialAs(helloAt(other.address), side.address);
  resolve(dialled);
  const reached = await side.neighbours.reach(other.address);
  expect(reached.isInbound).toBe(other.address < side.address);
  await until("the other one is closed", () => side.open().length === (reached.isInbound ? 1 : 2));
});

test("two peers that dial each other at once both reach the other, over two connections at most", async () => {
  for (let round = 0; round < 20; round++) {
    const [one, two] = [await startSide(), await startSide()];
    const reached = await Promise.all([one.neighbours.reach(two.address), two.neighbours.reach(one.address)]);
    const ping = { type: "REQUEST_PING_PONG", peer_address: null } as const;
    for (const { connection } of reached) await connection.request(ping);
    await until("both sides count the same", () => one.open().length <= 2 && one.open().length === two.open().length);
    expect(reached.map(({ connection }) => connection.isOpen)).toEqual([true, true]);
  }
});
