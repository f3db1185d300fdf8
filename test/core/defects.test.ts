/** Defects: logged once, with the stack, and told under a reference. */
import { expect, test } from "bun:test";
import { reportableError } from "../../src/core/defects.ts";
import { asP2pfsError, P2pfsError } from "../../src/core/errors.ts";

function logged(thrown: unknown, during = "testing"): { told: P2pfsError; lines: string[] } {
  const lines: string[] = [];
  const told = reportableError(thrown, during, (level, line) => void lines.push(`${level} ${line}`));
  return { told, lines };
}

test("a defect is logged with its stack, under a reference that is told as well", () => {
  const { told, lines } = logged(new TypeError("x is no function"));
  const reference = told.message.match(/^x is no function \(reference ([0-9a-f]{6})\)$/)?.[1];
  expect(told).toMatchObject({ code: "internal", hint: expect.stringContaining("log") });
  expect(lines).toEqual([
    expect.stringMatching(new RegExp(`^error defect ${reference} during testing: TypeError: x is no function at `)),
  ]);
});

test("the same defect has the same reference, another place another one", () => {
  const defect = new Error("same");
  expect(logged(defect).told.message).toBe(logged(defect).told.message);
  expect(logged(defect, "elsewhere").told.message).not.toBe(logged(defect).told.message);
});

test("what is thrown and no Error, even nothing at all, is a defect too", () => {
  for (const thrown of ["a text", undefined, null, 7]) {
    const { told, lines } = logged(thrown);
    expect(told.message).toMatch(/\(reference [0-9a-f]{6}\)$/);
    expect(lines).toHaveLength(1);
  }
});

test("a defect is logged once, however many edges it passes", () => {
  const { told } = logged(asP2pfsError(new Error("deep inside")));
  expect(told.message).toContain("(reference ");
  expect(logged(told)).toEqual({ told, lines: [] });
});

test("operating errors, and the defects of others, are told as they are and not logged", () => {
  for (const error of [new P2pfsError("disk", "full", { cause: new Error() }), new P2pfsError("internal", "theirs")])
    expect(logged(error)).toEqual({ told: error, lines: [] });
});
