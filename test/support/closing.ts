/**
 * What a test opens is closed after it, last opened first. Whatever is opened in a test or in `beforeEach` belongs to that
 * test; whatever is opened in `openForAll` or in a step of a story, to all tests of the block that calls it.
 */

import { afterAll, beforeAll, onTestFinished } from "bun:test";
import { AsyncLocalStorage } from "node:async_hooks";
import { SECOND_MS } from "../../src/core/units.ts";

const OPEN_MS_MAX = 60 * SECOND_MS;
const CLOSE_MS_MAX = 30 * SECOND_MS;

type Close = () => Promise<void>;

/** By what was opened. */
const closers = new Map<unknown, Close>();

/** What is to be closed at one moment. */
class Scope {
  readonly #closers: Close[] = [];

  add(close: Close): void {
    this.#closers.push(close);
  }

  /** Everything, also after a failure, of which the first is thrown. */
  async close(): Promise<void> {
    const failures: unknown[] = [];
    for (const close of this.#closers.splice(0).toReversed()) await close().catch((thrown) => failures.push(thrown));
    if (failures.length > 0) throw failures[0];
  }
}

const scopes = new AsyncLocalStorage<Scope>();
let ofThisTest: Scope | undefined;

/** Throws where neither a test nor one of the functions below is running. */
function currentScope(): Scope {
  const outer = scopes.getStore() ?? ofThisTest;
  if (outer !== undefined) return outer;
  const scope = new Scope();
  const close = () => {
    ofThisTest = undefined;
    return scope.close();
  };
  onTestFinished(close, { timeout: CLOSE_MS_MAX });
  ofThisTest = scope;
  return scope;
}

/** Remembers how to close what was just opened, and returns it. */
export function closeLater<Opened>(opened: Opened, close: (opened: Opened) => unknown): Opened {
  let isClosed = false;
  const closeOnce = async () => {
    if (isClosed) return;
    isClosed = true;
    if (closers.get(opened) === closeOnce) closers.delete(opened);
    await close(opened);
  };
  currentScope().add(closeOnce);
  closers.set(opened, closeOnce);
  return opened;
}

/** Closes what was opened before its time, and only once. */
export async function closeNow(opened: unknown): Promise<void> {
  await closers.get(opened)?.();
}

/** Closes what the function opens as soon as it has ended, in a test that would otherwise keep too much open. */
export async function closingAfter(run: () => Promise<void>): Promise<void> {
  const scope = new Scope();
  try {
    await scopes.run(scope, run);
  } finally {
    await scope.close();
  }
}

/** Runs functions for all tests of the block that calls this: what they open is closed when those are over. */
export function scopeForAll(): <Result>(run: () => Result) => Result {
  const scope = new Scope();
  afterAll(() => scope.close(), CLOSE_MS_MAX);
  return (run) => scopes.run(scope, run);
}

/** As `beforeAll`, for what is used by all tests of the block. */
export function openForAll(open: () => unknown): void {
  const within = scopeForAll();
  beforeAll(async () => void (await within(open)), OPEN_MS_MAX);
}
