/** The manifest from any holder: it is verified by the content id, so what a holder may do is be wrong, late or slow. */
import { describe, expect, test } from "bun:test";
import type { Address } from "../../src/core/address.ts";
import { P2pfsError } from "../../src/core/errors.ts";
import { type ContentId, contentIdOf } from "../../src/core/manifest.ts";
import { MINUTE_MS, SECOND_MS } from "../../src/core/units.ts";
import { digest } from "../../src/disk/blake3.ts";
import { payloadOf } from "../../src/net/send-queue.ts";
import { sleep } from "../../src/net/system.ts";
import { fetchManifest } from "../../src/peer/manifest-source.ts";
import { encodeFrame } from "../../src/wire/frame.ts";
import { type RawEnd, Room } from "../support/room.ts";
import { type Actor, type Answers, CHUNK, contentOf, holderIn, Parts } from "./parts.ts";

const content = contentOf(3 * CHUNK);
const { contentId } = content;
type Answer = NonNullable<Answers["REQUEST_MANIFEST"]>;

const silent: Answer = () => undefined;
const sending =
  (bytes: Uint8Array): Answer =>
  ({ request, content_id }, connection) => {
    connection.replyWithPayload(request, { type: "REPLY_MANIFEST", content_id }, payloadOf(bytes));
    return undefined;
  };
const right = sending(content.manifestBytes);
const refusing: Answer = () => {
  throw new P2pfsError("not_found", "this peer does not hold it");
};

/** A peer and holders that answer so. */
function asking(...answers: readonly Answer[]) {
  const room = new Room();
  const parts = new Parts(room);
  const holders = answers.map((answer, index) =>
    holderIn(room, `10.0.2.${index + 1}`, content, { REQUEST_MANIFEST: answer }),
  );
  const fetch = (addresses: readonly Address[] = holders.map(({ address }) => address), ms = 1700, id = contentId) =>
    fetchManifest(
      id,
      addresses.map((address) => ({ address })),
      parts.neighbours,
      parts.within(ms),
      parts.process.system.clock,
    );
  return { room, parts, holders, fetch };
}

const wasAsked = (holders: readonly Actor[]) => holders.map((holder) => holder.all("REQUEST_MANIFEST").length);

test("comes from whoever answers first; three are asked at once, others not", () => {
  const refusingLate: Answer = async () => {
    await sleep(parts.process.system.clock, 500);
    throw new P2pfsError("not_found", "this peer does not hold it");
  };
  const { room, parts, holders, fetch } = asking(refusingLate, right, silent, silent, silent);
  expect(room.wait(fetch())).toEqual(content.manifestBytes);
  expect(wasAsked(holders)).toEqual([1, 1, 1, 0, 0]);
  room.run(5 * SECOND_MS);
  expect(wasAsked(holders)).toEqual([1, 1, 1, 0, 0]);
});

describe("a wrong manifest", () => {
  const flipped = Uint8Array.from(content.manifestBytes);
  flipped[30]! ^= 1;
  const wrong = { flipped, short: content.manifestBytes.subarray(1), other: contentOf(CHUNK, 9).manifestBytes };

  test.each(Object.entries(wrong))("(%s) makes the next holder be asked at once", (_name, bytes) => {
    const { room, holders, fetch } = asking(sending(bytes), silent, silent, right);
    const fetching = fetch();
    expect(room.duration(fetching)).toBeLessThan(50);
    expect(room.wait(fetching)).toEqual(content.manifestBytes);
    expect(wasAsked(holders)).toEqual([1, 1, 1, 1]);
  });

  test("from each holder is a damaged content, and not one without holders, although others refuse", () => {
    const { room, fetch } = asking(sending(flipped), refusing, sending(flipped), refusing);
    expect(room.failure(fetch())).toMatchObject({ code: "integrity" });
  });

  test("without a byte is one as well", () => {
    const { room, fetch } = asking(sending(new Uint8Array(0)));
    expect(room.failure(fetch())).toMatchObject({ code: "integrity" });
  });

  test("that has the right digest and is no manifest is refused", () => {
    const nonsense = new TextEncoder().encode("this is no manifest");
    const { room, holders, fetch } = asking(sending(nonsense));
    const id: ContentId = contentIdOf(nonsense, digest);
    const addresses = holders.map(({ address }) => address);
    expect(room.failure(fetch(addresses, 1700, id))).toMatchObject({ code: "integrity" });
  });
});

