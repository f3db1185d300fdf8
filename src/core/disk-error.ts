/** Turns errors of the file system into P2pfsErrors with a sentence that helps the user. */
import { P2pfsError } from "./errors.ts";

/** What an errno means to the user. For others the system's message is shown. */
const faults: Readonly<Record<string, { readonly what: string; readonly hint?: string }>> = {
  ENOSPC: {
    what: "no space is left on the device",
    hint: "free some space, then fetch again: what has arrived is kept",
  },
  EDQUOT: { what: "the disk quota is used up", hint: "free some space, then fetch again: what has arrived is kept" },
  EFBIG: { what: "the file system does not take files of this size" },
  EACCES: { what: "permission denied" },
  EPERM: { what: "the operation is not permitted" },
  EROFS: { what: "the file system is read-only" },
  ENOENT: { what: "no such file or folder" },
  ENOTDIR: { what: "a part of the path is not a folder" },
  EISDIR: { what: "it is a folder" },
  EEXIST: { what: "something else has that name" },
  ELOOP: { what: "the path leads through too many symbolic links" },
  ENAMETOOLONG: { what: "the name or path is too long" },
  EMFILE: { what: "this process has too many open files" },
  ENFILE: { what: "the system has too many open files" },
  ENXIO: { what: "it is a socket, or a device that is not there" },
  EIO: { what: "the device reports an input/output error" },
};

/** `disk` for any thrown value; `attempt` says what was tried, with the path, as in "cannot read /a/b". */
export function diskError(attempt: string, error: unknown): P2pfsError {
  if (error instanceof P2pfsError) return error;
  const fault = faults[errnoOf(error) ?? ""];
  const what = fault?.what ?? (error instanceof Error ? error.message : String(error));
  return new P2pfsError("disk", `${attempt}: ${what}`, {
    cause: error,
    ...(fault?.hint === undefined ? {} : { hint: fault.hint }),
  });
}

/** As `diskError`, but `not_found` if there is no such file. */
export function sourceError(attempt: string, error: unknown): P2pfsError {
  if (errnoOf(error) !== "ENOENT") return diskError(attempt, error);
  return new P2pfsError("not_found", `${attempt}: no such file`, {
    cause: error,
    hint: "check the spelling of the path; a relative path counts from the folder in which the command runs",
  });
}

/** The errno name of a system error, such as ENOENT. */
export function errnoOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}
