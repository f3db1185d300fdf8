/** A peer's session with its tracker, over real sockets. */
import { Database } from "bun:sqlite";
import { beforeEach, describe, expect, test } from "bun:test";
import { join } from "node:path";
import type { Address } from "../../src/core/address.ts";
import { NO_CHUNKS } from "../../src/core/bitfield.ts";
import { textOf } from "../../src/core/log.ts";
import { proofOf } from "../../src/net/proof.ts";
import type { Tracker } from "../../src/tracker/tracker.ts";
import { expectError } from "../support/errors.ts";
import { temporaryFolder } from "../support/folder.ts";
import { listenWithProof, ProtocolPeer, PUBLISHED_BYTES } from "../support/protocol-peer.ts";
import { startTracker } from "../support/roles.ts";
import { contentId, fileName, peerId, ranges } from "../support/values.ts";

let tracker: Tracker;
let at: Address;
let folder: string;
let log: string[];
beforeEach(async () => {
  folder = temporaryFolder();
  log = [];
  ({ tracker, at } = await startTracker({
    folder,
    log: (level, ...entry) => void log.push(`${level}: ${textOf(...entry)}`),
  }));
});

const chunkReport = (content: number, ...flat: number[]) =>
  ({
    type: "REQUEST_CHUNK_REGISTER",
    primary_key: null,
    content_id: contentId(content),
    size: PUBLISHED_BYTES,
    chunknum: ranges(...flat),
    replace: false,
  }) as const;

/** Until the tracker has noticed. */
async function leave(peer: ProtocolPeer): Promise<void> {
  const left = new Promise<void>((resolve) =>
    tracker.events.subscribe((event) => void (event.type === "peer_left" && resolve())),
  );
  await peer.leave();
  await left;
}

describe("registering", () => {
  test("F22: nothing but ping and heartbeat is answered before it", async () => {
    const peer = await ProtocolPeer.dial(at, 1);
    expect(await peer.request({ type: "REQUEST_PING_PONG", peer_address: null })).toMatchObject({ response: "pong" });
    expect(await peer.request({ type: "HEARTBEAT" })).toMatchObject({ type: "REPLY_HEARTBEAT" });
    await expectError("unauthorised", peer.listed());
    await peer.register({ address: "127.0.0.1:7001" as Address });
    expect(await peer.listed()).toEqual([]);
  });

  test("the address has the host that the tracker sees; lease and heartbeat are in the reply", async () => {
    const peer = await ProtocolPeer.dial(at, 1);
    const reply = await peer.register({ address: "8.8.8.8:7001" as Address });
    expect(reply).toMatchObject({
      address: "127.0.0.1:7001",
      lease_ms: tracker.leaseMs,
      heartbeat_ms: tracker.heartbeatMs,
    });
  });

  test("an advertised address is accepted when the peer proves it there", async () => {
    const listener = await listenWithProof(peerId(1));
    const peer = await ProtocolPeer.dial(at, 1);
    expect(await peer.register({ address: listener.address, advertised: true })).toMatchObject({
      address: listener.address,
    });
    expect((await tracker.listPeers()).rows.map((row) => row.address)).toEqual([listener.address]);
  });

  test("an advertised address where another peer answers, or nobody, is refused in time", async () => {
    const listener = await listenWithProof(peerId(2));
    const peer = await ProtocolPeer.dial(at, 1);
    const before = performance.now();
    for (const address of [listener.address, "127.0.0.3:1" as Address]) {
      await expectError("refused", peer.register({ address, advertised: true }), address);
    }
    expect(performance.now() - before).toBeLessThan(4000);
    expect((await tracker.listPeers()).rows).toEqual([]);
  });

  test("the proof is the one of the specification's example", () => {
    const id = "000102030405060708090a0b0c0d0e0f" as ReturnType<typeof peerId>;
    expect(proofOf(id, new Uint8Array(32).fill(0xab)).toHex()).toBe(
      "0ea26c972f7f2786b4ddc9eb8998f91fb04c4e2fd90142a6c4139223dc0c836a",
    );
  });

  test("a second session replaces the first and closes it; its late close touches nothing", async () => {
    const first = await ProtocolPeer.join(at, 1);
    await first.publish("a", 1);
    const second = await ProtocolPeer.join(at, 1);
    await first.gone;
    expect(first.connection.closeCause?.message).toContain("newer session");
    expect(await second.listed()).toEqual(["a_127.0.0.1_7001"]);
    expect((await tracker.listPeers()).rows).toHaveLength(1);
  });

  test("registering or announcing again and again on one connection is answered with busy", async () => {
    const peer = await ProtocolPeer.join(at, 1);
    // One kind after the other, since announcements of a replaced session are refused.
    for (const ask of [
      () => peer.register({ address: peer.address }),
      () => peer.request({ type: "REQUEST_ANNOUNCED" }),
    ]) {
      const codes = await Promise.all(
        Array.from({ length: 10 }, () =>
          ask().then(
            () => "granted",
            (error) => `${error.code}`,
          ),
        ),
      );
      expect(codes.filter((code) => code === "busy").length).toBeGreaterThan(5);
      expect(codes).toContain("granted");
    }
  });

  test("another id at an online address is refused, and may register elsewhere", async () => {
    await ProtocolPeer.join(at, 1);
    const other = await ProtocolPeer.dial(at, 2);
    await expectError("refused", other.register({ address: "127.0.0.1:7001" as Address }));
    await other.register({ address: "127.0.0.1:7002" as Address });
    expect((await tracker.listPeers()).rows).toHaveLength(2);
  });

  test("a second peer id is refused as well while the first registration is under way", async () => {
    const peer = await ProtocolPeer.dial(at, 1);
    const [first] = await Promise.all([
      peer.register({ address: "127.0.0.1:7001" as Address }),
      expectError("refused", peer.register({ address: "127.0.0.1:7002" as Address, peer_id: peerId(2) })),
    ]);
    expect((await tracker.listPeers()).rows.map((row) => row.address)).toEqual([first.address]);
  });

  test("a second peer id on one connection is refused, and a host name that is not printable", async () => {
    const peer = await ProtocolPeer.join(at, 1);
    const address = "127.0.0.1:7009" as Address;
    await expectError("refused", peer.register({ peer_id: peerId(2), address }));
    await expectError("refused", peer.register({ host_name: "a\u001b[2J", address }));
  });

  test("a peer that closes its connection is gone at once, and its shares with it", async () => {
    const [one, two] = [await ProtocolPeer.join(at, 1), await ProtocolPeer.join(at, 2)];
    await one.publish("a", 1);
    await leave(one);
    expect(await two.listed()).toEqual([]);
    expect((await tracker.listPeers()).rows.map((row) => row.address)).toEqual([two.address]);
  });
});

