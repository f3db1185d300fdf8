/** A peer and its trackers: as whom each knows it, what a tracker that comes back may ask of it, and when. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { type Address, hostOf, portOf } from "../../src/core/address.ts";
import type { Connection } from "../../src/net/connection.ts";
import { peerIdAt } from "../../src/peer/peer-id.ts";
import { TRACKER_CALL_MS_MAX, TRACKER_CALLS_MAX } from "../../src/peer/tracker-calls.ts";
import type { randomPeerSecret } from "../../src/store/data-folder.ts";
import type { Tracker } from "../../src/tracker/tracker.ts";
import { dial } from "../support/endpoint.ts";
import { openTracker, TestPeer } from "../tracker/test-peer.ts";
import { Cluster, errorOf, until } from "./cluster.ts";
import { FaultProxy } from "./fault-proxy.ts";

let cluster: Cluster;
const cleanups: (() => unknown)[] = [];
beforeEach(async () => {
  cluster = await Cluster.start();
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  await cluster.close();
});

async function anotherTracker(): Promise<{ tracker: Tracker; at: Address }> {
  const { tracker, close } = await openTracker(join(cluster.folder, "another"));
  cleanups.push(close);
  return { tracker, at: await tracker.start({ host: "127.0.0.1", port: 0 }) };
}

const knownAs = (tracker: Tracker) => [...tracker.sessions.keys()];

/** A connection that calls itself a tracker's. */
function call(peer: Address): Promise<Connection> {
  return dial(peer, { local: { role: "tracker", agent: "test", address: null }, timeoutMs: 1000 });
}

describe("the id of a peer", () => {
  test("is the one of the specification's example", () => {
    const secret = "000102030405060708090a0b0c0d0e0f" as ReturnType<typeof randomPeerSecret>;
    expect(peerIdAt("10.0.0.1:7700" as Address, secret)).toBe(
      "97419b4baf0765065b0c771931db2921" as ReturnType<typeof peerIdAt>,
    );
  });

  test("is another one at every tracker, and the same at the same one after a restart", async () => {
    const { tracker: second, at } = await anotherTracker();
    const [peer] = await cluster.startPeers(["peer"]);
    const atFirst = knownAs(cluster.tracker);
    await peer!.connect({ host: hostOf(at), port: portOf(at) });
    const atSecond = knownAs(second);
    expect(atSecond).toHaveLength(1);
    expect(atSecond).not.toEqual(atFirst);
    await cluster.stopPeer(peer!);
    await cluster.startPeers(["peer"]);
    expect(knownAs(cluster.tracker)).toEqual(atFirst);
  });

  test("what one tracker was told is worth nothing at the next: the session there stays", async () => {
    const { tracker: second, at } = await anotherTracker();
    const [peer] = await cluster.startPeers(["peer"]);
    const [told] = knownAs(cluster.tracker);
    await peer!.connect({ host: hostOf(at), port: portOf(at) });
    const impostor = await TestPeer.dial(at, 1);
    cleanups.push(() => impostor.connection.close());
    await impostor.register({ peer_id: told!, address: "127.0.0.1:7001" as Address });
    expect((await second.listPeers()).rows).toHaveLength(2);
    expect(peer!.status().connected).toBe(true);
  });
});

describe("a tracker that calls", () => {
  test("F8: ping finds a peer that has not rejoined since the tracker was restarted", async () => {
    const line = await FaultProxy.start({ random: () => 1, rate: 0, injected: () => {} });
    cleanups.push(() => line.close());
    line.forwardTo(portOf(cluster.trackerAddress));
    const peer = await cluster.startPeer("peer", { tracker: { host: "127.0.0.1", port: line.port } });
    await until(() => peer.status().connected);
    line.goSilent();
    await cluster.stopTracker();
    await cluster.startTracker();
    const address = peer.address!;
    expect(cluster.tracker.sessions.size).toBe(0);
    const result = await cluster.tracker.ping(hostOf(address), portOf(address));
    expect(result).toMatchObject({ address, alive: true });
    expect(result.duration_ms).toBeLessThan(1000);
  });

  test("an advertised address is proven for the registration that waits for it", async () => {
    const peer = await cluster.startPeer("peer", {
      listen: { host: "127.0.0.2", port: 0 },
      advertise: { host: "127.0.0.2", port: 0 },
    });
    await until(() => peer.status().connected);
    expect(peer.address).toBe(peer.status().listen);
  });

  test("a proof is refused where no registration waits for one, and nothing else is served", async () => {
    const [peer] = await cluster.startPeers(["peer"]);
    const caller = await call(peer!.address!);
    const challenge = new Uint8Array(32);
    expect(await errorOf(caller.request({ type: "REQUEST_PROOF", challenge }))).toMatchObject({ code: "refused" });
    const ping = { type: "REQUEST_PING_PONG", peer_address: null } as const;
    expect(await caller.request(ping)).toMatchObject({ response: "pong" });
    const manifest = { type: "REQUEST_MANIFEST", content_id: "ab".repeat(32) } as never;
    expect(await errorOf(caller.request<"REQUEST_MANIFEST">(manifest))).toMatchObject({ code: "unknown_message" });
    caller.close();
  });

  test("calls are few at a time, and short", async () => {
    const [peer] = await cluster.startPeers(["peer"]);
    const began = performance.now();
    const callers = await Promise.all(Array.from({ length: TRACKER_CALLS_MAX + 1 }, () => call(peer!.address!)));
    await until(() => callers.filter((caller) => caller.isOpen).length === TRACKER_CALLS_MAX);
    await until(() => callers.every((caller) => !caller.isOpen), TRACKER_CALL_MS_MAX + 5000);
    expect(performance.now() - began).toBeGreaterThanOrEqual(TRACKER_CALL_MS_MAX - 100);
  });
});
