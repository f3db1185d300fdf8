/** What has to be undone however a script ends: by itself, by an error, by Ctrl-C. */

const undos = new Set<() => void>();
const SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

function undoAll(): void {
  for (const undo of [...undos].toReversed()) undo();
  undos.clear();
}

/** @param undo synchronous. Returns what undoes it earlier, once. */
export function atExit(undo: () => void): () => void {
  undos.add(undo);
  return () => {
    if (undos.delete(undo)) undo();
  };
}

/** Signals end the script at once, with everything undone. */
export function undoOnSignals(): void {
  process.on("exit", undoAll);
  for (const [signal, code] of Object.entries(SIGNALS)) process.once(signal, () => process.exit(code));
}
