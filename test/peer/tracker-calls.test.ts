/**
 * A peer's listener: its port and the address that it announces, and calls of trackers, which anybody can claim to be:
 * few, short, and with a proof only while one is due.
 */
import { describe, expect, test } from "bun:test";
import type { Address } from "../../src/core/address.ts";
import { SECOND_MS } from "../../src/core/units.ts";
import { isProofOf } from "../../src/net/proof.ts";
import { PeerListener, type PeerListenerOptions } from "../../src/peer/peer-listener.ts";
import { TRACKER_CALL_MS_MAX, TRACKER_CALLS_MAX } from "../../src/peer/tracker-calls.ts";
import type { PeerFolder } from "../../src/store/data-folder.ts";
import { MembershipFiles } from "../../src/store/membership-files.ts";
import { Room } from "../support/room.ts";
import { address, Parts, peerId } from "./parts.ts";

const proofRequest = { type: "REQUEST_PROOF", challenge: new Uint8Array(32).fill(0xab) } as const;
const ping = { type: "REQUEST_PING_PONG", peer_address: null } as const;

/** A folder that remembers a port and nothing else. */
function folder(remembered?: number): PeerFolder & { port: number | undefined } {
  const kept: PeerFolder & { port: number | undefined } = {
    port: remembered,
    path: "",
    databasePath: "",
    rememberedPort: () => kept.port,
    rememberPort: (_name, port) => {
      kept.port = port;
    },
    readOrCreatePeerSecret: () => {
      throw new Error("not here");
    },
    membership: new MembershipFiles("/nowhere"),
  };
  return kept;
}

function options(parts: Parts, changes: Partial<PeerListenerOptions> = {}): PeerListenerOptions {
  return {
    dataFolder: undefined,
    listen: { host: parts.process.ip, port: 7000 },
    advertise: undefined,
    insecure: true,
    idToProve: () => undefined,
    conductOf: (connection) => parts.neighbours.conductOf(connection),
    endpoint: parts.endpoint,
    onPeer: (connection) => parts.neighbours.adopt(connection),
    log: parts.log,
    ...changes,
  };
}

function listening(changes: Partial<PeerListenerOptions> = {}) {
  const room = new Room();
  const parts = new Parts(room);
  const listener = room.wait(PeerListener.open(options(parts, changes)));
  let callers = 0;
  const call = () => room.dial(room.machine(`10.0.3.${++callers}`), listener.address, { role: "tracker" });
  return { room, parts, listener, call };
}

describe("a call of a tracker", () => {
  test("is answered a ping, and nothing that only peers may ask", () => {
    const { room, call } = listening();
    const connection = call();
    expect(room.wait(connection.request<"REQUEST_PING_PONG">(ping)).response).toBe("pong");
    const manifest = connection.request({ type: "REQUEST_MANIFEST", content_id: "ab".repeat(32) as never });
    expect(room.failure(manifest)).toMatchObject({ code: "unknown_message" });
  });

  test("is closed after 3 seconds, whatever is asked on it", () => {
    const { room, call } = listening();
    const connection = call();
    const startMs = room.now;
    while (connection.isOpen) {
      room.duration(connection.request(ping));
      room.run(100);
    }
    expect(room.now - startMs).toBeGreaterThan(TRACKER_CALL_MS_MAX);
    expect(room.now - startMs).toBeLessThan(TRACKER_CALL_MS_MAX + 1.2 * SECOND_MS);
  });

  test("beyond the sixteenth ends the oldest of them, and no peer's connection", () => {
    const { room, parts, listener, call } = listening();
    const peer = room.dial(room.machine("10.0.2.1"), listener.address);
    const calls = Array.from({ length: TRACKER_CALLS_MAX + 2 }, call);
    room.run(5);
    expect(calls.map(({ isOpen }) => isOpen)).toEqual(calls.map((_, index) => index > 1));
    expect(calls[0]!.closeCause).toMatchObject({ code: "busy" });
    expect(peer.isOpen).toBe(true);
    calls.at(-1)!.close();
    room.run(5);
    call();
    room.run(5);
    expect(calls.filter(({ isOpen }) => isOpen).length).toBe(TRACKER_CALLS_MAX - 1);
    expect(parts.logged.length).toBe(1);
  });

  test("gets the proof of the registration that waits, and none where none waits", () => {
    let due: ReturnType<typeof peerId> | undefined;
    const { room, call } = listening({ idToProve: () => due });
    const connection = call();
    expect(room.failure(connection.request(proofRequest))).toMatchObject({ code: "refused" });
    due = peerId(5);
    const { proof } = room.wait(connection.request<"REQUEST_PROOF">(proofRequest));
    expect(isProofOf(peerId(5), proofRequest.challenge, proof)).toBe(true);
    expect(isProofOf(peerId(6), proofRequest.challenge, proof)).toBe(false);
  });
});

