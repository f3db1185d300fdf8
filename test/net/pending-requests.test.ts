/** Requests that wait for their answers: each ends once, by whichever comes first of answer, time-out and close. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { P2pfsError } from "../../src/core/errors.ts";
import type { ContentId } from "../../src/core/manifest.ts";
import { PendingRequests } from "../../src/net/pending-requests.ts";
import type { Message, MessageName } from "../../src/wire/messages.ts";
import { numRuns } from "../core/arbitraries.ts";
import { Room } from "../support/room.ts";

const contentId = "ab".repeat(32) as ContentId;
const pong = (request: number): Message => ({ type: "REPLY_PING_PONG", request, response: "pong" });
const refused = () => new P2pfsError("refused", "no");

function desk() {
  const room = new Room();
  return { room, pending: new PendingRequests(room.machine("10.0.0.1").system.clock) };
}

type Outcome = "open" | "answered" | "refused" | "timed out" | "closed";

/** A request as the contract sees it. */
interface Expected {
  readonly id: number;
  readonly name: MessageName;
  readonly dueMs: number;
  outcome: Outcome;
  /** Whether an answer is still owed. */
  isOwed: boolean;
}

const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constant("ask" as const),
      timeoutMs: fc.option(fc.integer({ min: 1, max: 50 }), { nil: undefined }),
    }),
  },
  { weight: 4, arbitrary: fc.record({ type: fc.constantFrom("answer" as const, "refuse" as const), which: fc.nat() }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant("pass" as const), ms: fc.nat({ max: 30 }) }) },
  { weight: 1, arbitrary: fc.constant({ type: "close" as const }) },
);

test("whatever happens in whatever order: each request ends once, late answers are awaited, others are not", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const { room, pending } = desk();
      const requests: Expected[] = [];
      const seen = new Map<number, string[]>();
      for (const each of steps) {
        if (each.type === "ask") {
          const { id, reply } = pending.add(
            "REQUEST_PING_PONG",
            each.timeoutMs === undefined ? {} : { timeoutMs: each.timeoutMs },
          );
          const ends: string[] = [];
          seen.set(id, ends);
          reply.then(
            () => ends.push("answered"),
            (error: P2pfsError) => ends.push(error.code),
          );
          const dueMs = each.timeoutMs === undefined ? Number.POSITIVE_INFINITY : room.now + each.timeoutMs;
          requests.push({ id, name: "REQUEST_PING_PONG", dueMs, outcome: "open", isOwed: true });
        } else if (each.type === "pass") {
          room.run(each.ms);
          for (const request of requests)
            if (request.outcome === "open" && request.dueMs <= room.now) request.outcome = "timed out";
        } else if (each.type === "close") {
          pending.failAll(new P2pfsError("cancelled", "closed"));
          for (const request of requests) {
            if (request.outcome === "open") request.outcome = "closed";
            request.isOwed = false;
          }
        } else if (requests.length > 0) {
          const request = requests[each.which % requests.length]!;
          expect(pending.isAnswer("REPLY_PING_PONG", request.id)).toBe(request.isOwed);
          expect(pending.isAnswer("ERROR", request.id)).toBe(request.isOwed);
          expect(pending.isAnswer("REPLY_MANIFEST", request.id)).toBe(false);
          if (!request.isOwed) continue;
          if (each.type === "answer") pending.settle(pong(request.id), undefined);
          else pending.refuse(request.id, refused());
          if (request.outcome === "open") request.outcome = each.type === "answer" ? "answered" : "refused";
          request.isOwed = false;
        }
        room.run(0);
        const owed = requests.filter(({ isOwed }) => isOwed);
        expect(pending.size).toBe(owed.filter(({ outcome }) => outcome === "open").length);
        expect(pending.overdueCount).toBe(owed.filter(({ outcome }) => outcome === "timed out").length);
        expect(pending.isAwaiting("REPLY_PING_PONG")).toBe(owed.length > 0);
      }
      const code: Record<Outcome, string[]> = {
        open: [],
        answered: ["answered"],
        refused: ["refused"],
        "timed out": ["unreachable"],
        closed: ["cancelled"],
      };
      for (const { id, outcome } of requests) expect(seen.get(id)).toEqual(code[outcome]);
    }),
    { numRuns },
  );
});

test("no two unanswered requests have one id, late ones included", () => {
  const { room, pending } = desk();
  const ids = Array.from({ length: 100 }, (_, index) => {
    const { id, reply } = pending.add("REQUEST_PING_PONG", index % 2 === 0 ? { timeoutMs: 1 } : {});
    reply.catch(() => {});
    room.run(2);
    return id;
  });
  expect(new Set(ids).size).toBe(ids.length);
  expect([pending.size, pending.overdueCount]).toEqual([50, 50]);
});

test("each kind of request awaits its own reply: the other's is nobody's answer", () => {
  const { pending } = desk();
  const ping = pending.add("REQUEST_PING_PONG", {});
  const manifest = pending.add("REQUEST_MANIFEST", {});
  expect(pending.isAwaiting("REPLY_JOIN_SWARM")).toBe(false);
  expect(pending.isAnswer("REPLY_MANIFEST", ping.id)).toBe(false);
  expect(pending.isAnswer("REPLY_MANIFEST", manifest.id)).toBe(true);
  pending.settle({ type: "REPLY_MANIFEST", request: manifest.id, content_id: contentId }, new Uint8Array(3));
  expect([pending.isAwaiting("REPLY_MANIFEST"), pending.isAwaiting("REPLY_PING_PONG")]).toEqual([false, true]);
});

test("the buffer for a payload is asked for once its header is here, and not for an answer that came too late", () => {
  const { room, pending } = desk();
  const buffer = new Uint8Array(9);
  const openPayload = () => buffer;
  const inTime = pending.add("REQUEST_MANIFEST", { timeoutMs: 10, openPayload });
  const late = pending.add("REQUEST_MANIFEST", { timeoutMs: 5, openPayload });
  const header = (request: number): Message => ({ type: "REPLY_MANIFEST", request, content_id: contentId });
  expect(room.failure(late.reply)).toMatchObject({
    code: "unreachable",
    message: "no answer to REQUEST_MANIFEST within 5 ms",
  });
  expect(pending.openPayload(header(late.id), 9)).toBeUndefined();
  expect(pending.openPayload(header(inTime.id), 9)).toBe(buffer);
  pending.settle(header(inTime.id), buffer);
  expect(room.wait(inTime.reply).payload).toBe(buffer);
});

test("a request that is given up ends at once, and its answer is awaited and ignored, as after a time-out", () => {
  const { room, pending } = desk();
  const { id, reply } = pending.add("REQUEST_MANIFEST", { openPayload: () => new Uint8Array(9) });
  pending.giveUp(id, new P2pfsError("cancelled", "enough"));
  pending.giveUp(id, new P2pfsError("internal", "twice"));
  expect(room.failure(reply)).toMatchObject({ code: "cancelled" });
  expect([pending.size, pending.overdueCount, pending.isAnswer("REPLY_MANIFEST", id)]).toEqual([0, 1, true]);
  const late: Message = { type: "REPLY_MANIFEST", request: id, content_id: contentId };
  expect(pending.openPayload(late, 9)).toBeUndefined();
  pending.settle(late, undefined);
  expect([pending.overdueCount, pending.isAnswer("REPLY_MANIFEST", id)]).toEqual([0, false]);
});
