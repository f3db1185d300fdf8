/** For what is asked for again and again: answers that never overtake each other, and at most one question under way. */

/**
 * Each call begins `work`, or, while it runs, has it run once more after that. Resolves when a run that began after the
 * call has ended. `work` must not reject.
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