describe("the port", () => {
  const any = { host: "10.0.0.1", port: 0 };
  const portAfter = (dataFolder: PeerFolder, listen = any, isTaken = false) => {
    const room = new Room();
    const parts = new Parts(room);
    if (isTaken) room.listenRaw(parts.process, 4444);
    const opening = PeerListener.open(options(parts, { dataFolder, listen }));
    return { room, opening };
  };

  test("is any at the first start, and the same at each later one", () => {
    const kept = folder();
    const first = portAfter(kept);
    const address = first.room.wait(first.opening).address;
    expect(address).toBe(`10.0.0.1:${kept.port}` as Address);
    const again = portAfter(folder(4444));
    expect(again.room.wait(again.opening).address).toBe("10.0.0.1:4444" as Address);
  });

  test("is another one where somebody has the remembered one, and that is remembered", () => {
    const kept = folder(4444);
    const { room, opening } = portAfter(kept, any, true);
    expect(room.wait(opening).address).not.toBe("10.0.0.1:4444" as Address);
    expect(kept.port).not.toBe(4444);
  });

  test("that was asked for is taken or refused, never replaced", () => {
    const { room, opening } = portAfter(folder(5555), { host: "10.0.0.1", port: 4444 }, true);
    expect(room.failure(opening)).toMatchObject({ code: "already_running" });
    const free = portAfter(folder(5555), { host: "10.0.0.1", port: 4444 });
    expect(free.room.wait(free.opening).address).toBe("10.0.0.1:4444" as Address);
  });
});

describe("other machines", () => {
  test("are let in by a peer of no swarm with --insecure alone, which is logged (S8)", () => {
    const room = new Room();
    const parts = new Parts(room);
    const refused = PeerListener.open(options(parts, { insecure: false }));
    expect(room.failure(refused)).toMatchObject({
      code: "refused",
      hint: expect.stringMatching(/swarm join.*--insecure/),
    });
    room.wait(PeerListener.open(options(parts)));
    expect(parts.logged).toEqual([expect.stringContaining("warn: --insecure: nothing is encrypted")]);
  });

  test("that cannot connect are warned of: the tracker knows a network address of a loopback listener, or the reverse", () => {
    const { parts, listener } = listening();
    listener.warnIfUnreachable(address("10.0.0.1:7000"));
    expect(parts.logged.length).toBe(1);
    listener.warnIfUnreachable(address("127.0.0.1:7000"));
    expect(parts.logged.at(-1)).toContain("the tracker knows this peer as 127.0.0.1:7000");
    const room = new Room();
    const local = new Parts(room, "127.0.0.1");
    const onLoopback = room.wait(PeerListener.open(options(local, { insecure: false })));
    onLoopback.warnIfUnreachable(address("127.0.0.1:7000"));
    expect(local.logged).toEqual([]);
    onLoopback.warnIfUnreachable(address("10.0.0.1:7000"));
    expect(local.logged).toEqual([expect.stringContaining("listens on its own machine only (--listen)")]);
  });
});

test("the address that is announced is the listener's, or the advertised one with the listener's port where it has none", () => {
  const { room, listener } = listening();
  expect(room.wait(listener.announced())).toEqual({ address: listener.address, advertised: false });
  const other = listening({ advertise: { host: "10.9.9.9", port: 0 } });
  expect(other.room.wait(other.listener.announced())).toEqual({ address: address("10.9.9.9:7000"), advertised: true });
  const third = listening({ advertise: { host: "10.9.9.9", port: 80 } });
  expect(third.room.wait(third.listener.announced())).toEqual({ address: address("10.9.9.9:80"), advertised: true });
});
