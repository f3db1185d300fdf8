/** Requests of the other side: their ids, their number, and how often they may be refused as too many. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { SECOND_MS } from "../../src/core/units.ts";
import { BUSY_REFUSALS, REQUESTS_SERVED_MAX, ServedRequests } from "../../src/net/served-requests.ts";
import { numRuns } from "../core/arbitraries.ts";
import { Room } from "../support/room.ts";

function desk() {
  const room = new Room();
  return { room, served: new ServedRequests(room.machine("10.0.0.1").system.clock) };
}

test("an id is in use from its request to its one answer, whatever came before", () => {
  const step = fc.record({ isRequest: fc.boolean(), id: fc.nat({ max: 5 }) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const { served } = desk();
      const waiting = new Set<number>();
      for (const { isRequest, id } of steps) {
        if (isRequest) expect(served.begin(id)).toBe(waiting.has(id) ? "in_use" : "begun");
        else expect(served.end(id)).toBe(waiting.has(id));
        if (isRequest) waiting.add(id);
        else waiting.delete(id);
        expect(served.size).toBe(waiting.size);
      }
    }),
    { numRuns },
  );
});

test("beyond the bound requests are too many, until earlier ones are answered", () => {
  const { served } = desk();
  for (let id = 0; id < REQUESTS_SERVED_MAX; id++) expect(served.begin(id)).toBe("begun");
  for (const id of [9000, 9001]) {
    expect(served.begin(id)).toBe("too_many");
    // Refusing it is its answer.
    expect(served.end(id)).toBe(true);
  }
  expect(served.end(7)).toBe(true);
  expect(served.begin(9002)).toBe("begun");
  expect(served.begin(9003)).toBe("too_many");
});

test("100 refusals at once and 500 a second are borne, beyond them the other side is not read", () => {
  const { room, served } = desk();
  let isPaused = false;
  const connection = {
    pause: () => {
      isPaused = true;
    },
    resume: () => {
      isPaused = false;
    },
  };
  const refuse = (times: number) => {
    for (let time = 0; time < times; time++) served.refusedAsBusy(connection);
    return isPaused;
  };
  expect(refuse(BUSY_REFUSALS.burst)).toBe(false);
  // Half a second's worth.
  expect(refuse(BUSY_REFUSALS.perSecond / 2)).toBe(true);
  room.run(SECOND_MS / 2);
  expect(isPaused).toBe(false);
  expect(refuse(1)).toBe(true);
});
