/** Where a role may listen, and the error if it cannot: the same for the protocol and the admin endpoint. */
import { formatHostPort, type HostPort, isLoopback } from "./address.ts";
import { errnoOf } from "./disk-error.ts";
import { P2pfsError } from "./errors.ts";

/** Where a tracker listens, and where a peer looks for it, unless another address is given. */
export const DEFAULT_TRACKER: HostPort = { host: "127.0.0.1", port: 7700 };
export const DEFAULT_TRACKER_ADMIN: HostPort = { host: "127.0.0.1", port: 7701 };

export interface ListeningPolicy {
  /** Whether other machines may be let in. */
  readonly isOpen: boolean;
  /** What would be reachable for them, as in "listening on HOST would open this peer to other machines". */
  readonly refusal: string;
  /** What would allow it. */
  readonly hint: string;
}

/** Whether other machines can reach the host. Throws `refused` if they can and must not. */
export function isForOthers(host: string, { isOpen, refusal, hint }: ListeningPolicy): boolean {
  if (isLoopback(host)) return false;
  if (isOpen) return true;
  throw new P2pfsError("refused", refusal, { hint });
}

/** Why it cannot listen there: `already_running`, `refused` or `usage`. @param flag names another address */
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
