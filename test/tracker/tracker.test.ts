/** The tracker as a whole: commands, listening, leases, restarts. */
import { beforeEach, describe, expect, test } from "bun:test";
import { hostname } from "node:os";
import { join } from "node:path";
import { type Address, portOf } from "../../src/core/address.ts";
import type { Tracker, TrackerOptions } from "../../src/tracker/tracker.ts";
import { encodeFrame } from "../../src/wire/frame.ts";
import { startChild } from "../support/child.ts";
import { closeLater, closeNow } from "../support/closing.ts";
import { expectError } from "../support/errors.ts";
import { temporaryFolder } from "../support/folder.ts";
import { ProtocolPeer } from "../support/protocol-peer.ts";
import { listenMute, RawPeer } from "../support/raw-peer.ts";
import { ANY_PORT, openTracker, startTracker } from "../support/roles.ts";
import { address, fileName, peerId } from "../support/values.ts";

let folder: string;
beforeEach(() => {
  folder = temporaryFolder();
});

/** In the same data folder each time. */
const open = (options: Partial<TrackerOptions> = {}) => openTracker({ folder, ...options });
const started = (options: Partial<TrackerOptions> = {}) => startTracker({ folder, ...options });

function left(tracker: Tracker): Promise<{ address: Address; reason: string }> {
  return new Promise((resolve) => {
    tracker.events.subscribe((event) => {
      if (event.type === "peer_left") resolve(event);
    });
  });
}

describe("listening", () => {
  test("F6: begins with start; the same address again changes nothing, another one moves the tracker", async () => {
    const tracker = await open();
    expect(await tracker.status()).toMatchObject({ role: "tracker", listening: false, address: null });
    const first = await tracker.start(ANY_PORT);
    const peer = await ProtocolPeer.join(first, 1);
    expect(await tracker.start({ host: "localhost", port: portOf(first) })).toBe(first);
    expect(peer.connection.isOpen).toBe(true);
    expect(await tracker.status()).toMatchObject({ listening: true, address: first, peers: 1 });
    const second = await tracker.start({ host: "127.0.0.2", port: portOf(first) });
    expect(second).toBe(`127.0.0.2:${portOf(first)}` as Address);
    await peer.gone;
    await expectError("unreachable", ProtocolPeer.dial(first, 1));
    await ProtocolPeer.join(second, 1);
  });

  test("on a port in use is already_running, and the tracker stays where it was", async () => {
    const { tracker, at } = await started();
    await expectError("already_running", tracker.start(listenMute()));
    await ProtocolPeer.join(at, 1);
  });

  test("beyond this machine needs a swarm, or --insecure (S8)", async () => {
    const tracker = await open();
    for (const host of ["0.0.0.0", "::"])
      expect((await expectError("refused", tracker.start({ host, port: 0 }))).hint).toMatch(/swarm create.*--insecure/);
    await closeNow(tracker);
    const opened = await open({ insecure: true });
    const at = await opened.start({ host: "0.0.0.0", port: 0 });
    await ProtocolPeer.join(`127.0.0.1:${portOf(at)}` as Address, 1);
    // A wildcard and one address of the same port overlap.
    expect(await opened.start({ host: "127.0.0.1", port: portOf(at) })).toBe(`127.0.0.1:${portOf(at)}` as Address);
  });
});

describe("commands", () => {
  test("F7: list_peers has address, host name, since, last seen and files", async () => {
    const { tracker, at } = await started();
    const peer = await ProtocolPeer.join(at, 1);
    await peer.publish("a", 1);
    const [row] = (await tracker.listPeers()).rows;
    expect(row).toMatchObject({ address: peer.address, host_name: "test-host", files: 1 });
    expect(Math.abs(Date.parse(row!.last_seen) - Date.now())).toBeLessThan(1000);
    expect(await tracker.status()).toMatchObject({ peers: 1, files: 1, contents: 1 });
    expect(JSON.stringify(row)).not.toContain(peer.id);
  });

  test("F8, R13: ping by address, by IP alone, by host name in both senses", async () => {
    const { tracker, at } = await started();
    const { address } = await ProtocolPeer.join(at, 1);
    for (const [host, port] of [
      ["127.0.0.1", 7001],
      ["127.0.0.1", undefined],
      ["localhost", 7001],
      ["Test-Host", undefined],
    ] as const) {
      const result = await tracker.ping(host, port);
      expect(result).toMatchObject({ address, alive: true });
      expect(result.duration_ms).toBeGreaterThan(0);
    }
  });

  test("a host with several peers is ambiguous without a port; one with none is not found", async () => {
    const { tracker, at } = await started();
    await ProtocolPeer.join(at, 1);
    await ProtocolPeer.join(at, 2);
    await expectError("ambiguous", tracker.ping("127.0.0.1"), "127.0.0.1:7002");
    await expectError("ambiguous", tracker.discover("test-host"));
    await expectError("not_found", tracker.ping("127.0.0.9"));
    await expectError("not_found", tracker.ping("127.0.0.1", 7003));
    await expectError("not_found", tracker.discover("no-such-host.invalid", 7001));
  });

  test("a peer that has left is not alive, and has no files to discover", async () => {
    const { tracker, at } = await started();
    const peer = await ProtocolPeer.join(at, 1);
    const gone = left(tracker);
    await peer.leave();
    await gone;
    expect(await tracker.ping("127.0.0.1", 7001)).toMatchObject({ address: peer.address, alive: false });
    await expectError("not_found", tracker.discover("127.0.0.1", 7001));
  });

  test("R5: a peer that hangs is reported within 2 s", async () => {
    const { tracker, at } = await started();
    const peer = await ProtocolPeer.dial(at, 1, { request: () => undefined });
    await peer.register({ address: "127.0.0.1:7001" as Address });
    const result = await tracker.ping("127.0.0.1", 7001);
    expect(result.alive).toBe(false);
    expect(result.duration_ms).toBeLessThan(2000);
  });

  test("R12: the tracker's own address is refused under every name", async () => {
    const { tracker, at } = await started();
    for (const host of ["127.0.0.1", "localhost", "0.0.0.0", "::1", "::ffff:127.0.0.1", hostname()])
      await expectError("refused", tracker.ping(host, portOf(at)));
  });

  test("F9: discover shows the files of one peer", async () => {
    const { tracker, at } = await started();
    const [one, two] = [await ProtocolPeer.join(at, 1), await ProtocolPeer.join(at, 2)];
    await one.publish("a", 1);
    await two.publish("b", 2);
    expect((await tracker.discover("localhost", 7002)).rows.map((row) => row.key)).toEqual(["b_127.0.0.1_7002"]);
  });
});

