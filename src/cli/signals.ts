/** SIGINT and SIGTERM as a promise. A second signal ends the process at once, as it would without us. */

export interface Interruption {
  readonly happened: Promise<NodeJS.Signals>;
  /** Gives the signals back to their default. */
  stopListening(): void;
}

const SIGNALS = ["SIGINT", "SIGTERM"] as const;

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
