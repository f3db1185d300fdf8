/** Tokens and the codes of links: each code lets one page in, once, and not for long. */
import { describe, expect, test } from "bun:test";
import { Access, CODE_MS_MAX } from "../../src/admin/access.ts";

const refused = expect.objectContaining({ code: "unauthorised" });

describe("a code", () => {
  test("is swapped for a token that is let in, once", () => {
    const access = new Access("of admin.json");
    const code = access.newCode();
    expect(access.lets(code)).toBe(false);
    const token = access.redeem(code);
    expect(access.lets(token)).toBe(true);
    expect(token).not.toBe("of admin.json");
    expect(() => access.redeem(code)).toThrow(refused);
  });

  test("that is too old, or none, lets nobody in", () => {
    let now = 0;
    const access = new Access("t", () => now);
    const code = access.newCode();
    now = CODE_MS_MAX + 1;
    expect(() => access.redeem(code)).toThrow(refused);
    for (const guess of ["", "t", access.newCode().slice(1)]) expect(() => access.redeem(guess)).toThrow(refused);
  });

  test("gives way to newer ones, and so do pages", () => {
    const access = new Access("t");
    const first = access.newCode();
    const tokens = Array.from({ length: 65 }, () => access.redeem(access.newCode()));
    expect(access.lets(tokens[0]!)).toBe(false);
    expect(tokens.slice(1).every((token) => access.lets(token))).toBe(true);
    for (let index = 0; index < 16; index++) access.newCode();
    expect(() => access.redeem(first)).toThrow(refused);
  });
});

test("the token of admin.json is let in, and nothing like it", () => {
  const access = new Access("right");
  expect(access.lets("right")).toBe(true);
  for (const token of ["", "righ", "right ", "RIGHT"]) expect(access.lets(token)).toBe(false);
});
