/**
 * What interrupts the command in the foreground: SIGINT and SIGTERM, or Ctrl-C at a prompt. A second signal has its
 * default effect and ends the process at once.
 */
import type { P2pfsError } from "../core/errors.ts";
import { SECOND_MS } from "../core/units.ts";
import type { CliContext } from "./context.ts";

export interface Interruption {
  readonly happened: Promise<unknown>;
  /** Restores the default effect of the signals. */
  stopListening(): void;
}

export const NEVER: Interruption = { happened: new Promise(() => undefined), stopListening: () => undefined };

const SIGNALS = ["SIGINT", "SIGTERM"] as const;
/** How long an interrupted command may take to clean up. */
const STOP_MS_MAX = 2 * SECOND_MS;

/** The lines of a streaming command. When it is interrupted, its request is aborted and `whenStopped` is thrown. */
export async function* untilInterrupted<Line>(
  begin: (signal: AbortSignal) => AsyncGenerator<Line>,
  { happened }: Interruption,
  whenStopped: () => P2pfsError,
): AsyncGenerator<Line> {
  const left = new AbortController();
  const lines = begin(left.signal);
  const interrupted = happened.then(() => "interrupted" as const);
  try {
    for (;;) {
      const next = await Promise.race([lines.next(), interrupted]);
      if (next === "interrupted") throw whenStopped();
      if (next.done) return;
      yield next.value;
    }
  } finally {
    left.abort();
    await Promise.race([lines.return(undefined).catch(() => undefined), Bun.sleep(STOP_MS_MAX)]);
  }
}

export function interruptionOf({ session }: CliContext): Interruption {
  if (session === undefined) return listenForInterruption();
  return { happened: session.interrupted, stopListening: () => undefined };
}

export function listenForInterruption(): Interruption {
  const { promise, resolve } = Promise.withResolvers<NodeJS.Signals>();
  const stopListening = () => {
    for (const signal of SIGNALS) process.off(signal, handler);
  };
  const handler = (signal: NodeJS.Signals) => {
    stopListening();
    resolve(signal);
  };
  for (const signal of SIGNALS) process.on(signal, handler);
  return { happened: promise, stopListening };
}
