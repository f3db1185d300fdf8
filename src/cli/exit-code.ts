/** From errors to the exit codes of the command line. */
import { errorTable, type P2pfsError } from "../core/errors.ts";

export function exitCodeOf(failure: P2pfsError | undefined): number {
  return failure === undefined ? 0 : errorTable[failure.code].exitCode;
}
