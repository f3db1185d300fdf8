/** The error for a database that is damaged: it is left where it is, since its owner has to choose. */
import { P2pfsError } from "../core/errors.ts";

/** @param what is wrong, as in "the database is damaged (…)" */
export function damagedDatabase(path: string, what: string, cause?: unknown): P2pfsError {
  return new P2pfsError("disk", `the database ${path} is damaged (${what})`, {
    cause,
    // A -wal file of another database would damage the backup.
    hint: `nothing was changed; move ${path} and its -wal and -shm files away, then put a backup there, or start anew without`,
  });
}
