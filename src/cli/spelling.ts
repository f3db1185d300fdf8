/** Names of commands and flags take `-` or `_` alike; what stands after `--` is left as it is. */

/** The words with the names spelled as the command table has them. `depth`: how many words name the command. */
export function canonicalWords(words: readonly string[], depth: number): string[] {
  const end = words.indexOf("--");
  return words.map((word, index) => {
    if (end >= 0 && index >= end) return word;
    if (index < depth) return word.startsWith("-") ? word : word.replaceAll("_", "-");
    return word.startsWith("--") ? word.replace(/^[^=]+/, (name) => name.replaceAll("_", "-")) : word;
  });
}
