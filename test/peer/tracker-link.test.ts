/** The session with the tracker: how it begins, what ends it, and how a peer comes back by itself (F13, F22). */
import { describe, expect, test } from "bun:test";
import { P2pfsError } from "../../src/core/errors.ts";
import { NOTICE_MS_MAX, TRACKER_WAIT_MS } from "../../src/core/limits.ts";
import { MINUTE_MS, SECOND_MS } from "../../src/core/units.ts";
import { sleep } from "../../src/net/system.ts";
import type { PeerEvent } from "../../src/peer/events.ts";
import type { TrackerLinkOptions } from "../../src/peer/tracker-link.ts";
import { Room } from "../support/room.ts";
import { type Answers, address, Parts, peerId, trackerAnswers, trackerIn } from "./parts.ts";

const never = () => undefined;

/** A link that is opened towards a tracker with these answers. */
function linked(answers: Answers = {}, options: Partial<TrackerLinkOptions> = {}, { isOpened = true } = {}) {
  const room = new Room();
  const parts = new Parts(room);
  const tracker = trackerIn(room, answers);
  const events: PeerEvent[] = [];
  parts.events.subscribe((event) => events.push(event));
  const link = parts.linkTo(tracker.at, options);
  if (isOpened) link.open();
  const join = () => room.wait(link.ready(parts.within(TRACKER_WAIT_MS)));
  return { room, parts, tracker, link, events, join };
}

describe("a session", () => {
  test("begins with a registration, then the announcement, and is there when that is complete", () => {
    const steps: string[] = [];
    const { room, tracker, link, events, join } = linked(
      {
        REQUEST_REGISTER: (message) => {
          const { address: _, ...reply } = trackerAnswers.REQUEST_REGISTER(message);
          return { ...reply, address: address("10.9.9.9:4000") };
        },
      },
      {
        announce: async (session) => {
          steps.push(`announcing as ${session.address}, session ${link.session}`);
          await session.request({ type: "REQUEST_ANNOUNCED" });
        },
      },
    );
    const session = join();
    expect(steps).toEqual(["announcing as 10.9.9.9:4000, session undefined"]);
    expect(session).toBe(link.session!);
    expect([link.isUp, link.address]).toEqual([true, address("10.9.9.9:4000")]);
    expect(tracker.types).toEqual(["REQUEST_REGISTER", "REQUEST_ANNOUNCED"]);
    expect(tracker.all("REQUEST_REGISTER")).toMatchObject([{ peer_id: peerId(1), host_name: "test-host" }]);
    const joined = { type: "tracker_joined", tracker: "10.0.1.1:7000", address: address("10.9.9.9:4000") } as const;
    expect(events).toEqual([joined]);
    room.run(MINUTE_MS);
    expect(tracker.connections.length).toBe(1);
  });

  test("is renewed by a heartbeat in each interval that the tracker named", () => {
    const { room, tracker, join } = linked();
    join();
    room.run(20.5 * SECOND_MS);
    expect(tracker.all("HEARTBEAT").length).toBe(10);
  });

  test("is not there before the announcement is complete, however long that takes; heartbeats are sent meanwhile", () => {
    const { room, tracker, link, join } = linked(
      {},
      {
        announce: () => new Promise((resolve) => void room.clock.after(20 * SECOND_MS, resolve)),
      },
    );
    expect(room.failure(link.ready({ atMs: 5 * SECOND_MS }))).toMatchObject({ code: "tracker_unreachable" });
    room.run(18 * SECOND_MS);
    expect([link.isUp, tracker.connections.length]).toEqual([false, 1]);
    expect(tracker.all("HEARTBEAT").length).toBeGreaterThan(7);
    room.run(2 * SECOND_MS);
    expect(join()).toBeDefined();
  });

  test("ends when the tracker closes, with its reason in the event, and begins anew by itself", () => {
    const { room, tracker, link, events, join } = linked();
    join();
    tracker.open[0]!.close(new P2pfsError("refused", "a newer session has your id"));
    room.run(5);
    expect(link.session).toBeUndefined();
    expect(events.at(-1)).toEqual({
      type: "tracker_lost",
      tracker: "10.0.1.1:7000",
      reason: "a newer session has your id",
    });
    room.run(200);
    expect([link.isUp, tracker.all("REQUEST_REGISTER").length]).toEqual([true, 2]);
    expect(events.map(({ type }) => type)).toEqual(["tracker_joined", "tracker_lost", "tracker_joined"]);
  });

  test("with a tracker that is frozen ends after a heartbeat's interval and a lease; it comes back when the tracker does", () => {
    const { room, tracker, link, join } = linked();
    join();
    tracker.process.freeze(30 * SECOND_MS);
    room.until(() => !link.isUp);
    expect(room.now).toBeGreaterThan(8 * SECOND_MS);
    expect(room.now).toBeLessThan(10.2 * SECOND_MS);
    room.until(() => link.isUp);
    expect(room.now).toBeLessThan(38 * SECOND_MS);
  });

  test("survives a tracker that answers each heartbeat just before the lease is over", () => {
    const { room, link, join } = linked({
      HEARTBEAT: () =>
        new Promise((resolve) => void room.clock.after(7.9 * SECOND_MS, () => resolve({ type: "REPLY_HEARTBEAT" }))),
    });
    join();
    room.run(MINUTE_MS);
    expect(link.isUp).toBe(true);
  });
});

