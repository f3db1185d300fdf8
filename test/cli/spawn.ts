/** The command line as a process of its own. */
import { join } from "node:path";
import { closeLater } from "../support/closing.ts";
import { until } from "../support/until.ts";

export const main = join(import.meta.dir, "../../src/main.ts");

export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Started {
  readonly pid: number;
  readonly stdin: Bun.FileSink;
  /** The line of JSON that a role prints when it is up. */
  readonly announced: Promise<Record<string, unknown>>;
  /** Waits until its standard output matches. */
  prints(pattern: RegExp): Promise<void>;
  kill(signal: NodeJS.Signals): void;
  readonly ended: Promise<Ended>;
}

export interface StartOptions {
  readonly cwd?: string;
  readonly env?: Record<string, string>;
  /** Files, sockets and the like that the process may have open. */
  readonly descriptorsMax?: number;
}

/**
 * Starts p2pfs with a pipe as standard input, which stays open until somebody ends it. The process is killed after the test.
 */
export function start(args: readonly string[], options: StartOptions = {}): Started {
  const command = [process.execPath, main, ...args];
  const { descriptorsMax } = options;
  const limited = ["sh", "-c", `ulimit -n ${descriptorsMax}; exec "$@"`, "sh", ...command];
  const child = Bun.spawn(descriptorsMax === undefined ? command : limited, {
    cwd: options.cwd ?? import.meta.dir,
    env: { ...process.env, ...options.env },
    stdin: "pipe",
    stdout: "pipe",
    stderr: "pipe",
  });
  closeLater(child, () => {
    child.kill("SIGKILL");
    return child.exited;
  });
  let stdout = "";
  const firstLine = Promise.withResolvers<Record<string, unknown>>();
  firstLine.promise.catch(() => undefined);
  const readOut = (async () => {
    const decoder = new TextDecoder();
    for await (const piece of child.stdout) {
      stdout += decoder.decode(piece, { stream: true });
      const end = stdout.indexOf("\n");
      if (end < 0) continue;
      try {
        firstLine.resolve(JSON.parse(stdout.slice(0, end)));
      } catch (error) {
        firstLine.reject(error);
      }
    }
    firstLine.reject(new Error(`ended without a line: ${stdout}`));
  })();
  const readError = new Response(child.stderr).text();
  return {
    pid: child.pid,
    stdin: child.stdin,
    announced: firstLine.promise,
    prints: (pattern) => until(`${pattern} in its output`, () => pattern.test(stdout)),
    kill: (signal) => child.kill(signal),
    ended: (async () => {
      const [code, , stderr] = await Promise.all([child.exited, readOut, readError]);
      return { code, stdout, stderr };
    })(),
  };
}

export async function runToEnd(
  args: readonly string[],
  options: { cwd?: string; env?: Record<string, string> } = {},
): Promise<Ended> {
  const child = start(args, options);
  child.stdin.end();
  return child.ended;
}
