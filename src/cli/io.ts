/** Streams, environment and current folder of the process, as commands see them; tests pass others. */
import { P2pfsError } from "../core/errors.ts";

/** A destination for text. */
export interface Sink {
  readonly isTerminal: boolean;
  readonly usesColor: boolean;
  readonly columns: number;
  /** The stream underneath, for libraries that draw on a terminal. */
  readonly stream?: NodeJS.WriteStream;
  write(text: string): void;
  /**
   * Resolves when all text has left the process, or when its reader has gone, as in `| head`. Rejects with `disk` if text
   * was lost for another reason.
   */
  flush(): Promise<void>;
}

export type Environment = Readonly<Record<string, string | undefined>>;

export interface Io {
  readonly stdin: NodeJS.ReadStream;
  readonly stdout: Sink;
  readonly stderr: Sink;
  readonly env: Environment;
  /** The folder that relative paths of the command line start from. */
  readonly cwd: string;
}

const COLUMNS_WITHOUT_TERMINAL = 120;

export function processIo(): Io {
  return {
    stdin: process.stdin,
    stdout: streamSink(process.stdout, process.env),
    stderr: streamSink(process.stderr, process.env),
    env: process.env,
    cwd: process.cwd(),
  };
}

function streamSink(stream: NodeJS.WriteStream, env: Environment): Sink {
  const isTerminal = stream.isTTY === true;
  let last: Promise<void> = Promise.resolve();
  let failure: Error | undefined;
  stream.on("error", (error) => {
    failure ??= error;
  });
  return {
    stream,
    isTerminal,
    usesColor: isTerminal && !env.NO_COLOR && env.TERM !== "dumb",
    get columns() {
      return stream.columns ?? COLUMNS_WITHOUT_TERMINAL;
    },
    write(text) {
      last = new Promise((done) => {
        stream.write(text, (error) => {
          failure ??= error ?? undefined;
          done();
        });
      });
    },
    async flush() {
      await last;
      if (failure === undefined || ("code" in failure && failure.code === "EPIPE")) return;
      throw new P2pfsError("disk", `cannot write the output: ${failure.message}`, { cause: failure });
    },
  };
}
