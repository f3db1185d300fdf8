/**
 * The names under which files are shared. They come from strangers and end up on disks, terminals and pages, so only
 * names that mean the same thing everywhere are allowed; what is not is refused, never repaired.
 */
import * as v from "valibot";
import { FILE_NAME_BYTES_MAX } from "./limits.ts";

const CONTROL = /[\p{Cc}\p{Zl}\p{Zp}]/u;
/** Format characters (zero-width, bidi) and the fillers that print as nothing. */
const INVISIBLE = /\p{Cf}|\u034f|[\u115f\u1160]|[\u17b4\u17b5]|[\u180b-\u180f]|\u3164|\uffa0/u;
const LONE_SURROGATE = /\p{Cs}/u;
/** https://learn.microsoft.com/windows/win32/fileio/naming-a-file: reserved with any extension. */
const WINDOWS_DEVICE = /^(?:con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])\s*(?:\.|$)/iu;

/** Why this text cannot be the name of a shared file; undefined where it can. */
export function fileNameFault(name: string): string | undefined {
  if (name === "") return "a name cannot be empty";
  if (name === "." || name === "..") return "a name cannot be . or ..";
  if (/[/\\]/.test(name)) return "a name cannot contain / or \\";
  if (name.includes(":")) return "a name cannot contain a colon";
  if (CONTROL.test(name)) return "a name cannot contain control characters";
  if (INVISIBLE.test(name)) return "a name cannot contain invisible characters";
  if (LONE_SURROGATE.test(name)) return "a name must be valid Unicode";
  if (/[. ]$/.test(name)) return "a name cannot end with a dot or a space";
  if (WINDOWS_DEVICE.test(name)) return "a name cannot be that of a Windows device";
  if (new TextEncoder().encode(name.normalize("NFC")).length > FILE_NAME_BYTES_MAX)
    return `a name cannot be longer than ${FILE_NAME_BYTES_MAX} bytes in UTF-8`;
  return undefined;
}

/** A valid name in Unicode normalisation form C. */
export const FileNameSchema = v.pipe(
  v.string(),
  v.rawCheck(({ dataset, addIssue }) => {
    const fault = dataset.typed ? fileNameFault(dataset.value) : undefined;
    if (fault !== undefined) addIssue({ message: fault });
  }),
  v.transform((name) => name.normalize("NFC")),
  v.brand("FileName"),
);
export type FileName = v.InferOutput<typeof FileNameSchema>;

/** Two names with the same fold clash on some file system: they differ in case or normalisation only. */
export function foldFileName(name: FileName): string {
  return name.toUpperCase().toLowerCase().normalize("NFC");
}