describe("publishing", () => {
  test("F16, R1: after the reply the file is listed and located, and its publisher is a holder of all chunks", async () => {
    const [one, two] = [await ProtocolPeer.join(at, 1), await ProtocolPeer.join(at, 2)];
    expect(await one.publish("a", 1)).toMatchObject({ filename: "a", result: "ok" });
    expect(await two.listed()).toEqual(["a_127.0.0.1_7001"]);
    const key = { primary_key: "a_127.0.0.1_7001", content_id: null };
    expect(await two.request<"REQUEST_FILE_LOCATION">({ type: "REQUEST_FILE_LOCATION", ...key })).toMatchObject({
      fileinfo: { key: "a_127.0.0.1_7001", path: "./a", holders: 1 },
      chunkinfo: [{ address: one.address, chunks: ranges(0, 9) }],
    });
  });

  test("a key or author that is not the session's, and a chunk count that does not fit, are refused", async () => {
    const peer = await ProtocolPeer.join(at, 1);
    const wrong = [
      { primary_key: "a_127.0.0.1_7002" },
      { primary_key: "b_127.0.0.1_7001" },
      { author_address: "127.0.0.1:7002" as Address },
      { total_chunknum: 9 },
    ];
    for (const fields of wrong) await expectError("refused", peer.publish("a", 1, fields));
    expect(await peer.listed()).toEqual([]);
    await peer.publish("a", 1);
  });

  test("R2: one name twice is refused, the same publication again is not, and the connection stays open", async () => {
    const peer = await ProtocolPeer.join(at, 1);
    await peer.publish("a", 1);
    await peer.publish("a", 1);
    await expectError("refused", peer.publish("a", 2));
    await expectError("refused", peer.publish("A", 1));
    expect(await peer.listed()).toEqual(["a_127.0.0.1_7001"]);
  });

  test("a file is unpublished once; the second time is not_found", async () => {
    const peer = await ProtocolPeer.join(at, 1);
    await peer.publish("a", 1);
    const unpublish = { type: "REQUEST_UNPUBLISH", fname: fileName("a") } as const;
    expect(await peer.request(unpublish)).toMatchObject({ filename: "a", result: "ok" });
    await expectError("not_found", peer.request(unpublish));
    expect(await peer.listed()).toEqual([]);
  });

  test("F19: registered chunks make a holder; REQUEST_ANNOUNCED drops what was not announced again", async () => {
    const [one, two] = [await ProtocolPeer.join(at, 1), await ProtocolPeer.join(at, 2)];
    await one.publish("a", 1);
    await one.publish("b", 2);
    await two.request(chunkReport(1, 3, 5));
    expect(await one.holders(1)).toEqual([two.address]);
    await one.leave();
    const again = await ProtocolPeer.join(at, 1, 7999);
    expect((await again.listed()).sort()).toEqual(["a_127.0.0.1_7999", "b_127.0.0.1_7999"]);
    await again.publish("b", 2);
    await again.request({ type: "REQUEST_ANNOUNCED" });
    expect(await two.listed()).toEqual(["b_127.0.0.1_7999"]);
    expect(await again.holders(1)).toEqual([two.address]);
  });

  test("chunks beyond the content, a location by neither or both, and an unknown key are answered with an ERROR", async () => {
    const peer = await ProtocolPeer.join(at, 1);
    await peer.publish("a", 1);
    await expectError("refused", peer.request(chunkReport(1, 10, 10)));
    const locate = (primary_key: string | null, content: number | null) =>
      peer.request<"REQUEST_FILE_LOCATION">({
        type: "REQUEST_FILE_LOCATION",
        primary_key,
        content_id: content === null ? null : contentId(content),
      });
    await expectError("usage", locate(null, null));
    await expectError("usage", locate("a_127.0.0.1_7001", 1));
    await expectError("not_found", locate("a_127.0.0.1_7002", null));
    await expectError("not_found", locate(null, 2));
    const foreign = { type: "REQUEST_JOIN_SWARM", content_id: contentId(1), chunks: NO_CHUNKS } as const;
    await expectError("unknown_message", peer.request(foreign));
    expect(await peer.listed()).toHaveLength(1);
  });

  test("REPLY_PEERS names the online peers of a host, whether they publish or not", async () => {
    const [one, two] = [await ProtocolPeer.join(at, 1), await ProtocolPeer.join(at, 2)];
    const peersAt = async (host: string) =>
      (await one.request<"REQUEST_PEERS">({ type: "REQUEST_PEERS", host })).addresses;
    expect(await peersAt("127.0.0.1")).toEqual([one.address, two.address]);
    expect(await peersAt("10.0.0.1")).toEqual([]);
    for (const host of ["localhost", "127.0.0.01", "[::1]", "::0001", ""]) await expectError("protocol", peersAt(host));
    await leave(two);
    expect(await peersAt("127.0.0.1")).toEqual([one.address]);
  });

  test("F15: discover answers for a peer that is online", async () => {
    const [one, two] = [await ProtocolPeer.join(at, 1), await ProtocolPeer.join(at, 2)];
    await one.publish("a", 1);
    const discover = (address: Address) =>
      two.request<"REQUEST_DISCOVER">({ type: "REQUEST_DISCOVER", address, cursor: null });
    expect((await discover(one.address)).file_list.map((row) => row.fname)).toEqual([fileName("a")]);
    expect((await discover(two.address)).file_list).toEqual([]);
    await expectError("not_found", discover("127.0.0.1:9" as Address));
  });
});

test("10: a registry that cannot be written is a disk error without the path, which is logged", async () => {
  const peer = await ProtocolPeer.join(at, 1);
  const blocker = new Database(join(folder, "registry.sqlite"));
  blocker.run("BEGIN IMMEDIATE");
  const errors = [await expectError("disk", peer.publish("a", 1)), await expectError("disk", peer.publish("b", 1))];
  blocker.run("ROLLBACK");
  blocker.close();
  for (const error of errors) {
    expect(error.message).not.toContain("/");
    expect(error.hint).toContain("log");
  }
  expect(log.filter((line) => line.startsWith("error: ") && line.includes(folder))).toHaveLength(1);
  await peer.publish("a", 1);
}, 20_000);
