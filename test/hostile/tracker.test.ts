/**
 * Hostile trackers: one that the swarm's authority has certified, over TLS, and one of no swarm, in virtual time. What a
 * tracker says can keep a peer from holders, but puts no other bytes in their place, and sends the peer to nobody else.
 *
 * Elsewhere: lists without an end and slow ones (test/peer/candidates.test.ts), a tracker that is silent, late or breaks
 * (test/peer/tracker-link.test.ts), one that calls a peer (test/e2e/trackers.test.ts, test/peer/tracker-calls.test.ts).
 */
import { beforeEach, describe, expect, spyOn, test } from "bun:test";
import { join } from "node:path";
import type { Address } from "../../src/core/address.ts";
import { Bitfield } from "../../src/core/bitfield.ts";
import type { P2pfsError } from "../../src/core/errors.ts";
import { HOLDER_SAMPLE_MAX, NOTICE_MS_MAX } from "../../src/core/limits.ts";
import type { FileInfo, HolderInfo, PeerId } from "../../src/core/model.ts";
import { formatTicket } from "../../src/core/ticket.ts";
import { MINUTE_MS, MiB, SECOND_MS } from "../../src/core/units.ts";
import type { Outgoing } from "../../src/net/handlers.ts";
import { HolderSearch } from "../../src/peer/holder-search.ts";
import type { Peer } from "../../src/peer/peer.ts";
import type { Published } from "../../src/peer/types.ts";
import { encodeFrame } from "../../src/wire/frame.ts";
import { PROTOCOL_VERSION } from "../../src/wire/messages.ts";
import { CHUNK, contentOf, Parts, trackerAnswers } from "../peer/parts.ts";
import { randomBytes } from "../support/bytes.ts";
import { closeLater, closeNow } from "../support/closing.ts";
import type { FakeTracker } from "../support/fake-tracker.ts";
import { expectSameFile, temporaryFolder } from "../support/folder.ts";
import { newSwarm } from "../support/private-swarm.ts";
import { helloOf } from "../support/protocol-peer.ts";
import { fetchTo, openPeer, openTracker } from "../support/roles.ts";
import { Room } from "../support/room.ts";
import { until } from "../support/until.ts";
import { address, contentId, listedFile, ranges } from "../support/values.ts";
import { Lab } from "./lab.ts";

const SIZE = 2 * MiB;
const CHUNKS = SIZE / (64 * 1024);
const ALL = Bitfield.full(CHUNKS).toRanges();

