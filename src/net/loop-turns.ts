/**
 * Turns of connections that have sent more than fits one: in each turn of the event loop one of them has its own, so
 * that however many they are, together they hold others up for no longer than one does. There is one event loop, and so
 * one queue of them for the whole process.
 */

/** The next first. Each connection waits at most once. */
const waiting: (() => void)[] = [];
let isScheduled = false;

export function waitForTurn(takeTurn: () => void): void {
  waiting.push(takeTurn);
  if (isScheduled) return;
  isScheduled = true;
  setImmediate(runNext);
}

function runNext(): void {
  isScheduled = waiting.length > 1;
  if (isScheduled) setImmediate(runNext);
  waiting.shift()?.();
}
