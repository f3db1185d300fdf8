/** Runs work that nothing awaits: a failure is logged and never becomes an unhandled rejection. */
import { logFailure } from "../core/defects.ts";
import type { Log } from "../core/log.ts";

/** @param what is being done, as in "announcing a share" */
export function inBackground(what: string, log: Log, work: Promise<unknown>): void {
  work.catch((thrown: unknown) => logFailure(thrown, what, log));
}
