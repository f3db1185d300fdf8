/**
 * Commands for a role of this process: typed at a prompt, or piped in as lines. Both run the same command table over
 * the same typed client as one-shot commands, only without a socket.
 */
import { createInterface } from "node:readline";
import { asP2pfsError, P2pfsError } from "../core/errors.ts";
import type { Session } from "./context.ts";
import { exitCodeOf } from "./exit-code.ts";
import type { Io } from "./io.ts";
import { runWords, tell } from "./run.ts";
import { canonicalWords } from "./spelling.ts";
import { splitWords } from "./split-words.ts";

export interface CommandSource {
  /** Takes no more commands. The exit code of the first one that failed, 0 where none did. */
  stop(): Promise<number>;
}

/** Lines of standard input, one after another. Their end ends nothing but themselves. */
export function runPipedCommands(io: Io, session: Session): CommandSource {
  const codes = new FirstFailure();
  const lines = createInterface({ input: io.stdin, terminal: false });
  const finished = (async () => {
    for await (const line of lines) codes.note(await runLine(io, session, line));
  })();
  // Without standard input there are no commands; the role runs all the same.
  io.stdin.on("error", () => lines.close());
  finished.catch(() => undefined);
  return {
    stop: async () => {
      lines.close();
      io.stdin.destroy();
      return codes.code;
    },
  };
}

/** The prompt. Ctrl-D leaves, which ends the role; Ctrl-C clears the line. */
export function runShell(io: Io, session: Session): CommandSource {
  const codes = new FirstFailure();
  const lines = createInterface({
    input: io.stdin,
    output: io.stdout.stream!,
    prompt: `${session.role}> `,
    terminal: true,
  });
  let queue = Promise.resolve();
  let stopped = false;
  lines.on("line", (line) => {
    queue = queue.then(async () => {
      if (stopped) return;
      codes.note(await runLine(io, session, line));
      if (!stopped) lines.prompt();
    });
  });
  lines.on("SIGINT", () => {
    io.stdout.write("\n");
    lines.prompt();
  });
  lines.on("close", () => {
    if (stopped) return;
    io.stdout.write("\n");
    queue = queue.then(async () => void (await runLine(io, session, "exit")));
  });
  lines.prompt();
  return {
    stop: async () => {
      stopped = true;
      lines.close();
      return codes.code;
    },
  };
}

async function runLine(io: Io, session: Session, line: string): Promise<number> {
  const text = line.trim();
  if (text === "" || text.startsWith("#")) return 0;
  try {
    const words = canonicalWords(splitWords(text), 1);
    const asked = words[0] === "help" ? [...words.slice(1), "--help"] : words;
    return await runWords({ name: "", commands: await commandsOf(session), words: asked, io, session });
  } catch (thrown) {
    const failure = thrown instanceof P2pfsError ? thrown : asP2pfsError(thrown);
    tell(failure, io, []);
    return exitCodeOf(failure);
  }
}

async function commandsOf({ role }: Session) {
  if (role === "tracker") return (await import("./tracker-commands.ts")).trackerShellCommands;
  return (await import("./peer-commands.ts")).peerShellCommands;
}

class FirstFailure {
  code = 0;

  note(code: number): void {
    if (this.code === 0) this.code = code;
  }
}
