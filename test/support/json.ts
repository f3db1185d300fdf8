/** What a fetch prints with --json. */

/** Its last event, in the last line. */
export function lastJson(output: string): ReturnType<typeof JSON.parse> {
  return JSON.parse(output.trimEnd().split("\n").at(-1)!);
}
