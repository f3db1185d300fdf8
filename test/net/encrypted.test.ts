/** S6 over real sockets: who gets in, who is turned away, and that nothing passes in the clear. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Address } from "../../src/core/address.ts";
import type { P2pfsError } from "../../src/core/errors.ts";
import { securityOf } from "../../src/identity/credentials.ts";
import type { Connection } from "../../src/net/connection.ts";
import { Endpoint, type Listener } from "../../src/net/endpoint.ts";
import type { Security } from "../../src/net/security.ts";
import { realSystem } from "../../src/net/system.ts";
import type { Role } from "../../src/wire/messages.ts";
import { authorityOf, certified, type Owner } from "../identity/support.ts";
import { expectError } from "../support/errors.ts";
import { outsiders } from "../support/outsiders.ts";
import { until } from "../support/until.ts";

const now = Date.now();
let authority: Owner;
let tracker: Owner;
let peer: Owner;
let invited: Owner;
let listener: Listener;
let at: Address;
const arrived: Connection[] = [];
const revoked = new Set<string>();

function as(owner: Owner, trusted = authority): Security {
  const { privateKey: key, certificate, peerId } = owner;
  const membership = { swarm: "lab", authority: trusted.certificate, key, certificate, peerId: peerId!, trackers: [] };
  return securityOf({
    membership: () => membership,
    isRevoked: (id) => revoked.has(id),
    wallTime: realSystem.clock.wallTime,
  });
}

function endpointOf(role: Role, security?: Security): Endpoint {
  return new Endpoint({
    system: realSystem,
    local: () => ({ role, agent: "test", address: null }),
    security: () => security,
  });
}

beforeAll(async () => {
  authority = await authorityOf("lab", now);
  tracker = await certified(authority, "tracker", now);
  peer = await certified(authority, "peer", now);
  invited = await certified(tracker, "peer", now);
  listener = await endpointOf("peer", as(peer)).listen({
    host: "127.0.0.1",
    port: 0,
    onConnection: (connection) => void arrived.push(connection),
  });
  at = listener.address;
});
afterAll(() => listener.stop());

async function dialAs(role: Role, security?: Security, peerId = peer.peerId!) {
  arrived.length = 0;
  const connection = await endpointOf(role, security).dial(at, { timeoutMs: 1000, peerId });
  return connection;
}

describe("a member", () => {
  test("knows who answers, and is known", async () => {
    for (const [owner, role] of [
      [tracker, "tracker"],
      [invited, "peer"],
    ] as const) {
      const connection = await dialAs(role, as(owner));
      expect(connection.member).toMatchObject({ peerId: peer.peerId!, role: "peer" });
      expect(arrived[0]!.member).toMatchObject({ peerId: owner.peerId!, role });
      const reply = await connection.request({ type: "REQUEST_PING_PONG", peer_address: null });
      expect(reply.response).toBe("pong");
      connection.close();
    }
  });

  test("does not stay with another member than it meant", async () => {
    await expectError("unreachable", dialAs("peer", as(invited), tracker.peerId!), "another member");
  });
});

describe("turned away", () => {
  test.each(Object.entries(outsiders))("%s", async (_, { reason, call }) => {
    const { role, security } = await call({ authority, remove: ({ peerId }) => void revoked.add(peerId!) });
    const cause = await dialAs(role, security).then(
      async (connection) => {
        await until("the connection is closed", () => !connection.isOpen);
        return connection.closeCause;
      },
      (thrown: P2pfsError) => thrown,
    );
    expect(cause?.message).toMatch(reason);
    expect(arrived).toEqual([]);
  });
});
