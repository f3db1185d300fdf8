/** Errors as they go over the wire and come from there. */
import { type ErrorCode, errorCodes, errorTable, P2pfsError } from "../core/errors.ts";
import { clipToBytes } from "../core/text.ts";
import { type Message, TEXT_BYTES_MAX } from "../wire/messages.ts";

/** `request`: the one that is refused; null where the connection as a whole is meant. */
export function errorMessage(error: P2pfsError, request: number | null): Message<"ERROR"> {
  const message = clipToBytes(error.message.toWellFormed(), TEXT_BYTES_MAX);
  return { type: "ERROR", request, code: errorTable[error.code].wireId, message };
}

export function errorFrom({ code, message }: Message<"ERROR">): P2pfsError {
  return new P2pfsError(codeOfWireId(code), message);
}

/** A number that is not in our table comes from a newer version. */
function codeOfWireId(wireId: number): ErrorCode {
  return errorCodes.find((code) => errorTable[code].wireId === wireId) ?? "internal";
}
