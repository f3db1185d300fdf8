/**
 * Runs the words of one command: finds it, parses its arguments, calls it, and tells of its failure in one form. What
 * the parser complains about is turned into the same `usage` error that a command would throw.
 */
import {
  type Application,
  buildApplication,
  type Command,
  help,
  type InputCompletion,
  proposeCompletions,
  type RouteMap,
  run,
  type StricliProcess,
  text_en,
  version,
} from "@stricli/core";
import { asP2pfsError, P2pfsError } from "../core/errors.ts";
import { VERSION } from "../core/version.ts";
import type { CliContext, Session } from "./context.ts";
import { isSet } from "./context.ts";
import { exitCodeOf } from "./exit-code.ts";
import { printable } from "./format.ts";
import type { Io } from "./io.ts";
import { writeJsonFailure } from "./json.ts";

const FORMATTING = {
  useAliasInUsageLine: false,
  onlyRequiredInUsageLine: false,
  caseStyle: "convert-camel-to-kebab",
} as const;

export interface RunOptions {
  /** The first word of help's usage lines; empty in a shell. */
  readonly name: string;
  readonly commands: RouteMap<CliContext>;
  readonly words: readonly string[];
  readonly io: Io;
  readonly session?: Session;
}

/** The exit code. Failures have been told on the streams. */
export async function runWords(options: RunOptions): Promise<number> {
  const { name, commands, words, io, session } = options;
  const complaints: string[] = [];
  let failure: P2pfsError | undefined;
  const application = applicationOf(options, (thrown) => {
    failure = asP2pfsError(thrown);
    return "";
  });
  const process: StricliProcess = {
    stdout: { write: (text) => io.stdout.write(text) },
    stderr: { write: (text) => void complaints.push(text) },
    env: io.env,
    exitCode: null,
  };
  const context: CliContext = { process, io, ...(session === undefined ? {} : { session }) };
  await run(application, words, context);
  const code = Number(process.exitCode);
  if (failure === undefined && code < 0) failure = asUsage(complaints, [name, ...knownWords(commands, words)]);
  if (failure === undefined) return code;
  tell(failure, io, words);
  return exitCodeOf(failure);
}

function applicationOf(
  { name, commands, io, session }: Omit<RunOptions, "words">,
  remember: (thrown: unknown) => string,
): Application<CliContext> {
  return buildApplication<CliContext>(
    commands,
    {
      name,
      scanner: { caseStyle: "allow-kebab-for-camel", allowArgumentEscapeSequence: true },
      documentation: { disableAnsiColor: !io.stdout.usesColor },
      localization: {
        text: {
          ...text_en,
          exceptionWhileRunningCommand: remember,
          exceptionWhileLoadingCommandFunction: remember,
          exceptionWhileLoadingCommandContext: remember,
        },
      },
    },
    {
      help: help({
        brief: "Show what a command does, with examples",
        defaultForRouteMap: true,
        formatting: FORMATTING,
      }),
      ...(session === undefined
        ? { version: version({ brief: "Print the version", info: { currentVersion: VERSION } }) }
        : {}),
    },
  );
}

export interface Proposal {
  readonly kind: InputCompletion["kind"];
  readonly completion: string;
}

/** What the last of the words can be completed to: commands, flags, and what their parameters propose. */
export async function proposalsFor(options: RunOptions): Promise<readonly Proposal[]> {
  const { words, io, session } = options;
  const process: StricliProcess = { stdout: { write: noted }, stderr: { write: noted }, env: io.env };
  const context: CliContext = { process, io, completing: words, ...(session === undefined ? {} : { session }) };
  const application = applicationOf(options, () => "");
  return proposeCompletions(application, words, context);
}

/** Completing says nothing of its own. */
const noted = () => undefined;

/** The human form, and with --json the error object as the last line of the results. */
export function tell(failure: P2pfsError, io: Io, words: readonly string[]): void {
  if (words.includes("--json") || isSet(io.env.P2PFS_JSON)) writeJsonFailure(io.stdout, failure);
  const [red, plain] = io.stderr.usesColor ? ["\u001b[31m", "\u001b[0m"] : ["", ""];
  io.stderr.write(`${red}error:${plain} ${printable(failure.message)}\nhint: ${printable(failure.hint)}\n`);
  if (failure.code === "internal" && isSet(io.env.P2PFS_DEBUG) && failure.stack)
    io.stderr.write(`${failure.stack.split("\n").map(printable).join("\n")}\n`);
}

function asUsage(complaints: readonly string[], known: readonly string[]): P2pfsError {
  const sentences = complaints
    .map((complaint) => complaint.trim().replace(CAMEL_CASE_FLAG, kebabCase))
    .filter((complaint) => complaint !== "");
  return new P2pfsError("usage", sentences.join("; ") || "this is not a command", {
    hint: `\`${known[0] === "" ? ["help", ...known.slice(1)].join(" ") : [...known, "--help"].join(" ")}\` shows what fits`,
  });
}

/** The parser names flags as the code has them. */
const CAMEL_CASE_FLAG = /--[a-z]+(?:[A-Z][a-z]*)+/g;

function kebabCase(flag: string): string {
  return flag.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** The words at the beginning that lead somewhere. */
function knownWords(commands: RouteMap<CliContext>, words: readonly string[]): string[] {
  const known: string[] = [];
  let target: RoutingTarget = commands;
  for (const word of words) {
    const next: RoutingTarget | undefined =
      "getRoutingTargetForInput" in target ? target.getRoutingTargetForInput(camelCase(word)) : undefined;
    if (next === undefined) break;
    known.push(word);
    target = next;
  }
  return known;
}

type RoutingTarget = RouteMap<CliContext> | Command<CliContext>;

function camelCase(word: string): string {
  return word.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
}
