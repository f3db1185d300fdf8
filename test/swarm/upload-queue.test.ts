/** The uploader: chunks bound to requests as late as they are sent, and fair turns between requesters. */
import { describe, expect, test } from "bun:test";
import { Bitfield, rangesOfAscending } from "../../src/core/bitfield.ts";
import { WINDOW_SIZE } from "../../src/core/limits.ts";
import type { ContentId } from "../../src/core/manifest.ts";
import { UploadQueue, type UploadQueueOptions } from "../../src/swarm/upload-queue.ts";
import { allOf, rangeOfOne, rangesOf, seededRandom } from "./support.ts";

const CONTENT = "a".repeat(64) as ContentId;
const OTHER = "b".repeat(64) as ContentId;
const always = () => true;

function makeQueue(chunkCount: number, options: Partial<UploadQueueOptions> = {}) {
  const queue = new UploadQueue({ random: seededRandom(1), ...options });
  queue.setHoldings(CONTENT, Bitfield.full(chunkCount));
  let request = 0;
  const ask = (requester: string, chunks = allOf(chunkCount), contentId = CONTENT) =>
    queue.enqueue({ requester, request: request++, contentId, chunks });
  return { queue, ask };
}

describe("binding a request to a chunk when it is sent", () => {
  test("sends every chunk once before any twice, whoever requests", () => {
    const { queue, ask } = makeQueue(12);
    for (let i = 0; i < 6; i++) for (const requester of ["a", "b", "c", "d"]) ask(requester);
    const chunks = Array.from({ length: 24 }, () => queue.next(always)!.chunk!);
    expect(new Set(chunks.slice(0, 12)).size).toBe(12);
    expect(new Set(chunks.slice(12)).size).toBe(12);
  });

  test("equally rare chunks are sent in order from a random start, so that the disk is read in order", () => {
    const starts = [1, 2, 3, 4].map((seed) => {
      const { queue, ask } = makeQueue(100, { random: seededRandom(seed) });
      for (let i = 0; i < 100; i++) ask("a");
      const chunks = Array.from({ length: 100 }, () => queue.next(always)!.chunk!);
      for (const [index, chunk] of chunks.entries()) expect(chunk).toBe((chunks[0]! + index) % 100);
      return chunks[0];
    });
    expect(new Set(starts).size).toBeGreaterThan(1);
  });

  test("a requester gets no chunk twice while it requests others as well, not even a rarer one", () => {
    const { queue, ask } = makeQueue(3);
    for (let i = 0; i < 3; i++) ask("a", rangesOf([0, 1]));
    ask("b", rangesOf([0, 1]));
    queue.noteHeld("b", CONTENT, rangeOfOne(0));
    const grants = Array.from({ length: 4 }, () => queue.next(always)!);
    const toA = grants.filter((grant) => grant.requester === "a").map((grant) => grant.chunk);
    expect(new Set(toA.slice(0, 2))).toEqual(new Set([0, 1]));
    expect(grants.find((grant) => grant.requester === "b")!.chunk).toBe(1);
  });

  test("a request for one chunk is answered with that chunk, as often as it comes", () => {
    const { queue, ask } = makeQueue(5);
    for (let i = 0; i < 3; i++) ask("a", rangeOfOne(4));
    expect(Array.from({ length: 3 }, () => queue.next(always)!.chunk)).toEqual([4, 4, 4]);
  });

  test("only held chunks are sent, also those that are held later", () => {
    const queue = new UploadQueue({ random: seededRandom(1) });
    const have = new Bitfield(10);
    queue.setHoldings(CONTENT, have);
    const request = { requester: "a", contentId: CONTENT };
    expect(queue.enqueue({ ...request, request: 0, chunks: allOf(10) })).toBe("not_held");
    have.add(6);
    expect(queue.enqueue({ ...request, request: 1, chunks: allOf(10) })).toBe("queued");
    expect(queue.next(always)).toEqual({ requester: "a", request: 1, contentId: CONTENT, chunk: 6 });
    queue.enqueue({ ...request, request: 2, chunks: allOf(10) });
    queue.setHoldings(CONTENT, new Bitfield(10));
    expect(queue.next(always)!.chunk).toBeUndefined();
  });
});