describe("a tracker that", () => {
  /** When each connection began. */
  function attempts(answers: Answers) {
    const side = linked(answers, {}, { isOpened: false });
    const beganMs: number[] = [];
    const { tracker } = side;
    const serve = tracker.serve.bind(tracker);
    tracker.serve = (connection) => {
      beganMs.push(side.room.now);
      serve(connection);
    };
    return { ...side, beganMs };
  }

  test("closes every connection is dialled again with growing, jittered pauses of at most 2 seconds", () => {
    const { room, link, beganMs } = attempts({
      REQUEST_REGISTER: (_message, connection) => {
        connection.close();
        return undefined;
      },
    });
    link.open();
    room.run(30 * SECOND_MS);
    const gaps = beganMs.slice(1).map((ms, index) => ms - beganMs[index]!);
    for (const [index, gapMs] of gaps.entries()) {
      const stepMs = Math.min(2 * SECOND_MS, 100 * 2 ** index);
      expect(gapMs).toBeGreaterThan(stepMs / 2);
      expect(gapMs).toBeLessThan(stepMs + 20);
    }
    expect(gaps.length).toBeGreaterThan(14);
    expect(new Set(gaps).size).toBe(gaps.length);
  });

  test("takes the peer is dialled soon again after a loss, whatever pauses came before", () => {
    let refusals = 8;
    const { room, tracker, join, link } = linked({
      REQUEST_REGISTER: (message) => {
        if (refusals-- > 0) throw new P2pfsError("busy", "not now");
        return trackerAnswers.REQUEST_REGISTER(message);
      },
    });
    room.run(20 * SECOND_MS);
    join();
    tracker.open[0]!.close();
    room.until(() => !link.isUp);
    const lostMs = room.now;
    room.until(() => link.isUp);
    expect(room.now - lostMs).toBeLessThan(120);
  });

  test("never says HELLO is given up after 2 seconds, one that never answers the registration after 5", () => {
    const room = new Room();
    const silent = room.listenRaw(room.machine("10.0.1.1"));
    new Parts(room).linkTo({ host: "10.0.1.1", port: 7000 }).open();
    room.run(2.2 * SECOND_MS);
    expect(silent.ends.map(({ isClosed }) => isClosed)).toEqual([true, false]);

    const mute = linked({ REQUEST_REGISTER: never });
    mute.room.run(5.2 * SECOND_MS);
    expect(mute.tracker.all("REQUEST_REGISTER").length).toBe(2);
    expect(mute.parts.logged[0]).toContain("no answer to REQUEST_REGISTER within 5000 ms");
  });

  test("refuses this peer: waiting commands hear it at once, and it is asked again", () => {
    const { room, parts, tracker, link } = linked({
      REQUEST_REGISTER: () => {
        throw new P2pfsError("refused", "this address belongs to another peer");
      },
    });
    const ready = link.ready(parts.within(NOTICE_MS_MAX));
    const message = "this address belongs to another peer";
    expect(room.duration(ready)).toBeLessThan(20);
    expect(room.failure(link.ready(parts.within(NOTICE_MS_MAX)))).toMatchObject({ code: "refused", message });
    room.run(10 * SECOND_MS);
    expect(tracker.all("REQUEST_REGISTER").length).toBeGreaterThan(5);
    expect(parts.logged.filter((line) => line.includes(message)).length).toBe(1);
  });

  test("closes without a word again and again is logged once, not at each try", () => {
    const { room, parts, tracker } = linked({
      REQUEST_REGISTER: (_message, connection) => {
        connection.close();
        return undefined;
      },
    });
    room.run(30 * SECOND_MS);
    expect(tracker.connections.length).toBeGreaterThan(10);
    expect(parts.logged.length).toBe(1);
  });

  test("breaks in the midst of the announcement has no session with this peer", () => {
    const { room, tracker, link } = linked(
      {
        REQUEST_ANNOUNCED: (_message, connection) => {
          connection.close();
          return undefined;
        },
      },
      {
        announce: async (session) => {
          await session.request({ type: "REQUEST_ANNOUNCED" });
        },
      },
    );
    for (let second = 0; second < 5; second++) {
      room.run(SECOND_MS);
      expect(link.session).toBeUndefined();
    }
    expect(tracker.all("REQUEST_ANNOUNCED").length).toBeGreaterThan(3);
  });

  test("is a peer is told as such", () => {
    const { room, parts } = linked({}, {}, { isOpened: false });
    const peer = new Parts(room, "10.0.0.9");
    peer.listen();
    const link = parts.linkTo({ host: "10.0.0.9", port: 7000 });
    link.open();
    room.run(1000);
    expect(room.failure(link.ready(parts.within(10)))).toMatchObject({
      code: "tracker_unreachable",
      message: expect.stringContaining("is not a tracker but a peer"),
    });
  });
});

