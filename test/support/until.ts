/** Waiting for a state that has no event to wait for. */
import { SECOND_MS } from "../../src/core/units.ts";

/** Longer than any machine needs, since nothing that is waited for by default depends on how long it takes. */
export const WAIT_MS_MAX = 20 * SECOND_MS;
const POLL_MS = 5;

/** Throws after `withinMs`, naming `what`. */
export async function until(
  what: string | (() => string),
  holds: () => boolean | Promise<boolean>,
  withinMs = WAIT_MS_MAX,
): Promise<void> {
  for (const deadline = performance.now() + withinMs; !(await holds()); await Bun.sleep(POLL_MS))
    if (performance.now() > deadline)
      throw new Error(`not within ${withinMs} ms: ${typeof what === "string" ? what : what()}`);
}
