/** A peer and its trackers: by which id each knows it, and what a tracker that dials the peer may ask of it. */
import { beforeEach, describe, expect, test } from "bun:test";
import { type Address, hostOf, portOf } from "../../src/core/address.ts";
import { peerIdAt } from "../../src/peer/peer-id.ts";
import { TRACKER_CALL_MS_MAX, TRACKER_CALLS_MAX } from "../../src/peer/tracker-calls.ts";
import type { randomPeerSecret } from "../../src/store/data-folder.ts";
import type { Tracker } from "../../src/tracker/tracker.ts";
import { expectError } from "../support/errors.ts";
import { FaultProxy } from "../support/fault-proxy.ts";
import { dialAs, helloOf, ProtocolPeer } from "../support/protocol-peer.ts";
import { Cluster, hostPortOf, startTracker } from "../support/roles.ts";
import { until } from "../support/until.ts";

let cluster: Cluster;
beforeEach(async () => {
  cluster = await Cluster.open();
});

const knownAs = (tracker: Tracker) => [...tracker.sessions.keys()];

/** A connection that calls itself a tracker's. */
const call = (peer: Address) => dialAs(helloOf("tracker"), peer);

describe("the id of a peer", () => {
  test("is the one of the specification's example", () => {
    const secret = "000102030405060708090a0b0c0d0e0f" as ReturnType<typeof randomPeerSecret>;
    expect(peerIdAt("10.0.0.1:7700" as Address, secret)).toBe(
      "97419b4baf0765065b0c771931db2921" as ReturnType<typeof peerIdAt>,
    );
  });

  test("is another one at every tracker, and the same at the same one after a restart", async () => {
    const { tracker: second, at } = await startTracker();
    const peer = await cluster.joinPeer("peer");
    const atFirst = knownAs(cluster.tracker);
    await peer.connect(hostPortOf(at));
    const atSecond = knownAs(second);
    expect(atSecond).toHaveLength(1);
    expect(atSecond).not.toEqual(atFirst);
    await cluster.stopPeer(peer);
    await cluster.joinPeer("peer");
    expect(knownAs(cluster.tracker)).toEqual(atFirst);
  });

  test("the id at one tracker is of no use at another: the peer's session there stays", async () => {
    const { tracker: second, at } = await startTracker();
    const peer = await cluster.joinPeer("peer");
    const [told] = knownAs(cluster.tracker);
    await peer.connect(hostPortOf(at));
    const impostor = await ProtocolPeer.dial(at, 1);
    await impostor.register({ peer_id: told!, address: "127.0.0.1:7001" as Address });
    expect((await second.listPeers()).rows).toHaveLength(2);
    expect(peer.status().connected).toBe(true);
  });
});

describe("a tracker that dials a peer", () => {
  test("F8: pings a peer that has not joined again since the tracker was restarted", async () => {
    const line = await FaultProxy.sound(portOf(cluster.trackerAddress));
    const peer = await cluster.joinPeer("peer", { tracker: { host: "127.0.0.1", port: line.port } });
    line.goSilent();
    await cluster.stopTracker();
    await cluster.startTracker();
    const address = peer.address!;
    expect(cluster.tracker.sessions.size).toBe(0);
    const result = await cluster.tracker.ping(hostOf(address), portOf(address));
    expect(result).toMatchObject({ address, alive: true });
    expect(result.duration_ms).toBeLessThan(1000);
  });

  test("gets the proof of an advertised address while a registration waits for it", async () => {
    const other = { host: "127.0.0.2", port: 0 };
    const peer = await cluster.joinPeer("peer", { listen: other, advertise: other });
    expect(peer.address).toBe(peer.status().listen);
  });

  test("is refused a proof where no registration waits for one, and gets a ping answered but no manifest", async () => {
    const peer = await cluster.joinPeer("peer");
    const caller = await call(peer.address!);
    const challenge = new Uint8Array(32);
    await expectError("refused", caller.request({ type: "REQUEST_PROOF", challenge }));
    const ping = { type: "REQUEST_PING_PONG", peer_address: null } as const;
    expect(await caller.request(ping)).toMatchObject({ response: "pong" });
    const manifest = { type: "REQUEST_MANIFEST", content_id: "ab".repeat(32) } as never;
    await expectError("unknown_message", caller.request<"REQUEST_MANIFEST">(manifest));
  });

  test("has few connections at a time, and for a short time", async () => {
    const peer = await cluster.joinPeer("peer");
    const began = performance.now();
    const callers = await Promise.all(Array.from({ length: TRACKER_CALLS_MAX + 1 }, () => call(peer.address!)));
    await until("one is refused", () => callers.filter((caller) => caller.isOpen).length === TRACKER_CALLS_MAX);
    await until("all are closed", () => callers.every((caller) => !caller.isOpen), TRACKER_CALL_MS_MAX + 5000);
    expect(performance.now() - began).toBeGreaterThanOrEqual(TRACKER_CALL_MS_MAX - 100);
  });
});
