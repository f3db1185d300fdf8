/**
 * Commands for a role of this process: typed at a prompt, or piped in as lines. Both run the same command table over
 * the same typed client as one-shot commands, only without a socket.
 */
import { createInterface, type Interface } from "node:readline";
import { asP2pfsError } from "../core/errors.ts";
import type { Session } from "./context.ts";
import { exitCodeOf } from "./exit-code.ts";
import type { Io, Sink } from "./io.ts";
import { runWords, tell } from "./run.ts";
import { canonicalWords } from "./spelling.ts";
import { splitWords } from "./split-words.ts";

const CLEAR_LINE = "\r\u001b[K";

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

/** The prompt. Ctrl-D leaves, which ends the role; Ctrl-C clears the line; a fetch runs in the background. */
export function runShell(io: Io, reach: Reach): CommandSource {
  const lines = createInterface({
    input: io.stdin,
    output: io.stdout.stream!,
    prompt: `${reach.role}> `,
    terminal: true,
  });
  const beside = { ...io, stdout: aboveThePrompt(io.stdout, lines), stderr: aboveThePrompt(io.stderr, lines) };
  const commands: Commands = new Commands(io, reach, {
    io: beside,
    inBackground: (work) => {
      work.catch((thrown) => tell(asP2pfsError(thrown), beside, []));
    },
  });
  let queue = Promise.resolve();
  const enqueue = (line: string) => {
    queue = queue.then(async () => {
      if (commands.isOver) return;
      await commands.run(line);
      if (!commands.isOver) lines.prompt();
    });
  };
  lines.on("line", enqueue);
  lines.on("SIGINT", () => {
    // Takes away what has been typed, and goes on in a new line.
    lines.write(null, { ctrl: true, name: "e" });
    lines.write(null, { ctrl: true, name: "u" });
    io.stdout.write("\n");
    lines.prompt();
  });
  lines.on("close", () => {
    if (commands.isOver) return;
    io.stdout.write("\n");
    enqueue("exit");
  });
  lines.prompt();
  return {
    beside,
    stop: () => {
      const code = commands.stop();
      lines.close();
      return code;
    },
  };
}

/** Runs lines against one role and remembers how it went. */
class Commands {
  readonly #io: Io;
  readonly #session: Session;
  #isOver = false;
  #firstFailure = 0;

  constructor(io: Io, reach: Reach, background?: Session["background"]) {
    this.#io = io;
    this.#session = {
      ...reach,
      onExit: () => {
        this.#isOver = true;
      },
      ...(background === undefined ? {} : { background }),
    };
  }

  /** Whether the role is ending. */
  get isOver(): boolean {
    return this.#isOver;
  }

  stop(): number {
    this.#isOver = true;
    return this.#firstFailure;
  }

  async run(line: string): Promise<void> {
    const code = await this.#codeOf(line.trim());
    if (this.#firstFailure === 0) this.#firstFailure = code;
  }

  async #codeOf(line: string): Promise<number> {
    if (line === "" || line.startsWith("#")) return 0;
    const io = this.#io;
    const session = this.#session;
    try {
      const words = canonicalWords(splitWords(line), 1);
      const asked = words[0] === "help" ? [...words.slice(1), "--help"] : words;
      return await runWords({ name: "", commands: await commandsOf(session), words: asked, io, session });
    } catch (thrown) {
      const failure = asP2pfsError(thrown);
      tell(failure, io, []);
      return exitCodeOf(failure);
    }
  }
}

async function commandsOf({ role }: Reach) {
  if (role === "tracker") return (await import("./tracker-commands.ts")).trackerShellCommands();
  return (await import("./peer-commands.ts")).peerShellCommands();
}

/** Where text that nobody waits for appears while somebody types: above the prompt, which is drawn anew. */
function aboveThePrompt(sink: Sink, lines: Interface): Sink {
  return {
    ...sink,
    write: (text) => {
      sink.write(`${CLEAR_LINE}${text}`);
      lines.prompt(true);
    },
  };
}
