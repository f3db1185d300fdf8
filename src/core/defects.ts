/**
 * A defect (an exception that is no P2pfsError) is logged with its stack and a reference, and the user is shown the same
 * reference. Every place at which an error leaves the program calls this.
 */
import { asP2pfsError, P2pfsError } from "./errors.ts";
import type { Log } from "./log.ts";

/** The error to report. @param during for the log: what was being done, such as "REQUEST_PUBLISH" */
export function reportableError(thrown: unknown, during: string, log: Log): P2pfsError {
  const error = asP2pfsError(thrown);
  // An `internal` error without a cause came from the other side, or was logged before.
  if (error.code !== "internal" || !Object.hasOwn(error, "cause")) return error;
  const { cause } = error;
  const stack = (cause instanceof Error && cause.stack) || String(cause);
  const reference = referenceOf(`${during} ${stack}`);
  log("error", "defect {reference} during {during}", { reference, during, stack });
  return new P2pfsError("internal", `${error.message} (reference ${reference})`, { reference });
}

/** Logs the failure of work that nobody waits for, once: a defect has its entry already. */
export function logFailure(thrown: unknown, during: string, log: Log): void {
  const { message: reason, reference } = reportableError(thrown, during, log);
  if (reference === undefined) log("error", "{during}: {reason}", { during, reason });
}

/** Six hex digits, the same whenever the same defect occurs: FNV-1a, folded to 24 bits. */
function referenceOf(text: string): string {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  return ((hash >>> 24) ^ (hash & 0xffffff)).toString(16).padStart(6, "0");
}
