/** Requests that wait under a limit on receiving. */
import { expect, test } from "bun:test";
import type { Throttle } from "../../src/net/send-queue.ts";
import { RequestGate } from "../../src/peer/request-gate.ts";

/** A throttle that allows only what the test sets. */
class Valve implements Throttle {
  open = Number.POSITIVE_INFINITY;
  spent = 0;
  resume: (() => void) | undefined;

  allow(resume: () => void): number {
    if (this.open > 0) return this.open;
    this.resume = resume;
    return 0;
  }

  spend(bytes: number): void {
    this.open -= 1;
    this.spent += bytes;
  }

  let(requests: number): void {
    this.open = requests;
    this.resume?.();
  }
}

function gateWith(valve: Valve) {
  const sent: number[] = [];
  const holding: boolean[] = [];
  const gate = new RequestGate({ throttle: valve, holding: (isHolding) => holding.push(isHolding) });
  const pass = (id: number) => gate.pass(id, 10, () => sent.push(id));
  return { gate, pass, sent, holding };
}

test("without a limit requests are sent at once", () => {
  const { pass, sent, holding } = gateWith(new Valve());
  pass(1);
  pass(2);
  expect(sent).toEqual([1, 2]);
  expect(holding).toEqual([]);
});

test("waiting requests are sent in their order, and `holding` is called once for each change", () => {
  const valve = new Valve();
  const { pass, sent, holding } = gateWith(valve);
  valve.open = 1;
  for (const id of [1, 2, 3, 4]) pass(id);
  expect(sent).toEqual([1]);
  expect(holding).toEqual([true]);
  valve.let(2);
  expect(sent).toEqual([1, 2, 3]);
  expect(holding).toEqual([true]);
  valve.let(2);
  expect(sent).toEqual([1, 2, 3, 4]);
  expect(holding).toEqual([true, false]);
  expect(valve.spent).toBe(40);
});

test("a withdrawn request is neither sent nor counted", () => {
  const valve = new Valve();
  const { gate, pass, sent, holding } = gateWith(valve);
  valve.open = 1;
  for (const id of [1, 2]) pass(id);
  expect(gate.withdraw(1)).toBe(false);
  expect(gate.withdraw(2)).toBe(true);
  expect(holding).toEqual([true, false]);
  valve.let(5);
  expect(sent).toEqual([1]);
  expect(valve.spent).toBe(10);
  pass(3);
  expect(sent).toEqual([1, 3]);
});
