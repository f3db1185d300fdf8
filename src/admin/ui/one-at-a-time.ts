/** For repeated loading: at most one request is under way, so that answers cannot overtake each other. */

/**
 * A call starts `work`, or, while it runs, makes it run once more afterwards. Resolves when a run that began after the call
 * has ended. `work` must not reject.
 */
export function oneAtATime(work: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined;
  let waiting: Promise<void> | undefined;
  const start = () => {
    running = work().finally(() => {
      running = undefined;
    });
    return running;
  };
  return () => {
    if (running === undefined && waiting === undefined) return start();
    waiting ??= running!.then(() => {
      waiting = undefined;
      return start();
    });
    return waiting;
  };
}