describe("leases", () => {
  const leaseMs = 400;

  test("a frozen peer is gone after its lease, and one that sends heartbeats is not", async () => {
    const { tracker, at } = await started({ leaseMs, heartbeatMs: 100 });
    const frozen = await ProtocolPeer.join(at, 1);
    const alive = await ProtocolPeer.join(at, 2);
    const lastFrameMs = performance.now();
    await frozen.publish("a", 1);
    await alive.publish("b", 2);
    frozen.connection.pause(frozen);
    alive.keepAlive(50);
    expect(await left(tracker)).toMatchObject({ address: frozen.address, reason: "expired" });
    // Where the tracker is held up meanwhile, everybody gets another lease; in virtual time it is never.
    expect(performance.now() - lastFrameMs).toBeGreaterThanOrEqual(leaseMs);
    expect((await tracker.listPeers()).rows.map((row) => row.address)).toEqual([alive.address]);
    expect(await alive.listed()).toEqual(["b_127.0.0.1_7002"]);
    frozen.connection.resume(frozen);
    await frozen.gone;
    await ProtocolPeer.join(at, 1);
    expect((await alive.listed()).sort()).toEqual(["a_127.0.0.1_7001", "b_127.0.0.1_7002"]);
  });

  test("bytes that are not a whole frame renew no lease", async () => {
    const { tracker, at } = await started({ leaseMs });
    const raw = await RawPeer.dial(at);
    const address = "127.0.0.1:7001" as Address;
    const registration = { request: 1, peer_id: peerId(1), address, advertised: false, host_name: "" } as const;
    raw.send(encodeFrame({ type: "REQUEST_REGISTER", ...registration }));
    await raw.received("REPLY_REGISTER");
    const half = encodeFrame({ type: "REQUEST_UNPUBLISH", request: 2, fname: fileName("x".repeat(200)) });
    let sent = 0;
    closeLater(
      setInterval(() => raw.send(half.subarray(sent, ++sent)), 20),
      clearInterval,
    );
    expect(await left(tracker)).toMatchObject({ address, reason: "expired" });
    expect(sent).toBeLessThan(half.length);
    await raw.closed;
  });

  test("after a restart stored leases run one period more, then the peers that did not come back are gone", async () => {
    const before = await started({ leaseMs });
    const [one, two] = [await ProtocolPeer.join(before.at, 1), await ProtocolPeer.join(before.at, 2)];
    await one.publish("a", 1);
    await two.publish("b", 2);
    await closeNow(before.tracker);
    await Promise.all([one.gone, two.gone]);

    const { tracker, at } = await started({ leaseMs });
    expect((await tracker.listFiles()).rows).toHaveLength(2);
    const back = await ProtocolPeer.join(at, 1);
    back.keepAlive(50);
    expect(await left(tracker)).toMatchObject({ address: two.address, reason: "expired" });
    expect((await tracker.listFiles()).rows.map((row) => row.key)).toEqual(["a_127.0.0.1_7001"]);
  });

  test("a peer that has not come back since a restart is pinged at its address", async () => {
    const before = await started();
    const { at: standsIn } = await startTracker();
    await ProtocolPeer.join(before.at, 1, portOf(standsIn));
    await closeNow(before.tracker);
    const { tracker } = await started();
    expect(await tracker.ping("127.0.0.1", portOf(standsIn))).toMatchObject({ alive: true });
  });
});

test("a SIGKILL and a restart lose nothing that was answered", async () => {
  const child = await startChild(join(import.meta.dir, "tracker-child.ts"), folder);
  const peer = await ProtocolPeer.join(address(child.greeting), 1);
  const names = Array.from({ length: 200 }, (_, i) => `file ${i}`);
  await Promise.all(names.map((name, i) => peer.publish(name, i)));
  child.process.kill("SIGKILL");
  await child.process.exited;
  await peer.gone;
  const tracker = await open();
  const { rows } = await tracker.listFiles();
  expect(rows.map((row) => `${row.fname}`).sort()).toEqual(names.sort());
  expect((await tracker.listPeers()).rows.map((row) => row.address)).toEqual([peer.address]);
});