test("ranges beyond the content take no more memory than the content", () => {
  const beyond = rangesOfAscending([0, 1, 2, ...Array.from({ length: 1000 }, (_, index) => 5 + index)]);
  let looks = 0;
  const holdings = {
    size: 1,
    has: (chunk: number) => {
      looks++;
      return chunk === 0;
    },
  };
  const queue = new UploadQueue({ random: seededRandom(1) });
  queue.setHoldings(CONTENT, holdings);
  const request = { requester: "a", contentId: CONTENT };
  queue.noteHeld("a", CONTENT, beyond);
  expect(queue.enqueue({ ...request, request: 1, chunks: beyond })).toBe("queued");
  expect(queue.next(always)).toMatchObject({ request: 1, chunk: 0 });
  expect(queue.enqueue({ ...request, request: 2, chunks: rangesOf([7, 900]) })).toBe("not_held");
  expect(looks).toBeLessThan(10);
});

describe("a free-rider", () => {
  /** Of four requesters, one is a free-rider: no other has any chunk that it was sent. The other three share all of theirs. */
  function swarmWithFreeRider(turns: number) {
    const { queue, ask } = makeQueue(1000);
    const sent = new Map<string, number[]>();
    const requesters = ["free-rider", "one", "two", "three"];
    for (let turn = 0; turn < turns; turn++) {
      for (const requester of requesters) ask(requester);
      const { chunk, requester } = queue.next(always)!;
      sent.set(requester, [...(sent.get(requester) ?? []), chunk!]);
      if (requester === "free-rider") continue;
      for (const other of requesters.slice(1)) queue.noteHeld(other, CONTENT, rangeOfOne(chunk!));
    }
    return sent;
  }

  test("does not get the turns of the requester with the fewest chunks", () => {
    const sent = swarmWithFreeRider(300);
    expect(sent.get("free-rider")!.length).toBeLessThan(300 / 4);
  });

  test("does not get chunks that nobody else has; what only it was sent is sent to others as well", () => {
    const sent = swarmWithFreeRider(300);
    const toOthers = new Set(["one", "two", "three"].flatMap((name) => sent.get(name)!));
    const unshared = sent.get("free-rider")!.filter((chunk) => !toOthers.has(chunk));
    expect(unshared.length).toBeLessThanOrEqual(8);
  });

  test("a requester that is alone gets everything", () => {
    const { queue, ask } = makeQueue(100);
    for (let i = 0; i < 100; i++) ask("only");
    expect(new Set(Array.from({ length: 100 }, () => queue.next(always)!.chunk)).size).toBe(100);
  });
});

describe("F4: fair over requesters", () => {
  test("requesters take turns, however much one of them asks for", () => {
    const { queue, ask } = makeQueue(100);
    for (let i = 0; i < 30; i++) ask("greedy");
    ask("modest");
    ask("other");
    const turns = Array.from({ length: 4 }, () => queue.next(always)!.requester);
    expect(turns).toEqual(["greedy", "modest", "other", "greedy"]);
  });

  test("every second turn goes to the requester with the fewest chunks, the others to all alike", () => {
    const { queue, ask } = makeQueue(1000);
    queue.noteHeld("ahead", CONTENT, allOf(100));
    queue.noteHeld("further ahead", CONTENT, allOf(200));
    const turns = { ahead: 0, "further ahead": 0, behind: 0 };
    for (let i = 0; i < 60; i++) {
      for (const requester of Object.keys(turns)) ask(requester);
      turns[queue.next(always)!.requester as keyof typeof turns]++;
    }
    expect(turns).toEqual({ ahead: 10, "further ahead": 10, behind: 40 });
  });

  test("every other turn sends the rarest chunk; the others are sent in the end", () => {
    const { queue, ask } = makeQueue(100);
    for (let index = 0; index < 10; index++) queue.noteHeld(`owner ${index}`, CONTENT, rangeOfOne(0));
    for (const requester of ["one", "two"]) queue.noteHeld(requester, CONTENT, rangesOf([50, 51]));
    ask("one", rangeOfOne(0));
    const turns: string[] = [];
    for (let chunk = 1; chunk <= 30 && turns.at(-1) !== "one"; chunk++) {
      ask("two", rangeOfOne(chunk));
      queue.noteHeld("one", CONTENT, rangeOfOne(chunk + 60));
      turns.push(queue.next(always)!.requester);
    }
    expect(turns.slice(0, 2)).toEqual(["two", "two"]);
    expect(turns.at(-1)).toBe("one");
  });

  test("having the fewest chunks of one content gives no precedence over requesters of another", () => {
    const { queue, ask } = makeQueue(8);
    queue.setHoldings(OTHER, Bitfield.full(8));
    queue.noteHeld("a", CONTENT, allOf(4));
    queue.noteHeld("b", CONTENT, allOf(4));
    for (let i = 0; i < 2; i++) {
      ask("a");
      ask("b");
      ask("c", allOf(8), OTHER);
    }
    const turns = Array.from({ length: 6 }, () => queue.next(always)!.requester);
    expect(turns.toSorted()).toEqual(["a", "a", "b", "b", "c", "c"]);
    expect(turns.slice(0, 2)).toEqual(["a", "b"]);
  });

  test("a requester whose connection takes nothing delays nobody, and does not lose its turn", () => {
    const { queue, ask } = makeQueue(100);
    for (const requester of ["a", "b", "a", "b"]) ask(requester);
    expect(queue.next((requester) => requester === "b")!.requester).toBe("b");
    expect(queue.next(always)!.requester).toBe("a");
    expect(queue.next(() => false)).toBeUndefined();
    expect(queue.requestCount).toBe(2);
  });

  test("requests of one requester are answered in order", () => {
    const { queue, ask } = makeQueue(100);
    for (let i = 0; i < 5; i++) ask("a");
    expect(Array.from({ length: 5 }, () => queue.next(always)!.request)).toEqual([0, 1, 2, 3, 4]);
  });
});

