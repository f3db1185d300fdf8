/**
 * Commands for a role of this process: typed at a prompt, or piped in as lines. Both run the same command table over
 * the same typed client as one-shot commands, only without a socket.
 */
import { createInterface } from "node:readline";
import { asP2pfsError } from "../core/errors.ts";
import { completeLine } from "./completion.ts";
import type { Session } from "./context.ts";
import { exitCodeOf } from "./exit-code.ts";
import { HISTORY_LINES_MAX, type History } from "./history.ts";
import type { Io } from "./io.ts";
import { Prompt } from "./prompt.ts";
import { runWords, tell } from "./run.ts";
import { NEVER } from "./signals.ts";
import { canonicalWords } from "./spelling.ts";
import { splitWords } from "./split-words.ts";

export interface CommandSource {
  /** Where to write what nobody typed a command for, so that it does not disturb what is being typed. */
  readonly beside: Io;
  /** Takes no more commands. The exit code of the first one that failed, 0 where none did. */
  stop(): number;
}

type Reach = Pick<Session, "role" | "connection">;

/** Lines of standard input, one after another, up to `exit`. Their end ends nothing but themselves. */
export function runPipedCommands(io: Io, reach: Reach): CommandSource {
  const commands = new Commands(io, reach);
  const lines = createInterface({ input: io.stdin, terminal: false });
  const runAll = async () => {
    for await (const line of lines) {
      await commands.run(line);
      if (commands.isOver) return;
    }
  };
  // Standard input that cannot be read holds no commands; the role runs all the same.
  runAll().catch(() => undefined);
  io.stdin.on("error", () => undefined);
  return {
    beside: io,
    stop: () => {
      lines.close();
      return commands.stop();
    },
  };
}

/**
 * The prompt. Ctrl-C ends the command that runs, or takes away what has been typed; Ctrl-D leaves, which ends the role.
 * A fetch runs in the background.
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
  const beside = { ...io, stdout: prompt.above(io.stdout), stderr: prompt.above(io.stderr) };
  const commands: Commands = new Commands(io, reach, {
    io: beside,
    openBar: () => prompt.openBar(),
    inBackground: (work) => {
      work.catch((thrown) => tell(asP2pfsError(thrown), beside, []));
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
  // Before readline hears of it, which then leaves the line behind.
  io.stdin.prependListener("keypress", (_text: string, key?: { name?: string }) => {
    if (key?.name === "return") prompt.fold();
  });
  lines.on("line", (line) => {
    history.add(line);
    enqueue(line);
  });
  lines.on("SIGINT", () => {
    if (commands.interrupt()) return;
    // Takes away what has been typed, and goes on in a new line.
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
    beside,
    stop: () => {
      const code = commands.stop();
      prompt.close();
      return code;
    },
  };
}

/** Runs lines against one role and remembers how it went. */
class Commands {
  readonly #io: Io;
  readonly #reach: Reach;
  readonly #background: Session["background"];
  #interruption: PromiseWithResolvers<void> | undefined;
  #isOver = false;
  #firstFailure = 0;

  constructor(io: Io, reach: Reach, background?: Session["background"]) {
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

  /** Ends the command that runs; false where none does. */
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
    return completeLine(line, { io: this.#io, commands: await commandsOf(session), session });
  }

  async #codeOf(line: string, interrupted: Promise<void>): Promise<number> {
    if (line === "" || line.startsWith("#")) return 0;
    const io = this.#io;
    const session = this.#session(interrupted);
    try {
      const words = canonicalWords(splitWords(line), 1);
      const asked = words[0] === "help" ? [...words.slice(1), "--help"] : words;
      return await runWords({ name: "", commands: await commandsOf(session), words: asked, io, session });
    } catch (thrown) {
      const failure = asP2pfsError(thrown);
      tell(failure, io, line.split(" "));
      return exitCodeOf(failure);
    }
  }

  #session(interrupted: Promise<unknown>): Session {
    const onExit = () => {
      this.#isOver = true;
    };
    const background = this.#background;
    return { ...this.#reach, interrupted, onExit, ...(background === undefined ? {} : { background }) };
  }
}

async function commandsOf({ role }: Reach) {
  if (role === "tracker") return (await import("./tracker-commands.ts")).trackerShellCommands();
  return (await import("./peer-commands.ts")).peerShellCommands();
}
