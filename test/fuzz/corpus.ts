/** Inputs that are tried in every run: those that were found once, and some that reach much of the program. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";

const FOLDER = join(import.meta.dir, "corpus");

export function corpusOf(target: string): Uint8Array[] {
  const folder = folderOf(target);
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .toSorted()
    .map((file) => new Uint8Array(readFileSync(join(folder, file))));
}

/** From now on every run tries this input. @returns the file */
export function keep(target: string, input: Uint8Array): string {
  const folder = folderOf(target);
  mkdirSync(folder, { recursive: true });
  const file = join(folder, Bun.hash(input).toString(16).padStart(16, "0"));
  writeFileSync(file, input);
  return relative(process.cwd(), file);
}

function folderOf(target: string): string {
  return join(FOLDER, target.replaceAll(" ", "-"));
}
