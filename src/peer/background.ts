/** Runs work that nothing awaits: a failure is logged and never becomes an unhandled rejection. */
import { reportableError } from "../core/defects.ts";
import type { Log } from "../core/log.ts";

/** @param what is being done, as in "announcing a share" */
export function inBackground(what: string, log: Log, work: Promise<unknown>): void {
  work.catch((thrown: unknown) => log("error", `${what}: ${reportableError(thrown, what, log).message}`));
}
