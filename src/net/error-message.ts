/** Conversion between P2pfsError and the ERROR message. */
import { type ErrorCode, errorCodes, errorTable, P2pfsError } from "../core/errors.ts";
import { clipToBytes } from "../core/text.ts";
import { type Message, TEXT_BYTES_MAX } from "../wire/messages.ts";

/** Texts sent instead of the error's own, which may contain local paths and belongs to this machine's log only. */
const redactedTexts: Partial<Record<ErrorCode, string>> = {
  disk: "the other side cannot use its disk or database",
  internal: "the other side has a defect",
};
const REDACTED_HINT = "whoever runs the other side finds more in its log";

/** `request`: id of the refused request; null for the connection as a whole. */
export function errorMessage(error: P2pfsError, request: number | null): Message<"ERROR"> {
  const message = redactedText(error) ?? clipToBytes(error.message.toWellFormed(), TEXT_BYTES_MAX);
  return { type: "ERROR", request, code: errorTable[error.code].wireId, message };
}

/** A defect's text includes the reference under which this side has logged it. */
function redactedText({ code, reference }: P2pfsError): string | undefined {
  const text = redactedTexts[code];
  return text === undefined || reference === undefined ? text : `${text} (reference ${reference})`;
}

export function errorFrom({ code, message }: Message<"ERROR">): P2pfsError {
  const known = codeOfWireId(code);
  return new P2pfsError(known, message, known in redactedTexts ? { hint: REDACTED_HINT } : {});
}

/** An id that is not in the error table comes from a newer version. */
function codeOfWireId(wireId: number): ErrorCode {
  return errorCodes.find((code) => errorTable[code].wireId === wireId) ?? "internal";
}
