/**
 * Virtual time for roles that make certificates: Web Crypto works in threads of its own, in real time, so virtual time
 * stands still meanwhile.
 */
import { afterAll, spyOn } from "bun:test";
import type { Room } from "../support/room.ts";

/** Virtual time between two looks, much less than anybody waits for a certificate. */
const STEP_MS = 250;

let underWay = 0;
for (const name of ["importKey", "exportKey", "sign", "verify", "digest", "generateKey"] as const) {
  const original = crypto.subtle[name].bind(crypto.subtle) as (...given: unknown[]) => Promise<unknown>;
  const counted = async (...given: unknown[]) => {
    underWay++;
    try {
      return await original(...given);
    } finally {
      underWay--;
    }
  };
  const spy = spyOn(crypto.subtle, name).mockImplementation(counted as never);
  afterAll(() => spy.mockRestore());
}

async function untilCryptoIsIdle(): Promise<void> {
  do await new Promise(setImmediate);
  while (underWay > 0);
}

/** Lets so much virtual time pass. */
export async function pass(room: Room, ms: number): Promise<void> {
  for (const endMs = room.now + ms; room.now < endMs; ) {
    room.run(Math.min(STEP_MS, endMs - room.now));
    await untilCryptoIsIdle();
  }
}

/** As much virtual time as the promise takes. */
export async function settle<Value>(room: Room, promise: Promise<Value>, withinMs: number): Promise<Value> {
  let isSettled = false;
  const noted = promise.finally(() => {
    isSettled = true;
  });
  noted.catch(() => {});
  for (const endMs = room.now + withinMs; !isSettled && room.now < endMs; ) await pass(room, STEP_MS);
  if (!isSettled) throw new Error(`not within ${withinMs} ms`);
  return noted;
}
