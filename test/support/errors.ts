/** Operations that have to fail. */
import { expect } from "bun:test";
import { type ErrorCode, P2pfsError } from "../../src/core/errors.ts";

/** Characters of what came instead. */
const RESULT_SHOWN_MAX = 200;

/**
 * Fails unless the promise rejects, or the function throws, with a P2pfsError of this code whose message has the text.
 * Gives the error, for what else there is to say of it.
 */
export function expectError(code: ErrorCode, promise: Promise<unknown>, text?: string | RegExp): Promise<P2pfsError>;
export function expectError(code: ErrorCode, action: () => unknown, text?: string | RegExp): P2pfsError;
export function expectError(
  code: ErrorCode,
  subject: Promise<unknown> | (() => unknown),
  text: string | RegExp = "",
): Promise<P2pfsError> | P2pfsError {
  if (subject instanceof Promise)
    return subject.then(
      (result) => notFailed(code, result),
      (thrown) => checked(thrown, code, text),
    );
  let result: unknown;
  try {
    result = subject();
  } catch (thrown) {
    return checked(thrown, code, text);
  }
  return notFailed(code, result);
}

function notFailed(code: ErrorCode, result: unknown): never {
  throw new Error(`expected the error ${code}, got ${Bun.inspect(result).slice(0, RESULT_SHOWN_MAX)}`);
}

function checked(thrown: unknown, code: ErrorCode, text: string | RegExp): P2pfsError {
  if (!(thrown instanceof P2pfsError)) throw thrown;
  const message = typeof text === "string" ? expect.stringContaining(text) : expect.stringMatching(text);
  expect({ code: thrown.code, message: thrown.message }).toEqual({ code, message });
  return thrown;
}