describe("a command", () => {
  test("R5: waits for the link for TRACKER_WAIT_MS at most, and no longer than its own deadline", () => {
    const { room, parts, link } = linked({ REQUEST_REGISTER: never });
    const ready = (ms: number) => room.duration(link.ready(parts.within(ms)));
    expect([ready(60 * SECOND_MS), ready(300), ready(0)]).toEqual([TRACKER_WAIT_MS, 300, 0]);
  });

  test("R5: has its answer or the notice in TRACKER_WAIT_MS, the wait for the link included", () => {
    const { room, parts, tracker, link } = linked({ REQUEST_FILE_LIST: never });
    const list = { type: "REQUEST_FILE_LIST", fname: null, holder: null, cursor: null } as const;
    const asked = link.request<"REQUEST_FILE_LIST">(list, parts.within(60 * SECOND_MS));
    expect(room.duration(asked)).toBe(TRACKER_WAIT_MS);
    expect(tracker.all("REQUEST_FILE_LIST").length).toBe(1);
    expect(room.failure(asked)).toMatchObject({ code: "tracker_unreachable" });
  });

  test("ends the pause between two tries", () => {
    const room = new Room();
    const parts = new Parts(room);
    const link = parts.linkTo({ host: "10.0.1.1", port: 7000 });
    link.open();
    room.run(20 * SECOND_MS);
    trackerIn(room);
    expect(room.duration(link.ready(parts.within(NOTICE_MS_MAX)))).toBeLessThan(20);
    expect(link.isUp).toBe(true);
  });

  test("hears the tracker's own word where the tracker refuses it, and that it is unreachable where it breaks", () => {
    const { room, parts, link, join } = linked({
      REQUEST_UNPUBLISH: () => {
        throw new P2pfsError("not_found", "no such publication");
      },
      REQUEST_ANNOUNCED: (_message, connection) => {
        connection.close();
        return undefined;
      },
    });
    join();
    const unpublish = { type: "REQUEST_UNPUBLISH", fname: "f" as never } as const;
    expect(room.failure(link.request(unpublish, parts.within(1000)))).toMatchObject({ code: "not_found" });
    const announced = link.request({ type: "REQUEST_ANNOUNCED" }, parts.within(1000));
    expect(room.failure(announced)).toMatchObject({ code: "tracker_unreachable" });
  });
});

