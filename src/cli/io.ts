/** The process's streams, environment and folder, as the commands see them; tests hand in others. */
import { P2pfsError } from "../core/errors.ts";

/** Where text goes. */
export interface Sink {
  readonly isTerminal: boolean;
  readonly usesColor: boolean;
  readonly columns: number;
  /** The stream underneath, for what draws on a terminal. */
  readonly stream?: NodeJS.WriteStream;
  write(text: string): void;
  /**
   * Resolves when everything written has left the process, or nobody reads it any more: a reader may stop when it has
   * enough (`| head`). Rejects with `disk` where the text is lost otherwise.
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
