/** The command line: from the arguments after `p2pfs` to an exit code. */
import { buildRouteMap } from "@stricli/core";
import { asP2pfsError } from "../core/errors.ts";
import { writeProposals } from "./completion.ts";
import { completionCommand } from "./completion-command.ts";
import type { CliContext } from "./context.ts";
import { exitCodeOf } from "./exit-code.ts";
import { type Io, processIo } from "./io.ts";
import { peerCommands } from "./peer-commands.ts";
import { reportFailure, runCommand } from "./run.ts";
import { canonicalArguments } from "./spelling.ts";
import { swarmCommands } from "./swarm-commands.ts";
import { trackerCommands } from "./tracker-commands.ts";

/** Arguments that name a command: the role and the command. */
const COMMAND_DEPTH = 2;

const commands = buildRouteMap<"tracker" | "peer" | "swarm" | "completion", CliContext>({
  docs: {
    brief: "Share files between machines",
    fullDescription:
      "A tracker knows who has what; peers fetch from one another, from every holder at once, and check every chunk.\n\n" +
      "EXAMPLES\n  p2pfs tracker start\n  p2pfs peer start\n  p2pfs peer publish report.pdf\n  p2pfs peer fetch report.pdf",
  },
  routes: { tracker: trackerCommands(), peer: peerCommands(), swarm: swarmCommands(), completion: completionCommand() },
});

export async function runCli(argv: readonly string[], io: Io = processIo()): Promise<number> {
  const code = await runArguments(argv, io);
  try {
    await io.stdout.flush();
    await io.stderr.flush();
    return code;
  } catch (thrown) {
    const failure = asP2pfsError(thrown);
    reportFailure(failure, io, []);
    return code === 0 ? exitCodeOf(failure) : code;
  }
}

async function runArguments(argv: readonly string[], io: Io): Promise<number> {
  // Called by the completion of bash and zsh only.
  if (argv[0] === "propose") {
    await writeProposals(argv.at(-1)!, { commands, io });
    return 0;
  }
  return runCommand({ name: "p2pfs", commands, args: withTrackerShell(canonicalArguments(argv, COMMAND_DEPTH)), io });
}

/** `p2pfs tracker` without a command is the shell of a tracker that does not listen yet. */
function withTrackerShell(args: readonly string[]): readonly string[] {
  const [role, second, ...rest] = args;
  if (role !== "tracker" || (second !== undefined && !second.startsWith("-"))) return args;
  if (args.some((arg) => /^(?:-h|--help)$/.test(arg))) return args;
  return ["tracker", "shell", ...(second === undefined ? [] : [second]), ...rest];
}
