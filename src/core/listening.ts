/** Where a role may listen, and what it means when it cannot: the same for the protocol and the admin endpoint. */
import { formatHostPort, type HostPort, isLoopback } from "./address.ts";
import { errnoOf } from "./disk-error.ts";
import { P2pfsError } from "./errors.ts";

/** Where a tracker listens, and is looked for, that nobody has said another place for. */
export const DEFAULT_TRACKER: HostPort = { host: "127.0.0.1", port: 7700 };
export const DEFAULT_TRACKER_ADMIN: HostPort = { host: "127.0.0.1", port: 7701 };

export interface ListeningPolicy {
  /** Whether other machines may be let in. */
  readonly isOpen: boolean;
  /** What would be reachable for them, as in "listening on HOST would open this peer to other machines". */
  readonly refusal: string;
  /** What --open means there. */
  readonly hint: string;
}

/** Whether other machines reach the host. Throws `refused` where they do and are not to be let in. */
export function isForOthers(host: string, { isOpen, refusal, hint }: ListeningPolicy): boolean {
  if (isLoopback(host)) return false;
  if (isOpen) return true;
  throw new P2pfsError("refused", refusal, { hint });
}

/** Why nobody can listen there: `already_running`, `refused` or `usage`. `flag`: by which another place is named. */
export function listenError(where: HostPort, flag: string | undefined, cause: unknown): P2pfsError {
  const place = formatHostPort(where);
  const errno = errnoOf(cause);
  if (errno === "EADDRINUSE")
    return new P2pfsError("already_running", `${place} is in use already`, {
      cause,
      hint: `choose another one${flag === undefined ? "" : ` with ${flag}`}; port 0 takes any that is free`,
    });
  if (errno === "EACCES")
    return new P2pfsError("refused", `no permission to listen on ${place}`, { cause, hint: "take a port above 1023" });
  const why = cause instanceof Error ? cause.message : String(cause);
  return new P2pfsError("usage", `cannot listen on ${place}: ${why}`, {
    cause,
    hint: "take an address of this machine, such as 127.0.0.1, or 0.0.0.0 for all of them",
  });
}
