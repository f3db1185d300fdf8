/**
 * Lists folders of the peer's machine, for choosing a file to publish or a folder to fetch to. With `--browse DIR` only
 * what is inside DIR is listed, and no link out of it is followed. No file is opened.
 */
import type { Dirent } from "node:fs";
import { lstat, readdir, realpath, stat } from "node:fs/promises";
import { dirname, join, relative, sep } from "node:path";
import * as v from "valibot";
import { P2pfsError } from "../core/errors.ts";
import { PATH_TEXT_BYTES_MAX } from "../core/limits.ts";

/** Entries of one folder that are shown. */
const ENTRIES_MAX = 2000;

export const BrowseQuerySchema = v.object({
  /** Absolute; defaults to the folder to begin with. */
  path: v.optional(
    v.pipe(v.string(), v.startsWith("/", "expected an absolute path"), v.maxLength(PATH_TEXT_BYTES_MAX)),
  ),
});

export const FolderSchema = v.object({
  path: v.string(),
  /** Null if the folder above may not be listed. */
  parent: v.nullable(v.string()),
  entries: v.array(
    v.object({
      name: v.string(),
      path: v.string(),
      kind: v.picklist(["folder", "file"]),
      /** Bytes; null for a folder. */
      size: v.nullable(v.number()),
      modified: v.nullable(v.string()),
    }),
  ),
  /** Whether there is more than the list shows. */
  truncated: v.boolean(),
});
export type Folder = v.InferOutput<typeof FolderSchema>;
type Entry = Folder["entries"][number];

/**
 * @param limit only this folder and what is inside it is shown; undefined for no limit
 * @param start where to begin without a path
 */
export async function browse(path: string | undefined, limit: string | undefined, start: string): Promise<Folder> {
  try {
    const root = limit === undefined ? undefined : await realpath(limit);
    const asked = root === undefined ? await realpath(path ?? start) : await realpathInside(path ?? root, root);
    const names = await readdir(asked, { withFileTypes: true });
    const shown = names.toSorted((a, b) => rankOf(a) - rankOf(b) || compare(a.name, b.name));
    const entries = await Promise.all(shown.slice(0, ENTRIES_MAX).map(({ name }) => entryAt(asked, name, root)));
    return {
      path: asked,
      parent: asked === root || asked === sep ? null : dirname(asked),
      entries: entries.filter((entry) => entry !== undefined),
      truncated: names.length > ENTRIES_MAX,
    };
  } catch (thrown) {
    throw thrown instanceof P2pfsError ? thrown : asRefusal(path ?? start, thrown);
  }
}

/** A path outside gets the same answer as a missing one, so that the answer does not show what exists. */
async function realpathInside(path: string, root: string): Promise<string> {
  const asked = await realpath(path).catch(() => undefined);
  if (asked !== undefined && isInside(asked, root)) return asked;
  throw new P2pfsError("refused", `this peer shows no folder ${path}: it shows only what is in ${root}`, {
    hint: "it was started with --browse; type the path instead, or start it with another folder",
  });
}

/** Undefined for what is neither file nor folder, cannot be read, or leads out of the root. */
async function entryAt(folder: string, name: string, root: string | undefined): Promise<Entry | undefined> {
  const path = join(folder, name);
  try {
    const isLink = (await lstat(path)).isSymbolicLink();
    if (root !== undefined && isLink && !isInside(await realpath(path), root)) return undefined;
    const found = await stat(path);
    const modified = found.mtime.toISOString();
    if (found.isDirectory()) return { name, path, kind: "folder", size: null, modified };
    return found.isFile() ? { name, path, kind: "file", size: found.size, modified } : undefined;
  } catch {
    // A broken link, or an entry that was removed meanwhile.
    return undefined;
  }
}

function isInside(path: string, root: string): boolean {
  const way = relative(root, path);
  return way === "" || (way !== ".." && !way.startsWith(`..${sep}`));
}

/** Folders first, hidden entries last. */
function rankOf(entry: Dirent): number {
  return (entry.name.startsWith(".") ? 2 : 0) + (entry.isDirectory() ? 0 : 1);
}

function compare(a: string, b: string): number {
  return a.localeCompare(b, "en", { numeric: true, sensitivity: "base" });
}

function asRefusal(path: string, thrown: unknown): P2pfsError {
  const code = thrown instanceof Error && "code" in thrown ? thrown.code : undefined;
  if (code === "ENOENT" || code === "ENOTDIR")
    return new P2pfsError("not_found", `there is no folder ${path}`, { hint: "choose another folder" });
  return new P2pfsError("disk", `cannot list ${path}: ${thrown instanceof Error ? thrown.message : thrown}`, {
    cause: thrown,
  });
}
