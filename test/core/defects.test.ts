/** Defects: logged once, with the stack, and told under a reference. */
import { expect, test } from "bun:test";
import { logFailure, reportableError } from "../../src/core/defects.ts";
import { asP2pfsError, P2pfsError } from "../../src/core/errors.ts";
import { type Log, type LogFields, textOf } from "../../src/core/log.ts";

/** A log, and what was written to it: as text, and the fields. */
function memoryLog(): { log: Log; lines: string[]; fields: LogFields[] } {
  const lines: string[] = [];
  const fields: LogFields[] = [];
  const log: Log = (level, message, given) => {
    lines.push(`${level} ${textOf(message, given)}`);
    fields.push(given);
  };
  return { log, lines, fields };
}

function logged(thrown: unknown, during = "testing"): { told: P2pfsError; lines: string[]; fields: LogFields[] } {
  const { log, lines, fields } = memoryLog();
  const told = reportableError(thrown, during, log);
  return { told, lines, fields };
}

test("a defect is logged with its stack, under the reference that the error has", () => {
  const { told, lines, fields } = logged(new TypeError("x is no function"));
  const reference = told.message.match(/^x is no function \(reference ([0-9a-f]{6})\)$/)?.[1];
  expect(told).toMatchObject({ code: "internal", hint: expect.stringContaining("log") });
  expect(lines).toEqual([
    expect.stringMatching(new RegExp(`^error defect ${reference} during testing: TypeError: x is no function at `)),
  ]);
  expect(lines[0]).not.toContain("\n");
  expect(fields).toEqual([
    { reference: reference!, during: "testing", stack: expect.stringMatching(/^TypeError: x is no function\n {4}at /) },
  ]);
});

test("the same defect has the same reference, another place another one", () => {
  const defect = new Error("same");
  expect(logged(defect).told.message).toBe(logged(defect).told.message);
  expect(logged(defect, "elsewhere").told.message).not.toBe(logged(defect).told.message);
});

test("a thrown value that is no Error, undefined included, is a defect", () => {
  for (const thrown of ["a text", undefined, null, 7]) {
    const { told, lines } = logged(thrown);
    expect(told.message).toMatch(/\(reference [0-9a-f]{6}\)$/);
    expect(lines).toHaveLength(1);
  }
});

test("a defect is logged once, however often it is converted", () => {
  const { told } = logged(asP2pfsError(new Error("deep inside")));
  expect(told.message).toContain("(reference ");
  expect(logged(told)).toEqual({ told, lines: [], fields: [] });
});

test("operating errors, and defects of the other side, are passed on unchanged and not logged", () => {
  for (const error of [new P2pfsError("disk", "full", { cause: new Error() }), new P2pfsError("internal", "theirs")])
    expect(logged(error)).toEqual({ told: error, lines: [], fields: [] });
});

test("work that nobody waits for has one entry for its failure, a defect or not", () => {
  const { log, lines, fields } = memoryLog();
  logFailure(new P2pfsError("disk", "it is full"), "tidying", log);
  logFailure(new Error("deep inside"), "tidying", log);
  expect(lines).toEqual([
    "error tidying: it is full",
    expect.stringMatching(/^error defect [0-9a-f]{6} during tidying: /),
  ]);
  expect(fields[0]).toEqual({ during: "tidying", reason: "it is full" });
});
