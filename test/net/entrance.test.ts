/** Bounds on those that come in, over real sockets with TLS: what has to hold before anybody has shown a certificate. */
import { beforeAll, describe, expect, test } from "bun:test";
import { clientHello } from "../../scripts/lib/client-hello.ts";
import { SECOND_MS } from "../../src/core/units.ts";
import type { Connection } from "../../src/net/connection.ts";
import { Endpoint, type Listener, type ListenOptions } from "../../src/net/endpoint.ts";
import { CONNECTIONS_PER_MEMBER_MAX } from "../../src/net/entrance.ts";
import { HELLO_MS_MAX } from "../../src/net/greeting.ts";
import { realSystem } from "../../src/net/system.ts";
import { authorityOf, certified, type Owner } from "../identity/support.ts";
import { closeLater } from "../support/closing.ts";
import { beginHandshake, type HalfOpen } from "../support/half-open.ts";
import { securityAs } from "../support/outsiders.ts";
import { RawPeer } from "../support/raw-peer.ts";
import { until } from "../support/until.ts";

let authority: Owner;
let tracker: Owner;
let peer: Owner;
let hello: Uint8Array;

beforeAll(async () => {
  authority = await authorityOf("lab", Date.now());
  tracker = await certified(authority, "tracker", Date.now());
  peer = await certified(authority, "peer", Date.now());
  hello = await clientHello();
});

async function listen(options: Partial<ListenOptions> = {}): Promise<Listener> {
  const endpoint = endpointOf(tracker, "tracker");
  const listener = await endpoint.listen({ host: "127.0.0.1", port: 0, onConnection: () => {}, ...options });
  return closeLater(listener, () => listener.stop());
}

function endpointOf(owner: Owner, role: "tracker" | "peer"): Endpoint {
  const security = securityAs(owner, authority);
  return new Endpoint({
    system: realSystem,
    local: () => ({ role, agent: "test", address: null }),
    security: () => security,
  });
}

/** A member's connection; rejects where it does not get in. */
const dial = ({ address }: Listener) => endpointOf(peer, "peer").dial(address, { timeoutMs: 2 * SECOND_MS });

async function expectServed(member: Owner, { address }: Listener): Promise<void> {
  const connection = await endpointOf(member, "peer").dial(address, { timeoutMs: 2 * SECOND_MS });
  await connection.request({ type: "REQUEST_PING_PONG", peer_address: null });
  connection.close();
}

/** So many handshakes of one source, which end with the test. */
async function beginMany(count: number, { address }: Listener, from?: string): Promise<HalfOpen[]> {
  const begun: HalfOpen[] = [];
  for (let number = 0; number < count; number++) {
    const one = await beginHandshake(address, hello, from);
    begun.push(closeLater(one, ({ socket }) => void socket.destroy()));
  }
  return begun;
}

test("of half-open handshakes from one source only the latest stay, and those not for long; members get in", async () => {
  const greetingsAtOnce = { inAll: 1000, perSource: 200 };
  const listener = await listen({ greetingsAtOnce });
  const beyond = 20;
  const begun = await beginMany(greetingsAtOnce.perSource + beyond, listener, "127.0.0.2");
  const latestMs = performance.now();
  const isClosed = ({ socket }: HalfOpen) => socket.destroyed;
  await until("the oldest are closed", () => begun.slice(0, beyond).every(isClosed), SECOND_MS);
  expect(isClosed(begun.at(-1)!)).toBe(false);
  (await dial(listener)).close();
  await until("all are closed", () => begun.every(isClosed));
  expect(performance.now() - latestMs).toBeLessThan(HELLO_MS_MAX + SECOND_MS / 2);
});

describe("a source that has used up its handshakes", () => {
  const BURST = 5;
  const from = "127.0.0.2";
  const greetingRates = {
    inAll: { perSecond: 1000, burst: 1000 },
    perSource: { perSecond: 0.001, burst: BURST },
    perMember: { perSecond: 1000, burst: 1000 },
  };

  test("is closed before this side does anything for it; others are served", async () => {
    const crowded: string[] = [];
    const listener = await listen({ greetingRates, crowded: (ip) => void crowded.push(ip) });
    for (const { isAnswered, socket } of await beginMany(BURST, listener, from)) {
      expect(isAnswered).toBe(true);
      socket.destroy();
    }
    await until("they are counted", async () => !(await beginHandshake(listener.address, hello, from)).isAnswered);
    expect(crowded).toEqual([from]);
    (await dial(listener)).close();
  });

  test("has not done so by connections that say nothing", async () => {
    const listener = await listen({ greetingRates });
    const silent = await Promise.all(
      Array.from({ length: 4 * BURST }, () => RawPeer.dial(listener.address, { from, hello: new Uint8Array(0) })),
    );
    for (const client of silent) client.close();
    for (const { isAnswered } of await beginMany(BURST, listener, from)) expect(isAnswered).toBe(true);
  });
});

test("a member that connects again and again is refused, others are not", async () => {
  const plenty = { perSecond: 1000, burst: 1000 };
  const perMember = { perSecond: 0.001, burst: 3 };
  const listener = await listen({ greetingRates: { inAll: plenty, perSource: plenty, perMember } });
  for (let number = 0; number < perMember.burst; number++) (await dial(listener)).close();
  const refused = await dial(listener);
  await until("it is closed", () => !refused.isOpen);
  expect(refused.closeCause).toMatchObject({ code: "busy" });
  await expectServed(await certified(authority, "peer", Date.now()), listener);
});

test("a member has a bounded number of connections, and others have theirs", async () => {
  const listener = await listen({ connectionsMax: 4 * CONNECTIONS_PER_MEMBER_MAX });
  const connections: Connection[] = [];
  // Not all at once: each has its time for TLS and HELLO.
  while (connections.length < CONNECTIONS_PER_MEMBER_MAX)
    connections.push(...(await Promise.all(Array.from({ length: 16 }, () => dial(listener)))));
  for (const connection of connections) closeLater(connection, () => connection.close());
  const refused = await dial(listener);
  await until("it is closed", () => !refused.isOpen);
  expect(refused.closeCause).toMatchObject({ code: "busy" });
  await expectServed(await certified(authority, "peer", Date.now()), listener);
  connections[0]!.close();
  await until("there is room again", async () => {
    const again = await dial(listener);
    const answer = again.request({ type: "REQUEST_PING_PONG", peer_address: null });
    const isServed = await answer.then(
      () => true,
      () => false,
    );
    again.close();
    return isServed;
  });
});