describe("in a swarm, a tracker that", () => {
  let lab: Lab;
  let tracker: FakeTracker;
  let anna: Awaited<ReturnType<Lab["peerAt"]>>;
  let ben: Awaited<ReturnType<Lab["peerAt"]>>;
  let folder: string;
  let shared: Published;
  let other: Published;

  beforeEach(async () => {
    lab = await Lab.open();
    tracker = await lab.hostileTracker();
    [anna, ben] = [await lab.peerAt(tracker, "anna"), await lab.peerAt(tracker, "ben")];
    folder = temporaryFolder();
    [shared, other] = [await share(anna, "shared", 1), await share(anna, "other", 2)];
  });

  async function share(peer: Peer, fname: string, seed: number): Promise<Published> {
    const path = join(folder, fname);
    await Bun.write(path, randomBytes(SIZE, seed));
    return peer.publish({ path, lname: path, fname });
  }

  const ticketOf = ({ fname, content_id }: Published) =>
    formatTicket({ tracker: tracker.at, fname: fname as FileInfo["fname"], contentId: content_id });
  const copy = () => join(folder, "copy");
  const fetchShared = (what = ticketOf(shared)) => fetchTo(ben, what, copy());

  /** Names these holders, each with all chunks, whatever is asked for. */
  function name(holders: readonly { readonly address: Address; readonly peer_id: PeerId }[]): void {
    const chunkinfo = holders.map((holder) => ({ ...holder, chunks: ALL }));
    const REQUEST_FILE_LOCATION = () => ({ type: "REPLY_FILE_LOCATION", fileinfo: null, chunkinfo }) as const;
    tracker.answers = { ...tracker.answers, REQUEST_FILE_LOCATION };
  }
  const nameAnna = () => name([{ address: anna.address!, peer_id: anna.id }]);

  const rowOf = ({ fname, content_id }: Published, fields: Partial<FileInfo> = {}): FileInfo => ({
    ...listedFile(fname, 0, anna.address!),
    size: SIZE,
    total_chunknum: CHUNKS as FileInfo["total_chunknum"],
    content_id,
    ...fields,
  });
  function list(...file_list: FileInfo[]): void {
    const REQUEST_FILE_LIST = (): Outgoing<"REPLY_FILE_LIST"> => ({ type: "REPLY_FILE_LIST", file_list, next: null });
    tracker.answers = { ...tracker.answers, REQUEST_FILE_LIST };
  }

  test("names whom it wants makes a peer knock at no other than the member of that id, and a fetch ends in time", async () => {
    const pieces: Buffer[] = [];
    const victim = Bun.listen({
      hostname: "127.0.0.1",
      port: 0,
      socket: { data: (_socket, piece) => void pieces.push(Buffer.from(piece)) },
    });
    closeLater(victim, () => victim.stop(true));
    const at = anna.address!;
    const chunks = ALL;
    const cases: readonly [what: string, named: HolderInfo[], reason: RegExp][] = [
      ["nobody", [], /no reachable peer holds the content/],
      [
        "a host that is no member",
        [{ address: address(`127.0.0.1:${victim.port}`), peer_id: anna.id, chunks }],
        /answer|in time/,
      ],
      ["a holder by another member's id", [{ address: at, peer_id: ben.id, chunks }], /another member answers/],
      ["a holder without an id", [{ address: address("127.0.0.1:1"), chunks }], /did not say which member/],
      ["a tracker as a holder", [{ address: lab.swarm.at, peer_id: lab.trackerId, chunks }], /is not a peer/],
      ["a member that has no such content", [{ address: at, peer_id: anna.id, chunks }], /does not hold/],
    ];
    tracker.answers = {
      REQUEST_FILE_LOCATION: ({ content_id }) => {
        const chunkinfo = cases.find((_, index) => contentId(index) === content_id)![1];
        return { type: "REPLY_FILE_LOCATION", fileinfo: null, chunkinfo };
      },
    };
    const beganMs = performance.now();
    const outcomes = cases.map(async ([what, , reason], index) => {
      const ticket = ticketOf({ ...shared, content_id: contentId(index) });
      const ended = await fetchTo(ben, ticket, join(folder, what)).catch((thrown: P2pfsError) => thrown);
      expect([what, ended]).toMatchObject([what, { code: "no_holder", message: expect.stringMatching(reason) }]);
    });
    await Promise.all(outcomes);
    expect(performance.now() - beganMs).toBeLessThan(NOTICE_MS_MAX);
    expect(anna.status().bytes_sent).toBe(0);
    // The first record of TLS, a ClientHello: no certificate, and no name but the one that all members share.
    const heard = Buffer.concat(pieces);
    expect([heard[0], heard[5]]).toEqual([0x16, 0x01]);
    const greetings = pieces.filter((piece) => piece[0] === 0x16).length;
    expect(greetings).toBeLessThan(5);
    expect(heard.length).toBeLessThan(greetings * 2048);
    for (const secret of ["p2pfs/", "shared", contentId(1), anna.id, ben.id])
      expect(heard.includes(secret)).toBe(false);
  });

  test("lists another content under the name that a ticket has, with another size, changes nothing", async () => {
    nameAnna();
    list(rowOf({ ...shared, content_id: other.content_id }), rowOf(shared, { size: 5, total_chunknum: 1 as never }));
    await fetchShared();
    expectSameFile(copy(), shared.path);
  });

  test("lists another content under a name gives that one, and the receipt says so", async () => {
    nameAnna();
    list(rowOf({ ...shared, content_id: other.content_id }));
    expect(await fetchShared("shared")).toMatchObject({ content_id: other.content_id });
    expectSameFile(copy(), other.path);
  });

  test("changes its answers at each call keeps a fetch from nothing once it has named a holder", async () => {
    const answers: Outgoing<"REPLY_FILE_LOCATION">["chunkinfo"][] = [
      [{ address: ben.address!, peer_id: anna.id, chunks: ALL }],
      [{ address: anna.address!, peer_id: anna.id, chunks: ALL }],
      [{ address: address("127.0.0.1:1"), peer_id: anna.id, chunks: ranges(3, 900) }],
      [],
    ];
    let calls = 0;
    tracker.answers = {
      REQUEST_FILE_LOCATION: () => ({
        type: "REPLY_FILE_LOCATION",
        fileinfo: rowOf(other, { content_id: contentId(calls) }),
        chunkinfo: answers[++calls % answers.length]!,
      }),
    };
    await fetchShared();
    expectSameFile(copy(), shared.path);
  });

  test("names more holders than a reply may have, or a million, is not believed at all", async () => {
    const holder = { address: anna.address!, peer_id: anna.id };
    for (const count of [HOLDER_SAMPLE_MAX + 1, 1_000_000]) {
      name(new Array(count).fill(holder));
      const ended = await fetchShared().catch((thrown: P2pfsError) => thrown);
      expect(ended).toMatchObject({ code: expect.stringMatching(/protocol|tracker_unreachable/) });
      nameAnna();
      await until("ben is there again", () => ben.status().connected);
    }
    await fetchShared();
    expectSameFile(copy(), shared.path);
  });

  test("asks what only peers ask gets no answer to it over the session", async () => {
    const content_id = shared.content_id;
    const asked = [
      { type: "REQUEST_MANIFEST", content_id },
      { type: "REQUEST_JOIN_SWARM", content_id, chunks: ranges() },
      { type: "PEER_REQUEST_CHUNK", filename: shared.fname as FileInfo["fname"], content_id, chunknum: ALL },
      { type: "REQUEST_CONFIRM", address: anna.address!, nonces: ["ab".repeat(16)] },
      { type: "REQUEST_FILE_LIST", fname: null, holder: null, cursor: null },
      { type: "REQUEST_RENEW" },
      // It waits for no proof of an advertised address.
      { type: "REQUEST_PROOF", challenge: new Uint8Array(32) },
    ] as const;
    for (const message of asked) {
      const [toAnna] = tracker.connections;
      const failure = await toAnna!.request<typeof message.type>(message as never).then(
        () => undefined,
        (thrown: P2pfsError) => thrown.code,
      );
      expect([message.type, failure]).toEqual([message.type, expect.stringMatching(/unknown_message|refused/)]);
    }
    expect(anna.status()).toMatchObject({ connected: true, bytes_sent: 0 });
  });

  test("calls a holder removed cuts the transfer; what has come stays, and another tracker's word replaces it", async () => {
    nameAnna();
    anna.setLimits({ up_limit: 256 * 1024 });
    const job = await ben.fetch({ what: ticketOf(shared), destination: copy() });
    await until("two chunks have come", () => job.progress().chunks >= 2);
    const { swarm } = lab;
    const allOf = [anna.id, ben.id, swarm.swarm.membership.peerId];
    for (const connection of tracker.connections)
      connection.send({ type: "REVOKED", peer_ids: Uint8Array.fromHex(allOf.join("")) });
    await until("the transfer is cut", () => anna.backlog.connections === 0 && ben.backlog.connections === 0);
    // The other tracker is among those that this one has called removed.
    for (const peer of [anna, ben]) await peer.connect(lab.trackerAt);
    anna.setLimits({ up_limit: null });
    const kept = job.progress().chunks;
    expect(kept).toBeGreaterThanOrEqual(2);
    // Where it has not ended meanwhile, it goes on by itself.
    await job.done.catch(() => fetchShared());
    expectSameFile(copy(), shared.path);
  });
});

