/** A host without a port means its only peer (decision 0): the tracker is asked once, by the IP. */
import { expect, test } from "bun:test";
import { P2pfsError } from "../../src/core/errors.ts";
import { NOTICE_MS_MAX } from "../../src/core/limits.ts";
import { SECOND_MS } from "../../src/core/units.ts";
import { sleep } from "../../src/net/system.ts";
import { onlyPeerAt } from "../../src/peer/only-peer-at.ts";
import { Room } from "../support/room.ts";
import { type Answers, address, Parts, trackerIn } from "./parts.ts";

function asking(answer: Answers["REQUEST_PEERS"], lookUpMs = 0) {
  const room = new Room();
  const parts = new Parts(room);
  const tracker = trackerIn(room, { REQUEST_PEERS: answer! });
  const directory = parts.directoryAt(tracker.at);
  directory.open();
  room.until(() => directory.isUp);
  const { clock } = parts.process.system;
  const lookUp = async (host: string) => {
    await sleep(clock, lookUpMs);
    return host === "some.host" ? ["10.0.0.7"] : [];
  };
  const ask = (host: string) => onlyPeerAt(host, directory, parts.within(1700), { clock, lookUp });
  return { room, tracker, ask };
}

const has =
  (...addresses: string[]): Answers["REQUEST_PEERS"] =>
  () => ({ type: "REPLY_PEERS", addresses: addresses.map(address) });

test("the only peer at a host is found by its IP, which the tracker is asked for once", () => {
  const { room, tracker, ask } = asking(has("10.0.0.7:4000"));
  expect(room.wait(ask("some.host"))).toBe(address("10.0.0.7:4000"));
  expect(room.wait(ask("10.0.0.7"))).toBe(address("10.0.0.7:4000"));
  expect(tracker.all("REQUEST_PEERS").map(({ host }) => host)).toEqual(["10.0.0.7", "10.0.0.7"]);
});

test("none is not found; several need the port, and five of them are shown", () => {
  const none = asking(has());
  expect(none.room.failure(none.ask("some.host"))).toMatchObject({ code: "not_found" });
  const two = asking(has("10.0.0.7:1", "10.0.0.7:2"));
  expect(two.room.failure(two.ask("some.host"))).toMatchObject({
    code: "ambiguous",
    message: "2 peers are on some.host: 10.0.0.7:1, 10.0.0.7:2",
    hint: "add the PORT of the peer that you mean",
  });
  const six = asking(has(...[1, 2, 3, 4, 5, 6].map((port) => `10.0.0.7:${port}`)));
  expect(six.room.failure(six.ask("some.host")).message).toEndWith("10.0.0.7:5, …");
});

test("exactly five are shown without more to follow", () => {
  const { room, ask } = asking(has(...[1, 2, 3, 4, 5].map((port) => `10.0.0.7:${port}`)));
  expect(room.failure(ask("some.host")).message).toEndWith("10.0.0.7:5");
});

test("a tracker that does not know the question makes the port needed; another refusal is passed on", () => {
  const refusing = (code: "unknown_message" | "busy") =>
    asking(() => {
      throw new P2pfsError(code, "no");
    });
  const [older, busy] = [refusing("unknown_message"), refusing("busy")];
  expect(older.room.failure(older.ask("some.host"))).toMatchObject({ code: "usage" });
  expect(busy.room.failure(busy.ask("some.host"))).toMatchObject({ code: "busy" });
});

test("R5: a slow name service and a silent tracker together stay within the time of a notice", () => {
  const { room, ask } = asking(() => undefined, 900);
  const asked = ask("some.host");
  const tookMs = room.duration(asked);
  expect(tookMs).toBeGreaterThan(SECOND_MS);
  expect(tookMs).toBeLessThan(NOTICE_MS_MAX);
  expect(room.failure(asked)).toMatchObject({ code: "tracker_unreachable" });
});