describe("a link that is closed", () => {
  test("wakes who waits, and has no session for who comes later", () => {
    const { room, parts, link } = linked({ REQUEST_REGISTER: never });
    room.run(50);
    const waiting = link.ready(parts.within(60 * SECOND_MS));
    link.close();
    expect(room.duration(waiting)).toBe(0);
    expect(room.failure(link.ready(parts.within(60 * SECOND_MS)))).toMatchObject({ code: "tracker_unreachable" });
    room.run(5);
    expect(link.session).toBeUndefined();
  });

  test.each([0, 1, 2.5, 3.5, 5, 500])("%d ms after it was opened has left the tracker for good", (ms) => {
    const { room, tracker, link } = linked();
    room.run(ms);
    link.close();
    room.run(MINUTE_MS);
    expect([link.session, tracker.open.length]).toEqual([undefined, 0]);
    expect(tracker.connections.length).toBeLessThan(2);
  });
});

describe("an attempt that fails late, since the name of the advertised address took long to look up,", () => {
  /** The first connection is lost during its look-up; the tracker wants a proof from the second one. */
  function lateFailure({ lookUpMs, proofAfterMs }: { readonly lookUpMs: number; readonly proofAfterMs: number }) {
    let attempts = 0;
    const proofs: string[] = [];
    const where = { address: address("10.9.9.9:7000"), advertised: true };
    const side = linked(
      {
        REQUEST_REGISTER: async (message, connection) => {
          await sleep(side.tracker.process.system.clock, proofAfterMs);
          const proof = connection.request({ type: "REQUEST_PROOF", challenge: new Uint8Array(32) });
          proofs.push(
            await proof.then(
              ({ type }) => type,
              ({ code }) => code,
            ),
          );
          return trackerAnswers.REQUEST_REGISTER(message);
        },
      },
      {
        listening: async () => {
          await sleep(side.parts.process.system.clock, attempts++ === 0 ? lookUpMs : 1);
          return where;
        },
      },
    );
    side.room.until(() => side.tracker.connections.length === 1);
    side.tracker.connections[0]!.close();
    side.room.run(10 * SECOND_MS);
    return { ...side, proofs };
  }

  test("does not end the session of the next one", () => {
    const { tracker, link, events } = lateFailure({ lookUpMs: 3 * SECOND_MS, proofAfterMs: 0 });
    expect([link.isUp, tracker.connections.length]).toEqual([true, 2]);
    expect(events.map(({ type }) => type)).toEqual(["tracker_joined"]);
  });

  test("does not take back the proof that the next one owes", () => {
    const { tracker, proofs } = lateFailure({ lookUpMs: 500, proofAfterMs: SECOND_MS });
    expect([proofs, tracker.connections.length]).toEqual([["REPLY_PROOF"], 2]);
  });
});

describe("a proof of the advertised address", () => {
  test("is given while the registration waits, with the id of that tracker, and not before or after", () => {
    const outcomes: string[] = [];
    const challenge = new Uint8Array(32);
    const { room, tracker, link, join } = linked(
      {
        REQUEST_REGISTER: async (message, connection) => {
          outcomes.push((await connection.request({ type: "REQUEST_PROOF", challenge })).type);
          return trackerAnswers.REQUEST_REGISTER(message);
        },
      },
      { listening: async () => ({ address: address("10.9.9.9:7000"), advertised: true }) },
    );
    expect(link.idToProve).toBeUndefined();
    join();
    expect(outcomes).toEqual(["REPLY_PROOF"]);
    expect(link.idToProve).toBeUndefined();
    const late = tracker.open[0]!.request({ type: "REQUEST_PROOF", challenge });
    expect(room.failure(late)).toMatchObject({ code: "refused" });
  });

  test("is not given for an address that is not advertised", () => {
    const { room, link } = linked({ REQUEST_REGISTER: never });
    room.run(50);
    expect(link.idToProve).toBeUndefined();
  });
});
