/** The command line within this process, with streams in memory. */
import { PassThrough } from "node:stream";
import { runCli } from "../../src/cli/cli.ts";
import type { Environment, Io, Sink } from "../../src/cli/io.ts";

export interface MemorySink extends Sink {
  readonly text: string;
}

export function memorySink(): MemorySink {
  let text = "";
  return {
    isTerminal: false,
    usesColor: false,
    columns: 120,
    write: (piece) => {
      text += piece;
    },
    flush: async () => undefined,
    get text() {
      return text;
    },
  };
}

export interface MemoryIo extends Io {
  readonly stdout: MemorySink;
  readonly stderr: MemorySink;
}

export function memoryIo(cwd: string, env: Environment = {}): MemoryIo {
  return { stdin: new PassThrough() as never, stdout: memorySink(), stderr: memorySink(), env, cwd };
}

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `p2pfs` with these arguments in this folder. */
export async function runHere(cwd: string, args: readonly string[], env?: Environment): Promise<Outcome> {
  const io = memoryIo(cwd, env);
  const code = await runCli(args, io);
  return { code, stdout: io.stdout.text, stderr: io.stderr.text };
}
