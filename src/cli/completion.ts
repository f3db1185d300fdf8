/** Completing a line: at the prompt, and for bash and zsh, which ask `p2pfs propose LINE`. */
import type { RouteMap } from "@stricli/core";
import type { CliContext, ShellSession } from "./context.ts";
import type { Io } from "./io.ts";
import { type Proposal, proposalsFor } from "./run.ts";
import { canonicalArguments } from "./spelling.ts";
import { unfinishedLine } from "./split-line.ts";

interface Completing {
  readonly commands: RouteMap<CliContext>;
  readonly io: Io;
  readonly session?: ShellSession;
}

/** For readline: what the last argument can become, as it would be typed, and that argument as it is typed now. */
export async function completeLine(line: string, completing: Completing): Promise<[string[], string]> {
  const { args, partial, typed, continueWith } = unfinishedLine(line);
  const proposals = await inShell(canonicalArguments([...args, partial], 1), completing);
  const completions = proposals.map(({ completion }) => {
    return typed + continueWith(completion.slice(partial.length), !completion.endsWith("/"));
  });
  return [completions, typed];
}

/** Only the shell has `help`, which takes the name of another command. */
async function inShell(args: readonly string[], completing: Completing): Promise<Proposal[]> {
  const [first = "", ...rest] = args;
  if (first === "help" && rest.length > 0) return rest.length > 1 ? [] : propose(rest, completing, "");
  const proposals = await propose(args, completing, "");
  return rest.length === 0 && "help".startsWith(first)
    ? [...proposals, { kind: "routing-target:command", completion: "help" }]
    : proposals;
}

/** One proposal a line, `KIND<tab>TEXT`, for the line as it stands up to the cursor. KIND is `name` or `value`. */
export async function writeProposals(line: string, { io, commands }: Completing): Promise<void> {
  const { args, partial } = unfinishedLine(line);
  const spelled = canonicalArguments([...args.slice(1), partial], 2);
  // The proposal replaces the last argument, so it has to begin as that does.
  const typed = partial.includes("_") ? "_" : "-";
  for (const { kind, completion } of await propose(spelled, { io, commands }, "p2pfs")) {
    const isValue = kind === "argument:value";
    const text = isValue || typed === "-" ? completion : completion.replaceAll(/(?<!^-?)-/g, "_");
    if (!/\p{Cc}/u.test(text)) io.stdout.write(`${isValue ? "value" : "name"}\t${text}\n`);
  }
}

/** Flags are proposed only after a `-`, since there are many of them. */
async function propose(args: readonly string[], completing: Completing, name: string): Promise<Proposal[]> {
  const proposals = await proposalsFor({ ...completing, name, args });
  const isFlagBegun = args.at(-1)?.startsWith("-") === true;
  return proposals.filter(({ completion }) => completion !== "--" && (isFlagBegun || !completion.startsWith("-")));
}
