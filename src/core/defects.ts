/**
 * A defect of ours is loud: it goes to the log with its stack, under a reference that whoever met it is shown as well.
 * Every edge at which an error leaves the program hands it through here.
 */
import { asP2pfsError, P2pfsError } from "./errors.ts";
import type { Log } from "./log.ts";

/** The error to tell; `during` says to the log what was being done, as in "REQUEST_PUBLISH". */
export function errorToTell(thrown: unknown, during: string, log: Log): P2pfsError {
  const error = asP2pfsError(thrown);
  // One without a cause is the other side's, or was logged before.
  if (error.code !== "internal" || !Object.hasOwn(error, "cause")) return error;
  const { cause } = error;
  // A line of the log is one line.
  const stack = ((cause instanceof Error && cause.stack) || String(cause)).replaceAll(/\s*\n\s*/g, " ");
  const reference = referenceOf(`${during} ${stack}`);
  log("error", `defect ${reference} during ${during}: ${stack}`);
  return new P2pfsError("internal", `${error.message} (reference ${reference})`, { reference });
}

/** Six hex digits, the same for the same defect at the same place: FNV-1a, folded to 24 bits. */
function referenceOf(text: string): string {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  return ((hash >>> 24) ^ (hash & 0xffffff)).toString(16).padStart(6, "0");
}
