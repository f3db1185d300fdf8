/** Names of shared files: what would mean something else on a disk, a terminal or a page is refused, never repaired. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import * as v from "valibot";
import { type FileName, FileNameSchema, fileNameFault, foldFileName } from "../../src/core/file-name.ts";
import { fileName, numRuns } from "./arbitraries.ts";

const bad: readonly (readonly [what: string, name: string, reason: RegExp])[] = [
  ["empty", "", /empty/],
  ["the folder itself", ".", /\. or \.\./],
  ["the folder above", "..", /\. or \.\./],
  ["a slash", "a/b", /\//],
  ["a path upwards", "../etc/passwd", /\//],
  ["an absolute path", "/etc/passwd", /\//],
  ["a backslash", "a\\b", /\\/],
  ["an NTFS stream", "file:stream", /colon/],
  ["a drive", "C:", /colon/],
  ["NUL", "a\u0000b", /control/],
  ["a line break", "a\nb", /control/],
  ["an escape sequence", "a\u001b[31mb", /control/],
  ["DEL", "a\u007f", /control/],
  ["a control above ASCII", "a\u0085b", /control/],
  ["a line separator", "a\u2028b", /control/],
  ["a paragraph separator", "a\u2029b", /control/],
  ["zero width space", "a\u200bb", /invisible/],
  ["zero width joiner", "a\u200db", /invisible/],
  ["word joiner", "a\u2060b", /invisible/],
  ["byte order mark", "\ufeffa", /invisible/],
  ["soft hyphen", "a\u00adb", /invisible/],
  ["right-to-left override", "a\u202egnp.exe", /invisible/],
  ["right-to-left mark", "a\u200fb", /invisible/],
  ["bidi isolate", "a\u2066b", /invisible/],
  ["hangul filler", "\u3164", /invisible/],
  ["half-width hangul filler", "\uffa0", /invisible/],
  ["Mongolian vowel separator", "a\u180eb", /invisible/],
  ["combining grapheme joiner", "a\u034fb", /invisible/],
  ["tag characters", "a\u{e0041}", /invisible/],
  ["a lone high surrogate", "a\ud800", /Unicode/],
  ["a lone low surrogate", "\udc00a", /Unicode/],
  ["a trailing dot", "a.", /dot or a space/],
  ["trailing dots", "a...", /dot or a space/],
  ["a trailing space", "a ", /dot or a space/],
  ["only a space", " ", /dot or a space/],
  ["256 bytes", "a".repeat(256), /255 bytes/],
  ["256 bytes of two each", "é".repeat(128), /255 bytes/],
  ["256 bytes of four each", "😀".repeat(64), /255 bytes/],
  ...[
    "con",
    "PRN",
    "aux",
    "nul",
    "NUL",
    "CONIN$",
    "conout$",
    "com1",
    "COM9",
    "lpt1",
    "LPT9",
    "com¹",
    "lpt³",
    "COM0",
  ].map((device) => ["a Windows device", device, /device/] as const),
  ...["con.txt", "NUL.tar.gz", "aux .txt", "com1.log", "lpt1  .x", "nul."].map(
    (device) => ["a Windows device with an extension", device, /device|dot or a space/] as const,
  ),
];

const good = [
  "a",
  "a.txt",
  ".hidden",
  "..a",
  "a..b",
  " leading space",
  "with space",
  "under_score_10.0.0.1_80",
  "Ünïcödé.txt",
  "日本語.txt",
  "עברית.txt",
  "😀.png",
  "a".repeat(255),
  `${"é".repeat(127)}a`,
  "😀".repeat(63),
  "console",
  "com10",
  "com",
  "null",
  "aux1",
  "-rf",
  "$(reboot)",
  "<img src=x onerror=alert(1)>",
  'quo"te',
  "it's",
  "a*?|b",
  "%2e%2e%2f",
  "__proto__",
];

describe("a file name", () => {
  test.each(bad)("cannot be %s: %j", (_what, name, reason) => {
    expect(fileNameFault(name)).toMatch(reason);
    expect(v.is(FileNameSchema, name)).toBe(false);
  });

  test.each(good)("can be %s", (name) => {
    expect(fileNameFault(name)).toBeUndefined();
    expect(v.parse(FileNameSchema, name)).toBe(name.normalize("NFC") as never);
  });

  test("must be text", () => {
    for (const value of [undefined, null, 1, {}, ["a"]]) expect(v.is(FileNameSchema, value)).toBe(false);
  });

  test("gives its reason in the issue", () => {
    const parsed = v.safeParse(FileNameSchema, "a/b");
    expect(parsed.issues?.[0].message).toBe("a name cannot contain / or \\");
  });

  test("is normalised to form C", () => {
    const decomposed = "e\u0301.txt";
    expect(v.parse(FileNameSchema, decomposed)).toBe("é.txt" as never);
  });

  test("is measured in bytes of form C", () => {
    const decomposed = "e\u0301".repeat(127);
    expect(new TextEncoder().encode(decomposed).length).toBeGreaterThan(255);
    expect(fileNameFault(decomposed)).toBeUndefined();
  });

  test("that is accepted is accepted unchanged again", () => {
    fc.assert(
      fc.property(fileName, (name) => expect(v.parse(FileNameSchema, name)).toBe(name)),
      { numRuns },
    );
  });

  test("is accepted or refused alike in every normalisation form", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        fc.pre(text.isWellFormed());
        expect(fileNameFault(text.normalize("NFC"))).toBe(fileNameFault(text));
      }),
      { numRuns: numRuns * 5 },
    );
  });

  test("that is accepted is one component of a path", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        const parsed = v.safeParse(FileNameSchema, text);
        if (!parsed.success) return;
        expect(parsed.output).not.toMatch(/[/\\:\p{Cc}]/u);
        expect(new TextEncoder().encode(parsed.output).length).toBeLessThanOrEqual(255);
        expect(fileNameFault(parsed.output)).toBeUndefined();
      }),
      { numRuns: numRuns * 5 },
    );
  });
});

describe("the fold of a name", () => {
  const fold = (name: string) => foldFileName(v.parse(FileNameSchema, name));

  test.each([
    ["a.txt", "A.TXT"],
    ["é.txt", "e\u0301.txt"],
    ["É.txt", "e\u0301.TXT"],
    ["straße", "STRASSE"],
    ["ΣΑΣ", "σας"],
    ["ΣΑΣ", "σασ"],
    ["GRÖẞE", "größe"],
    ["ẞ", "SS"],
  ])("is the same for %s and %s", (one, other) => {
    expect(fold(one)).toBe(fold(other));
  });

  test.each([
    ["a.txt", "b.txt"],
    ["a", "ä"],
    ["1", "١"],
  ])("differs for %s and %s", (one, other) => {
    expect(fold(one)).not.toBe(fold(other));
  });

  test("is the same for every character in upper, lower and decomposed form, and when it is folded again", () => {
    const differing: string[] = [];
    for (let point = 0x20; point <= 0x10_ffff; point++) {
      if (point >= 0xd800 && point <= 0xdfff) continue;
      const character = String.fromCodePoint(point) as FileName;
      const folded = foldFileName(character);
      const others = [
        character.toUpperCase(),
        character.toLowerCase(),
        character.normalize("NFD"),
        character.normalize("NFD").toUpperCase(),
        folded,
      ];
      if (others.some((other) => foldFileName(other as FileName) !== folded)) differing.push(point.toString(16));
    }
    expect(differing).toEqual([]);
  });

  test("makes the same names equal as a fold character by character, without the rule of the final sigma", () => {
    const foldAlone = (name: string) =>
      Array.from(name, (character) => character.toLowerCase().toUpperCase().toLowerCase())
        .join("")
        .normalize("NFC");
    const name = fc.string({ unit: fc.constantFrom(..."ΣσςΑα.ßẞsSſİiIı̇ kK"), maxLength: 4 });
    fc.assert(
      fc.property(name, name, (one, other) => {
        const areEqual = foldFileName(one as FileName) === foldFileName(other as FileName);
        expect(areEqual).toBe(foldAlone(one) === foldAlone(other));
      }),
      { numRuns: numRuns * 20 },
    );
  });

  test("does not change by folding, casing or decomposing again", () => {
    fc.assert(
      fc.property(fileName, (name) => {
        const folded = foldFileName(name);
        expect(foldFileName(folded as never)).toBe(folded);
        expect(foldFileName(name.normalize("NFD") as never)).toBe(folded);
        expect(foldFileName(name.toUpperCase() as never)).toBe(folded);
      }),
      { numRuns },
    );
  });
});
