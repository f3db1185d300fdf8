/** Streams in memory for tests of the command line within one process. */
import { PassThrough } from "node:stream";
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
