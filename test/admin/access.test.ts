/** Tokens and the codes of links: each code gives one page access, once, and not for long. */
import { describe, expect, test } from "bun:test";
import { Access, CODE_MS_MAX } from "../../src/admin/access.ts";
import { expectError } from "../support/errors.ts";

describe("a code of a link", () => {
  test("is exchanged for a valid token, once", () => {
    const access = new Access("of admin.json");
    const code = access.newCode();
    expect(access.lets(code)).toBe(false);
    const token = access.redeem(code);
    expect(access.lets(token)).toBe(true);
    expect(token).not.toBe("of admin.json");
    expectError("unauthorised", () => access.redeem(code));
  });

  test("that has expired, or was never made, is refused", () => {
    let now = 0;
    const access = new Access("t", () => now);
    const code = access.newCode();
    now = CODE_MS_MAX + 1;
    expectError("unauthorised", () => access.redeem(code));
    for (const guess of ["", "t", access.newCode().slice(1)]) expectError("unauthorised", () => access.redeem(guess));
  });

  test("is dropped for newer ones beyond a bound, and so are the tokens of pages", () => {
    const access = new Access("t");
    const first = access.newCode();
    const tokens = Array.from({ length: 65 }, () => access.redeem(access.newCode()));
    expect(access.lets(tokens[0]!)).toBe(false);
    expect(tokens.slice(1).every((token) => access.lets(token))).toBe(true);
    for (let index = 0; index < 16; index++) access.newCode();
    expectError("unauthorised", () => access.redeem(first));
  });
});

test("the token of admin.json is valid, and nothing like it", () => {
  const access = new Access("right");
  expect(access.lets("right")).toBe(true);
  for (const token of ["", "righ", "right ", "RIGHT"]) expect(access.lets(token)).toBe(false);
});
