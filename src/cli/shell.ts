/**
 * Commands for a role of this process, typed at a prompt or piped in as lines. They use the same command tables and the
 * same typed client as one-shot commands, without a socket.
 */
import { createInterface } from "node:readline";
import type { RouteMap } from "@stricli/core";
import { asP2pfsError } from "../core/errors.ts";
import { completeLine } from "./completion.ts";
import type { CliContext, ShellSession } from "./context.ts";
import { exitCodeOf } from "./exit-code.ts";
import { HISTORY_LINES_MAX, type History } from "./history.ts";
import type { Io } from "./io.ts";
import { Prompt } from "./prompt.ts";
import { reportFailure, runCommand } from "./run.ts";
import { NEVER } from "./signals.ts";
import { canonicalArguments } from "./spelling.ts";
import { splitLine } from "./split-line.ts";

export interface CommandSource {
  /** For output that belongs to no command; it does not disturb what is being typed. */
  readonly backgroundIo: Io;
  /** Ends the taking of commands. Returns the exit code of the first one that failed, or 0. */
  stop(): number;
}

/** The commands of one role, as its shell takes them. */
export type ShellCommands = RouteMap<CliContext>;

/** The role that takes the commands, and which ones. */
export type Reach = Pick<ShellSession, "role" | "connection"> & { readonly shell: ShellCommands };

/** Runs the lines of standard input one after another, up to `exit`. The end of input does not end the role. */
export function runPipedCommands(io: Io, reach: Reach): CommandSource {
  const commands = new Commands(io, reach);
  const lines = createInterface({ input: io.stdin, terminal: false });
  const runAll = async () => {
    for await (const line of lines) {
      await commands.run(line);
      if (commands.isOver) return;
    }
  };
  // The role goes on if standard input cannot be read.
  runAll().catch(() => undefined);
  io.stdin.on("error", () => undefined);
  return {
    backgroundIo: io,
    stop: () => {
      lines.close();
      return commands.stop();
    },
  };
}

/**
 * Runs the prompt. Ctrl-C interrupts the command, or clears the line if none runs; Ctrl-D ends the role. Fetches run in
 * the background.
 */
export function runShell(io: Io, reach: Reach, history: History): CommandSource {
  const lines = createInterface({
    input: io.stdin,
    output: io.stdout.stream!,
    terminal: true,
    history: history.load(),
    historySize: HISTORY_LINES_MAX,
    removeHistoryDuplicates: true,
    completer: (line: string, answer: (error: null, result: [string[], string]) => void) => {
      commands.complete(line).then((result) => {
        prompt.fold();
        answer(null, result);
      });
    },
  });
  const prompt: Prompt = new Prompt(lines, `${reach.role}> `, io.stdout);
  const backgroundIo = { ...io, stdout: prompt.above(io.stdout), stderr: prompt.above(io.stderr) };
  const commands: Commands = new Commands(io, reach, {
    io: backgroundIo,
    openBar: () => prompt.openBar(),
    inBackground: (work) => {
      work.catch((thrown) => reportFailure(asP2pfsError(thrown), backgroundIo, []));
    },
  });
  let queue = Promise.resolve();
  const enqueue = (line: string) => {
    prompt.hide();
    queue = queue.then(async () => {
      if (commands.isOver) return;
      await commands.run(line);
      if (!commands.isOver) prompt.show();
    });
  };
  // Before readline handles the key and leaves the line on the screen.
  io.stdin.prependListener("keypress", (_text: string, key?: { name?: string }) => {
    if (key?.name === "return") prompt.fold();
  });
  lines.on("line", (line) => {
    history.add(line);
    enqueue(line);
  });
  lines.on("SIGINT", () => {
    if (commands.interrupt()) return;
    // Clears the line and begins a new one.
    lines.write(null, { ctrl: true, name: "e" });
    lines.write(null, { ctrl: true, name: "u" });
    io.stdout.write("\n");
    prompt.show();
  });
  lines.on("close", () => {
    if (commands.isOver) return;
    io.stdout.write("\n");
    commands.interrupt();
    enqueue("exit");
  });
  prompt.show();
  return {
    backgroundIo,
    stop: () => {
      const code = commands.stop();
      prompt.close();
      return code;
    },
  };
}

/** Runs lines against one role and remembers the first failure. */
class Commands {
  readonly #io: Io;
  readonly #reach: Reach;
  readonly #background: ShellSession["background"];
  #interruption: PromiseWithResolvers<void> | undefined;
  #isOver = false;
  #firstFailure = 0;

  constructor(io: Io, reach: Reach, background?: ShellSession["background"]) {
    this.#io = io;
    this.#reach = reach;
    this.#background = background;
  }

  /** Whether the role is ending. */
  get isOver(): boolean {
    return this.#isOver;
  }

  stop(): number {
    this.#isOver = true;
    return this.#firstFailure;
  }

  /** Interrupts the command that runs; false if none does. */
  interrupt(): boolean {
    this.#interruption?.resolve();
    return this.#interruption !== undefined;
  }

  async run(line: string): Promise<void> {
    this.#interruption = Promise.withResolvers();
    const code = await this.#codeOf(line.trim(), this.#interruption.promise);
    this.#interruption = undefined;
    if (this.#firstFailure === 0) this.#firstFailure = code;
  }

  async complete(line: string): Promise<[string[], string]> {
    const session = this.#session(NEVER.happened);
    return completeLine(line, { io: this.#io, commands: this.#reach.shell, session });
  }

  async #codeOf(line: string, interrupted: Promise<void>): Promise<number> {
    if (line === "" || line.startsWith("#")) return 0;
    const io = this.#io;
    const session = this.#session(interrupted);
    try {
      const args = canonicalArguments(splitLine(line), 1);
      const asked = args[0] === "help" ? [...args.slice(1), "--help"] : args;
      return await runCommand({ name: "", commands: this.#reach.shell, args: asked, io, session });
    } catch (thrown) {
      const failure = asP2pfsError(thrown);
      reportFailure(failure, io, line.split(" "));
      return exitCodeOf(failure);
    }
  }

  #session(interrupted: Promise<unknown>): ShellSession {
    const onExit = () => {
      this.#isOver = true;
    };
    const background = this.#background;
    const { role, connection } = this.#reach;
    return { role, connection, interrupted, onExit, ...(background === undefined ? {} : { background }) };
  }
}
