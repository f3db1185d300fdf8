/** What a peer served before it was started. */
import type { Log } from "../core/log.ts";
import type { Library } from "./library.ts";
import type { Repository } from "./repository.ts";

/** Adds the copies that the repository knows to the library, and logs those of which its rows are damaged. */
export function offerKnownCopies(repository: Repository, library: Library, log: Log): void {
  const lost = repository.forgetDamaged();
  const why = "what this peer knew of it was damaged";
  for (const { fname, path } of lost.shares)
    log("warn", "{fname} is not shared any more, since {why}; publish {path} again", { fname, why, path });
  for (const { path } of lost.fetched) log("warn", "{path} is not served any more, since {why}", { path, why });
  for (const copy of [...repository.shares(), ...repository.fetched()]) library.addCopy(copy);
}
