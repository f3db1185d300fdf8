/** One connection for each pair of peers, and an address only for a proven neighbour. */
import { afterEach, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { type Address, portOf } from "../../src/core/address.ts";
import { P2pfsError } from "../../src/core/errors.ts";
import type { ContentId } from "../../src/core/manifest.ts";
import { MINUTE_MS, SECOND_MS } from "../../src/core/units.ts";
import type { Connection, LocalHello } from "../../src/net/connection.ts";
import { Endpoint } from "../../src/net/endpoint.ts";
import type { Outgoing } from "../../src/net/handlers.ts";
import { realSystem } from "../../src/net/system.ts";
import { PeerEvents } from "../../src/peer/events.ts";
import type { Neighbour } from "../../src/peer/neighbour.ts";
import { Neighbours } from "../../src/peer/neighbours.ts";
import type { SharingHandlers } from "../../src/peer/sharing.ts";
import { until } from "../e2e/cluster.ts";
import { FaultProxy } from "../e2e/fault-proxy.ts";
import { dial, listen } from "../support/endpoint.ts";
import { serveFake } from "../support/serve-fake.ts";

const cleanups: (() => unknown)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0).reverse()) cleanup();
});

const newNonce = () => randomBytes(16).toString("hex");
const helloOf = (address: Address | null): LocalHello => ({
  role: "peer",
  agent: "test",
  address,
  nonce: newNonce(),
});

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
  const endpoint = new Endpoint({ system: realSystem, local: () => helloOf(listener.address) });
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
  cleanups.push(() => {
    listener.stop();
    neighbours.closeAll();
  });
  return {
    address: listener.address,
    neighbours,
    met,
    open: () => met.filter(({ connection }) => connection.isOpen),
  };
}

test("a connection that came in is reached by its address once the other side has confirmed it", async () => {
  const [one, two] = [await startSide(), await startSide()];
  const dialled = await one.neighbours.reach(two.address);
  await until(() => two.open().length === 1);
  const [inbound] = two.open();
  expect(inbound).toMatchObject({ isInbound: true, address: null, name: "127.0.0.1 (inbound)" });
  expect(await two.neighbours.reach(one.address)).toBe(inbound!);
  expect(inbound).toMatchObject({ address: one.address, name: one.address });
  await until(() => one.open().length === 1 && two.open().length === 1);
  expect(one.open()).toEqual([dialled]);
  expect(await two.neighbours.reach(one.address)).toBe(inbound!);
});

test("a neighbour is a stranger until something was moved, and may be idle for longer the more it has shown", async () => {
  const [one, two] = [await startSide(), await startSide()];
  await one.neighbours.reach(two.address);
  await until(() => two.open().length === 1);
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

test("one that says another's address stays nameless, and the other is dialled", async () => {
  const [honest, victim] = [await startSide(), await startSide()];
  const stranger = await dial(victim.address, { local: helloOf(honest.address), timeoutMs: 1000 });
  cleanups.push(() => stranger.close());
  const reached = await victim.neighbours.reach(honest.address);
  expect(reached).toMatchObject({ isInbound: false, address: honest.address });
  expect(victim.open().find(({ isInbound }) => isInbound)).toMatchObject({ address: null });
  expect(stranger.isOpen).toBe(true);
});

test("a stranger in between, that passes on every byte, is not taken for the one behind it", async () => {
  const [honest, victim] = [await startSide(), await startSide()];
  const stranger = await FaultProxy.start({ random: () => 1, rate: 0, injected: () => {} });
  cleanups.push(() => stranger.close());
  stranger.forwardTo(portOf(victim.address));
  await honest.neighbours.reach(`127.0.0.1:${stranger.port}` as Address);
  await until(() => victim.open().length === 1);
  const [relayed] = victim.open();
  expect(relayed!.connection.hello.address).toBe(honest.address);
  expect(await victim.neighbours.reach(honest.address)).not.toBe(relayed!);
  expect(relayed!.address).toBeNull();
});

test("a peer that knows no REQUEST_CONFIRM is reached by the connection that was dialled", async () => {
  const side = await startSide();
  const older = await listen({
    host: "127.0.0.1",
    port: 0,
    local: () => ({ role: "peer", agent: "older", address: null }),
    onConnection: (connection) => serveFake(connection, {}),
  });
  cleanups.push(() => older.stop());
  const { nonce: _, ...withoutNonce } = helloOf(older.address);
  const inbound = await dial(side.address, { local: withoutNonce, timeoutMs: 1000 });
  cleanups.push(() => inbound.close());
  expect(await side.neighbours.reach(older.address)).toMatchObject({ isInbound: false, address: older.address });
});

test("where both sides have asked each other, the connection of the lesser address is kept", async () => {
  const side = await startSide();
  const { promise: asked, resolve } = Promise.withResolvers<Connection>();
  let ownNonce: string | undefined;
  const other = await listen({
    host: "127.0.0.1",
    port: 0,
    local: () => {
      const local = helloOf(null);
      ownNonce = local.nonce;
      return local;
    },
    onConnection: (connection) =>
      serveFake(connection, {
        async request(message) {
          if (message.type !== "REQUEST_CONFIRM") return undefined;
          const dialled = await asked;
          const question: Outgoing<"REQUEST_CONFIRM"> = {
            type: "REQUEST_CONFIRM",
            address: other.address,
            nonces: [ownNonce!],
          };
          expect((await dialled.request<"REQUEST_CONFIRM">(question)).nonce).toBe(ownNonce!);
          return { type: "REPLY_CONFIRM", nonce: dialled.hello.nonce! };
        },
      }),
  });
  cleanups.push(() => other.stop());
  const dialled = await dial(side.address, { local: helloOf(other.address), timeoutMs: 1000 });
  cleanups.push(() => dialled.close());
  resolve(dialled);
  const reached = await side.neighbours.reach(other.address);
  expect(reached.isInbound).toBe(other.address < side.address);
  await until(() => side.open().length === (reached.isInbound ? 1 : 2));
});

test("two that dial each other at one moment both reach the other, over two connections at most", async () => {
  for (let round = 0; round < 20; round++) {
    const [one, two] = [await startSide(), await startSide()];
    const reached = await Promise.all([one.neighbours.reach(two.address), two.neighbours.reach(one.address)]);
    const ping = { type: "REQUEST_PING_PONG", peer_address: null } as const;
    for (const { connection } of reached) await connection.request(ping);
    await until(() => one.open().length <= 2 && one.open().length === two.open().length);
    expect(reached.map(({ connection }) => connection.isOpen)).toEqual([true, true]);
  }
});