describe("a tracker whose authority is another one than the peer has joined", () => {
  test("is told apart in words that say what to do, and hears nothing of the peer's", async () => {
    const lab = await Lab.open();
    const ben = await lab.swarm.peer("ben");
    await closeNow(lab.swarm.tracker);
    const replaced = await openTracker({ swarm: await newSwarm() });
    await replaced.start(lab.trackerAt);
    let error: P2pfsError | undefined;
    await until("ben has seen the other authority", async () => {
      error = await ben.listFiles().then(
        () => undefined,
        (thrown: P2pfsError) => thrown,
      );
      return /another swarm/.test(error?.message ?? "");
    });
    expect(error).toMatchObject({ code: "tracker_unreachable", message: expect.stringMatching(/not of one swarm/) });
    expect(error!.hint).toMatch(/invitation.*swarm leave.*swarm join/);
    expect((await replaced.listPeers()).rows).toEqual([]);
  });

  test("is not spoken to in plain, where nothing answers in TLS", async () => {
    const lab = await Lab.open();
    const heard: Buffer[] = [];
    const plain = Bun.listen({
      hostname: "127.0.0.1",
      port: 0,
      socket: {
        data: (socket, piece) => {
          heard.push(Buffer.from(piece));
          socket.end(encodeFrame({ type: "HELLO", version: PROTOCOL_VERSION, ...helloOf("tracker") }));
        },
      },
    });
    closeLater(plain, () => plain.stop(true));
    const tracker = { host: "127.0.0.1", port: plain.port };
    const ben = await openPeer({ tracker, membership: await lab.swarm.join("ben") });
    await until("ben has tried several times", () => heard.length >= 3);
    expect(ben.status().connected).toBe(false);
    // Records of a TLS handshake, or an alert.
    for (const piece of heard) expect([0x15, 0x16]).toContain(piece[0]!);
  });
});

