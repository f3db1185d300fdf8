/** What the other tests rely on: things are closed in order and once, a wait ends, the wrong error is noticed. */
import { afterAll, describe, expect, onTestFinished, test } from "bun:test";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { P2pfsError } from "../../src/core/errors.ts";
import { closeLater, closeNow, openForAll } from "./closing.ts";
import { expectError } from "./errors.ts";
import { temporaryFolder } from "./folder.ts";
import { until } from "./until.ts";

describe("what is opened", () => {
  const open = new Set<string>();
  const closed: string[] = [];
  const openAs = (name: string) => {
    open.add(name);
    closeLater(name, () => {
      open.delete(name);
      closed.push(name);
    });
  };
  openForAll(async () => {
    await Bun.sleep(1);
    openAs("for all");
  });
  afterAll(() => expect([...open]).toEqual([]));

  test.each(["one", "another"])(
    "in %s test is closed after it, last opened first; for all tests, after them",
    async (name) => {
      expect([...open]).toEqual(["for all"]);
      closed.length = 0;
      for (const part of ["first", "second", "third"]) openAs(`${part} of ${name}`);
      onTestFinished(() => expect(closed).toEqual(["second", "third", "first"].map((part) => `${part} of ${name}`)));
      await closeNow(`second of ${name}`);
      await closeNow(`second of ${name}`);
      expect(closed).toEqual([`second of ${name}`]);
    },
  );

  const folders: string[] = [];
  test.each(["one", "another"])("a temporary folder is there during %s test, and gone with its files after it", () => {
    expect(folders.filter((folder) => existsSync(folder))).toEqual([]);
    folders.push(temporaryFolder());
    writeFileSync(join(folders.at(-1)!, "file"), "");
  });
});

test("a wait ends when the state is there, or at its bound, and says what did not come", async () => {
  let asked = 0;
  await until("three questions", () => ++asked === 3);
  expect(asked).toBe(3);
  await expect(until("never", () => false, 1)).rejects.toThrow("not within 1 ms: never");
});

test("an error is expected by its code and its text", async () => {
  const refuse = () => {
    throw new P2pfsError("refused", "it is there already", { hint: "take another" });
  };
  expect(expectError("refused", refuse, "already").hint).toBe("take another");
  expect((await expectError("refused", Promise.try(refuse), /there/)).hint).toBe("take another");
  for (const [code, text] of [
    ["disk", "already"],
    ["refused", "none"],
  ] as const)
    expect(() => expectError(code, refuse, text)).toThrow();
  expect(() => expectError("refused", () => "done")).toThrow("expected the error refused, got");
  await expect(expectError("refused", Promise.resolve("done"))).rejects.toThrow("expected the error refused, got");
  await expect(expectError("refused", Promise.reject(new TypeError("a defect")))).rejects.toThrow("a defect");
});
