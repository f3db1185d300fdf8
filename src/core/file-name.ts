/**
 * The names under which files are shared. They come from other machines and appear on disks, terminals and pages, so only
 * names that mean the same everywhere are allowed; others are refused, never repaired.
 */
import * as v from "valibot";
import { FILE_NAME_BYTES_MAX } from "./limits.ts";
import { fitsBytes } from "./text.ts";

const CONTROL = /[\p{Cc}\p{Zl}\p{Zp}]/u;
/**
 * Category Cf of Unicode 17 (zero-width, bidi, tags) and the fillers that print as nothing. As code points, so that every
 * version of every implementation refuses the same names; listed in wire/README.md.
 */
const INVISIBLE_RANGES =
  "00AD 034F 0600-0605 061C 06DD 070F 0890-0891 08E2 115F-1160 17B4-17B5 180B-180F 200B-200F 202A-202E 2060-2064 " +
  "2066-206F 3164 FEFF FFA0 FFF9-FFFB 110BD 110CD 13430-1343F 1BCA0-1BCA3 1D173-1D17A E0001 E0020-E007F";
const INVISIBLE = new RegExp(`[${INVISIBLE_RANGES.replace(/[0-9A-F]+/g, "\\u{$&}").replaceAll(" ", "")}]`, "u");
const LONE_SURROGATE = /\p{Cs}/u;
/** https://learn.microsoft.com/windows/win32/fileio/naming-a-file: reserved with any extension. */
const WINDOWS_DEVICE = /^(?:con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³]) *(?:\.|$)/iu;

/** Why the text cannot be the name of a shared file; undefined if it can. */
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
  if (!fitsBytes(name.normalize("NFC"), FILE_NAME_BYTES_MAX))
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

/**
 * Names with the same fold differ only in case or normalisation, so that they clash on some file systems. Upper case makes
 * `ß` and `SS` equal; the first lower case does so for the capital `ẞ`, which is its own upper case.
 */
export function foldFileName(name: FileName): string {
  return name.toLowerCase().toUpperCase().toLowerCase().normalize("NFC");
}