describe("outside of a swarm, a tracker that", () => {
  test("names ever new addresses makes a peer knock 200 times, then ten times a second, however many fetches run", () => {
    const room = new Room();
    const parts = new Parts(room);
    const dials: number[] = [];
    const { network } = parts.process.system;
    spyOn(network, "connect").mockImplementation(() => {
      dials.push(room.now);
      return new Promise((_, reject) => room.clock.after(900, () => reject(new Error("silent"))));
    });
    let named = 0;
    const fresh = () => ({ address: address(`10.7.${Math.floor(++named / 250)}.${1 + (named % 250)}:22`) });
    const searches = Array.from({ length: 16 }, (_, index) => {
      const { contentId: id, chunkCount } = contentOf(4 * CHUNK, index + 1);
      const search = new HolderSearch({
        clock: parts.process.system.clock,
        contentId: id,
        have: new Bitfield(chunkCount),
        neighbours: parts.neighbours,
        swarms: parts.swarms,
        findHolders: async () => Array.from({ length: HOLDER_SAMPLE_MAX }, fresh),
        sourceCount: () => 0,
        isKnown: () => false,
        delayed: () => {},
        log: parts.log,
      });
      search.start([]);
      return search;
    });
    // As the engine does when it has no source.
    for (let second = 0; second < 60; second++) {
      room.run(SECOND_MS);
      for (const search of searches) search.again();
    }
    for (const search of searches) search.close();
    expect(named).toBeGreaterThan(10_000);
    expect(dials.length).toBeLessThanOrEqual(200 + 10 * 60 + 1);
    for (const from of dials) {
      const within = dials.filter((at) => at >= from && at <= from + SECOND_MS).length;
      expect(within).toBeLessThanOrEqual(200 + 10);
    }
  });

  test("names a host that speaks another protocol makes a peer say its HELLO there, and nothing more", () => {
    const room = new Room();
    const parts = new Parts(room);
    const victim = room.listenRaw(room.machine("10.7.0.1"), 22);
    room.failure(parts.neighbours.reach(victim.address));
    const [end] = victim.ends;
    room.run(2 * SECOND_MS);
    expect([end!.types, end!.isClosed]).toEqual([["HELLO"], true]);
  });

  test("answers a byte a second is given up when a lease has passed, and commands end in time meanwhile", () => {
    const room = new Room();
    const parts = new Parts(room);
    const { address: at, ends } = room.listenRaw(room.machine("10.0.1.1"));
    const link = parts.linkTo({ host: "10.0.1.1", port: 7000 });
    link.open();
    room.until(() => ends[0]?.types.includes("HELLO") === true);
    ends[0]!.send({ type: "HELLO", version: PROTOCOL_VERSION, role: "tracker", agent: "slow", address: at });
    room.until(() => ends[0]!.types.includes("REQUEST_REGISTER"));
    const { request } = ends[0]!.all("REQUEST_REGISTER")[0]!;
    ends[0]!.send({ ...trackerAnswers.REQUEST_REGISTER({ address: parts.address } as never), request } as never);
    room.until(() => link.isUp);
    room.clock.after(0, function drip() {
      if (ends[0]!.isClosed) return;
      ends[0]!.write(Uint8Array.of(0x17));
      room.clock.after(SECOND_MS, drip);
    });
    const beganMs = room.now;
    const asking = link.request({ type: "REQUEST_PEERS", host: "10.0.0.1" }, parts.within(NOTICE_MS_MAX));
    expect(room.failure(asking, NOTICE_MS_MAX)).toMatchObject({ code: "tracker_unreachable" });
    room.until(() => ends[0]!.isClosed, MINUTE_MS);
    expect(room.now - beganMs).toBeLessThan(12 * SECOND_MS);
    link.close();
  });
});