describe("bounds", () => {
  test("a whole window may wait; more than the bounds is refused as busy", () => {
    const { ask } = makeQueue(100, { requestsPerRequesterMax: WINDOW_SIZE, requestersMax: 2, requestsMax: 40 });
    for (let i = 0; i < WINDOW_SIZE; i++) expect(ask("a")).toBe("queued");
    expect(ask("a")).toBe("busy");
    for (let i = 0; i < 10; i++) expect(ask("b")).toBe("queued");
    expect(ask("b")).toBe("busy");
    expect(ask("c")).toBe("busy");
  });

  test("the number of requesters and the memory for ranges are bounded", () => {
    const { queue, ask } = makeQueue(100, { requestersMax: 1, rangeNumbersMax: 6 });
    expect(ask("a", rangesOf([1, 3]))).toBe("queued");
    expect(ask("a", rangesOf([1, 3]))).toBe("busy");
    expect(ask("b")).toBe("busy");
    queue.next(always);
    expect(ask("b")).toBe("queued");
  });

  test("a request id that waits already is refused", () => {
    const { queue } = makeQueue(5);
    const request = { requester: "a", request: 7, contentId: CONTENT, chunks: allOf(5) };
    expect(queue.enqueue(request)).toBe("queued");
    expect(queue.enqueue(request)).toBe("busy");
  });
});

describe("cancelling", () => {
  test("a cancelled request is not answered; one that was sent is not cancelled", () => {
    const { queue, ask } = makeQueue(5);
    ask("a");
    ask("a");
    expect(queue.cancel("a", 0)).toBe(true);
    expect(queue.cancel("a", 0)).toBe(false);
    expect(queue.next(always)!.request).toBe(1);
    expect(queue.cancel("a", 1)).toBe(false);
    expect(queue.next(always)).toBeUndefined();
  });

  test("a requester that is gone leaves no request behind", () => {
    const { queue, ask } = makeQueue(5);
    for (const requester of ["a", "b", "a"]) ask(requester);
    expect(queue.dropRequester("a")).toEqual([0, 2]);
    expect(queue.requestCount).toBe(1);
    expect(queue.requesterCount).toBe(1);
    expect(queue.dropRequester("a")).toEqual([]);
  });

  test("removing a content returns its requests, which are to be refused, and no others", () => {
    const { queue, ask } = makeQueue(5);
    queue.setHoldings(OTHER, Bitfield.full(5));
    ask("a");
    ask("a", allOf(5), OTHER);
    ask("b");
    expect(queue.dropContent(CONTENT)).toEqual([
      { requester: "a", request: 0 },
      { requester: "b", request: 2 },
    ]);
    expect(ask("a")).toBe("not_held");
    expect(queue.next(always)!.contentId).toBe(OTHER);
    expect(queue.next(always)).toBeUndefined();
  });
});
