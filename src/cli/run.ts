/**
 * Runs one command: finds it, parses its arguments, calls it, and reports its failure in one form. A complaint of the
 * parser becomes the same `usage` error that a command would throw.
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
import type { CliContext, ShellSession } from "./context.ts";
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
  /** What the usage lines of the help begin with; empty in a shell. */
  readonly name: string;
  readonly commands: RouteMap<CliContext>;
  readonly args: readonly string[];
  readonly io: Io;
  readonly session?: ShellSession;
}

/** Resolves to the exit code, after a failure was reported on the streams. */
export async function runCommand(options: RunOptions): Promise<number> {
  const { name, commands, args, io, session } = options;
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
  await run(application, args, context);
  const code = Number(process.exitCode);
  if (failure === undefined && code < 0) failure = asUsage(complaints, [name, ...commandPath(commands, args)]);
  if (failure === undefined) return code;
  reportFailure(failure, io, args);
  return exitCodeOf(failure);
}

function applicationOf(
  { name, commands, io, session }: Omit<RunOptions, "args">,
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

/** What the last argument can be completed to: commands, flags, and what their parameters propose. */
export async function proposalsFor(options: RunOptions): Promise<readonly Proposal[]> {
  const { args, io, session } = options;
  const process: StricliProcess = { stdout: { write: ignore }, stderr: { write: ignore }, env: io.env };
  const context: CliContext = { process, io, completing: args, ...(session === undefined ? {} : { session }) };
  const application = applicationOf(options, () => "");
  return proposeCompletions(application, args, context);
}

/** The parser must not write while a line is completed. */
const ignore = () => undefined;

/** As text on standard error, and with --json also as an object on standard output. */
export function reportFailure(failure: P2pfsError, io: Io, args: readonly string[]): void {
  if (args.includes("--json") || isSet(io.env.P2PFS_JSON)) writeJsonFailure(io.stdout, failure);
  const [red, plain] = io.stderr.usesColor ? ["\u001b[31m", "\u001b[0m"] : ["", ""];
  io.stderr.write(`${red}error:${plain} ${printable(failure.message)}\nhint: ${printable(failure.hint)}\n`);
  if (failure.code === "internal" && isSet(io.env.P2PFS_DEBUG) && failure.stack)
    io.stderr.write(`${failure.stack.split("\n").map(printable).join("\n")}\n`);
}

function asUsage(complaints: readonly string[], path: readonly string[]): P2pfsError {
  const sentences = complaints
    .map((complaint) => complaint.trim().replace(CAMEL_CASE_FLAG, kebabCase))
    .filter((complaint) => complaint !== "");
  return new P2pfsError("usage", sentences.join("; ") || "this is not a command", {
    hint: `\`${path[0] === "" ? ["help", ...path.slice(1)].join(" ") : [...path, "--help"].join(" ")}\` shows what fits`,
  });
}

/** The parser names flags in camel case, as the code does. */
const CAMEL_CASE_FLAG = /--[a-z]+(?:[A-Z][a-z]*)+/g;

function kebabCase(flag: string): string {
  return flag.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** The leading arguments that name a command. */
function commandPath(commands: RouteMap<CliContext>, args: readonly string[]): string[] {
  const path: string[] = [];
  let target: RoutingTarget = commands;
  for (const arg of args) {
    const next: RoutingTarget | undefined =
      "getRoutingTargetForInput" in target ? target.getRoutingTargetForInput(camelCase(arg)) : undefined;
    if (next === undefined) break;
    path.push(arg);
    target = next;
  }
  return path;
}

type RoutingTarget = RouteMap<CliContext> | Command<CliContext>;

function camelCase(arg: string): string {
  return arg.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
}
