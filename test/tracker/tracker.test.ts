/** The tracker as a whole: commands, listening, leases, restarts. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { hostname } from "node:os";
import { join } from "node:path";
import { type Address, portOf } from "../../src/core/address.ts";
import type { Tracker, TrackerOptions } from "../../src/tracker/tracker.ts";
import { encodeFrame } from "../../src/wire/frame.ts";
import { messageTable } from "../../src/wire/messages.ts";
import { rawPeer } from "../net/raw-peer.ts";
import { errorOf, fileName, peerId, temporaryFolder } from "./fixtures.ts";
import { openTracker, TestPeer } from "./test-peer.ts";

const cleanups: (() => unknown)[] = [];
let path: string;
beforeEach(() => {
  const folder = temporaryFolder();
  path = folder.path;
  cleanups.push(() => folder.remove());
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function open(options: Partial<TrackerOptions> = {}) {
  const opened = await openTracker(path, options);
  cleanups.push(opened.close);
  return opened;
}

async function started(options: Partial<TrackerOptions> = {}) {
  const { tracker, close } = await open(options);
  return { tracker, close, at: await tracker.start({ host: "127.0.0.1", port: 0 }) };
}

function left(tracker: Tracker): Promise<{ address: Address; reason: string; ms: number }> {
  const beginMs = performance.now();
  return new Promise((resolve) => {
    tracker.events.subscribe((event) => {
      if (event.type === "peer_left") resolve({ ...event, ms: performance.now() - beginMs });
    });
  });
}

describe("listening", () => {
  test("F6: not before start; the same address again changes nothing, another one moves", async () => {
    const { tracker } = await open();
    expect(await tracker.status()).toMatchObject({ role: "tracker", listening: false, address: null });
    const first = await tracker.start({ host: "127.0.0.1", port: 0 });
    const peer = await TestPeer.join(first, 1);
    expect(await tracker.start({ host: "localhost", port: portOf(first) })).toBe(first);
    expect(peer.connection.isOpen).toBe(true);
    expect(await tracker.status()).toMatchObject({ listening: true, address: first, peers: 1 });
    const second = await tracker.start({ host: "127.0.0.2", port: portOf(first) });
    expect(second).toBe(`127.0.0.2:${portOf(first)}` as Address);
    await peer.gone;
    expect((await errorOf(TestPeer.dial(first, 1))).code).toBe("unreachable");
    await TestPeer.join(second, 1);
  });

  test("a port in use is already_running, and the tracker goes on where it was", async () => {
    const { tracker, at } = await started();
    const taken = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
    cleanups.push(() => taken.stop());
    expect((await errorOf(tracker.start({ host: "127.0.0.1", port: taken.port }))).code).toBe("already_running");
    await TestPeer.join(at, 1);
  });

  test("beyond this machine only with --open", async () => {
    const { tracker, close } = await open();
    for (const host of ["0.0.0.0", "::"]) {
      const error = await errorOf(tracker.start({ host, port: 0 }));
      expect(error.code).toBe("refused");
      expect(error.hint).toContain("--open");
    }
    await close();
    const opened = await open({ open: true });
    const at = await opened.tracker.start({ host: "0.0.0.0", port: 0 });
    await TestPeer.join(`127.0.0.1:${portOf(at)}` as Address, 1);
    // A wildcard and one address of the same port overlap.
    expect(await opened.tracker.start({ host: "127.0.0.1", port: portOf(at) })).toBe(
      `127.0.0.1:${portOf(at)}` as Address,
    );
  });
});

describe("commands", () => {
  test("F7: list_peers has address, host name, since, last seen and files", async () => {
    const { tracker, at } = await started();
    const peer = await TestPeer.join(at, 1);
    await peer.publish("a", 1);
    const [row] = (await tracker.listPeers()).rows;
    expect(row).toMatchObject({ address: peer.address, host_name: "test-host", files: 1 });
    expect(Math.abs(Date.parse(row!.last_seen) - Date.now())).toBeLessThan(1000);
    expect(await tracker.status()).toMatchObject({ peers: 1, files: 1, contents: 1 });
    expect(JSON.stringify(row)).not.toContain(peer.id);
  });

  test("F8, R13: ping by address, by IP alone, by host name in both senses", async () => {
    const { tracker, at } = await started();
    const { address } = await TestPeer.join(at, 1);
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
    await TestPeer.join(at, 1);
    await TestPeer.join(at, 2);
    const error = await errorOf(tracker.ping("127.0.0.1"));
    expect(error.code).toBe("ambiguous");
    expect(error.message).toContain("127.0.0.1:7002");
    expect((await errorOf(tracker.discover("test-host"))).code).toBe("ambiguous");
    expect((await errorOf(tracker.ping("127.0.0.9"))).code).toBe("not_found");
    expect((await errorOf(tracker.ping("127.0.0.1", 7003))).code).toBe("not_found");
    expect((await errorOf(tracker.discover("no-such-host.invalid", 7001))).code).toBe("not_found");
  });

  test("a peer that has left answers no ping, and has no files to discover", async () => {
    const { tracker, at } = await started();
    const peer = await TestPeer.join(at, 1);
    const gone = left(tracker);
    await peer.leave();
    await gone;
    expect(await tracker.ping("127.0.0.1", 7001)).toMatchObject({ address: peer.address, alive: false });
    expect((await errorOf(tracker.discover("127.0.0.1", 7001))).code).toBe("not_found");
  });

  test("R5: a peer that hangs is reported within 2 s", async () => {
    const { tracker, at } = await started();
    const peer = await TestPeer.dial(at, 1, { request: () => undefined });
    await peer.register({ address: "127.0.0.1:7001" as Address });
    const result = await tracker.ping("127.0.0.1", 7001);
    expect(result.alive).toBe(false);
    expect(result.duration_ms).toBeLessThan(2000);
  });

  test("R12: the tracker's own address is refused under every name", async () => {
    const { tracker, at } = await started();
    for (const host of ["127.0.0.1", "localhost", "0.0.0.0", "::1", "::ffff:127.0.0.1", hostname()])
      expect((await errorOf(tracker.ping(host, portOf(at)))).code).toBe("refused");
  });

  test("F9: discover shows the files of one peer", async () => {
    const { tracker, at } = await started();
    const [one, two] = [await TestPeer.join(at, 1), await TestPeer.join(at, 2)];
    await one.publish("a", 1);
    await two.publish("b", 2);
    expect((await tracker.discover("localhost", 7002)).rows.map((row) => row.key)).toEqual(["b_127.0.0.1_7002"]);
  });
});

describe("leases", () => {
  const leaseMs = 400;

  test("a frozen peer is gone after its lease, and one that sends heartbeats is not", async () => {
    const { tracker, at } = await started({ leaseMs, heartbeatMs: 100 });
    const frozen = await TestPeer.join(at, 1);
    const alive = await TestPeer.join(at, 2);
    await frozen.publish("a", 1);
    await alive.publish("b", 2);
    frozen.connection.pause(frozen);
    const beat = setInterval(() => alive.request({ type: "HEARTBEAT" }).catch(() => {}), 50);
    cleanups.push(() => clearInterval(beat));
    const { address, reason, ms } = await left(tracker);
    expect({ address, reason }).toEqual({ address: frozen.address, reason: "expired" });
    expect(ms).toBeLessThan(2 * leaseMs);
    expect((await tracker.listPeers()).rows.map((row) => row.address)).toEqual([alive.address]);
    expect(await alive.listed()).toEqual(["b_127.0.0.1_7002"]);
    frozen.connection.resume(frozen);
    await frozen.gone;
    await TestPeer.join(at, 1);
    expect((await alive.listed()).sort()).toEqual(["a_127.0.0.1_7001", "b_127.0.0.1_7002"]);
  });

  test("bytes that make no frame renew no lease", async () => {
    const { tracker, at } = await started({ leaseMs });
    const raw = rawPeer("peer");
    await raw.connect(at);
    const address = "127.0.0.1:7001" as Address;
    const registration = { request: 1, peer_id: peerId(1), address, advertised: false, host_name: "" } as const;
    raw.write(encodeFrame({ type: "REQUEST_REGISTER", ...registration }));
    await raw.received(messageTable.REPLY_REGISTER.id);
    const half = encodeFrame({ type: "REQUEST_UNPUBLISH", request: 2, fname: fileName("x".repeat(200)) });
    let sent = 0;
    const drip = setInterval(() => raw.write(half.subarray(sent, ++sent)), 20);
    cleanups.push(() => clearInterval(drip), raw.stop);
    expect(await left(tracker)).toMatchObject({ address, reason: "expired" });
    expect(sent).toBeLessThan(half.length);
    await raw.closed;
  });

  test("after a restart stored leases run one period more, then those that did not come back are gone", async () => {
    const before = await started({ leaseMs });
    const [one, two] = [await TestPeer.join(before.at, 1), await TestPeer.join(before.at, 2)];
    await one.publish("a", 1);
    await two.publish("b", 2);
    await before.close();
    await Promise.all([one.gone, two.gone]);

    const { tracker, at } = await started({ leaseMs });
    expect((await tracker.listFiles()).rows).toHaveLength(2);
    const back = await TestPeer.join(at, 1);
    const beat = setInterval(() => back.request({ type: "HEARTBEAT" }).catch(() => {}), 50);
    cleanups.push(() => clearInterval(beat));
    expect(await left(tracker)).toMatchObject({ address: two.address, reason: "expired" });
    expect((await tracker.listFiles()).rows.map((row) => row.key)).toEqual(["a_127.0.0.1_7001"]);
  });

  test("a peer that has not come back since a restart is pinged at its address", async () => {
    const before = await started();
    const other = await openTracker(join(path, "stands-in"));
    cleanups.push(other.close);
    const standsIn = await other.tracker.start({ host: "127.0.0.1", port: 0 });
    await TestPeer.join(before.at, 1, portOf(standsIn));
    await before.close();
    const { tracker } = await started();
    expect(await tracker.ping("127.0.0.1", portOf(standsIn))).toMatchObject({ alive: true });
  });
});

test("a SIGKILL and a restart lose nothing that was answered", async () => {
  const child = Bun.spawn([process.execPath, join(import.meta.dir, "tracker-child.ts"), path], {
    stdout: "pipe",
    stderr: "inherit",
  });
  cleanups.push(() => {
    child.kill("SIGKILL");
    return child.exited;
  });
  const { value } = await child.stdout.getReader().read();
  const at = new TextDecoder().decode(value).trim() as Address;
  const peer = await TestPeer.join(at, 1);
  const names = Array.from({ length: 200 }, (_, i) => `file ${i}`);
  await Promise.all(names.map((name, i) => peer.publish(name, i)));
  child.kill("SIGKILL");
  await child.exited;
  await peer.gone;
  const { tracker } = await open();
  const { rows } = await tracker.listFiles();
  expect(rows.map((row) => `${row.fname}`).sort()).toEqual(names.sort());
  expect((await tracker.listPeers()).rows.map((row) => row.address)).toEqual([peer.address]);
});
