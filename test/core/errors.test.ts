/** The error table: numbers on the wire are unique and never move, exit codes are as the command line promises. */
import { describe, expect, test } from "bun:test";
import { asP2pfsError, errorBody, errorCodes, errorTable, isErrorCode, P2pfsError } from "../../src/core/errors.ts";

/** Numbers in ERROR frames of protocol version 1: a change here is a change of the protocol. */
const wireIds = {
  internal: 1,
  usage: 2,
  not_running: 3,
  not_found: 4,
  ambiguous: 5,
  refused: 6,
  tracker_unreachable: 7,
  no_holder: 8,
  integrity: 9,
  disk: 10,
  unauthorised: 11,
  cancelled: 12,
  already_running: 13,
  protocol: 14,
  unknown_message: 15,
  busy: 16,
  unreachable: 17,
} as const;

/** The exit codes that scripts rely on. */
const exitCodes = {
  internal: 1,
  usage: 2,
  not_running: 3,
  not_found: 4,
  ambiguous: 5,
  refused: 6,
  tracker_unreachable: 7,
  no_holder: 8,
  integrity: 9,
  disk: 10,
  unauthorised: 11,
  cancelled: 12,
  already_running: 13,
} as const;

describe("the error table", () => {
  test("has the wire ids of version 1", () => {
    expect(Object.fromEntries(errorCodes.map((code) => [code, errorTable[code].wireId as number]))).toEqual(wireIds);
    expect(new Set(Object.values(wireIds)).size).toBe(errorCodes.length);
  });

  test.each(Object.entries(exitCodes))("exits on %s with %d", (code, exitCode) => {
    expect(isErrorCode(code) && errorTable[code].exitCode).toBe(exitCode);
  });

  test("has exit codes of the contract only", () => {
    const contracted = new Set<number>(Object.values(exitCodes));
    for (const code of errorCodes) expect(contracted.has(errorTable[code].exitCode)).toBe(true);
  });

  test("has a hint for every code", () => {
    for (const code of errorCodes) expect(errorTable[code].hint).toMatch(/^[a-z-].{5,}[^.]$/);
  });
});

describe("P2pfsError", () => {
  test("has the hint of the table unless another is given", () => {
    expect(new P2pfsError("usage", "no").hint).toBe("see --help");
    expect(new P2pfsError("usage", "no", { hint: "say yes" }).hint).toBe("say yes");
  });

  test("keeps its cause and its name", () => {
    const cause = new Error("deep");
    const error = new P2pfsError("disk", "cannot write", { cause });
    expect(error.cause).toBe(cause);
    expect(error.name).toBe("P2pfsError");
  });

  test("is made from any thrown value", () => {
    const error = new P2pfsError("busy", "later");
    expect(asP2pfsError(error)).toBe(error);
    expect(asP2pfsError(new TypeError("x is undefined"))).toMatchObject({
      code: "internal",
      message: "x is undefined",
    });
    expect(asP2pfsError("text")).toMatchObject({ code: "internal", message: "text" });
    expect(asP2pfsError(undefined).code).toBe("internal");
  });

  test("is code, message and hint in JSON", () => {
    expect(errorBody(new P2pfsError("not_found", "no such file"))).toEqual({
      error: { code: "not_found", message: "no such file", hint: "list-files shows what is shared" },
    });
  });

  test("accepts the codes of the table and no inherited property names", () => {
    expect(isErrorCode("busy")).toBe(true);
    for (const name of ["toString", "__proto__", "constructor", "", "BUSY"]) expect(isErrorCode(name)).toBe(false);
  });
});
