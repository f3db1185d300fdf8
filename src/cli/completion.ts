/** Completing a line: at the prompt, and for bash and zsh, which ask `p2pfs propose LINE`. */
import type { RouteMap } from "@stricli/core";
import type { CliContext, Session } from "./context.ts";
import type { Io } from "./io.ts";
import { type Proposal, proposalsFor } from "./run.ts";
import { canonicalWords } from "./spelling.ts";
import { unfinishedLine } from "./split-words.ts";

interface Completing {
  readonly commands: RouteMap<CliContext>;
  readonly io: Io;
  readonly session?: Session;
}

/** What readline wants: the words that the last one can become, as they would be typed, and the last one as it is. */
export async function completeLine(line: string, completing: Completing): Promise<[string[], string]> {
  const { words, partial, typed, goOn } = unfinishedLine(line);
  const proposals = await inShell(canonicalWords([...words, partial], 1), completing);
  const completions = proposals.map(({ completion }) => {
    return typed + goOn(completion.slice(partial.length), !completion.endsWith("/"));
  });
  return [completions, typed];
}

/** `help` is a word of the shell alone, and leads to the other commands. */
async function inShell(words: readonly string[], completing: Completing): Promise<Proposal[]> {
  const [first = "", ...rest] = words;
  if (first === "help" && rest.length > 0) return rest.length > 1 ? [] : propose(rest, completing, "");
  const proposals = await propose(words, completing, "");
  return rest.length === 0 && "help".startsWith(first)
    ? [...proposals, { kind: "routing-target:command", completion: "help" }]
    : proposals;
}

/** One proposal a line, `KIND<tab>TEXT`, for the line as it stands up to the cursor. KIND is `name` or `value`. */
export async function writeProposals(line: string, { io, commands }: Completing): Promise<void> {
  const { words, partial } = unfinishedLine(line);
  const spelled = canonicalWords([...words.slice(1), partial], 2);
  // What the shell puts in place of the last word has to begin as that does.
  const typed = partial.includes("_") ? "_" : "-";
  for (const { kind, completion } of await propose(spelled, { io, commands }, "p2pfs")) {
    const isValue = kind === "argument:value";
    const text = isValue || typed === "-" ? completion : completion.replaceAll("-", "_");
    if (!/\p{Cc}/u.test(text)) io.stdout.write(`${isValue ? "value" : "name"}\t${text}\n`);
  }
}

/** Flags are proposed to who has begun to type one; they would crowd the rest out. */
async function propose(words: readonly string[], completing: Completing, name: string): Promise<Proposal[]> {
  const proposals = await proposalsFor({ ...completing, name, words });
  const isFlagBegun = words.at(-1)?.startsWith("-") === true;
  return proposals.filter(({ completion }) => completion !== "--" && (isFlagBegun || !completion.startsWith("-")));
}
