/** A requester with many tasks delays only itself. */
import { expect, test } from "bun:test";
import { sleep, systemClock } from "../../src/net/system.ts";
import { Turns } from "../../src/tracker/turns.ts";
import { expectError } from "../support/errors.ts";
import { Room } from "../support/room.ts";

const [flooder, honest] = [{ name: "flooder" }, { name: "honest" }];

/** Tasks that the test ends, recorded in the order of their start. */
function heldTasks() {
  const begun: string[] = [];
  const ends: (() => void)[] = [];
  const task = (name: string) => () => {
    begun.push(name);
    return new Promise<string>((resolve) => ends.push(() => resolve(name)));
  };
  const endNext = async () => {
    ends.shift()!();
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  };
  return { begun, task, endNext };
}

test("waiting requesters get the next place in turn", async () => {
  const turns = new Turns(systemClock, { atOnce: 2, waitingMax: 10 });
  const { begun, task, endNext } = heldTasks();
  for (let number = 0; number < 6; number++) void turns.run(flooder, task(`flood ${number}`));
  void turns.run(honest, task("one"));
  void turns.run(honest, task("two"));
  expect(begun).toEqual(["flood 0", "flood 1"]);
  for (let ended = 0; ended < 4; ended++) await endNext();
  expect(begun).toEqual(["flood 0", "flood 1", "flood 2", "one", "flood 3", "two"]);
});

test("by time, short tasks rarely wait for more than the running one, however many long ones wait", () => {
  const room = new Room();
  const { clock } = room.machine("10.0.0.1").system;
  const turns = new Turns(clock, { atOnce: 1, waitingMax: 100, isByTime: true });
  const begun: string[] = [];
  const ask = (requester: object, name: string, ms: number) =>
    turns.run(requester, async () => {
      begun.push(name);
      await sleep(clock, ms);
    });
  const flooders = [{}, {}, {}, {}];
  for (let number = 0; number < 20; number++) for (const flooder of flooders) void ask(flooder, "long", 100);
  room.run(1000);
  const honest = {};
  let waitedMs = 0;
  for (let number = 0; number < 20; number++) {
    const askedMs = room.now;
    room.wait(ask(honest, "short", 2));
    waitedMs += room.now - askedMs;
    room.run(10);
  }
  expect(waitedMs / 20).toBeLessThan(130);
  // It has not saved up more than a little of the time that it did not use.
  for (let number = 0; number < 20; number++) void ask(honest, "late", 100);
  begun.length = 0;
  room.run(1000);
  expect(begun.filter((name) => name === "late").length).toBeLessThan(6);
});

test("tasks beyond the bound are busy at once, a failure affects its own task only, and dropping a requester cancels its tasks", async () => {
  const turns = new Turns(systemClock, { atOnce: 1, waitingMax: 2 });
  const { begun, task, endNext } = heldTasks();
  const failing = turns.run(flooder, () => Promise.reject(new Error("no luck")));
  const [first, second] = [turns.run(flooder, task("first")), turns.run(flooder, task("second"))];
  await expectError("busy", turns.run(flooder, task("third")));
  const other = turns.run(honest, task("other"));
  expect(await failing.catch((error: Error) => error.message)).toBe("no luck");
  await Bun.sleep(0);
  turns.drop(flooder);
  await expectError("cancelled", second);
  await endNext();
  await endNext();
  expect([await first, await other]).toEqual(["first", "other"]);
  expect(begun).toEqual(["first", "other"]);
});

test("tasks that end at once are spread over several turns of the event loop", async () => {
  const turns = new Turns(systemClock, { atOnce: 1, waitingMax: 1000 });
  let done = 0;
  const busyFor = (ms: number) => async () => {
    for (const end = performance.now() + ms; performance.now() < end; );
    done++;
  };
  const all = Array.from({ length: 20 }, () => turns.run(flooder, busyFor(1)));
  await new Promise((resolve) => setImmediate(resolve));
  expect(done).toBeLessThan(5);
  await Promise.all(all);
  expect(done).toBe(20);
});
