/** Names of commands and flags take `-` or `_` alike; what stands after `--` is left as it is. */

/** The arguments with names spelled as in the command tables. @param depth how many arguments name the command */
export function canonicalArguments(args: readonly string[], depth: number): string[] {
  const end = args.indexOf("--");
  return args.map((arg, index) => {
    if (end >= 0 && index >= end) return arg;
    if (arg.startsWith("--")) return arg.replace(/^[^=]+/, (name) => name.replaceAll("_", "-"));
    return index < depth ? arg.replaceAll("_", "-") : arg;
  });
}