describe("holders that", () => {
  test("refuse, or are not there, cost no time", () => {
    const { room, holders, fetch } = asking(refusing, refusing, refusing, right);
    const gone = [1, 2, 3].map((number) => `10.0.9.${number}:7000` as Address);
    const fetching = fetch([...gone, ...holders.map(({ address }) => address)]);
    expect(room.duration(fetching)).toBeLessThan(30);
    expect(room.wait(fetching)).toEqual(content.manifestBytes);
  });

  test("all refuse end it with the reason of one, and no address at all at once", () => {
    const { room, fetch } = asking(refusing, refusing);
    expect(room.failure(fetch())).toMatchObject({
      code: "no_holder",
      message: expect.stringContaining("(this peer does not hold it)"),
    });
    expect(room.failure(fetch([]), 0)).toMatchObject({ code: "no_holder" });
  });

  test("are silent are passed by: each 100 ms one more is asked", () => {
    const { room, holders, fetch } = asking(silent, silent, silent, silent, silent, right);
    const fetching = fetch();
    const tookMs = room.duration(fetching);
    expect(tookMs).toBeGreaterThan(300);
    expect(tookMs).toBeLessThan(320);
    expect(wasAsked(holders)).toEqual([1, 1, 1, 1, 1, 1]);
  });

  test("R5: are all silent are given up at the deadline", () => {
    const { room, fetch } = asking(silent, silent, silent, silent);
    const fetching = fetch();
    expect(room.duration(fetching)).toBe(1700);
    expect(room.failure(fetching)).toMatchObject({ code: "no_holder" });
  });

  test("never answer keep no place for it: after a while their connections are idle, and closed", () => {
    const { room, holders, fetch } = asking(silent, silent);
    room.failure(fetch());
    room.run(MINUTE_MS);
    expect(holders.map(({ open }) => open.length)).toEqual([1, 1]);
    room.run(3 * MINUTE_MS);
    expect(holders.map(({ open }) => open.length)).toEqual([0, 0]);
  });

  test("break in the midst of the answer are passed by", () => {
    const breaking: Answer = ({ request, content_id }, connection) => {
      const read = async () => {
        throw new Error("EIO");
      };
      connection.replyWithPayload(request, { type: "REPLY_MANIFEST", content_id }, { bytes: 500, read });
      return undefined;
    };
    const { room, fetch } = asking(breaking, breaking, breaking, right);
    expect(room.wait(fetch())).toEqual(content.manifestBytes);
  });

  test("answer after the manifest is here harm nobody", () => {
    const { room, holders, fetch } = asking(silent, right);
    room.wait(fetch());
    const [slow] = holders as [Actor, Actor];
    right(slow.all("REQUEST_MANIFEST")[0]!, slow.connections[0]!);
    room.run(SECOND_MS);
    expect(slow.open.length).toBe(1);
  });
});

describe("a holder that trickles", () => {
  /** A bare holder that has been asked, and its header with the first bytes after so many milliseconds. */
  function trickling(headerAfterMs: number, byteEachMs: number) {
    const room = new Room();
    const parts = new Parts(room);
    const { address, ends } = room.listenRaw(room.machine("10.0.2.1"));
    const fetching = fetchManifest(
      contentId,
      [{ address }],
      parts.neighbours,
      parts.within(1700),
      parts.process.system.clock,
    );
    fetching.catch(() => {});
    room.until(() => ends.length === 1);
    const raw: RawEnd = ends[0]!;
    raw.hello();
    room.until(() => raw.all("REQUEST_MANIFEST").length === 1);
    const { request } = raw.all("REQUEST_MANIFEST")[0]!;
    const bytes = content.manifestBytes;
    const header = encodeFrame({ type: "REPLY_MANIFEST", request, content_id: contentId }, bytes.length);
    room.clock.after(headerAfterMs, () => raw.write(header));
    for (let at = 0; at < bytes.length; at++)
      room.clock.after(headerAfterMs + at * byteEachMs, () => raw.write(bytes.subarray(at, at + 1)));
    return { room, fetching };
  }

  test("may go on beyond the deadline once its answer has begun", () => {
    const { room, fetching } = trickling(1500, 100);
    expect(room.wait(fetching)).toEqual(content.manifestBytes);
    expect(room.now).toBeGreaterThan(10 * SECOND_MS);
  });

  test("has 30 seconds for all of it, however steadily its bytes come", () => {
    const { room, fetching } = trickling(100, 2500);
    expect(room.failure(fetching)).toMatchObject({ code: "no_holder", message: expect.stringContaining("in time") });
    expect(room.now).toBeGreaterThan(30 * SECOND_MS);
    expect(room.now).toBeLessThan(30.2 * SECOND_MS);
  });

  test("R5: and begins after the deadline is too late", () => {
    const { room, fetching } = trickling(1800, 1);
    expect(room.failure(fetching)).toMatchObject({ code: "no_holder" });
    expect(room.now).toBeLessThan(1710);
  });
});
