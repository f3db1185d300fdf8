/** Folders for tests, and what tests do with the files in them. */
import { expect } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { closeLater } from "./closing.ts";

/** A new folder, without symbolic links in its path. It is removed after the test. */
export function temporaryFolder(): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "p2pfs-test-")));
  return closeLater(folder, () => rmSync(folder, { recursive: true, force: true }));
}

/** Part files, journals and locks of fetches. */
export function fetchFilesIn(folder: string): string[] {
  return readdirSync(folder).filter((name) => name.startsWith(".p2pfs"));
}

export function expectSameFile(path: string, other: string): void {
  expectBytes(path, readFileSync(other));
}

/** As a whole, since a difference between large files is not to be printed. */
export function expectBytes(path: string, bytes: Uint8Array): void {
  expect({ path, isRight: readFileSync(path).equals(bytes) }).toEqual({ path, isRight: true });
}
