/** Errors as they go over the wire and come from there. */
import { type ErrorCode, errorCodes, errorTable, P2pfsError } from "../core/errors.ts";
import { clipToBytes } from "../core/text.ts";
import { type Message, TEXT_BYTES_MAX } from "../wire/messages.ts";

/** What concerns this machine alone: the words, with its paths in them, are for its own log and user, not for others. */
const ownAffairs: Partial<Record<ErrorCode, string>> = {
  disk: "the other side cannot use its disk or database",
  internal: "the other side has a defect",
};
const OWN_AFFAIR_HINT = "whoever runs the other side finds more in its log";

/** `request`: the one that is refused; null where the connection as a whole is meant. */
export function errorMessage(error: P2pfsError, request: number | null): Message<"ERROR"> {
  const message = wordsFor(error) ?? clipToBytes(error.message.toWellFormed(), TEXT_BYTES_MAX);
  return { type: "ERROR", request, code: errorTable[error.code].wireId, message };
}

/** Of a defect, the reference under which the log here has it goes along. */
function wordsFor({ code, reference }: P2pfsError): string | undefined {
  const words = ownAffairs[code];
  return words === undefined || reference === undefined ? words : `${words} (reference ${reference})`;
}

export function errorFrom({ code, message }: Message<"ERROR">): P2pfsError {
  const known = codeOfWireId(code);
  return new P2pfsError(known, message, known in ownAffairs ? { hint: OWN_AFFAIR_HINT } : {});
}

/** A number that is not in our table comes from a newer version. */
function codeOfWireId(wireId: number): ErrorCode {
  return errorCodes.find((code) => errorTable[code].wireId === wireId) ?? "internal";
}
