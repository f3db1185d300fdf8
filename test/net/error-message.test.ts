/** Errors on the wire: what of them another machine may know, and what becomes of a code from a newer version. */
import { expect, test } from "bun:test";
import { errorCodes, errorTable, P2pfsError } from "../../src/core/errors.ts";
import { errorFrom, errorMessage } from "../../src/net/error-message.ts";
import { TEXT_BYTES_MAX } from "../../src/wire/messages.ts";

const secret = "EACCES: /home/me/secret";

test("code and words arrive; of a defect and of a disk error only that there was one, with the log's reference", () => {
  for (const code of errorCodes) {
    const sent = errorMessage(new P2pfsError(code, secret, { reference: "abc123" }), 7);
    expect(sent).toMatchObject({ type: "ERROR", request: 7, code: errorTable[code].wireId });
    const received = errorFrom(sent);
    expect(received.code).toBe(code);
    const concernsThisMachineOnly = code === "internal" || code === "disk";
    expect(received.message.includes(secret)).toBe(!concernsThisMachineOnly);
    if (!concernsThisMachineOnly) continue;
    expect(received.message).toContain("abc123");
    expect(received.hint).toBe("whoever runs the other side finds more in its log");
  }
  expect(errorMessage(new P2pfsError("disk", secret), null).message).toBe(
    "the other side cannot use its disk or database",
  );
});

test("a text that is too long is cut between characters, and half a character becomes a whole one", () => {
  const { message } = errorMessage(new P2pfsError("refused", "ü".repeat(2000)), null);
  expect(message).toBe("ü".repeat(TEXT_BYTES_MAX / 2));
  expect(errorMessage(new P2pfsError("refused", "a\ud800"), null).message).toBe("a\ufffd");
});

test("an unknown number counts as internal", () => {
  expect(errorFrom({ type: "ERROR", request: 1, code: 4711, message: "from the future" }).code).toBe("internal");
});
